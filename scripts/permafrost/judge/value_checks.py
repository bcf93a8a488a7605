"""Which nodes look at the values of what they take: a run on others of the same shapes can fail there alone.

Whether a MatMul runs, and what its result's shape is, follows from the shapes of what it takes. A Gather also looks
whether its indices lie within bounds. So, where a graph has run, whether it runs on other integers can be told by those
nodes that check them; a network's layers need not be computed once more. Nor need they for another batch size, where
TensorFlow infers what all shapes are then (inferred_shapes).
"""

from collections.abc import Callable, Iterable

from permafrost.graph.index import GraphIndex, TensorName, tensor_name
from permafrost.graph.ops.unsafe import executed
from permafrost.graph.protos import NodeDef, types_pb2

# Ops that run, and give the same shapes, whatever the values are.
_ANY = """
    Abs Add AddN AddV2 ArgMax ArgMin AsString AvgPool BatchMatMul BatchMatMulV2 BiasAdd Cast Ceil Concat ConcatV2
    Conv2D Conv2DBackpropInput Cos DepthwiseConv2dNative Einsum Elu Enter Equal Erf Exit Exp ExpandDims Floor
    FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Greater GreaterEqual Identity IdentityN IsFinite IsInf IsNan
    L2Loss LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max MaxPool Maximum
    Mean Merge Min Minimum Mul Neg NextIteration NotEqual OneHot OnesLike Pack Pad PadV2 Prod Rank Relu Relu6
    Reshape ReverseV2 Round Rsqrt Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Size Slice Softmax Softplus
    Softsign Split SplitV Sqrt Square SquaredDifference Squeeze StopGradient StridedSlice Sub Sum Switch Tanh
    TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArrayWriteV3 Tile Transpose
    Unpack ZerosLike
"""
_RUNNING_ON_ANY = frozenset(_ANY.split())
# The same for floats; integers cannot be divided by zero, nor raised to what is negative.
_RUNNING_ON_FLOATS = frozenset({"Div", "DivNoNan", "Pow", "RealDiv"})
_FLOATS = {types_pb2.DT_HALF, types_pb2.DT_BFLOAT16, types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE}
# Of these, the inputs that are sizes, axes, places or what is run; counted from the end where negative.
_STRUCTURE = {
    "ArgMax": {1}, "ArgMin": {1}, "Concat": {0}, "ConcatV2": {-1}, "Conv2DBackpropInput": {0}, "ExpandDims": {1},
    "GatherV2": {2}, "Max": {1}, "Mean": {1}, "Min": {1}, "OneHot": {1}, "Pad": {1}, "PadV2": {1}, "Prod": {1},
    "Reshape": {1}, "ReverseV2": {1}, "Slice": {1, 2}, "Split": {0}, "SplitV": {1, 2}, "StridedSlice": {1, 2, 3},
    "Sum": {1}, "Switch": {1}, "TensorArrayGatherV3": {0, 1}, "TensorArrayReadV3": {0, 1},
    "TensorArrayScatterV3": {0, 1}, "TensorArraySizeV3": {0}, "TensorArrayWriteV3": {0, 1}, "Tile": {1},
    "Transpose": {1},
}  # fmt: skip
# Ops that check the values of an input, and give the same shapes whatever these are.
_CHECKED = {"Gather": {1}, "GatherV2": {1}, "GatherNd": {1}, "ResourceGather": {1}, "ResourceGatherNd": {1}}
_SIZES = {"Rank", "Shape", "ShapeN", "Size"}
_OF_SHAPES = _SIZES | {"ZerosLike", "OnesLike"}  # They give the same whatever the values are.
# What else takes sizes, by those of its inputs at which it fails for no reason that its shape function does not see.
_TAKING_SIZES = {
    "Fill": {0}, "FloorDiv": {0}, "FloorMod": {0}, "RandomStandardNormal": {0}, "RandomUniform": {0}, "Range": {0, 1},
    "TruncatedNormal": {0},
}  # fmt: skip
# Of what is not run where another side is, or runs in a loop, nothing can be fetched.
_CONDITIONAL = {"Enter", "RefEnter", "Switch", "RefSwitch"}


def find_value_checks(
    index: GraphIndex, fetched: Iterable[str], fed: set[str], changed: Iterable[str]
) -> list[str] | None:
    """The tensors to fetch to see whether `fetched` run on other values; None where these may decide anything.

    Where it is empty, they run on any values of the same shapes.
    Args:
      fetched: tensors that have run. fed: the tensors that are fed, with their output's number, as `x:0`.
      changed: the tensors that get other values, of the same shapes: fed ones, or what a random op gives.
    """
    running, replaced = executed(index, fetched, fed), {tensor_name(name) for name in fed}
    return _found(index, _checks_after(index, running, {tensor_name(name) for name in changed}, replaced, _is_by_shape))


def find_size_checks(
    index: GraphIndex, fetched: Iterable[str], fed: set[str], changed: Iterable[str]
) -> list[str] | None:
    """As find_value_checks, for tensors `changed` that get other sizes too, with which all shapes fit each other.

    Args:
      fetched: tensors that have run, and run in no loop and no function.
    """
    running, replaced = executed(index, fetched, fed), {tensor_name(name) for name in fed}
    sizes = {(name, output) for name in running if index.ops[name] in _SIZES for output in index.used_outputs(name)}
    of_values = _checks_after(index, running, {tensor_name(name) for name in changed}, replaced, _is_by_shape)
    of_sizes = _checks_after(index, running, sizes, replaced, _is_by_size)
    return None if of_values is None or of_sizes is None else _found(index, of_values + of_sizes)


def _checks_after(
    index: GraphIndex,
    running: set[str],
    changed: set[TensorName],
    replaced: set[TensorName],
    is_harmless: Callable[[GraphIndex, NodeDef, int], bool],
) -> list[str] | None:
    """The nodes after the tensors `changed` that check a value; None where one is reached that is not harmless."""
    waiting, seen, checks = set(changed), changed | replaced, list[str]()
    while waiting:
        for node, position in index.uses.get(waiting.pop(), ()):
            if node.name not in running:
                continue
            if not is_harmless(index, node, position):
                return None
            if position in _CHECKED.get(node.op, ()):
                checks.append(node.name)
            if node.op not in _OF_SHAPES:
                given = {(node.name, output) for output in index.used_outputs(node.name)}
                waiting |= given - seen
                seen |= given
    return checks


def _found(index: GraphIndex, checks: list[str] | None) -> list[str] | None:
    """The tensors of the nodes `checks`; None where they cannot be fetched."""
    if checks is None or any(index.ops[name] in _CONDITIONAL for name in index.reach(checks)):
        return None
    return [f"{name}:0" for name in dict.fromkeys(checks)]


def _is_by_size(index: GraphIndex, node: NodeDef, position: int) -> bool:
    """Whether another size as an input's value makes a NodeDef fail only at shapes, or where it checks values."""
    if node.op in _CONDITIONAL:
        return False
    if position in _TAKING_SIZES.get(node.op, ()) or position in _STRUCTURE.get(node.op, ()):
        return True
    return _is_by_shape(index, node, position)


def _is_by_shape(index: GraphIndex, node: NodeDef, position: int) -> bool:
    """Whether another value of a NodeDef's input changes no shape, and makes it fail only where it checks the value."""
    places = _STRUCTURE.get(node.op, ())
    if position in {place % len(index.inputs_of(node)) for place in places}:
        return False
    if node.op in _RUNNING_ON_FLOATS:
        return node.attr["T"].type in _FLOATS
    return node.op in _RUNNING_ON_ANY or node.op in _CHECKED
