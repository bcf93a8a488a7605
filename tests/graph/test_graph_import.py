"""The door by which graphs enter TensorFlow: nothing unsafe is evaluated there, and nobody goes around it."""

import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from conftest import HOME
from fresh_process import in_fresh_process
from judged import verified
from permafrost.graph import tensorflow_import
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import graph_pb2
from permafrost.judge import judging
from permafrost.signature import foreign
from permafrost.stages import import_model, list_model
from stages import default_settings, frozen, imported, problem_of, sources

v1 = tf.compat.v1
INT, FLOAT, STRING = (dtype.as_datatype_enum for dtype in (tf.int32, tf.float32, tf.string))


def constant(nodes, name: str, value) -> str:
    node, tensor = nodes.add(name=name, op="Const"), tf.make_tensor_proto(value)
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)
    return name


def debug_identity(nodes, name: str, source: str, path: Path) -> str:
    """An op that writes a file below the directory `path`, or beside it, since a tensor's name may lead out of it."""
    node = nodes.add(name=name, op="DebugIdentity", input=[source])
    node.attr["T"].type = INT
    node.attr["tensor_name"].s = b"../escaped:0"
    node.attr["device_name"].s = b"/job:localhost/replica:0/task:0/cpu:0"
    node.attr["debug_urls"].list.s.append(f"file://{path}/debug".encode())
    return name


def read_numbers(nodes, name: str, source: str, output: str = "") -> str:
    """Ops that take the content of the file `source` for integers."""
    nodes.add(name=f"{name}_read", op="ReadFile", input=[source])
    third = f"{name}_read:contents:0" if output else f"{name}_read"
    nodes.add(name=name, op="DecodeRaw", input=[third]).attr["out_type"].type = INT
    return name


def reshape(nodes, name: str, tensor: str, shape: str) -> str:
    node = nodes.add(name=name, op="Reshape", input=[tensor, shape])
    node.attr["T"].type, node.attr["Tshape"].type = FLOAT, INT
    return name


def at_the_top(graph_def, path: Path) -> None:
    nodes = graph_def.node
    constant(nodes, "size", [2, 3])
    constant(nodes, "data", np.zeros(6, np.float32))
    reshape(nodes, "shaped", "data", debug_identity(nodes, "debug", "size", path))


def function(graph_def, name: str, path: Path):
    """A function that reshapes six numbers as its argument says, by way of a DebugIdentity."""
    made = graph_def.library.function.add()
    made.signature.name = name
    made.signature.input_arg.add(name="size", type=INT)
    made.signature.output_arg.add(name="result", type=FLOAT)
    debug_identity(made.node_def, "debug", "size", path)
    constant(made.node_def, "data", np.zeros(6, np.float32))
    reshape(made.node_def, "reshaped", "data:output:0", "debug:output:0")
    made.ret["result"] = "reshaped:output:0"
    return made


def call(nodes, name: str, op: str, source: str, called: str) -> None:
    node = nodes.add(name=name, op=op, input=[source])
    node.attr["f"].func.name = called
    node.attr["Tin"].list.type.append(INT)
    node.attr["Tout"].list.type.append(FLOAT)


def in_a_function(op: str) -> Callable:
    def build(graph_def, path: Path) -> None:
        function(graph_def, "inner", path)
        call(graph_def.node, "shaped", op, constant(graph_def.node, "size", [2, 3]), "inner")

    return build


def in_a_function_by_its_name(graph_def, path: Path) -> None:
    function(graph_def, "inner", path)
    graph_def.node.add(name="shaped", op="inner", input=[constant(graph_def.node, "size", [2, 3])])


def two_functions_deep(graph_def, path: Path) -> None:
    function(graph_def, "inner", path)
    outer = graph_def.library.function.add()
    outer.signature.name = "outer"
    outer.signature.input_arg.add(name="size", type=INT)
    outer.signature.output_arg.add(name="result", type=FLOAT)
    call(outer.node_def, "calls", "PartitionedCall", "size", "inner")
    outer.ret["result"] = "calls:output:0"
    call(graph_def.node, "shaped", "StatefulPartitionedCall", constant(graph_def.node, "size", [2, 3]), "outer")


PLACES = {
    "at the top": at_the_top,
    "PartitionedCall": in_a_function("PartitionedCall"),
    "StatefulPartitionedCall": in_a_function("StatefulPartitionedCall"),
    "by its name": in_a_function_by_its_name,
    "two functions deep": two_functions_deep,
}


