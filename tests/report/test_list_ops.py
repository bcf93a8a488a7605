"""ops.csv, frozen_ops.csv and variables.csv: tensors as TensorFlow prints them, and never an exception."""

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import tensorflow as tf

import list_ops
from permafrost import recording, whole_files
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import graph_pb2, meta_graph_pb2
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Provenance, Record, failure
from permafrost.report import op_listing
from permafrost.report.op_listing import Graph
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.ops import OPS
from permafrost.report.tables.variables import VARIABLES
from permafrost.stages import list_model
from written_records import said, whole

pytestmark = pytest.mark.only_imports

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def sum_graph():
    """Four integers added up, three of them variables."""
    with tf.Graph().as_default() as graph:
        total = v1.placeholder(tf.int32, name="var1")
        for name in ("var2", "var3"):
            variable = v1.Variable(20, name=name, dtype=tf.int32, use_resource=False)
            with tf.control_dependencies([variable.initializer]):
                total = tf.raw_ops.Add(x=total, y=variable, name=f"var1_{name}")
    return graph.as_graph_def()


def rows_of(graph_def, producer_ops=None) -> dict[str, dict]:
    return {row["name"]: row for row in op_listing.list_ops(Graph(graph_def, producer_ops))[0]}


def copy(graph_def):
    return graph_pb2.GraphDef.FromString(graph_def.SerializeToString())


def test_tensors_are_printed_as_tensorflow_prints_them(sum_graph):
    rows = rows_of(copy(sum_graph))
    assert list(rows) == [node.name for node in sum_graph.node]
    assert tuple(rows["var2"]) == OPS.header
    assert rows["var1_var2"]["output"] == 'Tensor("var1_var2:0", dtype=int32)'
    assert rows["var2"]["output"] == 'Tensor("var2:0", shape=(), dtype=int32_ref)'
    assert rows["var1_var2"]["inputs"] == "var1; var2/read"
    assert rows["var1_var2"]["control_inputs"] == "var2/Assign"
    assert (rows["var2"]["dtypes"], rows["var2"]["shapes"], rows["var2"]["bytes"]) == ("int32_ref", "[]", 4)
    assert (rows["var1"]["shapes"], rows["var1"]["bytes"]) == ("?", None)


def test_several_outputs_none_and_unknown_dimensions():
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.split(x, 2, axis=1, name="halves")
        tf.no_op(name="nothing")
    rows = rows_of(graph.as_graph_def())
    assert rows["halves"]["output"] == (
        'Tensor("halves:0", shape=(None, 2), dtype=float32); Tensor("halves:1", shape=(None, 2), dtype=float32)'
    )
    assert (rows["halves"]["dtypes"], rows["halves"]["shapes"]) == ("float32; float32", "[?, 2]; [?, 2]")
    assert (rows["nothing"]["output"], rows["nothing"]["dtypes"]) == ("", "")


def test_bytes_held():
    with tf.Graph().as_default() as graph:
        tf.constant([[1.0, 2.0]] * 3, name="floats")
        tf.constant([b"four", b"", b"seven77"], name="strings")
        tf.constant(7, tf.bfloat16, name="short")
        tf.fill([2, 2], 1.0, name="computed")
        tf.zeros([300_000], tf.float64, name="zeros")
        tf.raw_ops.VarHandleOp(dtype=tf.int16, shape=[3, 5], shared_name="", container="", name="resource")
    rows = rows_of(graph.as_graph_def())
    held = {name: rows[name]["bytes"] for name in ("floats", "strings", "short", "resource", "computed")}
    assert held == {"floats": 24, "strings": 11, "short": 2, "resource": 30, "computed": None}


@pytest.mark.parametrize("dimensions", [20, 300])
def test_a_shape_of_more_than_anybody_counts_has_no_bytes(dimensions):
    graph_def = graph_pb2.GraphDef()
    constant = graph_def.node.add(name="constant", op="Const")
    constant.attr["dtype"].type = constant.attr["value"].tensor.dtype = 1
    variable = graph_def.node.add(name="variable", op="VariableV2")
    variable.attr["dtype"].type = 1
    for shape in (constant.attr["value"].tensor.tensor_shape, variable.attr["shape"].shape):
        shape.dim.extend([type(shape).Dim(size=2**62)] * dimensions)
    rows = rows_of(graph_def)
    assert [rows[name]["bytes"] for name in ("constant", "variable")] == [None, None]


def test_a_large_constant_keeps_its_row():
    with tf.Graph().as_default() as graph:
        tf.constant(bytes(range(256)) * 8192, name="text")
        tf.identity(tf.reshape(tf.range(600_000), [600, 1000]), name="computed")
        tf.constant(list(range(400_000)), tf.int64, shape=[400, 1000], name="weights")
    row = rows_of(graph.as_graph_def())["weights"]
    assert row["output"] == 'Tensor("weights:0", shape=(400, 1000), dtype=int64)'
    assert row["bytes"] == 3_200_000


