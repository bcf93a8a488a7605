"""Importing: meta graphs of every shape, variables and their keys, and what keeps a model from being frozen."""

import functools
import random
import shutil
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import kinds
from conftest import SAMPLE_ZOO
from permafrost.graph.index import GraphIndex
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import graph_pb2
from permafrost.graph.restore_map import parse_slice, restore_map
from permafrost.outcome import Problem
from permafrost.report import graph_findings, settings_file
from stages import frozen, imported, problem_of, sources


@pytest.fixture
def copy(tmp_path):
    """Copies a directory of the sample zoo, to be changed, and gives its path."""

    def copied(name: str):
        return shutil.copytree(SAMPLE_ZOO / name, tmp_path / name)

    return copied


def only_source(directory) -> dict:
    (source,) = sources(directory.parent).values()
    return source


def test_variables_have_the_keys_that_the_saver_restores():
    found = sources(SAMPLE_ZOO)
    averages = {v.variable: v.key for v in imported(found["ema/model.ckpt"]).variables if v.key}
    assert averages and all(key == f"{name}/ExponentialMovingAverage" for name, key in averages.items())
    parts = [v for v in imported(found["partitioned/model.ckpt"]).variables if "/part_" in v.variable]
    assert len(parts) >= 3 and all(v.slice and v.key == v.variable.rpartition("/part_")[0] for v in parts)


def test_variables_cover_the_checkpoint_as_tensorflow_reads_it():
    for id, source in sources(SAMPLE_ZOO).items():
        if id.startswith("broken_"):
            continue
        shapes = tf.compat.v1.train.NewCheckpointReader(source.prefix).get_variable_to_shape_map()
        keys = {v.key for v in imported(source).variables} - {""}
        # The EMA's checkpoint also holds the raw weights, which its inference graph does not restore.
        assert keys <= set(shapes) if id.startswith("ema/") else keys == set(shapes), id


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=4))
def test_slices_are_parsed_as_tensorflow_writes_them(dimensions):
    shape = [size for size, _, _ in dimensions]
    start = [min(first, size - 1) for size, first, _ in dimensions]
    extent = [max(1, min(length, size - first)) for (size, _, length), first in zip(dimensions, start, strict=True)]
    info = tf.compat.v1.Variable.SaveSliceInfo("v", shape, start, extent)
    assert parse_slice(info.spec) == (tuple(start), tuple(extent))


@given(st.text(alphabet="0123456789,:- x", max_size=20))
def test_garbled_slices_are_refused(text):
    try:
        start, extent = parse_slice(text, "save/RestoreV2")
    except Problem as problem:
        assert problem.cause == "bad_meta_graph"
    else:
        assert start is None or min((*start, *extent)) >= 0


