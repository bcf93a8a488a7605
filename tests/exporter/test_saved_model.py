"""SavedModels around frozen graphs: TensorFlow's own loaders take them, and compute what the frozen graphs compute."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import lookup_ops

import kinds
from conftest import sparse
from fresh_process import in_fresh_process
from kinds import weights
from permafrost.encoding import varint
from permafrost.export_records import Endpoint, Signature
from permafrost.exporter import saved_model
from permafrost.exporter.prepared import Refused
from permafrost.graph.protos import saved_model_pb2
from permafrost.model import SignatureNames
from saved_models import FramedModel
from stages import problem_of

v1 = tf.compat.v1
SavedModel = saved_model_pb2.SavedModel


def in_scopes() -> None:
    """Two outputs of one node and a head, in scopes."""
    x = v1.placeholder(tf.float32, [None, 3], name="net/in/x")
    logits = tf.matmul(x, weights("net/w", [3, 4]), name="net/logits")
    tf.nn.top_k(logits, 2, name="net/best")
    tf.nn.softmax(logits, name="net/scores")


def words() -> None:
    """Strings that a table makes numbers of."""
    table = lookup_ops.index_table_from_tensor(["ice", "snow", "fog"], num_oov_buckets=1)
    ids = table.lookup(v1.placeholder(tf.string, [None], name="words"))
    tf.matmul(tf.nn.embedding_lookup(weights("rows", [9, 3]), ids), weights("w", [3, 2]), name="out")


def no_input() -> None:
    tf.matmul(weights("w", [3, 3]), weights("kernel", [3, 3]), name="out")


def flagged() -> None:
    """An input that keeps its default, and a flag that is one."""
    flag = v1.placeholder_with_default(True, [], name="flag")
    x = kinds.features()
    tf.identity(v1.cond(flag, lambda: x @ weights("a", [3, 2]), lambda: x @ weights("beta", [3, 2])), name="out")


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


MODELS = {
    "scopes": (in_scopes, ["net/best", "net/best:1", "net/scores"], lambda n: {"net/in/x": floats(n, 3)}),
    "words": (words, ["out"], lambda n: {"words": np.array([b"snow", b"\xff?", b"ice"][:n], object)}),
    "no input": (no_input, ["out"], lambda n: {}),
    "default": (flagged, ["out"], lambda n: {"x": floats(n, 3)}),
    "loop": (kinds.SAME["loop"], ["out"], lambda n: {"x": floats(n, 3)}),
    "functional cond": (kinds.SAME["functional cond over resources"], ["out"], lambda n: {"x": floats(n, 3)}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Gives the model of a name, made once."""
    models = {}

    def get(name: str) -> FramedModel:
        if name not in models:
            build, outputs, _ = MODELS[name]
            models[name] = FramedModel(tmp_path_factory.mktemp("model"), build, outputs=outputs)
        return models[name]

    return get


def same(first: list, second: list) -> bool:
    return len(first) == len(second) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(first, second, strict=True)
    )


def by_v1(directory: str, feed: dict) -> dict:
    """What TensorFlow's loader for sessions and the signature give, as TensorFlow Serving goes about it."""
    with tf.Graph().as_default(), v1.Session() as session:
        definition = v1.saved_model.load(session, ["serve"], directory).signature_def["serving_default"]
        assert definition.method_name == "tensorflow/serving/predict"
        assert sorted(definition.inputs) == sorted(feed)
        named = {definition.inputs[key].name: value for key, value in feed.items()}
        return session.run({key: info.name for key, info in definition.outputs.items()}, named)


def by_v2(directory: str, feed: dict) -> dict:
    function = tf.saved_model.load(directory).signatures["serving_default"]
    given = function(**{key: tf.constant(value) for key, value in feed.items()})
    return {key: value.numpy() for key, value in given.items()}


@pytest.mark.parametrize("load", [by_v1, by_v2])
@pytest.mark.parametrize("name", MODELS)
def test_tensorflows_loaders_give_what_the_frozen_graph_gives_in_any_batch(name, load, made):
    model = made(name)
    for batch in (1, 3):
        feed = MODELS[name][2](batch)
        found = in_fresh_process(load, str(model.directory), feed)
        expected = model.by_frozen_graph(feed)[: len(model.signature.outputs)]
        assert sorted(found) == sorted(each.key for each in model.signature.outputs)
        for each, value in zip(model.signature.outputs, expected, strict=True):
            assert found[each.key].dtype == value.dtype
            np.testing.assert_allclose(found[each.key], value, rtol=1e-6)


def in_the_order_of_its_fields(model: FramedModel) -> bool:
    content = model.path.read_bytes()
    return SavedModel.FromString(content).SerializeToString(deterministic=True) == content


@pytest.mark.parametrize("name", MODELS)
def test_the_frozen_graph_is_in_it_as_it_is(name, made):
    model = made(name)
    content, frozen = model.path.read_bytes(), model.frozen.read_bytes()
    assert frozen in content and len(content) - len(frozen) < 700
    assert in_the_order_of_its_fields(model)
    saved = SavedModel.FromString(content)
    assert saved.saved_model_schema_version == 1
    (meta_graph,) = saved.meta_graphs
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    assert meta_graph.meta_info_def.tensorflow_version == tf.__version__
    assert ("__saved_model_init_op" in meta_graph.signature_def) == (name == "words")