def test_devices_are_listed_but_not_printed():
    with tf.Graph().as_default() as graph, tf.device("/job:worker/task:3/device:GPU:1"):
        tf.constant(1, name="far")
    row = rows_of(graph.as_graph_def())["far"]
    assert row["device"] == "/job:worker/task:3/device:GPU:1"
    assert row["output"] == 'Tensor("far:0", shape=(), dtype=int32)'


def test_an_op_that_tensorflow_does_not_know_does_not_spoil_the_rest(sum_graph):
    graph_def = copy(sum_graph)
    stranger = graph_def.node.add(name="stranger", op="FarthestPoint", input=["var1", "var1", "^var2"])
    stranger.attr["T"].type = tf.float32.as_datatype_enum
    after = graph_def.node.add(name="after", op="Identity", input=["stranger:1"])
    after.attr["T"].type = tf.float32.as_datatype_enum
    producer_ops = meta_graph_pb2.MetaGraphDef().meta_info_def.stripped_op_list
    definition = producer_ops.op.add(name="FarthestPoint")
    definition.output_arg.add(name="index", type=tf.int32.as_datatype_enum)
    definition.output_arg.add(name="point", type_attr="T")

    rows = rows_of(graph_def, producer_ops)
    assert rows["stranger"]["type"] == "FarthestPoint"
    assert rows["stranger"]["inputs"] == "var1; var1"
    assert rows["stranger"]["output"] == 'Tensor("stranger:0", dtype=int32); Tensor("stranger:1", dtype=float32)'
    assert rows["after"]["output"] == 'Tensor("after:0", dtype=float32)'
    assert rows["var2"]["output"] == 'Tensor("var2:0", shape=(), dtype=int32_ref)'


def spoil_unknown_op(graph_def):
    graph_def.node.add(name="spoilt", op="NobodyKnowsThis")


def spoil_missing_input(graph_def):
    graph_def.node.add(name="spoilt", op="Identity", input=["gone"]).attr["T"].type = 1


def spoil_duplicate(graph_def):
    graph_def.node.add().CopyFrom(graph_def.node[0])


def spoil_attribute(graph_def):
    graph_def.node.add(name="spoilt", op="Const").attr["dtype"].type = 99


def spoil_count(graph_def):
    node = graph_def.node.add(name="spoilt", op="Split", input=["var1", "var1"])
    node.attr["num_split"].i = 10**15
    node.attr["T"].type = 1


@pytest.mark.parametrize(
    "spoil", [spoil_unknown_op, spoil_missing_input, spoil_duplicate, spoil_attribute, spoil_count]
)
def test_a_graph_that_tensorflow_refuses_is_listed_from_what_it_states(sum_graph, spoil, capsys):
    graph_def = copy(sum_graph)
    var1 = next(node for node in graph_def.node if node.name == "var1")
    shape = var1.attr["_output_shapes"].list.shape.add()
    shape.dim.add(size=-1)
    shape.dim.add(size=3)
    assert rows_of(copy(graph_def))["var1"]["output"] == 'Tensor("var1:0", shape=(None, 3), dtype=int32)'
    spoil(graph_def)
    names = [node.name for node in graph_def.node]
    rows = op_listing.list_ops(Graph(graph_def))[0]
    assert [row["name"] for row in rows] == names
    assert {row["output"] for row in rows} == {""}
    by_name = {row["name"]: row for row in rows}
    assert by_name["var2"]["dtypes"] == "int32_ref"
    assert by_name["var1"]["shapes"] == "[?, 3]"
    assert "cannot import the graph" in capsys.readouterr().err


def test_a_graph_that_tensorflow_refuses_does_not_take_another_with_it(sum_graph, capsys):
    refused = copy(sum_graph)
    refused.node[0].attr["dtype"].type = 99
    rows, alone = op_listing.list_ops(Graph(refused), Graph(copy(sum_graph)))
    assert {row["output"] for row in rows} == {""}
    assert alone == list(rows_of(copy(sum_graph)).values())
    assert capsys.readouterr().err.count("cannot import the graph") == 1


def test_ten_thousand_ops_take_seconds():
    graph_def = graph_pb2.GraphDef()
    for number in range(10_000):
        node = graph_def.node.add(name=f"n{number}", op="Const" if number == 0 else "Identity")
        if number:
            node.input.append(f"n{number - 1}")
            node.attr["T"].type = 1
        else:
            node.attr["dtype"].type = 1
            node.attr["value"].tensor.dtype = 1
            node.attr["value"].tensor.float_val.append(1)
    began = time.monotonic()
    rows = op_listing.list_ops(Graph(graph_def))[0]
    assert rows[-1]["output"] == 'Tensor("n9999:0", shape=(), dtype=float32)'
    assert time.monotonic() - began < 10