def test_a_text_meta_graph_is_read_as_the_binary_one(copy):
    directory = copy("conv_batchnorm")
    path = next(directory.glob("*.meta"))
    binary = read_meta_graph(path)
    path.write_text(text_format.MessageToString(binary))
    assert read_meta_graph(path) == binary
    record = imported(only_source(directory))
    assert record.outputs


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_meta_graph_that_is_cut_off(copy, keep):
    directory = copy("conv_batchnorm")
    path = next(directory.glob("*.meta"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    problem = problem_of(imported, only_source(directory))
    assert problem.cause in ("truncated", "bad_meta_graph") and path.name in problem.message


def test_a_meta_graph_of_random_bytes(copy):
    directory = copy("linear")
    path = directory / "model.ckpt.meta"
    path.write_bytes(random.Random(1).randbytes(5000))
    problem = problem_of(imported, only_source(directory))
    assert problem.cause == "bad_meta_graph" and "model.ckpt.meta" in problem.message


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_mutated_meta_graphs_end_in_a_problem_or_a_record(data):
    original = (SAMPLE_ZOO / "partitioned" / "model.ckpt.meta").read_bytes()
    content = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    meta_graph = read_or_none(bytes(content))
    if meta_graph is not None:
        try:
            restore_map(meta_graph, GraphIndex(meta_graph.graph_def))
        except Problem as problem:
            assert problem.message


def read_or_none(content: bytes):
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".meta") as file:
        file.write(content)
        file.flush()
        try:
            return read_meta_graph(file.name)
        except Problem:
            return None


def test_a_meta_graph_of_another_model_is_refused(copy):
    directory = copy("linear")
    shutil.copy(SAMPLE_ZOO / "sum" / "sum.ckpt.meta", directory / "model.ckpt.meta")
    problem = problem_of(imported, only_source(directory))
    assert problem.cause == "foreign_meta_graph"
    assert "var2" in problem.message and "W1" in problem.message


def test_a_variable_of_another_shape_is_refused(copy):
    directory = copy("conv_batchnorm")
    path = next(directory.glob("*.meta"))
    meta_graph = read_meta_graph(path)
    node = next(n for n in meta_graph.graph_def.node if n.op == "VariableV2" and n.attr["shape"].shape.dim)
    node.attr["shape"].shape.dim[0].size += 1
    path.write_bytes(meta_graph.SerializeToString())
    problem = problem_of(imported, only_source(directory))
    assert problem.cause == "shape_mismatch" and node.name in problem.message


def test_names_in_the_settings_that_the_graph_lacks():
    source = sources(SAMPLE_ZOO)["linear/model.ckpt"]
    problem = problem_of(imported, source, outputs=["prediction"])
    assert problem.cause == "unknown_output" and "predictions" in problem.hint
    problem = problem_of(imported, source, inputs={"input_holde": 1.0})
    assert problem.cause == "unknown_input" and "input_holder" in problem.hint


def test_an_op_that_this_tensorflow_lacks_is_named(copy):
    directory = copy("linear")
    meta_graph = read_meta_graph(directory / "model.ckpt.meta")
    next(n for n in meta_graph.graph_def.node if n.name == "predictions").op = "MyCustomOp"
    (directory / "model.ckpt.meta").write_bytes(meta_graph.SerializeToString())
    problem = problem_of(imported, only_source(directory), outputs=["predictions"])
    assert problem.cause == "unknown_op" and "MyCustomOp" in problem.message and "'predictions'" in problem.message


@pytest.mark.parametrize("key", ["w", "b"])
def test_a_variable_that_is_restored_twice(key, tmp_path):
    """By two ops with the same tensor, it has that; with different ones, nobody can tell which comes last."""
    kinds.save(kinds.plain(False), tmp_path)
    path = tmp_path / "model.ckpt.meta"
    meta_graph = read_meta_graph(path)
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    variable = next(n for n in nodes.values() if n.op == "Assign" and n.name.startswith("save/") and n.input[0] == "w")
    again = meta_graph.graph_def.node.add()
    again.CopyFrom(variable)
    again.name = "save/again"
    restored = {n.input[0]: n.input[1] for n in nodes.values() if n.op == "Assign" and n.name.startswith("save/")}
    again.input[1] = restored[key]
    nodes["save/restore_all"].input.append("^save/again")
    path.write_bytes(meta_graph.SerializeToString())
    (source,) = sources(tmp_path).values()
    if key == "w":
        assert {row.variable: row.key for row in imported(source, outputs=["out"]).variables}["w"] == "w"
    else:
        problem = problem_of(imported, source, outputs=["out"])
        assert problem.cause == "bad_meta_graph" and "'w'" in problem.message and "'b'" in problem.message


def test_an_op_that_cannot_run_here_is_named(copy):
    directory = copy("linear")
    meta_graph = read_meta_graph(directory / "model.ckpt.meta")
    node = next(n for n in meta_graph.graph_def.node if n.name == "predictions")
    node.op = "NcclAllReduce"
    del node.input[1:]
    node.attr["reduction"].s, node.attr["num_devices"].i, node.attr["shared_name"].s = b"sum", 1, b"all"
    (directory / "model.ckpt.meta").write_bytes(meta_graph.SerializeToString())
    problem = problem_of(imported, only_source(directory), outputs=["predictions"])
    assert problem.cause == "unsupported_op" and "NcclAllReduce" in problem.message and "CPU" in problem.message


def test_a_node_that_the_graph_lacks_is_named(copy):
    directory = copy("linear")
    meta_graph = read_meta_graph(directory / "model.ckpt.meta")
    names = [n.name for n in meta_graph.graph_def.node]
    del meta_graph.graph_def.node[names.index("input_holder")]
    (directory / "model.ckpt.meta").write_bytes(meta_graph.SerializeToString())
    problem = problem_of(imported, only_source(directory), outputs=["predictions"])
    assert problem.cause == "bad_meta_graph" and "input_holder" in problem.message


@pytest.mark.parametrize(
    ("output", "word"), [("predictions:3", "1 output"), ("W1:1", "1 output"), ("init", "0 outputs")]
)
def test_an_output_that_cannot_be_fetched_is_refused(output, word):
    problem = problem_of(imported, sources(SAMPLE_ZOO)["linear/model.ckpt"], outputs=[output])
    assert problem.cause == "unknown_output" and word in problem.message


def test_a_handle_is_no_output():
    found = sources(SAMPLE_ZOO)["lookup_table/model.ckpt"]
    nodes = read_meta_graph(found.meta).graph_def.node
    table = next(node.name for node in nodes if node.op == "HashTableV2")
    problem = problem_of(imported, found, outputs=[table])
    assert problem.cause == "unknown_output" and "resource" in problem.message


def test_an_op_inside_a_function_that_this_tensorflow_lacks_is_named(tmp_path):
    kinds.save(kinds.SAME["functional cond over resources"], tmp_path)
    path = tmp_path / "model.ckpt.meta"
    meta_graph = read_meta_graph(path)
    for function in meta_graph.graph_def.library.function:
        for node in function.node_def:
            node.op = "MyCustomOp" if node.op == "MatMul" else node.op
    path.write_bytes(meta_graph.SerializeToString())
    (source,) = sources(tmp_path).values()
    problem = problem_of(imported, source, outputs=["out"])
    assert problem.cause == "unknown_op" and "MyCustomOp" in problem.message and "/" in problem.message


def edited(directory: Path, edit, **settings) -> dict:
    """The import record of a saved model whose nodes `edit` changed; it gets the graph and its nodes by name."""
    path = directory / "model.ckpt.meta"
    meta_graph = read_meta_graph(path)
    edit(meta_graph.graph_def, {node.name: node for node in meta_graph.graph_def.node})
    path.write_bytes(meta_graph.SerializeToString())
    (source,) = sources(directory).values()
    return imported(source, **settings)


def add_loop(graph_def, dtype: int) -> None:
    graph_def.node.add(name="loop", op="Identity", input=["loop"]).attr["T"].type = dtype


def test_a_restore_into_an_identity_of_itself_ends(copy):
    def edit(graph_def, nodes):
        add_loop(graph_def, tf.float32.as_datatype_enum)
        for node in nodes.values():
            if node.op == "Assign" and node.name.startswith("save/"):
                node.input[0] = "loop"

    variables = edited(copy("linear"), edit, outputs=["predictions"]).variables
    assert variables and all(v.key == v.variable for v in variables), "names are what is left to go by"


def test_tensor_names_from_an_identity_of_itself_are_refused(copy):
    def edit(graph_def, nodes):
        add_loop(graph_def, tf.string.as_datatype_enum)
        for node in nodes.values():
            if node.op == "RestoreV2":
                node.input[1] = "loop"

    problem = problem_of(edited, copy("linear"), edit)
    assert problem.cause == "bad_meta_graph" and "no constant" in problem.message


def drop_inputs_of_assigns(graph_def, nodes):
    for node in nodes.values():
        if node.op == "Assign":
            del node.input[:]


def assign_to_empty_identity(graph_def, nodes):
    graph_def.node.add(name="empty", op="Identity")
    for node in nodes.values():
        if node.op == "Assign":
            node.input[0] = "empty"


def drop_tensor_names(graph_def, nodes):
    for node in nodes.values():
        if node.op == "RestoreV2":
            del node.input[1:]


def unknown_dtype(graph_def, nodes):
    next(node for node in nodes.values() if node.op == "VariableV2").attr["dtype"].type = 999


@pytest.mark.parametrize("edit", [drop_inputs_of_assigns, drop_tensor_names, unknown_dtype])
def test_a_restore_that_no_saver_wrote_is_refused(copy, edit):
    assert problem_of(edited, copy("linear"), edit, outputs=["predictions"]).cause == "bad_meta_graph"


def test_a_restore_into_an_identity_of_nothing_ends(copy):
    variables = edited(copy("linear"), assign_to_empty_identity, outputs=["predictions"]).variables
    assert variables and all(v.key == v.variable for v in variables)


def drop_input(node):
    del node.input[-1]


def add_input(node):
    node.input.append(node.input[0])


def add_control_first(node):
    node.input.insert(0, "^x")


def give_unknown_dtype(node):
    node.attr["T"].type = 999


def drop_dtype(node):
    del node.attr["T"]


def take_a_further_output(node):
    node.input[0] += ":7"


CHANGES = (drop_input, add_input, add_control_first, give_unknown_dtype, drop_dtype, take_a_further_output)


@pytest.mark.parametrize("change", CHANGES)
def test_a_node_that_is_not_as_its_op_demands_is_named(tmp_path, change):
    kinds.save(kinds.cond(1, False), tmp_path)

    def edit(graph_def, nodes):
        change(next(node for node in nodes.values() if node.op == "MatMul"))

    problem = problem_of(edited, tmp_path, edit, outputs=["out"])
    assert problem.cause == "bad_meta_graph" and "MatMul" in problem.message


@pytest.mark.parametrize("change", [drop_input, give_unknown_dtype])
def test_a_node_in_a_function_is_checked_too(tmp_path, change):
    kinds.save(kinds.SAME["functional cond over resources"], tmp_path)

    def edit(graph_def, nodes):
        for function in graph_def.library.function:
            for node in function.node_def:
                if node.op == "MatMul":
                    change(node)

    problem = problem_of(edited, tmp_path, edit, outputs=["out"])
    assert problem.cause == "bad_meta_graph" and "MatMul" in problem.message


def lose_function(graph_def, call):
    call.attr["then_branch"].func.name = "nowhere"


def call_a_function_of_fewer_inputs(graph_def, call):
    for function in graph_def.library.function:
        if function.signature.name == call.attr["then_branch"].func.name:
            del function.signature.input_arg[-1]


@pytest.mark.parametrize("change", [lose_function, call_a_function_of_fewer_inputs])
def test_a_call_that_its_function_does_not_fit_is_named(tmp_path, change):
    kinds.save(kinds.SAME["functional cond over resources"], tmp_path)

    def edit(graph_def, nodes):
        change(graph_def, next(node for node in nodes.values() if "then_branch" in node.attr))

    problem = problem_of(edited, tmp_path, edit, outputs=["out"])
    assert problem.cause == "bad_meta_graph" and "function" in problem.message


def test_a_table_that_only_a_control_input_fills_is_left_alone(copy):
    def edit(graph_def, nodes):
        graph_def.node.add(name="filler", op="InitializeTableV2", input=["^input_holder"])

    assert edited(copy("linear"), edit, outputs=["predictions"]).outputs == ["predictions"]


def test_op_definitions_have_the_ops_inside_functions(tmp_path):
    kinds.save(kinds.SAME["functional cond over resources"], tmp_path)
    record = edited(tmp_path, lambda graph_def, nodes: None, outputs=["out"])
    assert "MatMul" in record.op_definitions and "MatMul" not in record.op_types


def test_a_function_that_calls_itself_is_refused(tmp_path):
    kinds.save(kinds.SAME["function that captures"], tmp_path)
    path = tmp_path / "model.ckpt.meta"
    meta_graph = read_meta_graph(path)
    (function,) = [f for f in meta_graph.graph_def.library.function if any(n.op == "MatMul" for n in f.node_def)]
    node = next(node for node in function.node_def if node.op == "MatMul")
    node.op = "StatefulPartitionedCall"
    node.attr.clear()
    node.attr["Tin"].list.type.extend([1, 1])
    node.attr["Tout"].list.type.append(1)
    node.attr["f"].func.name = function.signature.name
    path.write_bytes(meta_graph.SerializeToString())
    (source,) = sources(tmp_path).values()
    problem = problem_of(imported, source, outputs=["out"])
    assert problem.cause == "bad_meta_graph" and "calls itself" in problem.message


sample_sources = functools.cache(lambda: sources(SAMPLE_ZOO))
MUTATED = ("resource_variables/model.ckpt", "cond/model.ckpt", "lstm_while/lstm.ckpt", "lookup_table/model.ckpt")


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.sampled_from(MUTATED), st.data())
def test_mutated_graphs_end_in_a_problem_or_a_frozen_graph(id, data):
    """Whatever a node says, importing and freezing give a result or a Problem, and soon."""
    source = sample_sources()[id]
    meta_graph = read_meta_graph(source.meta)
    nodes = meta_graph.graph_def.node
    names = [node.name for node in nodes]
    for _ in range(data.draw(st.integers(1, 3))):
        node = nodes[data.draw(st.integers(0, len(nodes) - 1))]
        change = data.draw(st.sampled_from(["input", "input", "self", "drop", "add", "op", "dtype", "attribute"]))
        if change in ("input", "self", "drop") and node.input:
            position = data.draw(st.integers(0, len(node.input) - 1))
            if change == "drop":
                del node.input[position]
            else:
                prefix = data.draw(st.sampled_from(["", "^"]))
                suffix = data.draw(st.sampled_from(["", ":1", ":99"])) if not prefix else ""
                other = node.name if change == "self" else data.draw(st.sampled_from(names))
                node.input[position] = prefix + other + suffix
        elif change == "add":
            node.input.insert(0, data.draw(st.sampled_from(names)))
        elif change == "op":
            node.op = data.draw(st.sampled_from(sorted({other.op for other in nodes})))
        elif change in ("dtype", "attribute") and node.attr:
            name = data.draw(st.sampled_from(sorted(node.attr)))
            if change == "attribute":
                del node.attr[name]
            elif node.attr[name].HasField("type"):
                node.attr[name].type = data.draw(st.sampled_from([0, 1, 3, 7, 20, 101, 999]))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.ckpt.meta"
        path.write_bytes(meta_graph.SerializeToString())
        try:
            record = imported(replace(source, meta=str(path)))
            provenance, frozen_graph = frozen(record, Path(directory) / "frozen")
        except Problem as problem:
            assert problem.message
        else:
            graph_def = graph_pb2.GraphDef.FromString(frozen_graph.read_bytes())
            assert all(row.advice for row in graph_findings.of_frozen(graph_def, set(provenance.inputs.values())))
            said = settings_file.text("x", {}, [settings_file.Found("model", record, {})])
            assert yaml.safe_load(said)["models"]["model"]["outputs"]
