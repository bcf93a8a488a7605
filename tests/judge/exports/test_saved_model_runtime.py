"""SavedModels as the judge sees them: what was damaged is noticed, and both loaders run what the file holds."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import lookup_ops

import kinds
from fresh_process import in_fresh_process
from kinds import weights
from permafrost.export_records import Endpoint, Signature
from permafrost.exporter import saved_model
from permafrost.graph.protos import meta_graph_pb2, saved_model_pb2
from permafrost.judge.exports import saved_model_files
from permafrost.judge.exports.saved_models import SavedModelRuntime
from permafrost.judge.sessions import RunFailed
from permafrost.model import SignatureNames
from permafrost.outcome import Problem
from saved_models import FramedModel
from stages import problem_of

v1 = tf.compat.v1
SavedModel = saved_model_pb2.SavedModel


def words() -> None:
    """Strings that a table makes numbers of, and a head."""
    table = lookup_ops.index_table_from_tensor(["ice", "snow", "fog"], num_oov_buckets=1)
    ids = table.lookup(v1.placeholder(tf.string, [None], name="words"))
    logits = tf.matmul(tf.nn.embedding_lookup(weights("rows", [9, 3]), ids), weights("w", [3, 2]), name="logits")
    tf.nn.softmax(logits, name="out")


FEED = {"words": np.array([b"snow", b"hail"], object)}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> FramedModel:
    return FramedModel(tmp_path_factory.mktemp("words"), words, outputs=["out"])


def noticed(model: FramedModel, path: Path) -> bool:
    """Whether the judge sees, without running it, that a SavedModel is not what its record describes."""
    if not saved_model_files.holds(path, model.frozen):
        return True
    return bool(saved_model_files.misstated(path, model.frozen, model.signature, model.provenance.initializers))


def damaged(model: FramedModel, tmp_path: Path, content: bytes) -> bool:
    (path := tmp_path / "saved_model.pb").write_bytes(content)
    return noticed(model, path)


def test_what_is_whole_is_the_frozen_graph(model):
    assert not noticed(model, model.path)


def version_of(content: bytes) -> range:
    """Where TensorFlow's version stands, which tells nothing of the graph."""
    start = content.index(tf.__version__.encode())
    return range(start, start + len(tf.__version__))


def test_a_bit_that_was_turned_is_noticed_wherever_it_is(model, tmp_path):
    content = model.path.read_bytes()
    free = version_of(content)
    for at in range(len(content)):
        turned = content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        assert at in free or damaged(model, tmp_path, turned), at


def test_a_file_that_ends_too_early_or_too_late_is_noticed(model, tmp_path):
    content = model.path.read_bytes()
    for end in range(0, len(content), 7):
        assert damaged(model, tmp_path, content[:end]), end
    for more in (b"\0", content, b"\x12\x00", b"\x1a\x00"):
        assert damaged(model, tmp_path, content + more)


def changes() -> dict:
    """What one could do to a SavedModel that stays one, by name."""

    def signature(saved):
        return saved.meta_graphs[0].signature_def["serving_default"]

    def rename(infos, key, other):
        infos[other].CopyFrom(infos[key])
        del infos[key]

    def without_initializer(saved):
        del saved.meta_graphs[0].signature_def["__saved_model_init_op"]

    return {
        "another tag": lambda saved: saved.meta_graphs[0].meta_info_def.tags.append("train"),
        "a second graph": lambda saved: saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0]),
        "another key": lambda saved: rename(signature(saved).inputs, "words", "word"),
        "another shape": lambda saved: setattr(signature(saved).inputs["words"].tensor_shape.dim[0], "size", 2),
        "another dtype": lambda saved: setattr(signature(saved).outputs["out"], "dtype", 2),
        "another tensor": lambda saved: setattr(signature(saved).outputs["out"], "name", "logits:0"),
        "another method": lambda saved: setattr(signature(saved), "method_name", "tensorflow/serving/classify"),
        "one signature more": lambda saved: saved.meta_graphs[0].signature_def["more"].CopyFrom(signature(saved)),
        "an empty table": without_initializer,
        "nothing is run": lambda saved: saved.meta_graphs[0].graph_def.node[0].ClearField("input"),
        "a node more": lambda saved: saved.meta_graphs[0].graph_def.node.add(name="more", op="NoOp"),
        "a node less": lambda saved: saved.meta_graphs[0].graph_def.node.pop(),
        "a collection": lambda saved: saved.meta_graphs[0].collection_def["x"].node_list.value.append("out:0"),
        "a saver": lambda saved: setattr(saved.meta_graphs[0].saver_def, "restore_op_name", "out"),
        "an asset": lambda saved: saved.meta_graphs[0].asset_file_def.add(filename="words.txt"),
        "objects": lambda saved: saved.meta_graphs[0].object_graph_def.nodes.add(),
        "another schema": lambda saved: setattr(saved, "saved_model_schema_version", 2),
    }


