"""Dropout that keeps all: the tensor itself, in the place of its product with a mask of ones.

TensorFlow has written x / keep * floor(keep + u), x * (1 / keep) * cast(u >= rate) and select(u >= rate, x * scale, 0);
all of them have a mask that is 1, or True, for each u where keep is 1, and a scale that is 1. x * 1 and x / 1 are x for
each x, NaN and infinities too, but for what `subnormal` says.
"""

from permafrost.exporter.preparation.conditions import View, data
from permafrost.exporter.preparation.draft import Draft
from permafrost.exporter.preparation.parts import canonical, rewrite
from permafrost.exporter.preparation.subnormal import is_computed, is_computed_with
from permafrost.graph.index import TensorName, in_data_order, tensor_name
from permafrost.graph.protos import NodeDef, types_pb2

_MASKED = ("Mul", "Select", "SelectV2")
_PRODUCTS = ("Mul", "RealDiv", "Div")
_FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)
# Each of these gives the shape of its first input.
_ELEMENTWISE = (
    *("Identity", "StopGradient", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Sigmoid", "Softplus", "Floor"),
    *("Abs", "Neg", "Exp", "Sqrt", "Square", "Softmax", "LogSoftmax", "BiasAdd", "Cast", "ZerosLike", "OnesLike"),
)
# And these do where all the others are scalars.
_WITH_SCALARS = (
    *("Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Maximum", "Minimum"),
    *("Less", "LessEqual", "Greater", "GreaterEqual"),
)
_MOST = 1000  # nodes on the way back to where a shape comes from


def leave_out_dropout(draft: Draft) -> bool:
    """Makes identities of the last ops of dropouts that keep all; tells whether there was one."""
    count = 0
    for part in draft.parts:
        if any(node.op in _MASKED for node in part.graph_def.node):
            view = View(part)
            left_out = _left_out(view)
            for name, text in left_out.items():
                rewrite(view.index.nodes[name], "Identity", [text], T=view.index.nodes[name].attr["T"].type)
            count += len(left_out)
    draft.count("dropout that keeps all left out", count)
    return bool(count)


def _left_out(view: View) -> dict[str, str]:
    """Node -> the tensor that it gives as it is.

    In the order of the data: whether one may be left out can depend on whether one before it is.
    """
    found: dict[str, str] = {}
    for name in in_data_order(view.index):
        node = view.index.nodes[name]
        if node.op in _MASKED and (text := _kept(view, node, found)):
            found[name] = text
    return found


def _kept(view: View, node: NodeDef, left_out: dict[str, str]) -> str:
    """The tensor that a node gives as it is, as far as it may be left out; "" where it has to stay."""
    for text, mask in _masked(view, node) if node.attr["T"].type in _FLOATS else ():
        if _is_mask_of(view, mask, text) and view.comes_with(data(node), text):
            return _unscaled(view, node, text, left_out)
    return ""


def _masked(view: View, node: NodeDef) -> list[tuple[str, str]]:
    """What may be masked in a node, and its mask, for each way in which it may be read."""
    if node.op == "Mul":
        first, second = data(node)
        return [(first, second), (second, first)]
    mask, yes, no = data(node)
    other = view.known(no)
    return [(yes, mask)] if node.op == "Select" or (other is not None and other.is_scalar) else []


def _is_mask_of(view: View, mask: str, text: str) -> bool:
    """Whether a tensor was filled, has ones alone, and the shape of another."""
    known = view.known(mask)
    if known is None or not known.is_one():
        return False
    node = view.index.nodes.get(_shape_from(view, tensor_name(mask))[0])
    if node is None or node.op != "Fill":
        return False
    (name, _), _ = view.index.upstream(view.index.inputs[node.name][0], ("Identity",))
    shape = view.index.nodes.get(name)
    if shape is None or shape.op != "Shape":
        return False
    return _shape_from(view, view.index.inputs[name][0]) == _shape_from(view, tensor_name(text))


def _shape_from(view: View, tensor: TensorName) -> TensorName:
    """The first tensor of the same shape on the way back along ops that compute element by element."""
    for _ in range(_MOST):
        node = view.index.nodes.get(tensor[0])
        inputs = view.index.inputs.get(tensor[0], [])
        if node is None or tensor[1] or not inputs:
            break
        if node.op in _ELEMENTWISE:
            tensor = inputs[0]
        elif node.op in _WITH_SCALARS and (other := _beside_scalars(view, inputs)):
            tensor = other
        else:
            break
    return tensor


def _beside_scalars(view: View, inputs: list[TensorName]) -> TensorName | None:
    """The one input that is not known to be a scalar; None where there are more."""
    known = [view.known(f"{name}:{output}") for name, output in inputs]
    others = [tensor for tensor, found in zip(inputs, known, strict=True) if found is None or not found.is_scalar]
    return others[0] if len(others) == 1 else None


def _unscaled(view: View, node: NodeDef, text: str, left_out: dict[str, str]) -> str:
    """What comes to a dropout before it is divided by what is kept.

    Where what is too small has to become zero, that is the quotient, or "" without one.
    """
    before = text
    while (inner := _without_scale(view, before)) is not None:
        before = inner
    if is_computed(view, before, left_out) or is_computed_with(view, node.name):
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
