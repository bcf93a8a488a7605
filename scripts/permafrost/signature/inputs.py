"""Describes what is to be fed to a graph: which tensors, of which dtype and shape, with which values.

Settings win. What they leave open comes from the graph: from what it declares, and from the ops that use a tensor,
which bound its values (a table's rows) and fix its dimensions (a weight's).
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from permafrost import input_kinds as kinds
from permafrost.graph.dtypes import dtype_name
from permafrost.graph.feed_points import feed_points, needed, nodes_between
from permafrost.graph.index import GraphIndex, TensorName, Use, tensor_name
from permafrost.graph.protos import NodeDef
from permafrost.graph.pruning import PLACEHOLDERS, declared_dtype, declared_shape
from permafrost.graph.static import constant, element_count, output_shape
from permafrost.outcome import Problem, maybe_meant
from permafrost.signature import float_inputs, pixels, sparse_inputs, string_inputs
from permafrost.signature.called import unfolded
from permafrost.signature.sizes import bound_lengths
from permafrost.signature.table_words import Words
from permafrost.signature.uses import HandsOn, along, takers
from permafrost.signature.weight_shapes import SHAPE_KEEPING, weight_shape

# Ops that hand on a tensor's values, maybe in another shape or order.
_VALUE_KEEPING = {
    "Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "Transpose", "StridedSlice", "Slice", "Concat", "ConcatV2",
    "Pack", "Unpack", "Split", "SplitV", "Enter", "RefEnter", "Switch", "Merge", "Exit", "NextIteration", "Tile",
    "TensorArrayScatter", "TensorArrayScatterV2", "TensorArrayScatterV3", "StopGradient", "Fill", "ReverseV2",
    "ReverseSequence", "PlaceholderWithDefault", "ReadVariableOp", "Snapshot", "CheckNumerics", "Unique", "Maximum",
    "TensorArrayReadV3", "Where", "Select", "Minimum",
}  # fmt: skip
_SHAPE_KEEPING_PAIRS = {"Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "BiasAdd", "Maximum", "Minimum"}
_SHAPED = {"RandomUniform", "RandomStandardNormal", "TruncatedNormal", "Fill"}  # by their first input
_IMAGE_SIZE = 32

_LENGTH = re.compile(
    r"(seq|sequence|source|target|sentence|word|input|x|y)\w*_?len|(^|_)lens?(gth)?s?(_|$)|seq_?len", re.I
)


_FROM_SETTINGS = "from the settings"


def describe(
    index: GraphIndex,
    outputs: list[str],
    configured: dict[str, Any],
    variable_shapes: dict[str, list[int]],
    words: Words | None = None,
) -> kinds.Inputs:
    """What to feed so that `outputs` can be computed.

    Args:
      configured: node or tensor name -> a value, {shape, range} or {file, key}, from the model's settings.
      variable_shapes: variable node name -> shape.
      words: those of tables that no constant of the graph fills.
    Raises Problem: unknown_input for a configured name that the graph lacks, bad_setting for a setting that is none.
    """
    settings = _by_tensor(index, configured)
    uses = _Uses(index, nodes_between(index, outputs, settings), variable_shapes, words or {})
    specs = {}
    for point in needed(index, outputs, settings):
        guess = uses.guess(*point)
        specs[f"{point[0]}:{point[1]}"] = _configured(point, settings[point], guess) if point in settings else guess
    bound_lengths(specs)
    sparse_inputs.fit(index, uses.own, specs, uses.weight_shape)
    return specs


def _by_tensor(index: GraphIndex, configured: dict[str, Any]) -> dict[TensorName, Any]:
    settings = {}
    for name, setting in configured.items():
        node, output = tensor_name(name)
        if node not in index.nodes:
            known = [point for point, _ in feed_points(index)] or index.nodes
            hint = maybe_meant(node, known, cutoff=0.4)
            raise Problem("unknown_input", f"the graph has no node {node!r}, which `inputs:` names", hint)
        settings[node, output] = setting
    return settings


def _configured(point: TensorName, setting: Any, guess: kinds.Input) -> kinds.Input:
    """What a setting says to feed in place of `guess`; raises Problem (bad_setting)."""
    dtype, name = guess.dtype, f"inputs: {point[0]}"
    if not isinstance(setting, dict):
        return kinds.Value(dtype, None, _FROM_SETTINGS, value=setting)
    unknown = set(setting) - {"shape", "range", "file", "key", "value"}
    if unknown or not setting:
        raise Problem(
            "bad_setting", f"{name}: {sorted(unknown) or 'an empty setting'} is not shape, range, value, file or key"
        )
    if "file" in setting:
        return kinds.File(dtype, guess.shape, _FROM_SETTINGS, file=str(setting["file"]), key=setting.get("key"))
    shape = _configured_shape(name, setting.get("shape", guess.shape))
    if "value" in setting:
        own = None if setting.get("shape") is None else shape
        return kinds.Value(dtype, own, _FROM_SETTINGS, value=setting["value"])
    if "range" in setting:
        return _in_range(name, setting["range"], dtype, shape)
    return replace(guess, shape=shape, open=[], why=f"shape from the settings, {guess.why}")


def _configured_shape(name: str, shape: Any) -> kinds.Shape | None:
    """A shape with None for the batch; raises Problem (bad_setting) for what is none."""
    if shape is None:
        return None
    if not isinstance(shape, list) or any(
        size is not None and (not isinstance(size, int) or isinstance(size, bool)) for size in shape
    ):
        raise Problem("bad_setting", f"{name}: shape {shape!r} is not a list of numbers")
    return [None if size is None or size < 0 else size for size in shape]


def _in_range(name: str, bounds: Any, dtype: str, shape: kinds.Shape | None) -> kinds.Uniform | kinds.Integers:
    """Numbers within `bounds`, [least, largest]; raises Problem (bad_setting) for what is no such list."""
    if not isinstance(bounds, list) or len(bounds) != 2 or not all(isinstance(b, int | float) for b in bounds):
        raise Problem("bad_setting", f"{name}: range {bounds!r} is not a list of two numbers")
    low, high = bounds
    if "int" in dtype or dtype == "bool":
        return kinds.Integers(dtype, shape, _FROM_SETTINGS, low=int(low), high=int(high) + 1)
    return kinds.Uniform(dtype, shape, _FROM_SETTINGS, low=low, high=high)


class _Point(NamedTuple):
    """A tensor that is to be fed, as the graph declares it and its uses tell; because: what the shape is from."""

    name: str
    output: int
    dtype: str
    shape: kinds.Shape | None
    because: str
    open: list[int] | Literal["rank"]

    @property
    def leaf(self) -> str:
        """The last part of the node's name."""
        return self.name.rpartition("/")[2][-100:]


