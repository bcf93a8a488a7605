"""Signatures of exported files: keys, dtypes and shapes, against what TensorFlow tells of the frozen graph."""

import numpy as np
import pytest
import tensorflow as tf

import kinds
from kinds import weights
from permafrost import recording
from permafrost.exporter import signature as signatures
from permafrost.graph.dtypes import named
from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import GraphDef
from permafrost.input_kinds import Integers, Uniform, Value
from permafrost.judge.graphs import Graphs
from permafrost.model import SignatureNames
from permafrost.records import ImportRecord, Output, Provenance
from saved_models import FramedModel
from stages import problem_of

v1 = tf.compat.v1
NONE = SignatureNames()


def two_heads() -> None:
    """Two inputs, one of them in a scope, and outputs that are two of one node, and two before and behind a head."""
    x = v1.placeholder(tf.float32, [None, 3], name="images/x")
    scale = v1.placeholder(tf.float32, [], name="scale")
    logits = tf.multiply(tf.matmul(x, weights("w", [3, 4])), scale, name="logits")
    tf.nn.top_k(logits, 2, name="best")
    tf.nn.softmax(logits, name="scores")


OUTPUTS = ["best", "best:1", "scores"]


def told(endpoints) -> list:
    return [(each.key, each.tensor, each.dtype, each.shape) for each in endpoints]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> FramedModel:
    return FramedModel(tmp_path_factory.mktemp("two_heads"), two_heads, outputs=OUTPUTS)


def test_a_key_is_the_name_of_the_node_and_the_number_of_a_further_output(model):
    assert told(model.signature.inputs) == [
        ("images/x", "images/x:0", "float32", [None, 3]),
        ("scale", "scale:0", "float32", []),
    ]
    assert told(model.signature.outputs) == [
        ("best", "best:0", "float32", [None, 2]),
        ("best_1", "best:1", "int32", [None, 2]),
        ("scores", "scores:0", "float32", [None, 4]),
    ]
    assert all(each.name == each.key for each in (*model.signature.inputs, *model.signature.outputs))


def test_what_is_hidden_is_what_the_judge_fetches_beside_the_outputs(model):
    graphs = Graphs(model.record, model.provenance, str(model.frozen))
    assert [each.tensor for each in model.signature.hidden] == list(graphs.before_heads) == ["logits:0"]
    assert [each.tensor for each in model.signature.outputs] == graphs.outputs


def test_names_of_the_settings_win_and_others_make_room(model):
    names = SignatureNames(inputs={"scale": "images/x"}, outputs={"best_1": "scores:0", "top": "best"})
    found = model.signed(names)
    assert [(each.key, each.source) for each in found.inputs] == [("scale", "images/x:0"), ("scale_1", "scale:0")]
    assert [(each.key, each.tensor) for each in found.outputs] == [
        ("top", "best:0"), ("best_1_1", "best:1"), ("best_1", "scores:0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (SignatureNames(inputs={"image": "images/y"}), "'images/y' the input 'image', but the inputs are images/x:0"),
        (SignatureNames(inputs={"out": "scores"}), "'scores' the input 'out', but the inputs are"),
        (SignatureNames(outputs={"p": "scores:1"}), "but the outputs are best:0, best:1, scores:0"),
        (SignatureNames(outputs={"p": "scores", "q": "scores:0"}), "output scores:0 both 'p' and 'q'"),
    ],
)
def test_a_name_that_is_none_is_refused(model, names, says):
    problem = problem_of(model.signed, names)
    assert problem.cause == "bad_setting" and says in problem.message


def with_default() -> None:
    x = v1.placeholder_with_default(np.ones([2, 3], np.float32), [None, 3], name="x")
    tf.multiply(tf.matmul(v1.placeholder(tf.float32, [None, 3], name="y"), weights("w", [3, 3])), x, name="out")


def test_an_input_that_keeps_its_default_is_one_where_it_is_named(tmp_path):
    model = FramedModel(tmp_path, with_default, outputs=["out"])
    assert [each.key for each in model.signature.inputs] == ["y"]
    found = model.signed(SignatureNames(inputs={"z": "x"}))
    assert {each.key: each.shape for each in found.inputs} == {"y": [None, 3], "z": [None, 3]}


def in_the_middle() -> None:
    x = v1.placeholder(tf.string, [], name="file")
    read = tf.reshape(tf.io.decode_raw(x, tf.float32), [-1, 3], name="decoded")
    tf.matmul(read, weights("w", [3, 2]), name="out")


def test_an_input_that_was_cut_has_the_name_that_it_had(tmp_path):
    model = FramedModel(tmp_path, in_the_middle, outputs=["out"], inputs={"decoded": {"shape": ["batch", 3]}})
    (found,) = model.signature.inputs
    assert (found.key, found.source, found.tensor) == ("decoded", "decoded:0", model.provenance.inputs["decoded:0"])
    assert model.index.nodes[found.tensor.removesuffix(":0")].op == "Placeholder"