@pytest.fixture
def model(tmp_path, sum_graph):
    """The files of a model, and the stage's arguments."""
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.CopyFrom(sum_graph)
    (tmp_path / "a model.meta").write_bytes(meta_graph.SerializeToString())
    frozen = tf.Graph()
    with frozen.as_default():
        tf.constant(20, name="var2")
    (tmp_path / "frozen_graph.pb").write_bytes(frozen.as_graph_def().SerializeToString())
    variable = {
        "op": "VariableV2",
        "dtype": "int32",
        "dtype_enum": 3,
        "shape": [],
        "bytes": 4,
        "key": "renamed",
        "slice": "",
        "box": None,
    }
    imported = {
        "prefix": str(tmp_path / "a model"),
        "weights": "raw",
        "inputs": {},
        "graph": graph_of(tmp_path / "a model.meta"),
        "variables": [
            {"variable": "var2", **variable},
            {"variable": "var3", **variable, "shape": None, "bytes": None, "key": "", "slice": "0,2:1,3"},
        ],
    }
    tensor = {"node": "var2", "key": "renamed", "box": None, "shape": [], "bytes": 4}
    write(tmp_path, whole(ImportRecord, **imported), whole(Provenance, tensors=[tensor]))
    return tmp_path


def write(directory: Path, imported: dict, provenance: dict) -> None:
    for name, facts in {"import.json": imported, "provenance.json": provenance}.items():
        whole_files.write_json(directory / name, facts)


def graph_of(path: Path | str) -> dict:
    return {"form": "meta_graph", "path": str(path)}


def arguments(directory: Path) -> list[str]:
    names = {
        "import-record": "import.json",
        "provenance": "provenance.json",
        "frozen-graph": "frozen_graph.pb",
        "ops": "ops.csv",
        "frozen-ops": "frozen_ops.csv",
        "variables": "variables.csv",
        "findings": "findings.csv",
        "graph": "graph.svg",
        "record": "list_ops.json",
    }
    return ["--model", "a/b", *(text for key, name in names.items() for text in (f"--{key}", str(directory / name)))]


def test_the_tables(model):
    assert list_ops.main(arguments(model)) == 0
    lines = (model / "ops.csv").read_text().splitlines()
    assert lines[0] == ",".join(OPS.header)
    assert any(line.startswith('var1_var2,Add,"Tensor(""var1_var2:0"", dtype=int32)",') for line in lines)
    assert any(line.startswith('var2,VariableV2,"Tensor(""var2:0"", shape=(), dtype=int32_ref)",') for line in lines)
    frozen = pd.read_csv(model / "frozen_ops.csv")
    assert frozen[["name", "type", "bytes"]].to_numpy().tolist() == [["var2", "Const", 4]]
    assert (model / "variables.csv").read_text() == (
        "variable,op,dtype,shape,bytes,key,slice,frozen\n"
        "var2,VariableV2,int32,[],4,renamed,,yes\n"
        'var3,VariableV2,int32,,,,"0,2:1,3",no\n'
    )
    assert "<svg" in (model / "graph.svg").read_text()
    assert not list(model.glob(".*.tmp"))


def test_how_long_it_took_is_in_its_record(model, monkeypatch):
    monkeypatch.setattr(list_model, "variables", lambda *args: time.sleep(0.3) or [])
    assert list_ops.main(arguments(model)) == 0
    timing = recording.load(model / "list_ops.json", Record).timing
    assert timing.stage == "list_ops" and timing.seconds >= 0.3
    assert timing.cpu_seconds >= 0 and timing.peak_mb > 10


def headers_only(path: Path, columns) -> bool:
    return path.read_text() == ",".join(columns) + "\n"


@pytest.mark.parametrize("meta", ["", "missing", "garbage"])
def test_without_a_meta_graph_there_are_headers_only(tmp_path, meta):
    path = tmp_path / "x.meta"
    if meta == "garbage":
        path.write_bytes(b"\x00\xff" * 50)
    failed = said(failure("import_meta", Problem("truncated", "")))
    write(tmp_path, failed | {"graph": graph_of(path if meta else "")}, failed)
    (tmp_path / "frozen_graph.pb").write_bytes(b"stale")
    assert list_ops.main(arguments(tmp_path)) == 0
    assert headers_only(tmp_path / "ops.csv", OPS.header)
    assert headers_only(tmp_path / "frozen_ops.csv", OPS.header)
    assert headers_only(tmp_path / "variables.csv", VARIABLES.header)
    assert headers_only(tmp_path / "findings.csv", FINDINGS.header)
    assert "there is no frozen graph" in (tmp_path / "graph.svg").read_text()


