"""What converters stumble over is gone from a prepared graph, and its outputs are the same bits."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from permafrost.exporter.preparation.preparing import prepare
from permafrost.exporter.prepared import Refused
from preparing import SPECIAL, check, frozen, ops, signature, v1

X = SPECIAL.reshape(3, 3)


def test_an_identity_behind_each_output_and_hidden_tensor(tmp_path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        tf.identity(x, name="output_0")
        first, second = tf.split(x, [1, 2], 1, name="parts")
        tf.reduce_sum(second * first, name="y")

    outputs = ["x:0", "parts:1", "parts:1", "y:0", "output_0:0"]
    prepared = check(build, tmp_path, [{"x:0": X}], outputs=outputs, hidden=["parts:0"])
    signature = prepared.signature
    tensors = [each.tensor for each in (*signature.outputs, *signature.hidden)]
    assert tensors == ["output_0_1:0", "output_1:0", "output_2:0", "output_3:0", "output_4:0", "hidden_0:0"]
    assert [each.source for each in signature.outputs] == outputs
    nodes = {node.name: node for node in prepared.graph_def.node}
    assert {nodes[name.removesuffix(":0")].op for name in tensors} == {"Identity"}


def test_what_is_not_needed_goes(tmp_path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        unused = tf.function(lambda a: a * 3)
        unused(x)
        with tf.device("/GPU:3"), v1.colocate_with(x):
            tf.identity(x * 2, name="y")

    path, graph = frozen(build, tmp_path)
    graph_def = graph.as_graph_def(add_shapes=True)
    unused = tf.function(lambda a: a * 3).get_concrete_function(tf.TensorSpec([2], tf.float32))
    graph_def.library.function.add().CopyFrom(unused.function_def)
    path.write_bytes(graph_def.SerializeToString())
    prepared = prepare(str(path), signature(graph, ["x:0"], ["y:0"]), {}, [])
    assert not prepared.graph_def.library.function
    for node in prepared.graph_def.node:
        assert not node.device and not {"_output_shapes", "_class"} & set(node.attr)


def test_shapes_of_the_signature(tmp_path) -> None:
    """In graphs of TensorFlow before 1.0 the shape of a scalar is that of anything."""

    def build() -> None:
        x = v1.placeholder(tf.float32, name="x")
        z = v1.placeholder_with_default(tf.ones([2, 3]), [None, 3], name="z")
        tf.add(x, z, name="y")

    path, graph = frozen(build, tmp_path)
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    graph_def.versions.producer = 21
    for node in graph_def.node:
        if node.name == "x":
            node.attr["shape"].shape.Clear()
            node.attr["shape"].shape.SetInParent()
    path.write_bytes(graph_def.SerializeToString())
    given = signature(graph, ["x:0", "z:0"], ["y:0"])
    given.inputs[0].shape, given.inputs[1].shape = [None, 3], None
    nodes = {node.name: node for node in prepare(str(path), given, {}, []).graph_def.node}
    assert [dim.size for dim in nodes["x"].attr["shape"].shape.dim] == [-1, 3]
    assert nodes["z"].op == "Placeholder" and nodes["z"].attr["shape"].shape.unknown_rank


def test_a_default_that_is_never_fed(tmp_path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        rate = v1.placeholder_with_default(tf.constant(0.0), [], name="rate")
        tf.matmul(tf.nn.dropout(x, rate=rate), tf.ones([3, 2]), name="product")
        tf.nn.relu(x, name="y")

    prepared = check(build, tmp_path, [{"x:0": X}], outputs=["product:0", "y:0"])
    assert not {"PlaceholderWithDefault", "RandomUniform"} & set(ops(prepared))


def test_large_weights_stay_apart(tmp_path) -> None:
    weights = np.random.default_rng(0).normal(size=(600, 600)).astype(np.float32)

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 600], name="x")
        tf.matmul(x, tf.constant(weights, name="weights"), name="y")
        tf.constant(weights, name="unused")

    prepared = check(build, tmp_path, [{"x:0": np.ones((2, 600), np.float32)}])
    assert list(prepared.weights) == ["weights"]
    assert prepared.weights["weights"].tobytes() == weights.tobytes()
    assert prepared.graph_def.ByteSize() < 10_000


def test_a_table_is_filled(tmp_path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.string, [None], name="x")
        filling = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([3, 4], tf.int64))
        table = tf.lookup.StaticHashTable(filling, -1)
        tf.identity(table.lookup(x), name="y")

    path_of = []

    def named() -> None:
        build()
        path_of.extend(op.name for op in v1.get_default_graph().get_operations() if op.type == "LookupTableImportV2")

    with tf.Graph().as_default():
        named()
    feeds = [{"x:0": np.array([b"b", b"c", b"a"], object)}]
    prepared = check(build, tmp_path, feeds, initializers=path_of)
    assert prepared.initializers == path_of


def test_several_inputs_are_baked(tmp_path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        scale = v1.placeholder(tf.bfloat16, [3], name="scale")
        word = v1.placeholder(tf.string, [], name="word")
        tf.multiply(x, tf.cast(scale, tf.float32), name="y")
        tf.strings.join([word, tf.as_string(tf.shape(x))], name="z")

    scale = np.array([1, 2, 3], tf.bfloat16.as_numpy_dtype)
    bake = {"scale:0": scale, "word:0": np.array(b"\xff", object)}
    prepared = check(build, tmp_path, [{"x:0": X}], bake, outputs=["y:0", "z:0"])
    assert prepared.baked == {"scale:0": [1.0, 2.0, 3.0], "word:0": b"\xff"}
    assert len(prepared.changes) == 2


def test_nothing_goes_in(tmp_path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [], name="x")
        tf.multiply(x, 3.0, name="y")

    prepared = check(build, tmp_path, [{}], {"x:0": np.float32(2)}, inputs=["x:0"])
    assert not prepared.signature.inputs


RANDOM = {
    "normal": lambda x: x + tf.random.normal(tf.shape(x)),
    "uniform": lambda x: x * tf.random.uniform(tf.shape(x)),
    "integers": lambda x: tf.gather(x, tf.random.uniform([2], 0, 2, tf.int32)),
    "shuffle": lambda x: tf.random.shuffle(x),
    "categorical": lambda x: tf.random.categorical(tf.zeros([1, 3]), 3),
    "stateless": lambda x: x + tf.random.stateless_uniform(tf.shape(x), [1, 2]),
    "gamma": lambda x: x + tf.random.gamma([], 1.0),
    "sampler": lambda x: tf.random.uniform_candidate_sampler(tf.constant([[1]], tf.int64), 1, 1, True, 3)[0],
}


@pytest.mark.parametrize("place", ["graph", "function", "loop", "cond"])
@pytest.mark.parametrize("draw", RANDOM)
def test_random_ops_are_refused(draw, place, tmp_path) -> None:
    def drawn(x):
        return tf.reduce_sum(tf.cast(RANDOM[draw](x), tf.float32)) + tf.reduce_sum(x)

    def build() -> None:
        x = v1.placeholder(tf.float32, [3, 3], name="x")
        if place == "graph":
            y = drawn(x)
        elif place == "function":
            y = tf.function(drawn, autograph=False)(x)
        elif place == "loop":
            y = tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a + drawn(x)), [0, 0.0])[1]
        else:
            y = v1.cond(tf.reduce_sum(x) > 0, lambda: drawn(x), lambda: 0.0)
        tf.identity(y, name="y")

    path, graph = frozen(build, tmp_path)
    with pytest.raises(Refused) as refused:
        prepare(str(path), signature(graph, ["x:0"], ["y:0"]), {}, [])
    assert refused.value.cause == "random_op"
    assert refused.value.node in refused.value.message and refused.value.op in refused.value.message


def test_what_only_looks_at_the_shape_of_a_draw(tmp_path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        noise = tf.random.normal(tf.shape(x))
        tf.identity(x * tf.cast(tf.shape(noise)[0], tf.float32) + tf.zeros_like(noise), name="y")

    assert "RandomStandardNormal" not in ops(check(build, tmp_path, [{"x:0": X}]))


def test_the_same_bytes_each_time(tmp_path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        keep = v1.placeholder(tf.float32, [], name="keep")
        tf.identity(v1.cond(keep > 0.5, lambda: tf.nn.dropout(x * 3, rate=1 - keep), lambda: x), name="y")

    path, graph = frozen(build, tmp_path)
    own = signature(graph, ["x:0", "keep:0"], ["y:0"])
    made = [prepare(str(path), own, {"keep:0": np.array(1, np.float32)}, []) for _ in range(2)]
    assert made[0].graph_def.SerializeToString(deterministic=True) == made[1].graph_def.SerializeToString(
        deterministic=True
    )
    assert own.inputs[1].key == "keep:0" and own.outputs[0].tensor == "y:0"  # what was given stays as it was
