"""How large the pictures are that a network takes whose graph leaves that open: from the ops that they go through.

Convolutions and pools make a picture smaller, by the rules of tensorflow/core/framework/common_shape_fns.cc; a dense
layer behind a flattening fixes how many numbers have to be left; a resizing makes any size into its own.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from math import prod
from typing import NamedTuple

from permafrost.graph.index import GraphIndex, TensorName
from permafrost.graph.protos import NodeDef
from permafrost.graph.static import constant
from permafrost.signature.weight_shapes import weight_shape

USUAL = 32  # pixels in height and width, where nothing speaks for another size
_PREFERRED = (32, 28, 64, 224, 128, 256, 299, 96, 84, 160, 112, 512)
_LARGEST = 512
_LARGEST_FREE = 256  # where no dense layer asks for a size
_MOST_OPS = 20_000

_CONVOLUTIONS = {"Conv2D", "DepthwiseConv2dNative"}
_POOLS = {"MaxPool", "AvgPool", "MaxPoolWithArgmax"}
_RESIZING = {"ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"}
_KEEPING = {
    *("Identity", "Cast", "CheckNumerics", "StopGradient", "Snapshot", "Switch", "Merge", "PlaceholderWithDefault"),
    *("BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Maximum", "Minimum", "Square", "Rsqrt", "Neg", "Abs"),
    *("Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Exp", "Floor", "Pow", "AddN"),
    *("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "LRN", "ReverseV2", "Split", "SplitV"),
    *("Concat", "ConcatV2"),
}
_FLATTENED_KEEPING = {"Identity", "Reshape", "Switch", "Merge", "Mul", "RealDiv", "Relu", "Cast"}


class _Step(NamedTuple):
    """A window that slides over height and width."""

    window: tuple[int, int]
    stride: tuple[int, int]
    is_same: bool  # padded so that all of the picture counts

    def left(self, size: int, axis: int) -> int:
        """How many places of the window there are along an axis (0 or 1) of `size` pixels; 0 where it is too large."""
        window, stride = self.window[axis], self.stride[axis]
        return -(-size // stride) if self.is_same else max(0, -(-(size - window + 1) // stride))


_Steps = tuple[_Step, ...]


class _Found(NamedTuple):
    """What a walk found: all ways of steps, the (steps, elements) that dense layers ask for, and sizes of resizings."""

    ways: list[_Steps]
    dense: list[tuple[_Steps, int]]
    resized: list[int]


def side(
    index: GraphIndex, own: set[str], tensor: TensorName, known: tuple[int | None, int | None], channels: int,
    variable_shapes: Mapping[str, list[int]], channels_first: bool,
) -> int | None:  # fmt: skip
    """The height, and width, in pixels for a picture that a graph takes; None where no op that it knows takes it.

    Args:
      own: the nodes to look at.
      tensor: that of the pictures.
      known: height and width where the graph fixes them, else None.
      channels: how many the pictures have, 0 where nothing tells.
      variable_shapes: variable node -> shape.
      channels_first: whether height and width are the last dimensions.
    """
    found = _Walk(index, own, variable_shapes, channels_first).from_(tensor, channels)
    if found.dense:
        return _asked_for(found.dense, known)
    if found.resized:
        return min(max(found.resized), _LARGEST_FREE)
    return _free(found.ways) if any(found.ways) else None


def _asked_for(dense: list[tuple[_Steps, int]], known: tuple[int | None, int | None]) -> int | None:
    """The side with which as many elements are left as each dense layer takes; the most usual of several."""
    fitting = [size for size in range(1, _LARGEST + 1) if all(_fits(size, known, *each) for each in dense)]
    return min(fitting, key=lambda size: (_place(size), size % 8 != 0, -size), default=None)


def _place(size: int) -> int:
    return _PREFERRED.index(size) if size in _PREFERRED else len(_PREFERRED)


def _fits(size: int, known: tuple[int | None, int | None], steps: _Steps, elements: int) -> bool:
    """Whether what is left of a picture after `steps`, with some number of channels, has so many elements."""
    height, width = (_left(steps, size if given is None else given, axis) for axis, given in enumerate(known))
    return height * width == elements


def _left(steps: _Steps, size: int, axis: int) -> int:
    for step in steps:
        size = step.left(size, axis)
    return size


def _free(ways: list[_Steps]) -> int:
    """A side of which some pixels are left on each way, and that the strides of the longest divide."""
    stride = max((prod(max(step.stride) for step in steps) for steps in ways), default=1)
    stride = min(stride, _LARGEST_FREE)
    first = -(-max(USUAL, 2 * stride) // stride) * stride
    for size in range(first, _LARGEST_FREE + 1, stride):
        if all(min(_left(steps, size, 0), _left(steps, size, 1)) > 0 for steps in ways):
            return size
    return min(first, _LARGEST_FREE)


class _Walk:
    """Follows a picture through a graph, as far as its height and width can be told."""

    def __init__(
        self, index: GraphIndex, own: set[str], variable_shapes: Mapping[str, list[int]], channels_first: bool
    ):
        self._index, self._own, self._variable_shapes = index, own, variable_shapes
        self._rows = (2, 3) if channels_first else (1, 2)

    def from_(self, tensor: TensorName, channels: int) -> _Found:
        """All that is found from a tensor of pictures on, breadth first, each tensor by the first way to it."""
        found, seen = _Found([], [], []), {tensor}
        waiting = deque[tuple[TensorName, _Steps, int]]([(tensor, (), channels)])
        while waiting and len(seen) < _MOST_OPS:
            at, steps, channels = waiting.popleft()
            for node, position in self._index.uses.get(at, ()):
                if node.name not in self._own:
                    continue
                for further in self._after(node, position, steps, channels, found):
                    outputs = [(node.name, output) for output in self._index.used_outputs(node.name)]
                    waiting.extend((output, *further) for output in outputs if output not in seen)
                    seen.update(outputs)
        return found

    def _after(
        self, node: NodeDef, position: int, steps: _Steps, channels: int, found: _Found
    ) -> Iterator[tuple[_Steps, int]]:
        """(steps, channels) behind an op that takes a picture; channels is negative for one that was flattened."""
        if channels < 0:
            yield from self._after_flattened(node, position, steps, channels, found)
        elif node.op in _CONVOLUTIONS and position == 0:
            yield from self._convolved(node, steps, found)
        elif node.op in _POOLS:
            window, stride = (self._pair(node.attr[name].list.i) for name in ("ksize", "strides"))
            yield self._stepped(steps, _Step(window, stride, node.attr["padding"].s == b"SAME"), found), channels
        elif node.op in ("Pad", "PadV2", "MirrorPad") and position == 0:
            yield from self._padded(node, steps, channels, found)
        elif node.op in _RESIZING and position == 0:
            found.resized.extend(self._sizes(node) if not steps else ())
        elif node.op == "Reshape" and position == 0 and channels:
            yield steps, -channels
        elif node.op in _KEEPING:
            yield steps, channels

    def _after_flattened(
        self, node: NodeDef, position: int, steps: _Steps, channels: int, found: _Found
    ) -> Iterator[tuple[_Steps, int]]:
        if node.op == "MatMul" and position == 0:
            weight = weight_shape(self._index, self._index.source_of(node, 1), self._variable_shapes)
            rows = weight[node.attr["transpose_b"].b] if weight and len(weight) == 2 else 0
            if rows > 0 and rows % -channels == 0:
                found.dense.append((steps, rows // -channels))
        elif node.op in _FLATTENED_KEEPING and position == 0:
            yield steps, channels

    def _convolved(self, node: NodeDef, steps: _Steps, found: _Found) -> Iterator[tuple[_Steps, int]]:
        weight = weight_shape(self._index, self._index.source_of(node, 1), self._variable_shapes)
        if not weight or len(weight) != 4 or min(weight) < 1:
            return
        dilation = self._pair(node.attr["dilations"].list.i)
        window = ((weight[0] - 1) * dilation[0] + 1, (weight[1] - 1) * dilation[1] + 1)
        step = _Step(window, self._pair(node.attr["strides"].list.i), node.attr["padding"].s == b"SAME")
        channels = weight[2] * weight[3] if node.op == "DepthwiseConv2dNative" else weight[3]
        yield self._stepped(steps, step, found), channels

    def _padded(self, node: NodeDef, steps: _Steps, channels: int, found: _Found) -> Iterator[tuple[_Steps, int]]:
        """A pad is a window of one pixel less than none for each that it adds."""
        pads = constant(self._index.source_of(node, 1))
        if pads is not None and pads.shape == (4, 2):
            added = [int(pads[at].sum()) for at in self._rows]
            yield self._stepped(steps, _Step((1 - added[0], 1 - added[1]), (1, 1), False), found), channels

    def _stepped(self, steps: _Steps, step: _Step, found: _Found) -> _Steps:
        found.ways.append((*steps, step))
        return found.ways[-1]

    def _pair(self, sizes: "list[int]") -> tuple[int, int]:
        """Height and width of a list of four; of another, 1 and 1."""
        height, width = (max(1, sizes[at]) for at in self._rows) if len(sizes) == 4 else (1, 1)
        return height, width

    def _sizes(self, node: NodeDef) -> list[int]:
        size = constant(self._index.source_of(node, 1))
        return [int(each) for each in size.reshape(-1) if each > 0] if size is not None else []
