"""The freezer against TensorFlow's own freeze_graph: the same bytes wherever TensorFlow's answer is right."""

import json

import pytest
import tensorflow as tf

import freeze
from conftest import SAMPLE_ZOO
from frozen_by_tensorflow import frozen_by_tensorflow
from permafrost import recording
from permafrost.freezer import writer
from permafrost.freezer.writer import Constant
from permafrost.outcome import Problem
from permafrost.records import Provenance
from stages import default_settings, frozen, imported, problem_of, sources

GOOD = {id: source for id, source in sources(SAMPLE_ZOO).items() if not id.startswith("broken_")}
# TensorFlow leaves the old op Variable unfrozen (v1_format), loses the table's initializer (lookup_table), and leaves
# shapes of handles at what are values then (functions).
WRONG_IN_TENSORFLOW = {"v1_format/model.ckpt", "lookup_table/model.ckpt", "functions/model.ckpt"}


@pytest.mark.parametrize("id", sorted(GOOD))
def test_same_bytes_as_tensorflow_on_the_sample_zoo(id, tmp_path):
    record = imported(GOOD[id])
    provenance, path = frozen(record, tmp_path)
    nodes = [name.partition(":")[0] for name in record.outputs]
    theirs = frozen_by_tensorflow(record.prefix, record.meta, nodes)
    if id in WRONG_IN_TENSORFLOW:
        assert provenance.repairs and path.read_bytes() != theirs
    else:
        assert path.read_bytes() == theirs
        assert not [repair for repair in provenance.repairs if repair.repair != "initializer kept"]


def test_freezing_again_gives_the_same_bytes(tmp_path):
    for id, source in GOOD.items():
        first = frozen(imported(source), tmp_path / "a")[1].read_bytes()
        assert frozen(imported(source), tmp_path / "b")[1].read_bytes() == first, id


def test_linear_has_nine_ops_and_gives_101(tmp_path):
    record = imported(GOOD["linear/model.ckpt"], outputs=["predictions"])
    provenance, path = frozen(record, tmp_path)
    assert (provenance.frozen_nodes, provenance.frozen_variables) == (9, 2)
    with tf.Graph().as_default() as graph:
        graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            assert session.run("predictions:0", {"input_holder:0": [10.0]}).tolist() == [101.0]


def test_sum_leaves_the_unused_variable_out(tmp_path):
    record = imported(GOOD["sum/sum.ckpt"], outputs=["sum_operation"])
    path = frozen(record, tmp_path)[1]
    graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    assert "sum" not in {node.name for node in graph_def.node}


def test_variable_lists_are_honoured(tmp_path):
    record = imported(GOOD["linear/model.ckpt"], outputs=["predictions"])
    path = frozen(record, tmp_path, variable_names_denylist=["W1"])[1]
    ops = {node.name: node.op for node in tf.compat.v1.GraphDef.FromString(path.read_bytes()).node}
    assert ops["W1"] == "VariableV2" and ops["B1"] == "Const"
    path = frozen(record, tmp_path, variable_names_allowlist=["W1"])[1]
    ops = {node.name: node.op for node in tf.compat.v1.GraphDef.FromString(path.read_bytes()).node}
    assert ops["W1"] == "Const" and ops["B1"] == "VariableV2"


def test_unsaved_variable_on_the_way_is_refused(tmp_path):
    source = GOOD["linear/model.ckpt"]
    record = imported(source, outputs=["predictions"])
    for variable in record.variables:
        variable.key = ""
    problem = problem_of(frozen, record, tmp_path)
    assert problem.cause == "missing_variable" and "W1" in problem.message
    assert not (tmp_path / "frozen_graph.pb").exists()


def test_over_two_gib_is_refused_before_a_byte_is_written():
    graph_def = tf.compat.v1.GraphDef()
    graph_def.node.add(name="big", op="VariableV2")
    big = Constant("big", tf.float32.as_datatype_enum, (1 << 14, 1 << 15), 1 << 31, "big")
    problem = problem_of(writer.frozen_bytes, graph_def, {"big": big})
    assert problem.cause == "too_large" and "big (2147483648 bytes)" in problem.message