@pytest.mark.parametrize("name", changes())
def test_a_file_that_says_something_else_is_noticed(name, model, tmp_path):
    saved = SavedModel.FromString(model.path.read_bytes())
    changes()[name](saved)
    assert damaged(model, tmp_path, saved.SerializeToString(deterministic=True))


def test_fields_that_nobody_knows_are_noticed(model, tmp_path):
    """TensorFlow's classes keep them, and other readers may know them."""
    content, frozen = model.path.read_bytes(), model.frozen.read_bytes()
    saved = SavedModel.FromString(content)
    inner = saved.meta_graphs[0]
    around = meta_graph_pb2.MetaGraphDef.FromString(inner.SerializeToString(deterministic=True) + b"\xf8\x07\x01")
    saved.meta_graphs[0].CopyFrom(around)
    written = saved.SerializeToString(deterministic=True)
    assert frozen in written and damaged(model, tmp_path, written)


def test_another_frozen_graph_is_noticed(model, tmp_path):
    frozen = model.frozen.read_bytes()
    for other in (frozen[:-1], frozen + b"\0", b"", bytes([frozen[0] ^ 1]) + frozen[1:]):
        (tmp_path / "frozen_graph.pb").write_bytes(other)
        assert other == b"" or not saved_model_files.holds(model.path, tmp_path / "frozen_graph.pb")


# What is run


@pytest.mark.parametrize(("loader", "usual"), [("v1", False), ("v2", False), ("v1", True), ("v2", True)])
def test_both_loaders_give_what_the_frozen_graph_gives(loader, usual, model):
    found, expected = model.by_saved_model(FEED, loader, usual), model.by_frozen_graph(FEED)
    assert [each.tensor for each in model.signature.hidden] == ["logits:0"] and len(expected) == 2
    for a, b in zip(found, expected, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=1e-6) if usual else np.testing.assert_array_equal(a, b)


def tried(path: Path, signature: Signature, feed: dict) -> list:
    """The weights of a SavedModel in turn, and what comes of a change of each; then what comes without a change."""
    runtime = SavedModelRuntime(path, signature)
    found = []
    for weight in runtime.weights():
        value = runtime.value(weight.name)
        assert (str(value.dtype), list(value.shape), value.size) == (weight.dtype, weight.shape, weight.size)
        if value.dtype == np.float32:
            found.append((weight.name, runtime.changed(weight.name, value + np.float32(0.5)).run(feed)))
    return [*found, ("", runtime.run(feed))]


def test_a_changed_weight_changes_what_comes_out_and_no_file(model):
    before = model.path.read_bytes()
    *changed, (_, unchanged) = in_fresh_process(tried, model.path, model.signature, FEED)
    assert [name for name, _ in changed][:2] == ["w", "rows"]
    for _, found in changed[:2]:
        assert not np.array_equal(found[1], unchanged[1])
    assert model.path.read_bytes() == before
    np.testing.assert_array_equal(unchanged[0], model.by_frozen_graph(FEED)[0])