def graph_of(build: Callable, path: Path):
    graph_def = graph_pb2.GraphDef()
    graph_def.versions.producer = 1087
    build(graph_def, path)
    return graph_def


def imports(work: Callable, graph_def, *args):
    """The graph after work(graph_def, ...) has imported it."""
    with tf.Graph().as_default() as graph:
        work(graph_def, *args)
    return graph


def plainly(graph_def) -> None:
    tf.import_graph_def(graph_def, name="")


def written(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()]


@pytest.mark.parametrize("place", PLACES)
def test_what_is_only_looked_at_is_not_evaluated(place, tmp_path):
    imports(plainly, graph_of(PLACES[place], tmp_path / "plainly"))
    assert written(tmp_path), "TensorFlow evaluates it"
    graph = imports(tensorflow_import.import_to_look_at, graph_of(PLACES[place], tmp_path / "door"))
    assert graph.get_tensor_by_name("shaped:0").shape.rank == 2
    assert not (tmp_path / "door").exists() and all("plainly" in str(file) for file in written(tmp_path))


@pytest.mark.parametrize("place", PLACES)
def test_what_is_run_is_refused(place, tmp_path):
    problem = problem_of(imports, tensorflow_import.import_to_run, graph_of(PLACES[place], tmp_path), set())
    assert problem.cause == "unsafe_op" and "debug" in problem.message and "DebugIdentity" in problem.message
    assert not written(tmp_path)
    graph = imports(tensorflow_import.import_to_run, graph_of(PLACES[place], tmp_path), {"DebugIdentity"})
    assert graph.get_tensor_by_name("shaped:0").shape.rank == 2 and written(tmp_path)


@pytest.mark.parametrize("op", ["If", "StatelessIf"])
def test_what_a_branch_would_run_is_refused_too(op, tmp_path):
    def build(graph_def, path):
        function(graph_def, "inner", path)
        nodes = graph_def.node
        node = nodes.add(name="shaped", op=op, input=[constant(nodes, "p", True), constant(nodes, "size", [2, 3])])
        node.attr["then_branch"].func.name = node.attr["else_branch"].func.name = "inner"
        node.attr["Tcond"].type = tf.bool.as_datatype_enum
        node.attr["Tin"].list.type.append(INT)
        node.attr["Tout"].list.type.append(FLOAT)

    assert problem_of(imports, tensorflow_import.import_to_run, graph_of(build, tmp_path), set()).cause == "unsafe_op"
    graph = imports(tensorflow_import.import_to_look_at, graph_of(build, tmp_path))
    assert graph.get_tensor_by_name("shaped:0").shape.rank is None and not written(tmp_path)


def test_a_function_that_nothing_calls_is_no_matter(tmp_path):
    def build(graph_def, path):
        function(graph_def, "inner", path)
        constant(graph_def.node, "size", [2, 3])

    imports(tensorflow_import.import_to_run, graph_of(build, tmp_path), set())
    assert not written(tmp_path)