@pytest.mark.parametrize(
    "dtype",
    [
        tf.float32, tf.float64, tf.half, tf.bfloat16, tf.int8, tf.uint8, tf.int16, tf.uint16, tf.int32, tf.uint32,
        tf.int64, tf.uint64, tf.bool, tf.complex64, tf.complex128, tf.string, tf.qint8, tf.quint8, tf.qint32,
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3)])
def test_every_dtype_and_shape_as_tensorflow_writes_it(dtype, shape, tmp_path):
    """A graph of one variable and an Identity, saved and frozen by both."""
    count = 1
    for size in shape:
        count *= size
    with tf.Graph().as_default() as graph:
        plain = {tf.qint8: tf.int8, tf.quint8: tf.uint8, tf.qint32: tf.int32}.get(dtype, dtype)
        if dtype == tf.string:
            value = tf.constant([b"x" * n for n in range(count)], shape=shape, dtype=tf.string)
        else:
            value = tf.reshape(tf.cast(tf.range(1, count + 1), plain), shape)
            value = tf.bitcast(value, dtype) if plain != dtype else value
        variable = tf.raw_ops.VariableV2(shape=shape, dtype=dtype, shared_name="", container="", name="v")
        tf.raw_ops.Identity(input=variable, name="out")
        assign = tf.raw_ops.Assign(ref=variable, value=value)
        # qint32 and others have no saver kernel for references on every build; a Saver is TensorFlow's own choice.
        saver = tf.compat.v1.train.Saver({"v": variable})
        with tf.compat.v1.Session(graph=graph) as session:
            session.run(assign.op)
            saver.save(session, str(tmp_path / "model.ckpt"))
    (source,) = sources(tmp_path).values()
    record = imported(source, outputs=["out"])
    path = frozen(record, tmp_path / "frozen")[1]
    if dtype == tf.string and shape == ():
        with pytest.raises(AttributeError):  # freeze_graph takes a scalar string for an array.
            frozen_by_tensorflow(record.prefix, record.meta, ["out"])
        node = tf.compat.v1.GraphDef.FromString(path.read_bytes()).node[0]
        assert tf.make_ndarray(node.attr["value"].tensor).item() == b""
    else:
        assert path.read_bytes() == frozen_by_tensorflow(record.prefix, record.meta, ["out"])


def test_a_flipped_bit_is_noticed_and_leaves_no_file(tmp_path):
    copy = tmp_path / "zoo"
    copy.mkdir()
    for path in (SAMPLE_ZOO / "linear").iterdir():
        data = bytearray(path.read_bytes())
        if ".data-" in path.name:
            data[1] ^= 4
        (copy / path.name).write_bytes(data)
    (source,) = sources(copy).values()
    record = imported(source, outputs=["predictions"])
    with pytest.raises(Problem) as caught:
        frozen(record, tmp_path / "frozen")
    assert caught.value.cause == "corrupt"
    assert not list((tmp_path / "frozen").glob("*"))


def test_settings_have_what_the_freezer_asks_for():
    chosen = default_settings()
    assert chosen.clear_devices and chosen.variable_names_allowlist == chosen.initializer_nodes == []


@pytest.mark.parametrize("content", ["", "{", '{"status": "ok"}'])
def test_an_import_record_that_is_none_is_a_fault_that_passes(tmp_path, content):
    (tmp_path / "import.json").write_text(content)
    options = json.dumps({})
    path = tmp_path / "provenance.json"
    arguments = ["--model", "m", "--import-record", str(tmp_path / "import.json"), "--options", options, str(path)]
    assert freeze.main(arguments) == 0
    found = recording.load(path, Provenance)
    assert (found.status, found.cause, found.transient) == ("failed", "io_error", True)
    assert "import.json" in found.message and not (tmp_path / "frozen_graph.pb").exists()