def several(path: Path, signature: Signature, feeds: list[dict], loader: str) -> list:
    runtime = SavedModelRuntime(path, signature, loader)
    return [runtime.run(feed) for feed in feeds]


def drawing() -> None:
    """Noise in the graph and in a function."""
    x = kinds.features()
    noise = tf.random.normal(tf.shape(x), name="noise")
    with kinds.control_flow(2):
        inner = v1.cond(tf.reduce_sum(x) < 1e9, lambda: tf.random.uniform([3]), lambda: tf.zeros([3]))
    tf.add(tf.matmul(x + noise, weights("w", [3, 3])), inner, name="out")


@pytest.mark.parametrize("loader", ["v1", "v2"])
def test_what_draws_numbers_draws_those_of_the_other_side_in_each_run(loader, tmp_path):
    model = FramedModel(tmp_path, drawing, outputs=["out"])
    before = model.path.read_bytes()
    path = saved_model_files.for_judging(model.path, tmp_path / "copy")
    assert path == tmp_path / "copy" / "saved_model.pb" and model.path.read_bytes() == before
    feed = {"x": np.ones([2, 3], np.float32)}
    expected = model.by_frozen_graph(feed)
    for found in in_fresh_process(several, path, model.signature, [feed, feed], loader):
        np.testing.assert_array_equal(found[0], expected[0])


def test_what_draws_no_numbers_is_judged_as_it_is(model, tmp_path):
    assert saved_model_files.for_judging(model.path, tmp_path / "copy") == model.path
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("loader", ["v1", "v2"])
def test_devices_that_are_not_here_are_left_out_of_what_is_judged(loader, tmp_path):
    model = FramedModel(tmp_path, kinds.SAME["functional cond"], outputs=["out"])
    graph_def = v1.GraphDef.FromString(model.frozen.read_bytes())
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        for node in nodes:
            node.device = "/job:worker/task:3/device:GPU:1"
    model.frozen.write_bytes(graph_def.SerializeToString(deterministic=True))
    saved_model.write(model.frozen, model.signature, [], model.directory)
    path = saved_model_files.for_judging(model.path, tmp_path / "copy")
    feed = {"x": np.ones([2, 3], np.float32)}
    (found,) = model.by_saved_model(feed, loader, path=path)
    np.testing.assert_array_equal(found, model.by_frozen_graph(feed)[0])


def with_default() -> None:
    y = v1.placeholder_with_default(np.full([1, 3], 2, np.float32), [None, 3], name="y")
    tf.multiply(tf.matmul(kinds.features(), weights("w", [3, 3])), y, name="out")


@pytest.mark.parametrize("loader", ["v1", "v2"])
def test_an_input_that_is_not_fed_keeps_its_default(loader, tmp_path):
    names = SignatureNames(inputs={"y": "y"})
    model = FramedModel(tmp_path, with_default, names, outputs=["out"])
    x = np.ones([2, 3], np.float32)
    found = model.by_saved_model({"x": x}, loader)[0]
    np.testing.assert_array_equal(found, model.by_saved_model({"x": x, "y": np.full([1, 3], 2, np.float32)}, loader)[0])
    assert not np.array_equal(found, model.by_saved_model({"x": x, "y": x}, loader)[0])


def failure(path: Path, signature: Signature, feed: dict, loader: str) -> tuple[str, str]:
    try:
        SavedModelRuntime(path, signature, loader).run(feed)
    except (RunFailed, Problem) as error:
        return error.cause, str(error)
    raise AssertionError("it runs")