def test_what_a_file_holds_is_told_by_no_shape(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(np.array([1, 4], np.int32).tobytes())

    def build(graph_def, path):
        nodes = graph_def.node
        constant(nodes, "size", [1])
        constant(nodes, "data", np.zeros(4, np.float32))
        reshape(nodes, "shaped", "data", read_numbers(nodes, "content", constant(nodes, "file", str(file))))

    assert imports(plainly, graph_of(build, tmp_path)).get_tensor_by_name("shaped:0").shape == [1, 4]
    graph = imports(tensorflow_import.import_to_look_at, graph_of(build, tmp_path))
    assert graph.get_tensor_by_name("shaped:0").shape.rank is None
    assert graph.get_tensor_by_name("content_read:0").shape == []
    assert problem_of(imports, tensorflow_import.import_to_run, graph_of(build, tmp_path), set()).cause == "unsafe_op"


def test_a_file_mapped_into_memory_is_told_by_no_shape(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(np.array([1, 4], np.int32).tobytes())

    def build(graph_def, path):
        node = graph_def.node.add(name="mapped", op="ImmutableConst")
        node.attr["dtype"].type = INT
        node.attr["shape"].shape.dim.add(size=2)
        node.attr["memory_region_name"].s = str(file).encode()
        constant(graph_def.node, "data", np.zeros(4, np.float32))
        reshape(graph_def.node, "shaped", "data", "mapped")

    graph = imports(tensorflow_import.import_to_look_at, graph_of(build, tmp_path))
    assert graph.get_tensor_by_name("shaped:0").shape.as_list() == [None, None]
    assert graph.get_tensor_by_name("mapped:0").shape == [2]
    assert problem_of(imports, tensorflow_import.import_to_run, graph_of(build, tmp_path), set()).cause == "unsafe_op"


def test_no_shape_is_lost_where_nothing_is_evaluated():
    """Inputs of one dtype, of an attribute's, and of a list of them; a name that is taken."""
    with tf.Graph().as_default() as original:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        words = v1.placeholder(tf.string, [5], name="words")
        tf.raw_ops.DebugIdentity(input=x, name="debug")
        tf.raw_ops.ReadFile(filename="file", name="read")
        tf.raw_ops.MatchingFiles(pattern=words, name="matching")
        tf.raw_ops.DecodeProtoV2(
            bytes=words, message_type="M", field_names=["a"], output_types=[tf.int32], name="fields"
        )
        encode = {"field_names": ["a", "b"], "message_type": "M", "descriptor_source": "file"}
        sizes, values = tf.ones([5, 2], tf.int32), [tf.ones([5, 1], tf.int32), tf.ones([5, 1])]
        tf.raw_ops.EncodeProto(sizes=sizes, values=values, **encode, name="encoded")
        tf.raw_ops.PyFuncStateless(input=[x, words], token="t", Tout=[tf.float32], name="python")
        tf.no_op(name="read/hidden_0")
    graph = imports(tensorflow_import.import_to_look_at, original.as_graph_def())
    for op in original.get_operations():
        assert list(map(str, graph.get_operation_by_name(op.name).outputs)) == list(map(str, op.outputs))


def test_a_reference_stays_one():
    graph_def = graph_pb2.GraphDef()
    graph_def.versions.producer = 20
    graph_def.node.add(name="reader", op="TextLineReader")
    queue = graph_def.node.add(name="queue", op="FIFOQueue")
    queue.attr["component_types"].list.type.append(STRING)
    graph_def.node.add(name="line", op="ReaderRead", input=["reader", "queue"])
    graph = imports(tensorflow_import.import_to_look_at, graph_def)
    assert [tensor.shape for tensor in graph.get_operation_by_name("line").outputs] == [[], []]


def test_what_takes_a_reference_is_not_evaluated():
    """A table of TensorFlow's first ops comes in, whose file nobody has: only a run would read it."""
    with tf.Graph().as_default() as graph:
        table = tf.raw_ops.HashTable(key_dtype=tf.string, value_dtype=tf.int64)
        filling = tf.raw_ops.InitializeTableFromTextFile(
            table_handle=table, filename="/gone/words.txt", key_index=-2, value_index=-1
        )
        with tf.control_dependencies([filling]):
            tf.reshape(v1.placeholder(tf.float32, [None], name="x"), tf.identity([2, 3]), name="out")
    with tf.Graph().as_default() as imported_graph:
        tensorflow_import.import_to_run(graph.as_graph_def(), set())
    assert imported_graph.get_tensor_by_name("out:0").shape.rank == 2


def test_what_lacks_its_inputs_does_not_come_in():
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="read", op="ReadFile")
    with pytest.raises(ValueError, match="'read' \\(ReadFile\\) has other inputs"):
        imports(tensorflow_import.import_to_look_at, graph_def)


# Whole models, from the checkpoint to the tables.


def add_dead(meta_graph, path: Path) -> None:
    for node in meta_graph.graph_def.node:
        node.attr.pop("_output_shapes", None)
    at_the_top(meta_graph.graph_def, path)


def add_colocated(meta_graph, path: Path) -> None:
    add_dead(meta_graph, path)
    node_of(meta_graph.graph_def, "out").attr["_class"].list.s.append(b"loc:@shaped")


def add_before_the_filename(meta_graph, path: Path) -> None:
    add_dead(meta_graph, path)
    nodes = meta_graph.graph_def.node
    constant(nodes, "model", np.array([b"model"] * 6, object))
    reshape(nodes, "name", "model", "debug")
    node_of(meta_graph.graph_def, "name").attr["T"].type = STRING
    filename = node_of(meta_graph.graph_def, meta_graph.saver_def.filename_tensor_name.partition(":")[0])
    assert filename.op == "PlaceholderWithDefault"
    filename.input[:] = ["name"]
    filename.attr["shape"].shape.unknown_rank = True


def add_to_the_restore(meta_graph, path: Path) -> None:
    add_dead(meta_graph, path)
    node_of(meta_graph.graph_def, meta_graph.saver_def.restore_op_name).input.append("^shaped")


def add_before_a_default(meta_graph, path: Path) -> None:
    """A second number that the output adds, which the settings feed."""
    add_dead(meta_graph, path)
    nodes = meta_graph.graph_def.node
    axes = constant(nodes, "axes", [0, 1])
    total = nodes.add(name="total", op="Sum", input=["shaped", axes])
    total.attr["T"].type, total.attr["Tidx"].type = FLOAT, INT
    node_of(meta_graph.graph_def, "extra").input[:] = ["total"]


def add_dead_call(meta_graph, path: Path) -> None:
    for node in meta_graph.graph_def.node:
        node.attr.pop("_output_shapes", None)
    in_a_function("PartitionedCall")(meta_graph.graph_def, path)


def node_of(graph_def, name: str):
    return next(node for node in graph_def.node if node.name == name)


def save(zoo: Path, damage: Callable, path: Path) -> None:
    zoo.mkdir()
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        w = v1.get_variable("w", initializer=np.arange(6, dtype=np.float32).reshape(3, 2), use_resource=False)
        extra = v1.placeholder_with_default(tf.constant(0.0), [], name="extra")
        tf.add(tf.matmul(x, w), extra, name="out")
        with v1.Session(graph=graph) as session:
            session.run(w.initializer)
            v1.train.Saver().save(session, str(zoo / "m.ckpt"))
    meta_graph = read_meta_graph(zoo / "m.ckpt.meta")
    damage(meta_graph, path)
    (zoo / "m.ckpt.meta").write_bytes(meta_graph.SerializeToString(deterministic=True))


def staged(zoo: Path, directory: Path, **changes) -> tuple[dict, str, str]:
    """The end of `verify`, what the trial run said, and what was listed of `shaped`, of a zoo of one model."""
    settings = default_settings(outputs=["out"], inputs={"extra": 1.0}, timeout=60, **changes)
    (source,) = sources(zoo).values()
    record = imported(source, outputs=["out"], inputs={"extra": 1.0}, **changes)
    import_model.rehearse(settings, record)
    provenance, path = frozen(record, directory, outputs=["out"])
    end = verified(record, provenance, path, settings)
    rows = [*list_model.ops(list_model.meta_graph_of(record, []), list_model.frozen_graph_of(provenance, path))]
    shapes = {row["shapes"] for row in rows[0] + rows[1] if row["name"] == "shaped"}
    return end, record.rehearsal, "".join(shapes)


UNSEEN, REFUSED = ("verified", ""), ("unverifiable", "unsafe_op")
WHOLE = {
    "dead": (add_dead, UNSEEN),
    "dead call of a function": (add_dead_call, UNSEEN),
    "before the filename": (add_before_the_filename, UNSEEN),
    "colocated": (add_colocated, REFUSED),
    "in the restore": (add_to_the_restore, REFUSED),
    "before a default that is fed": (add_before_a_default, REFUSED),
}


@pytest.mark.parametrize("where", WHOLE)
def test_a_model_with_an_op_that_writes(where, tmp_path):
    damage, right = WHOLE[where]
    save(tmp_path / "zoo", damage, tmp_path / "written")
    end, trial, shapes = in_fresh_process(staged, tmp_path / "zoo", tmp_path)
    assert (end["status"], end["cause"]) == right, end
    assert ("debug" in end["message"]) == (right == REFUSED) and shapes == "[?, ?]"
    assert trial == "" or (right == REFUSED and "was not run" in trial)
    assert not (tmp_path / "written").exists() and not list(tmp_path.rglob("*escaped*"))


def test_allowed_ops_come_in(tmp_path):
    save(tmp_path / "zoo", add_before_a_default, tmp_path / "written")
    end, _, _ = in_fresh_process(staged, tmp_path / "zoo", tmp_path, allow_ops=["DebugIdentity"])
    assert end["status"] == "verified", end


def judged_foreign(zoo: Path, path: Path) -> judging.Judgement:
    settings = default_settings(timeout=60)
    (source,) = sources(zoo).values()
    record = imported(source, outputs=["out"], inputs={"extra": 1.0})
    provenance = foreign.provenance(foreign.read(str(path)), read_meta_graph(record.meta), record)
    return judging.judge_foreign(record, provenance, str(path), settings, os.getcwd())


def test_a_frozen_graph_of_another_tool_is_refused_for_what_it_holds_unused(tmp_path):
    save(tmp_path / "zoo", lambda meta_graph, path: None, tmp_path)
    (source,) = sources(tmp_path / "zoo").values()
    _, path = frozen(imported(source, outputs=["out"], inputs={"extra": 1.0}), tmp_path, outputs=["out"])
    assert in_fresh_process(judged_foreign, tmp_path / "zoo", path).measured.match == "bitwise"
    graph_def = graph_pb2.GraphDef.FromString(path.read_bytes())
    at_the_top(graph_def, tmp_path / "written")
    path.write_bytes(graph_def.SerializeToString(deterministic=True))
    assert in_fresh_process(problem_of, judged_foreign, tmp_path / "zoo", path).cause == "unsafe_op"
    assert not (tmp_path / "written").exists()


# Nobody goes around the door.

IMPORTERS = {
    "import_graph_def", "import_graph_def_for_function", "import_meta_graph", "import_scoped_meta_graph",
    "import_scoped_meta_graph_with_return_elements", "function_def_to_graph", "function_def_to_graph_def",
    "from_library", "wrap_function", "WrappedGraph", "load_v2", "load_partial", "load_model", "load_graph_def",
    "convert_variables_to_constants", "convert_variables_to_constants_v2",
    "convert_variables_to_constants_from_session_graph", "convert_var_to_const_function_in_v1",
    "freeze_graph_with_def_protos", "TFLiteConverter", "from_saved_model", "from_frozen_graph", "from_graph_def",
    "OptimizeGraph", "TF_GraphImportGraphDef", "TF_FunctionImportFunctionDef", "add_function_def", "importer",
    "tf2onnx", "lite", "toco",
}  # fmt: skip
LOADERS = {"saved_model", "loader", "loader_impl", "saved_model_loader", "hub", "models"}  # of which `load` is one
# What times a peer on graphs of our own making.
OWN_GRAPHS = {"benchmarks/freeze.py"}
# What gives a graph to a converter, or to a loader, after the door has let it through: `rewrites.first_difference` runs
# each graph that is to be converted, SavedModelRuntime looks at what it will load. export_packages names packages.
BEHIND = {
    f"scripts/permafrost/{name}.py"
    for name in (
        "export_packages", "exporter/onnx/converter", "exporter/onnx/handlers", "exporter/tflite/conversion",
        "exporter/tflite/finishing", "judge/exports/saved_models",
    )
}  # fmt: skip


def around_the_door(source: str) -> Iterator[str]:
    """The names in a Python source by which TensorFlow may be had to import a graph, however it is spelled."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=module) | ast.Attribute(attr=module), attr="load"):
                yield from ["load"] if module in LOADERS else []
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.Constant(value=str(name)):
                yield from {name} & IMPORTERS
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                module = getattr(node, "module", None) or ""
                yield from {part for alias in aliases for part in f"{module}.{alias.name}".split(".")} & IMPORTERS
                yield from (alias.name for alias in aliases if alias.name == "load" and "saved_model" in module)


@pytest.mark.parametrize(
    "source",
    [
        "tf.import_graph_def(g)", "tf.graph_util.import_graph_def(g)", "importer.import_graph_def(g)",
        "from tensorflow import import_graph_def as f", "from tensorflow.python.framework import importer",
        "getattr(tf, 'import_graph_def')(g)", "saver = v1.train.import_meta_graph(path)", "tf.saved_model.load(path)",
        "v1.saved_model.loader.load(session, tags, path)", "loader.load(session, tags, path)",
        "from tensorflow.python.saved_model.load import load", "function_def_to_graph.function_def_to_graph(f)",
        "graph_util.convert_variables_to_constants(s, g, o)", "convert_variables_to_constants_v2(f)",
        "v1.wrap_function(f, [])", "import tf2onnx", "tf.lite.TFLiteConverter.from_saved_model(path)",
    ],
)  # fmt: skip
def test_each_way_around_the_door_is_noticed(source):
    assert list(around_the_door(source))


def test_nobody_goes_around_the_door():
    paths = {p.relative_to(HOME).as_posix(): p for d in ("scripts", "benchmarks") for p in (HOME / d).rglob("*.py")}
    found = {name: set(around_the_door(path.read_text(encoding="utf-8"))) for name, path in paths.items()}
    assert found.pop("scripts/permafrost/graph/tensorflow_import.py") == {"import_graph_def"}
    assert {name for name in OWN_GRAPHS | BEHIND if found.pop(name)} == OWN_GRAPHS | BEHIND
    assert not {name: names for name, names in found.items() if names}
