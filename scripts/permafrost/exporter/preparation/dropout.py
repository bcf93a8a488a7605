"""Dropout that keeps all: the tensor itself, in the place of its product with a mask of ones.

TensorFlow has written x / keep * floor(keep + u), x * (1 / keep) * cast(u >= rate) and select(u >= rate, x * scale, 0);
all of them have a mask that is 1, or True, for each u where keep is 1, and a scale that is 1. x * 1 and x / 1 are x for
each x, NaN and infinities too, but for what is too small to be a normal number: TensorFlow's threads take that for
zero. So the last product is left out only where what comes is computed, or where all that takes it computes.
"""

from permafrost.exporter.preparation.conditions import View, data
from permafrost.exporter.preparation.draft import Draft
from permafrost.exporter.preparation.parts import canonical, rewrite
from permafrost.flow.sharing import SHAPELY
from permafrost.graph.index import TensorName, tensor_name
from permafrost.graph.protos import NodeDef, types_pb2

_PRODUCTS = ("Mul", "RealDiv", "Div")
_FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)
# Of these each gives the shape of its first input, whatever the others are, as long as these are scalars.
_ELEMENTWISE = (
    *("Identity", "StopGradient", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Sigmoid", "Softplus"),
    *("Abs", "Neg", "Exp", "Sqrt", "Square", "Softmax", "LogSoftmax", "BiasAdd", "Cast", "ZerosLike", "OnesLike"),
)
_WITH_SCALARS = ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Maximum", "Minimum", "GreaterEqual", "Floor", "Less")
# What is too small to be normal comes out of these as it is, or as zero, and nothing else does but for what is normal.
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
_MOST = 1000  # nodes that are looked at for one dropout


def leave_out_dropout(draft: Draft) -> bool:
    """Makes identities of the last ops of dropouts that keep all; tells whether there was one."""
    count = 0
    for part in draft.parts:
        view = View(part)
        masked = [node for node in part.graph_def.node if node.op in ("Mul", "Select", "SelectV2")]
        found = [(node, _kept(view, node)) for node in masked]
        for node, text in found:
            if text:
                rewrite(node, "Identity", [text], T=node.attr["T"].type)
                count += 1
    draft.count("dropout that keeps all left out", count)
    return bool(count)


def _kept(view: View, node: NodeDef) -> str:
    """The tensor that a node gives as it is, as far as it may be left out; "" where it has to stay."""
    if node.op == "Mul":
        first, second = data(node)
        pairs = [(first, second), (second, first)]
    else:
        mask, yes, no = data(node)
        other = view.known(no)
        pairs = [(yes, mask)] if other is not None and other.is_scalar or node.op == "Select" else []
    for text, mask in pairs:
        if node.attr["T"].type in _FLOATS and _is_mask_of(view, mask, text) and view.comes_with([*data(node)], text):
            return _unscaled(view, node, text)
    return ""


def _is_mask_of(view: View, mask: str, text: str) -> bool:
    """Whether a tensor was filled by `settle_draws` or otherwise, has ones alone, and the shape of another."""
    known = view.known(mask)
    if known is None or not known.is_one():
        return False
    filled = _shape_from(view, tensor_name(mask))
    node = view.index.nodes.get(filled[0])
    if node is None or node.op != "Fill":
        return False
    (shape, _), _ = view.index.upstream(view.index.inputs[node.name][0], ("Identity",))
    shape_node = view.index.nodes.get(shape)
    if shape_node is None or shape_node.op != "Shape":
        return False
    return _shape_from(view, view.index.inputs[shape][0]) == _shape_from(view, tensor_name(text))


def _shape_from(view: View, tensor: TensorName) -> TensorName:
    """The first tensor of the same shape on the way back along ops that compute element by element."""
    for _ in range(_MOST):
        node = view.index.nodes.get(tensor[0])
        inputs = view.index.inputs.get(tensor[0], [])
        if node is None or tensor[1] or not inputs:
            break
        if node.op in _ELEMENTWISE:
            tensor = inputs[0]
        elif node.op in _WITH_SCALARS and (others := _beside_scalars(view, inputs)):
            tensor = others
        else:
            break
    return tensor


def _beside_scalars(view: View, inputs: list[TensorName]) -> TensorName | None:
    """The one input that is not known to be a scalar; None where there are more."""
    known = [view.known(f"{name}:{output}") for name, output in inputs]
    others = [tensor for tensor, found in zip(inputs, known, strict=True) if found is None or not found.is_scalar]
    return others[0] if len(others) == 1 else None


def _unscaled(view: View, node: NodeDef, text: str) -> str:
    """What comes to a dropout before it is divided by what is kept; "" where the dropout itself has to stay."""
    before = text
    while (inner := _without_scale(view, before)) is not None:
        before = inner
    if _is_computed(view, tensor_name(before)) or _is_computed_with(view, (node.name, 0)):
        return canonical(before)
    return canonical(text) if before != text else ""


def _without_scale(view: View, text: str) -> str | None:
    node = view.index.nodes.get(tensor_name(text)[0])
    if node is None or node.op not in _PRODUCTS:
        return None
    first, second = data(node)
    for inner, scale in [(first, second), *([(second, first)] if node.op == "Mul" else [])]:
        known = view.known(scale)
        if known is not None and known.is_one() and known.is_scalar and view.comes_with([scale], inner):
            return inner
    return None


def _is_computed(view: View, tensor: TensorName) -> bool:
    """Whether an op that computes has made a tensor, so that it has no number too small to be normal."""
    for _ in range(_MOST):
        node = view.index.nodes.get(tensor[0])
        if node is None:
            return False
        if node.op in _COMPUTING:
            return True
        inputs = view.index.inputs[node.name]
        if node.op not in _MOVING_BACK or not inputs:
            return False
        tensor = inputs[0]
    return False


def _is_computed_with(view: View, tensor: TensorName) -> bool:
    """Whether all that takes a tensor computes with it, be it moved before, so that such a number counts as zero."""
    results = {tensor_name(text) for text in view.part.results}
    waiting, seen = [tensor], {tensor}
    while waiting:
        tensor = waiting.pop()
        if tensor in results or len(seen) > _MOST:
            return False
        for user, _ in view.index.uses.get(tensor, ()):
            if user.op in _MOVING:
                new = {(user.name, output) for output in view.index.used_outputs(user.name) | {0}} - seen
                waiting += new
                seen |= new
            elif user.op not in _TAKING:
                return False
    return True