@pytest.mark.parametrize("content", [None, b"\xff" * 40])
def test_a_frozen_graph_that_cannot_be_read_leaves_the_rest(model, content, capsys):
    (model / "frozen_graph.pb").unlink()
    if content:
        (model / "frozen_graph.pb").write_bytes(content)
    assert list_ops.main(arguments(model)) == 0
    assert headers_only(model / "frozen_ops.csv", OPS.header)
    assert not headers_only(model / "ops.csv", OPS.header)
    assert "frozen_graph.pb cannot be read" in capsys.readouterr().err


def test_a_missing_record_is_an_error_of_the_program(tmp_path):
    script = Path(list_ops.__file__)
    done = subprocess.run([sys.executable, script, *arguments(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "import.json" in done.stderr and "Traceback" not in done.stderr


def test_a_table_that_cannot_be_written_is_told_and_leaves_the_rest(model, monkeypatch, capsys):
    listed = op_listing.list_ops

    def endless_digits(*graphs, **options):
        before, after = listed(*graphs, **options)
        return [[row | {"dtypes": 10**5000} for row in before], after]

    monkeypatch.setattr(op_listing, "list_ops", endless_digits)
    assert list_ops.main(arguments(model)) == 0
    assert headers_only(model / "ops.csv", OPS.header) and not headers_only(model / "frozen_ops.csv", OPS.header)
    told = pd.read_csv(model / "findings.csv").query("finding == 'not_whole'")
    assert told["severity"].tolist() == ["warning"] and "ops.csv" in told["advice"].item()
    assert "4300 digits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "function", "empty"),
    [
        ("op_listing", "Graph", "ops.csv"),
        ("op_listing", "list_ops", "ops.csv"),
        ("list_model", "variables", "variables.csv"),
    ],
)
def test_a_part_that_fails_is_told_and_leaves_the_rest(model, monkeypatch, module, function, empty):
    def failing(*args, **options):
        raise AssertionError if function == "Graph" else LookupError

    monkeypatch.setattr({"op_listing": op_listing, "list_model": list_model}[module], function, failing)
    assert list_ops.main(arguments(model)) == 0
    assert len(pd.read_csv(model / empty)) == 0
    found = pd.read_csv(model / "findings.csv")["finding"].tolist()
    assert "not_whole" in found and "deprecated_op" not in found


@pytest.mark.parametrize(("cause", "is_noted"), [("timeout", True), ("killed", True), ("memory", False)])
def test_a_fault_of_the_machine_is_noted_beside_the_tables(model, monkeypatch, cause, is_noted):
    def failing(*args, **limits):
        raise Problem(cause, "it did not finish")

    note = model / "list_ops.json"
    note.write_text("an older one")
    with monkeypatch.context() as broken:
        broken.setattr(op_listing.runner, "run", failing)
        assert list_ops.main(arguments(model)) == 0
    found = recording.load(note, Record)
    assert (found.status, found.model) == ("failed" if is_noted else "ok", "a/b")
    assert (found.cause, found.transient) == ((cause, True) if is_noted else ("", False))
    stated = pd.read_csv(model / "ops.csv", keep_default_na=False)
    assert len(stated) and not any(stated["output"]), "what the graph itself says"
    assert list_ops.main(arguments(model)) == 0
    assert recording.load(note, Record).status == "ok" and all(pd.read_csv(model / "frozen_ops.csv")["output"])


def test_real_meta_graphs_are_listed_as_tensorflow_itself_prints_them(real_zoo):
    directories = ("tflearn_chatbot__AltF02", "dist_mnist__haiy", "speech_tiny_conv__rashadkp")
    found = [sorted((real_zoo / name).rglob("*.meta")) for name in directories]
    for meta, *_ in filter(None, found):
        meta_graph = read_meta_graph(meta)
        rows = op_listing.list_ops(Graph(meta_graph.graph_def, meta_graph.meta_info_def.stripped_op_list))[0]
        meta_graph = read_meta_graph(meta)
        for node in meta_graph.graph_def.node:
            node.device = ""
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(
                meta_graph.graph_def, name="", producer_op_list=meta_graph.meta_info_def.stripped_op_list
            )
        printed = {op.name: "; ".join(str(tensor) for tensor in op.outputs) for op in graph.get_operations()}
        assert {row["name"]: row["output"] for row in rows} == printed
        assert sum(bool(row["output"]) for row in rows) > 100