@pytest.mark.parametrize("loader", ["v1", "v2"])
@pytest.mark.parametrize(
    ("feed", "causes"),
    [
        ({"x": np.ones([2, 4], np.float32)}, {"bad_feed", "run_failed"}),
        ({}, {"bad_feed", "run_failed"}),
        ({"x": np.array([b"a"], object)}, {"bad_feed", "run_failed"}),
    ],
)
def test_a_feed_that_does_not_fit_is_a_failure_of_the_run(feed, causes, loader, tmp_path):
    model = FramedModel(tmp_path, kinds.SAME["reference variables"], outputs=["out"])
    cause, message = in_fresh_process(failure, model.path, model.signature, feed, loader)
    assert cause in causes and message


def lone(tmp_path: Path, *nodes, producer: int = 1000) -> tuple[Path, Signature]:
    """A SavedModel of these nodes whose output is `out`."""
    saved = SavedModel(saved_model_schema_version=1)
    meta_graph = saved.meta_graphs.add()
    meta_graph.meta_info_def.tags.append("serve")
    meta_graph.graph_def.node.extend(nodes)
    meta_graph.graph_def.versions.producer = producer
    info = meta_graph.signature_def["serving_default"].outputs["out"]
    info.name, info.dtype = "out:0", 7
    (path := tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    out = Endpoint(key="out", name="out", tensor="out:0", source="out:0", dtype="string", shape=None)
    return path, Signature(inputs=[], outputs=[out])


def text(name: str, value: bytes):
    node = v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = 7
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return node


@pytest.mark.parametrize("loader", ["v1", "v2"])
def test_what_is_unsafe_is_not_loaded(loader, tmp_path):
    (tmp_path / "secret").write_text("four")
    nodes = text("name", str(tmp_path / "secret").encode()), v1.NodeDef(name="out", op="ReadFile", input=["name"])
    cause, message = in_fresh_process(failure, *lone(tmp_path, *nodes), {}, loader)
    assert cause == "unsafe_op" and "'out' (ReadFile)" in message


@pytest.mark.parametrize("loader", ["v1", "v2"])
def test_an_input_that_the_signature_lacks_is_told(loader, tmp_path):
    hole = v1.NodeDef(name="x", op="Placeholder")
    hole.attr["dtype"].type = 7
    out = v1.NodeDef(name="out", op="Identity", input=["x"])
    out.attr["T"].type = 7
    cause, _ = in_fresh_process(failure, *lone(tmp_path, hole, out), {}, loader)
    assert cause == {"v1": "run_failed", "v2": "not_importable"}[loader]


def removed(path: Path, signature: Signature) -> tuple[list, tuple[str, str]]:
    return SavedModelRuntime(path, signature).run({}), failure(path, signature, {}, "v2")


def test_a_graph_with_an_op_that_was_removed_since_is_loaded_into_a_session_alone(tmp_path):
    """TensorFlow takes old ops in old graphs; tf.saved_model.load puts the nodes into a new one."""
    size = v1.NodeDef(name="size", op="Const")
    size.attr["dtype"].type = 3
    size.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(2))
    array = v1.NodeDef(name="array", op="TensorArrayV2", input=["size"])
    array.attr["dtype"].type = 1
    out = v1.NodeDef(name="out", op="TensorArraySizeV2", input=["array", "flow"])
    flow = v1.NodeDef(name="flow", op="Const")
    flow.attr["dtype"].type = 1
    flow.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0.0))
    path, signature = lone(tmp_path, size, array, flow, out, producer=20)
    (found,), (cause, message) = in_fresh_process(removed, path, signature)
    assert (found, cause) == (2, "not_importable") and message.startswith("tf.saved_model.load cannot load")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x08\x01", b"\x08\x01\x12\x00"])
def test_what_is_no_saved_model_is_told(content, model, tmp_path):
    (path := tmp_path / "saved_model.pb").write_bytes(content)
    assert in_fresh_process(failure, path, model.signature, FEED, "v1")[0] == "not_importable"
    assert noticed(model, path)


def test_another_name_of_the_file_is_told(model, tmp_path):
    problem = problem_of(SavedModelRuntime, tmp_path / "other.pb", model.signature)
    assert problem.cause == "not_importable" and "other.pb" in problem.message