def infos(directory: str) -> dict:
    """Name -> TensorInfo as TensorFlow makes it of the tensors of the loaded graph."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        definition = v1.saved_model.load(session, ["serve"], directory).signature_def["serving_default"]
        names = [info.name for infos in (definition.inputs, definition.outputs) for info in infos.values()]
        made = {name: v1.saved_model.build_tensor_info(graph.get_tensor_by_name(name)) for name in names}
        return {name: info.SerializeToString() for name, info in made.items()}


@pytest.mark.parametrize("name", ["scopes", "words", "default"])
def test_dtypes_and_shapes_are_what_tensorflow_would_say(name, made):
    theirs = in_fresh_process(infos, str(made(name).directory))
    definition = SavedModel.FromString(made(name).path.read_bytes()).meta_graphs[0].signature_def["serving_default"]
    for info in (*definition.inputs.values(), *definition.outputs.values()):
        assert info.SerializeToString() == theirs[info.name]


def test_keys_of_the_settings_are_those_of_the_signature(tmp_path):
    names = SignatureNames(inputs={"image": "net/in/x"}, outputs={"p": "net/scores"})
    model = FramedModel(tmp_path, in_scopes, names, outputs=["net/scores"])
    assert list(in_fresh_process(by_v2, str(model.directory), {"image": floats(2, 3)})) == ["p"]


def test_the_name_of_what_fills_tables_is_free(tmp_path):
    def build() -> None:
        tf.no_op(name="permafrost/initialize")
        with tf.control_dependencies(["permafrost/initialize"]):
            words()

    model = FramedModel(tmp_path, build, outputs=["out"])
    graph_def = SavedModel.FromString(model.path.read_bytes()).meta_graphs[0].graph_def
    names = [node.name for node in graph_def.node]
    assert len(set(names)) == len(names) and "permafrost/initialize_" in names
    assert len(model.by_saved_model(MODELS["words"][2](3))) == 1


# What is refused, and leaves nothing behind


def endpoint(tensor: str) -> Endpoint:
    return Endpoint(key="k", name="k", tensor=tensor, source=tensor, dtype="float32", shape=None)


OUT = Signature(inputs=[], outputs=[endpoint("out:0")])


def refused(graph: bytes, tmp_path, signature: Signature = OUT, initializers: list[str] | None = None) -> Refused:
    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(graph)
    with pytest.raises(Refused) as caught:
        saved_model.write(path, signature, initializers or [], tmp_path / "saved_model")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["frozen_graph.pb"]
    return caught.value


@pytest.mark.parametrize("op", ["VarHandleOp", "VariableV2", "Variable"])
def test_a_variable_that_is_left_is_refused(op, tmp_path):
    graph_def = v1.GraphDef()
    graph_def.node.add(name="w", op=op)
    graph_def.node.add(name="out", op="Identity", input=["w"])
    found = refused(graph_def.SerializeToString(), tmp_path)
    assert (found.cause, found.op, found.node) == ("not_frozen", op, "w") and "'w'" in found.message


def test_a_variable_in_a_function_is_refused(tmp_path):
    graph_def = v1.GraphDef()
    graph_def.node.add(name="out", op="called")
    function = graph_def.library.function.add()
    function.signature.name = "called"
    function.node_def.add(name="w", op="VarHandleOp")
    assert refused(graph_def.SerializeToString(), tmp_path).node == "called/w"


def test_what_is_too_large_is_refused(tmp_path):
    """A constant that fills the file to the last byte that a protocol buffer may have; most of the file is a hole."""
    path = tmp_path / "frozen_graph.pb"
    out = b"\x0a\x03out\x12\x05Const\x2a"
    size = saved_model.LARGEST - 20
    content = varint(size - 100)
    head = b"\x0a" + varint(len(out) + len(content) + size - 100) + out + content
    sparse(path, len(head) + size - 100)
    with path.open("r+b") as file:
        file.write(head)
    with pytest.raises(Refused) as caught:
        saved_model.write(path, OUT, [], tmp_path / "saved_model")
    assert caught.value.cause == "too_large" and not (tmp_path / "saved_model").exists()


GRAPH = v1.GraphDef(node=[v1.NodeDef(name="out", op="NoOp"), v1.NodeDef(name="longer", op="NoOp")]).SerializeToString()


@pytest.mark.parametrize(
    "content", [GRAPH[:-1], GRAPH[:3], b"<html>", b"\x0a\xff", b"\x0f" + GRAPH, b"\x0a\x03\x0a\x01\xff"]
)
def test_what_is_no_graph_is_refused(content, tmp_path):
    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(content)
    problem = problem_of(saved_model.write, path, OUT, [], tmp_path / "saved_model")
    assert problem.cause == "not_importable" and str(path) in problem.message
    assert not (tmp_path / "saved_model").exists()


@pytest.mark.parametrize(
    ("signature", "initializers", "lacks"),
    [(Signature(inputs=[endpoint("x:0")], outputs=[]), [], "x"), (OUT, ["table/init"], "table/init")],
)
def test_a_node_that_is_not_there_is_named(signature, initializers, lacks, tmp_path):
    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(GRAPH)
    problem = problem_of(saved_model.write, path, signature, initializers, tmp_path / "saved_model")
    assert problem.cause == "not_importable" and repr(lacks) in problem.message


def test_a_disk_that_is_full_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(GRAPH)
    monkeypatch.setattr(saved_model, "_copy", full)
    with pytest.raises(OSError, match="No space"):
        saved_model.write(path, OUT, [], tmp_path / "saved_model")
    assert not (tmp_path / "saved_model").exists()


def test_what_was_there_is_replaced(tmp_path):
    path, directory = tmp_path / "frozen_graph.pb", tmp_path / "saved_model"
    path.write_bytes(GRAPH)
    for _ in range(2):
        saved_model.write(path, OUT, [], directory)
        assert [each.name for each in directory.iterdir()] == ["saved_model.pb"]
    assert GRAPH in (directory / "saved_model.pb").read_bytes()
