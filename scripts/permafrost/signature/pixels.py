"""Whether an input's numbers are pixels from 0 to 255, as the bytes of pictures are.

The graph tells by what it does to them first: it divides by 255 or so, subtracts the mean of a colour, or takes whole
numbers to a convolution or to what makes pictures larger and smaller.
"""

from collections.abc import Iterable

import numpy as np

from permafrost.graph.index import GraphIndex, Use
from permafrost.graph.protos import NodeDef
from permafrost.graph.static import constant
from permafrost.input_kinds import Shape

LOW, HIGH = 0, 255
WHY = "pixels from 0 to 255"
BYTES_WHY = "bytes from 0 to 255"

# What pixels are divided by, so that they go to 1, or to 2 where 1 is subtracted then.
_DIVISORS = (255, 256, 127.5, 128, 127)
_MEANS = (85, 145)  # between which lie the means of the colours of ImageNet, 103.939 to 123.68, and 128
_TAKE_PICTURES = {
    *("Conv2D", "DepthwiseConv2dNative", "Conv3D", "MaxPool", "AvgPool"),
    *("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "CropAndResize"),
    *("RGBToHSV", "AdjustContrastv2", "AdjustHue", "AdjustSaturation", "RandomCrop"),
}


def are_pixels(index: GraphIndex, uses: Iterable[Use], dtype: str, shape: Shape) -> bool:
    """Whether an input holds pixels from 0 to 255.

    Args:
      uses: (NodeDef, position) of the input's values, the nearest first.
    """
    if len(shape) < 2:
        return False
    is_whole = "int" in dtype
    for node, position in uses:
        if is_whole and len(shape) >= 3 and position == 0 and node.op in _TAKE_PICTURES:
            return True
        if _is_scaled(index, node, position) or (position == 0 and node.op == "Sub" and _is_mean(index, node)):
            return True
    return False


def _is_scaled(index: GraphIndex, node: NodeDef, position: int) -> bool:
    """Whether an op divides what it takes by 255 or so, or multiplies it by the inverse of that."""
    if node.op in ("RealDiv", "Div") and position == 0:
        return _is_divisor(_values(index, node, 1))
    return node.op == "Mul" and _is_divisor(1 / _values(index, node, 1 - position))


def _is_divisor(values: np.ndarray) -> bool:
    return values.size == 1 and bool(np.isclose(values.item(), _DIVISORS, rtol=1e-3).any())


def _is_mean(index: GraphIndex, node: NodeDef) -> bool:
    values = _values(index, node, 1)
    low, high = _MEANS
    return 0 < values.size <= 4 and bool((low <= values).all() and (values <= high).all())


def _values(index: GraphIndex, node: NodeDef, position: int) -> np.ndarray:
    """The few numbers, none of them 0, that a node takes at a position as a constant (float64); empty for others."""
    taken = index.inputs_of(node)[position : position + 1]
    sources = [index.upstream(tensor, ("Identity", "Cast"))[0] for tensor in taken]
    value = constant(index.nodes[sources[0][0]]) if sources and sources[0][0] in index.nodes else None
    if value is None or value.size > 4 or value.dtype.kind not in "iuf" or not np.all(value):
        return np.zeros(0)
    return value.astype(np.float64).reshape(-1)
