"""What a run on other values can fail of: the ops of which it is said, run by TensorFlow on any values."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import kinds
from permafrost.graph.index import GraphIndex
from permafrost.judge import value_checks
from permafrost.judge.value_checks import find_size_checks, find_value_checks

v1, raw = tf.compat.v1, tf.raw_ops

# Without their own kernel, or tried below in a loop and in a cond.
FLOW = {
    "Enter", "Exit", "Merge", "NextIteration", "Switch", "TensorArrayGatherV3", "TensorArrayReadV3",
    "TensorArrayScatterV3", "TensorArraySizeV3", "TensorArrayWriteV3",
}  # fmt: skip
BY_X = """
    Abs Ceil Cos Elu Erf Exp Floor IsFinite IsInf IsNan Log Log1p Neg OnesLike Round Rsqrt Sigmoid Sign Sin Sqrt Square
    Tanh ZerosLike
"""
BY_X_AND_Y = """
    Add AddV2 Div DivNoNan Equal Greater GreaterEqual Less LessEqual Maximum Minimum Mul NotEqual Pow RealDiv
    SquaredDifference Sub
"""
IMAGE, MASK = tf.TensorShape([1, 2, 3, 1]), tf.TensorShape([2, 3])


def image(x):
    return tf.reshape(x, IMAGE)


def norm(op, x, **types):
    ones = tf.ones([1])
    return op(x=image(x), scale=x[0, :1], offset=x[1, :1], mean=ones, variance=ones, is_training=False, **types)[0]


MADE = {
    **{op: lambda x, op=op: getattr(raw, op)(x=x) for op in BY_X.split()},
    **{op: lambda x, op=op: getattr(raw, op)(x=x, y=x[::-1]) for op in BY_X_AND_Y.split()},
    **{op: lambda x, op=op: getattr(raw, op)(features=x) for op in ("LeakyRelu", "Relu", "Relu6", "Selu", "Elu")},
    **{op: lambda x, op=op: getattr(raw, op)(features=x) for op in ("Softplus", "Softsign")},
    **{op: lambda x, op=op: getattr(raw, op)(logits=x) for op in ("LogSoftmax", "Softmax")},
    **{op: lambda x, op=op: getattr(raw, op)(input=x, axis=[1]) for op in ("Max", "Mean", "Min", "Prod", "Sum")},
    **{op: lambda x, op=op: getattr(raw, op)(input=x, dimension=1) for op in ("ArgMax", "ArgMin")},
    **{op: lambda x, op=op: getattr(raw, op)(input=x) for op in ("Identity", "Rank", "Shape", "Size")},
    **{op: lambda x, op=op: getattr(raw, op)(x=x, y=x, adj_y=True) for op in ("BatchMatMul", "BatchMatMulV2")},
    **{op: lambda x, op=op: getattr(raw, op)(x=x > 0.0, y=x < 1.0) for op in ("LogicalAnd", "LogicalOr")},
    "AddN": lambda x: raw.AddN(inputs=[x, x]),
    "AsString": lambda x: raw.AsString(input=x),
    "AvgPool": lambda x: raw.AvgPool(value=image(x), ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding="SAME"),
    "BiasAdd": lambda x: raw.BiasAdd(value=x, bias=x[0]),
    "Cast": lambda x: raw.Cast(x=x, DstT=tf.int32),
    "Concat": lambda x: raw.Concat(concat_dim=0, values=[x, x]),
    "ConcatV2": lambda x: raw.ConcatV2(values=[x, x], axis=1),
    "Conv2D": lambda x: raw.Conv2D(input=image(x), filter=x[:, :, None, None], strides=[1, 1, 1, 1], padding="SAME"),
    "Conv2DBackpropInput": lambda x: raw.Conv2DBackpropInput(
        input_sizes=IMAGE, filter=x[:, :, None, None], out_backprop=image(x), strides=[1, 1, 1, 1], padding="SAME"
    ),
    "DepthwiseConv2dNative": lambda x: raw.DepthwiseConv2dNative(
        input=image(x), filter=x[:, :, None, None], strides=[1, 1, 1, 1], padding="SAME"
    ),
    "Einsum": lambda x: raw.Einsum(inputs=[x, x], equation="ab,cb->ac"),
    "ExpandDims": lambda x: raw.ExpandDims(input=x, axis=1),
    "FusedBatchNorm": lambda x: norm(raw.FusedBatchNorm, x),
    "FusedBatchNormV2": lambda x: norm(raw.FusedBatchNormV2, x),
    "FusedBatchNormV3": lambda x: norm(raw.FusedBatchNormV3, x),
    "IdentityN": lambda x: raw.IdentityN(input=[x])[0],
    "L2Loss": lambda x: raw.L2Loss(t=x),
    "LogicalNot": lambda x: raw.LogicalNot(x=x > 0.0),
    "MatMul": lambda x: raw.MatMul(a=x, b=x, transpose_b=True),
    "MaxPool": lambda x: raw.MaxPool(input=image(x), ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding="SAME"),
    "OneHot": lambda x: raw.OneHot(indices=tf.cast(x, tf.int32), depth=3, on_value=x[0, 0], off_value=x[0, 1]),
    "Pack": lambda x: raw.Pack(values=[x, x]),
    "Pad": lambda x: raw.Pad(input=x, paddings=[[1, 0], [0, 1]]),
    "PadV2": lambda x: raw.PadV2(input=x, paddings=[[1, 0], [0, 1]], constant_values=x[0, 0]),
    "Reshape": lambda x: raw.Reshape(tensor=x, shape=[3, 2]),
    "ReverseV2": lambda x: raw.ReverseV2(tensor=x, axis=[1]),
    "Select": lambda x: raw.Select(condition=x > 0.0, x=x, y=-x),
    "SelectV2": lambda x: raw.SelectV2(condition=x > 0.0, t=x, e=-x),
    "ShapeN": lambda x: raw.ShapeN(input=[x, x])[0],
    "Slice": lambda x: raw.Slice(input=x, begin=[0, 1], size=[2, 1]),
    "Split": lambda x: raw.Split(axis=1, value=x, num_split=3)[1],
    "SplitV": lambda x: raw.SplitV(value=x, size_splits=[1, 2], axis=1, num_split=2)[1],
    "Squeeze": lambda x: raw.Squeeze(input=x[None]),
    "StopGradient": tf.stop_gradient,
    "StridedSlice": lambda x: raw.StridedSlice(input=x, begin=[0], end=[2], strides=[2]),
    "Tile": lambda x: raw.Tile(input=x, multiples=[2, 1]),
    "Transpose": lambda x: raw.Transpose(x=x, perm=[1, 0]),
    "Unpack": lambda x: raw.Unpack(value=x, num=2)[1],
}  # fmt: skip
VALUES = [np.full([2, 3], value, np.float32) for value in (0, -1, 3e38, -3e38, np.inf, -np.inf, np.nan)]


def test_each_op_that_is_listed_is_tried():
    listed = value_checks._RUNNING_ON_ANY | value_checks._RUNNING_ON_FLOATS
    assert listed == FLOW | MADE.keys()
    assert value_checks._STRUCTURE.keys() <= listed | value_checks._CHECKED.keys()


def test_the_ops_run_on_any_values_and_give_the_same_shapes():
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [2, 3], name="x")
        made = {op: make(x) for op, make in MADE.items()}
        index = GraphIndex(graph.as_graph_def())
        shapes = [{op: np.shape(value) for op, value in session.run(made, {x: fed}).items()} for fed in VALUES]
    assert all(each == shapes[0] for each in shapes)
    for op, tensor in made.items():
        assert tensor.op.type == op or op == "StopGradient"
        assert find_value_checks(index, [tensor.name], {"x:0"}, ["x:0"]) == []


def checks_of(build, changed=("x:0",), fetched=("y:0",)):
    with tf.Graph().as_default() as graph:
        build()
    return find_value_checks(GraphIndex(graph.as_graph_def()), fetched, {"x:0", "ids:0"}, changed)


def looks_up(resource: bool):
    def build() -> None:
        ids = v1.placeholder(tf.int32, [None], name="ids")
        found = tf.nn.embedding_lookup(kinds.weights("table", [7, 3], resource), ids * 1, name="found")
        tf.identity(tf.matmul(found, kinds.weights("w", [3, 2])), name="y")

    return build


@pytest.mark.parametrize("resource", [False, True])
def test_a_look_up_is_all_that_other_indices_can_make_fail(resource):
    checks = checks_of(looks_up(resource), ["ids:0"])
    assert [name.split("/")[0] for name in checks] in (["found"], ["found:0"])


def reshaped_by_a_value() -> None:
    x = v1.placeholder(tf.int32, [], name="x")
    tf.identity(tf.reshape(tf.range(12), [x, -1]), name="y")


def divides() -> None:
    tf.identity(tf.constant(12) // v1.placeholder(tf.int32, [], name="x"), name="y")


def asserts() -> None:
    x = v1.placeholder(tf.float32, [], name="x")
    with tf.control_dependencies([v1.debugging.Assert(x > 0.0, [x])]):
        tf.identity(x * 1.0, name="y")


def loops_as_often_as_fed() -> None:
    x = v1.placeholder(tf.int32, [], name="x")
    with kinds.control_flow(1):
        tf.identity(v1.while_loop(lambda i: i < x, lambda i: i + 1, [tf.constant(0)]), name="y")


def looks_up_on_one_side() -> None:
    x = v1.placeholder(tf.int32, [], name="x")
    is_fed = v1.placeholder(tf.bool, [], name="ids")
    with kinds.control_flow(1):
        tf.identity(tf.cond(is_fed, lambda: tf.gather(tf.range(5), x), lambda: tf.constant(0)), name="y")


def calls_a_function() -> None:
    x = v1.placeholder(tf.int32, [], name="x")
    with kinds.control_flow(2):
        tf.identity(tf.cond(x > 0, lambda: x, lambda: -x), name="y")


@pytest.mark.parametrize(
    "build", [reshaped_by_a_value, divides, asserts, loops_as_often_as_fed, looks_up_on_one_side, calls_a_function]
)
def test_where_a_value_may_decide_anything_all_is_run(build):
    assert checks_of(build) is None


def recurrent() -> None:
    x = v1.placeholder(tf.float32, [2, 3], name="x")
    with kinds.control_flow(1):
        tf.identity(tf.scan(lambda total, row: total * row, x), name="y")


def test_what_goes_through_a_loop_of_fixed_length_decides_nothing():
    assert checks_of(recurrent) == []


def test_what_another_feed_replaces_is_not_followed():
    def build() -> None:
        x = v1.placeholder(tf.int32, [], name="x")
        tf.gather(tf.range(5), tf.identity(x, name="ids"), name="y")

    assert checks_of(build) == []


def size_checks_of(build) -> list[str] | None:
    with tf.Graph().as_default() as graph:
        build(v1.placeholder(tf.float32, [None, 3], name="x"))
    return find_size_checks(GraphIndex(graph.as_graph_def()), ["y:0"], {"x:0"}, ["x:0"])


TAKING_SIZES = {
    "Fill": lambda n: raw.Fill(dims=[n], value=1.0),
    "FloorDiv": lambda n: raw.FloorDiv(x=n, y=2),
    "FloorMod": lambda n: raw.FloorMod(x=n, y=2),
    "RandomStandardNormal": lambda n: raw.RandomStandardNormal(shape=[n], dtype=tf.float32),
    "RandomUniform": lambda n: raw.RandomUniform(shape=[n], dtype=tf.float32),
    "Range": lambda n: raw.Range(start=0, limit=n, delta=1),
    "TruncatedNormal": lambda n: raw.TruncatedNormal(shape=[n], dtype=tf.float32),
}


@pytest.mark.parametrize("op", TAKING_SIZES)
def test_what_takes_a_size_runs_with_any(op):
    assert size_checks_of(lambda x: tf.identity(TAKING_SIZES[op](tf.shape(x)[0]), name="y")) == []
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [None, 3])
        made = TAKING_SIZES[op](tf.shape(x)[0])
        for batch in (1, 2, 5):
            session.run(made, {x: np.zeros([batch, 3], np.float32)})


def test_all_that_takes_a_size_is_tried():
    assert value_checks._TAKING_SIZES.keys() == TAKING_SIZES.keys()


def test_a_look_up_by_a_size_is_checked():
    def build(x) -> None:
        rows = tf.gather(tf.zeros([4, 3]), tf.range(tf.shape(x)[0]), name="rows")
        tf.identity(rows + x, name="y")

    assert size_checks_of(build) == ["rows:0"]


def asserts_a_size(x) -> None:
    with tf.control_dependencies([v1.debugging.Assert(tf.equal(tf.shape(x)[0], 2), [x])]):
        tf.identity(x, name="y")


def divides_by_a_size(x) -> None:
    tf.identity(x + tf.cast(6 // (tf.shape(x)[0] - 3), tf.float32), name="y")


def goes_one_way_by_a_size(x) -> None:
    with kinds.control_flow(1):
        tf.identity(tf.cond(tf.shape(x)[0] > 2, lambda: tf.linalg.inv(x), lambda: x), name="y")


@pytest.mark.parametrize("build", [asserts_a_size, divides_by_a_size, goes_one_way_by_a_size])
def test_where_a_size_may_decide_anything_all_is_run(build):
    assert size_checks_of(build) is None
