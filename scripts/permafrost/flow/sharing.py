"""Ops that hand on their input's memory: whoever takes the output of one sees what is written there later.

A reference variable is memory, and TensorFlow copies it as late as it can: an Identity, a Reshape, a Sum over no axes,
a Slice of aligned rows and many more give tensors in the variable's own buffer. Which do so depends on shapes, so an op
is taken to share unless it is listed here; tests/flow/test_sharing.py asks TensorFlow about each that is.
"""

from permafrost.flow.body import PASSING
from permafrost.graph.ops.variables import REF_WRITES
from permafrost.graph.protos import NodeDef

COPYING_UNARY = (
    "Abs", "Neg", "Exp", "Expm1", "Log1p", "Sqrt", "Rsqrt", "Square", "Sin", "Cos", "Tanh", "Sigmoid", "Relu", "Relu6",
    "Elu", "Selu", "Softplus", "Softsign", "LeakyRelu", "Sign", "Floor", "Ceil", "Round", "Reciprocal", "Erf",
    "Softmax", "LogSoftmax", "L2Loss", "IsNan", "IsFinite", "ZerosLike", "OnesLike",
)  # fmt: skip
COPYING_BINARY = (
    "Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "FloorDiv", "FloorMod", "Pow", "Maximum", "Minimum",
    "SquaredDifference", "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "MatMul", "BatchMatMul",
    "BatchMatMulV2",
)  # fmt: skip
COPYING_OTHERS = (
    "ArgMax", "ArgMin", "BiasAdd", "Conv2D", "DepthwiseConv2dNative", "FusedBatchNorm", "FusedBatchNormV2",
    "FusedBatchNormV3", "Gather", "GatherNd", "GatherV2", "LogicalAnd", "LogicalNot", "LogicalOr",
)  # fmt: skip
# They look at the shape alone.
SHAPELY = ("Shape", "ShapeN", "Size", "Rank")

COPYING = frozenset((*COPYING_UNARY, *COPYING_BINARY, *COPYING_OTHERS, *SHAPELY))


def shares(node: NodeDef, position: int) -> bool:
    """Whether an op's outputs may lie in the memory of its input at `position`."""
    if node.op in COPYING or (node.op in REF_WRITES and position > 0):
        return False
    return not (node.op in (*PASSING, "RefSwitch") and position > 0)
