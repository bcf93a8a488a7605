"""Numbers too small to be normal, which TensorFlow's threads take for zero in arithmetic, and copy as they are.

A product with 1 makes zeros of them. So it may be left out only where none can come, or where all that takes them
computes, and finds zeros anyway. Source: port::ScopedFlushDenormal in tensorflow/core/platform/denormal.h, and how the
executor's threads are started in tensorflow/core/common_runtime/process_util.cc.
"""

from collections.abc import Mapping

from permafrost.exporter.preparation.conditions import View
from permafrost.flow.sharing import SHAPELY
from permafrost.graph.index import TensorName, tensor_name

# What is too small comes out of these as it is, or as zero, and nothing else does but for what is normal.
_MOVING = (
    *("Identity", "StopGradient", "Reshape", "ExpandDims", "Squeeze", "Transpose", "Pack", "Unpack", "Concat"),
    *("ConcatV2", "Split", "SplitV", "Slice", "StridedSlice", "Gather", "GatherV2", "Pad", "PadV2", "Tile", "Enter"),
    *("ReverseV2", "ReverseSequence", "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Tanh", "Abs", "Neg", "MaxPool"),
)
_MOVING_BACK = ("Identity", "StopGradient", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Relu", "MaxPool", "Neg")
# These compute with every element, so that it counts as zero, and what they give is normal or zero.
_COMPUTING = (
    *("Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"),
    *("Conv2D", "DepthwiseConv2dNative", "BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"),
    *("Square", "SquaredDifference"),
)
_TAKING = (*_COMPUTING, "Sigmoid", "Softmax", "LogSoftmax", *SHAPELY)
_MOST = 1000  # tensors that are looked at for one product


def is_computed(view: View, text: str, left_out: Mapping[str, str]) -> bool:
    """Whether an op that computes has made a tensor.

    Args:
      left_out: nodes that are going to be identities -> the tensor that each will give.
    """
    for _ in range(_MOST):
        node = view.index.nodes.get(tensor_name(text)[0])
        if node is None:
            return False
        if node.name in left_out:
            text = left_out[node.name]
        elif node.op in _MOVING_BACK and node.input:
            text = node.input[0]
        else:
            return node.op in _COMPUTING
    return False


def is_computed_with(view: View, name: str) -> bool:
    """Whether all that takes what a node gives, be it moved before, computes with it."""
    results = {tensor_name(text) for text in view.part.results}
    waiting: list[TensorName] = [(name, 0)]
    seen = {*waiting}
    while waiting:
        tensor = waiting.pop()
        if tensor in results or len(seen) > _MOST:
            return False
        for user, _ in view.index.uses.get(tensor, ()):
            if user.op in _MOVING:
                new = {(user.name, output) for output in view.index.used_outputs(user.name) | {0}} - seen
                waiting += sorted(new)
                seen |= new
            elif user.op not in _TAKING:
                return False
    return True