class _Uses:
    """Reads from the ops that use a tensor which shapes and values it can have."""

    def __init__(self, index: GraphIndex, own: set[str], variable_shapes: dict[str, list[int]], words: Words):
        self._words = words
        self.index, self.own, self.variable_shapes = index, own, variable_shapes

    def guess(self, name: str, output: int) -> kinds.Input:
        """What to feed to a tensor of which the settings say nothing."""
        node = self.index.nodes[name]
        dtype = dtype_name(declared_dtype(node, output))
        shape, because = self._shape(name, output)
        point = _Point(name, output, dtype, shape, because, self._open(node, output))
        if node.op == "PlaceholderWithDefault":
            return kinds.Default(dtype, shape, "has a default", point.open)
        if dtype == "bool":
            return kinds.Value(dtype, shape, "a flag: false" + because, point.open, value=False)
        if dtype == "string":
            content = self._strings(name, output)
            return kinds.Strings(dtype, shape, content.why + because, point.open, content=content)
        return self._integers(point) if "int" in dtype else self._floats(point)

    def _strings(self, name: str, output: int) -> kinds.Content:
        """What the strings are, by the ops that take them, or else by those in the functions that do."""
        content = string_inputs.content(self.index, self._along(name, output, self._hands_on_values), self._words)
        if content != kinds.Words() or not self.index.graph_def.library.function:
            return content
        inside = unfolded(self.index)
        uses = _Uses(inside, set(inside.nodes), {}, self._words)
        return string_inputs.content(inside, uses._along(name, output, uses._hands_on_values), self._words)

    def _floats(self, point: _Point) -> kinds.Uniform | kinds.Value | kinds.OneHot | kinds.State:
        tensor, shape = (point.name, point.output), point.shape or []
        if not shape:
            switch = float_inputs.switch(self.index, self._takers, tensor, point.leaf)
            if switch is not None:
                return kinds.Value(point.dtype, [], switch[1], point.open, value=switch[0])
        uses = list(self._along(*tensor, self._hands_on_values)) if shape else []
        if float_inputs.is_state(self.index, uses, point.leaf, shape):
            return kinds.State(point.dtype, shape, f"a cell's state: -1 to 1, or zeros{point.because}", point.open)
        if float_inputs.are_one_hot(self.index, uses, self._takers, point.name, shape):
            return kinds.OneHot(point.dtype, shape, f"one of {shape[-1]}{point.because}", point.open)
        if pixels.are_pixels(self.index, uses, point.dtype, shape):
            low, high = float(pixels.LOW), float(pixels.HIGH)
            return kinds.Uniform(point.dtype, shape, pixels.WHY + point.because, point.open, low=low, high=high)
        why = "floats from 0 to 1" + point.because
        return kinds.Uniform(point.dtype, shape, why, point.open, low=0.0, high=1.0)

    def _open(self, node: NodeDef, output: int) -> list[int] | Literal["rank"]:
        """What the graph leaves open of a shape beside the batch: dimensions, or `rank` where it declares nothing."""
        declared = self._declared_here(node, output)
        return "rank" if declared is None else [at for at, size in enumerate(declared) if size < 0 and at > 0]

    def _takers(self, tensor: TensorName) -> list[Use]:
        """(consumer, position) for each use of a tensor on the way to the outputs."""
        return takers(self.index, self.own, tensor)

    def _along(self, name: str, output: int, hands_on: HandsOn) -> Iterator[Use]:
        """The (NodeDef, position) that take a tensor, and what is handed on of it, as uses.along gives them."""
        return along(self.index, self.own, (name, output), hands_on)

    def _hands_on_values(self, node: NodeDef, position: int) -> set[int]:
        keeps = node.op in _VALUE_KEEPING and not (node.op == "Reshape" and position == 1)
        return self.index.used_outputs(node.name) if keeps else set()

    def _integers(self, point: _Point) -> kinds.Integers | kinds.Sizes:
        bounds, length = [], bool(_LENGTH.search(point.leaf))
        uses = list(self._along(point.name, point.output, self._hands_on_values))
        for node, position in uses:
            if (bound := self._bound(node, position)) is not None:
                bounds.append(bound)
            if node.op in _SHAPED and position == 0 and not point.shape:
                shape: kinds.Shape = [1] if point.shape is None else []
                return kinds.Sizes(point.dtype, shape, f"the shape of {node.name}", [], size=[None])
            length = length or _takes_lengths(node, position)
        if bounds:
            return _integers(point, 0, min(bounds), f"indexes {min(bounds)} rows{point.because}")
        if length:
            return _integers(point, 1, None, f"lengths{point.because}")
        if pixels.are_pixels(self.index, uses, point.dtype, point.shape or []):
            return _integers(point, pixels.LOW, pixels.HIGH + 1, f"{pixels.WHY}{point.because}")
        if point.dtype == "uint8" and len(point.shape or ()) > 1:
            return _integers(point, pixels.LOW, pixels.HIGH + 1, f"{pixels.BYTES_WHY}{point.because}")
        if re.search(r"batch_?size", point.leaf, re.IGNORECASE):
            return _integers(point, 1, 2, "a batch size: 1")
        return _integers(point, 0, 2, f"0 or 1{point.because}")

    def _bound(self, node: NodeDef, position: int) -> int | None:
        """The number of values that an op takes from 0 on at one of its inputs, None where it sets no bound."""
        if (node.op in ("Gather", "ResourceGather") and position == 1) or (node.op == "GatherV2" and position == 1):
            rows = self.weight_shape(self.index.source_of(node, 0))
            return rows[0] if rows and rows[0] > 0 else None
        if node.op == "OneHot" and position == 0:
            depth = constant(self.index.source_of(node, 1))
            if depth is None or depth.size != 1 or depth.dtype.kind not in "iu":
                return None
            return depth.item() if depth.item() > 0 else None
        if node.op == "SparseSoftmaxCrossEntropyWithLogits" and position == 1:
            logits = output_shape(self.index.source_of(node, 0))
            return logits[-1] if logits and logits[-1] > 0 else None
        return None

    def weight_shape(self, node: NodeDef | None) -> list[int] | None:
        """The shape of the weight that a NodeDef reads, seen through the ops that read it."""
        return weight_shape(self.index, node, self.variable_shapes)

    def _shape(self, name: str, output: int) -> tuple[list[int | None] | None, str]:
        """The shape to feed, and what it was inferred from; None for an unknown rank that no use tells."""
        node = self.index.nodes[name]
        declared = self._declared_here(node, output)
        known = [None if size < 0 else size for size in declared] if declared is not None else None
        if known is not None and (None not in known[1:] or not known):
            return known, ""
        inferred, why = self._inferred(name, output)
        if known is None:
            return inferred, why
        if inferred is not None and len(inferred) == len(known):
            merged = [k if k is not None else i for k, i in zip(known, inferred, strict=True)]
            return merged, why if merged != known else ""
        return known, ""

    def _declared_here(self, node: NodeDef, output: int) -> tuple[int, ...] | None:
        shape = declared_shape(self.index, node.name, output)
        if node.op not in PLACEHOLDERS or "shape" not in node.attr:
            return shape
        own = node.attr["shape"].shape
        sizes = None if own.unknown_rank else tuple(dimension.size for dimension in own.dim)
        # Before GraphDef version 24, a shape without dimensions also stood for an unknown one.
        if sizes == () and self.index.graph_def.versions.producer < 24:
            return shape
        return sizes if sizes is not None else shape

    def _inferred(self, name: str, output: int) -> tuple[list[int | None] | None, str]:
        """Walks along ops that keep the shape, to one that fixes it."""

        def hands_on(node: NodeDef, position: int) -> tuple[int, ...]:
            pair = node.op in _SHAPE_KEEPING_PAIRS and self._is_small(self.index.source_of(node, 1 - position))
            return (0,) if node.op in SHAPE_KEEPING or pair else ()

        for node, position in self._along(name, output, hands_on):
            shape = self._fixed_by(node, position)
            if shape is not None:
                return shape, f"; shape from {node.name} ({node.op})"
        return None, ""

    def _is_small(self, node: NodeDef) -> bool:
        value = constant(node)
        return value is not None and value.ndim < 2

    def _fixed_by(self, node: NodeDef, position: int) -> list[int | None] | None:
        weight = self.weight_shape(self.index.source_of(node, 1)) if position == 0 else None
        if node.op == "MatMul" and weight and len(weight) == 2:
            return [None, weight[1] if node.attr["transpose_b"].b else weight[0]]
        if node.op.startswith("BatchMatMul") and weight and len(weight) == 2:
            return [None, weight[1] if node.attr["adj_y"].b else weight[0]]
        if node.op == "Conv2D" and weight and len(weight) == 4:
            first = node.attr["data_format"].s == b"NCHW"
            return [None, weight[2], _IMAGE_SIZE, _IMAGE_SIZE] if first else [None, _IMAGE_SIZE, _IMAGE_SIZE, weight[2]]
        if node.op == "DepthwiseConv2dNative" and weight and len(weight) == 4:
            return [None, _IMAGE_SIZE, _IMAGE_SIZE, weight[2]]
        if node.op == "Reshape" and position == 0:
            target = constant(self.index.source_of(node, 1))
            if target is not None and target.ndim == 1 and target.size > 1 and target[0] == -1 and min(target[1:]) > 0:
                return [None, element_count(map(int, target[1:]))]
        if node.op in ("Mul", "Add", "AddV2") and position in (0, 1):
            other = self.weight_shape(self.index.source_of(node, 1 - position))
            if other is not None and len(other) == 1 and other[0] > 1:
                return [None, other[0]]
        return None


def _takes_lengths(node: NodeDef, position: int) -> bool:
    return position == 1 and (node.op == "ReverseSequence" or (node.op.startswith("CTC") and node.op != "CTCLoss"))


def _integers(point: _Point, low: int, high: int | None, why: str) -> kinds.Integers:
    return kinds.Integers(point.dtype, point.shape, why, point.open, low=low, high=high)
