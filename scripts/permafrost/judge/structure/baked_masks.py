"""The judge's own word on dropouts that keep all: products with, and choices by, a mask of ones that was drawn.

A mask is ones where its range says so (baked_ranges), and has the shape of what it masks where it was drawn in the
shape of a tensor from which both come by ops that change no shape.
"""

from collections.abc import Callable
from typing import Any

from permafrost.flow.body import Body
from permafrost.flow.branches import Branches
from permafrost.graph.protos import NodeDef, types_pb2
from permafrost.judge.structure.baked_ranges import RANDOM, Range

MASKING = ("Mul", "Select", "SelectV2")
_REAL = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16, types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE)
_SCALES = ("Mul", "RealDiv", "Div")
_OF_FIRST_SHAPE = {
    "Identity", "StopGradient", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Sigmoid", "Softplus", "Floor",
    "BiasAdd", "Cast",
}  # fmt: skip
_OF_ONE_SHAPE = {
    "Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Less", "LessEqual", "Greater", "GreaterEqual",
}  # fmt: skip

Ranges = Callable[[str], Range | None]


def kept(node: NodeDef, body: Body, branches: Branches, ranges: Ranges, acts: Callable[[Any], bool]) -> str:
    """What a node masks, where that is what it gives, bit by bit; "" where it may be something else.

    Nor may the mask come elsewhere, or wait for anything that acts (graph.ops.effects) and that the rest does not.

    Of a product it has to be one itself, in which TensorFlow has made zeros of what is too small to be normal.
    """
    if node.attr["T"].type not in _REAL:
        return ""
    for masked, mask, *rest in _ways(node, ranges):
        others = [mask, *rest]
        if branches.of(*others) - branches.of(masked) or not _is_all_ones(ranges(mask)):
            continue
        source = body.nodes.get(body.source(masked))
        if node.op == "Mul" and (source is None or source.op not in _SCALES):
            continue
        if _drawn_in_shape_of(mask, body, ranges) != _shape_origin(masked, body, ranges):
            continue
        if not any(acts(body.nodes[name]) for name in _above(others, body) - _above([masked], body)):
            return masked
    return ""


def _above(texts: list[str], body: Body) -> set[str]:
    """The nodes for which some inputs wait, by data and by control inputs."""
    found: set[str] = set()
    waiting = set(map(body.source, texts))
    while waiting:
        found |= waiting & body.nodes.keys()
        before = {body.source(text) for name in waiting & body.nodes.keys() for text in body.nodes[name].input}
        waiting = before - found
    return found


def _ways(node: NodeDef, ranges: Ranges) -> list[tuple[str, ...]]:
    texts = [text for text in node.input if not text.startswith("^")]
    if node.op == "Mul":
        return [(texts[0], texts[1]), (texts[1], texts[0])]
    other = ranges(texts[2])
    is_right = node.op == "Select" or (other is not None and other.is_scalar)
    return [(texts[1], texts[0], texts[2])] if is_right else []


def _is_all_ones(found: Range | None) -> bool:
    return found is not None and found.only is not None and bool(found.only == 1)


def _drawn_in_shape_of(mask: str, body: Body, ranges: Ranges) -> str | None:
    """The tensor of whose shape a mask was drawn; None where it was not drawn, or in another shape."""
    draw = body.nodes.get(body.source(_shape_origin(mask, body, ranges)))
    if draw is None or draw.op not in RANDOM:
        return None
    shape = body.nodes.get(body.source(draw.input[0]))
    return _shape_origin(shape.input[0], body, ranges) if shape is not None and shape.op == "Shape" else None


def _shape_origin(text: str, body: Body, ranges: Ranges) -> str:
    """The first tensor, on the way back from one, that has its shape for certain."""
    seen = 0
    while (node := body.nodes.get(body.source(text))) is not None and seen <= len(body.nodes):
        seen += 1
        texts = [each for each in node.input if not each.startswith("^")]
        if node.op in _OF_FIRST_SHAPE:
            text = texts[0]
            continue
        known = [ranges(each) for each in texts]
        open_ones = [each for each, found in zip(texts, known, strict=True) if found is None or not found.is_scalar]
        if node.op not in _OF_ONE_SHAPE or len(open_ones) != 1:
            break
        text = open_ones[0]
    return text if body.function is not None else text.removesuffix(":0")