@pytest.mark.parametrize("kind", sorted(kinds.SAME))
def test_dtypes_and_shapes_are_tensorflows(kind, tmp_path):
    model = FramedModel(tmp_path, kinds.SAME[kind], outputs=["out"])
    graph_def = v1.GraphDef.FromString(model.frozen.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    for each in (*model.signature.inputs, *model.signature.outputs, *model.signature.hidden):
        tensor = graph.get_tensor_by_name(each.tensor)
        assert named(each.dtype).number == tensor.dtype.base_dtype.as_datatype_enum
        assert tensor.shape.is_compatible_with(each.shape)


def placeholder(producer: int, sizes: list[int] | None, **inputs) -> list[int | None] | None:
    """The shape in the signature of a placeholder of this shape, in a graph of this version."""
    graph_def = GraphDef()
    graph_def.versions.producer = producer
    node = graph_def.node.add(name="x", op="Placeholder")
    node.attr["dtype"].type = 1
    if sizes is not None:
        node.attr["shape"].shape.SetInParent()
        for size in sizes:
            node.attr["shape"].shape.dim.add(size=size)
    graph_def.node.add(name="out", op="Neg", input=["x"]).attr["T"].type = 1
    record, provenance = recording.begun(ImportRecord, "m"), recording.begun(Provenance, "m")
    record.outputs, record.inputs = ["out"], {"x:0": inputs["spec"]}
    provenance.inputs, provenance.cuts = {"x:0": "x:0"}, {}
    (found,) = signatures.of_model(record, provenance, GraphIndex(graph_def), NONE).inputs
    return found.shape


def uniform(shape, **more) -> Uniform:
    return Uniform("float32", shape, "", low=0.0, high=1.0, **more)


@pytest.mark.parametrize(
    ("producer", "sizes", "spec", "expected"),
    [
        (1000, [-1, 32, 32, 3], uniform([None, 32, 32, 3]), [None, 32, 32, 3]),
        (1000, [-1, -1, -1, 3], uniform([None, 32, 32, 3], open=[1, 2]), [None, None, None, 3]),
        (1000, [-1, -1, 3], uniform([None, 7, 3]), [None, 7, 3]),  # as the settings say it
        (1000, [8, -1], uniform([8, 5], open=[1]), [8, None]),
        (1000, [], uniform([]), []),
        (21, [], uniform([None, 6]), [None, 6]),
        (21, [], uniform([None, 6], open="rank"), [None, None]),
        (22, [], uniform([]), []),
        (1000, None, uniform(None, open="rank"), None),
        (1000, None, Value("float32", None, "", value=1.0), []),
        (1000, None, Value("float32", None, "", value=[[1.0, 2.0]]), [None, None]),
        (1000, [-1], Value("float32", None, "", value=[1.0, 2.0]), [None]),
        (1000, [2, 3], uniform([None, None, 3]), [2, 3]),  # what the graph says
        (1000, [0, 3], uniform([0, 3]), [0, 3]),
    ],
)
def test_shapes_have_what_is_sure_and_no_guess(producer, sizes, spec, expected):
    assert placeholder(producer, sizes, spec=spec) == expected


@pytest.mark.parametrize("producer", [20, 21, 22, 23, 24, 1000])
def test_a_shape_without_dimensions_means_what_it_means_to_tensorflow(producer):
    graph_def = v1.GraphDef()
    graph_def.versions.producer = producer
    node = graph_def.node.add(name="x", op="Placeholder")
    node.attr["dtype"].type = 1
    node.attr["shape"].shape.SetInParent()
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    theirs = graph.get_tensor_by_name("x:0").shape
    ours = placeholder(producer, [], spec=Integers("float32", None, "", low=0, high=2, open="rank"))
    assert ours == (None if theirs.rank is None else theirs.as_list())


def of_a_hundred() -> None:
    """An output and what is hidden before it, of which the graph notes a batch of its input pipeline's."""
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    logits = tf.matmul(x, weights("w", [3, 4]), name="logits")
    logits.set_shape([100, 4])
    tf.nn.softmax(logits, name="scores")


def test_sizes_that_the_trial_run_did_not_find_are_open(tmp_path):
    model = FramedModel(tmp_path, of_a_hundred, outputs=["scores"])
    assert [each.shape for each in model.signed(NONE).outputs] == [[100, 4]]
    model.record.described = {"scores": Output("float32", [100, 4], "")}
    assert [each.shape for each in model.signed(NONE).hidden] == [[100, 4]]
    model.record.described = {"scores": Output("float32", [None, 4], "")}
    found = model.signed(NONE)
    assert [each.shape for each in (*found.outputs, *found.hidden)] == [[None, 4], None]
