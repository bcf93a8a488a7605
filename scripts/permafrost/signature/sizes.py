"""Sensible sizes for what a graph leaves open of its inputs: pictures, the lengths of texts and series, sounds.

An open dimension that the batch fills makes a picture of 2 x 2 pixels, and a text of two words. What is proposed here
is no more than a guess; whoever runs the graph finds out whether it takes that.
"""

from collections.abc import Iterator, Mapping

from msgspec import UNSET
from msgspec.structs import replace

from permafrost import input_kinds as kinds
from permafrost.graph.index import GraphIndex, TensorName
from permafrost.graph.protos import NodeDef
from permafrost.graph.static import element_count
from permafrost.signature import image_sizes
from permafrost.signature.uses import along

_LENGTH = 16  # of texts and series
_CHANNELS = (1, 3, 4)  # of pictures that no op here is known to take
_SAMPLES = 16_000  # a second of sound
_MOST_ELEMENTS = 1 << 20  # of an input without its batch
_MOST_TENSORS = 200  # that are looked at behind an input
_TAKE_SOUND = {"AudioSpectrogram", "RFFT", "Mfcc"}
_TO_SOUND = {
    *("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "StridedSlice", "Slice", "Pad", "Mul", "RealDiv", "Sub"),
    *("Split", "SplitV", "ConcatV2", "GatherV2", "Transpose", "Add", "AddV2"),
}
_FIXED = (kinds.Value, kinds.File, kinds.Default, kinds.Indices, kinds.Sizes, kinds.RowSplits)


def bound_lengths(specs: kinds.Inputs) -> None:
    """Lets lengths, in place, go no further than the second dimension of the inputs that they go with."""
    times = [s.shape[1] for s in specs.values() if s.shape and len(s.shape) > 1 and not isinstance(s, kinds.Value)]
    known = [time for time in times if time is not None]
    if not known or None in times:
        return
    for name, spec in specs.items():
        if isinstance(spec, kinds.Integers) and spec.high is None:
            specs[name] = replace(spec, high=min(known) + 1)


def proposals(
    index: GraphIndex, names: Mapping[str, TensorName], specs: kinds.Inputs, variable_shapes: Mapping[str, list[int]],
    outputs: list[str],
) -> Iterator[kinds.Inputs]:  # fmt: skip
    """The same inputs with sensible sizes for what is open in them, the boldest proposal first; none for none.

    Args:
      index: of the graph that is run.
      names: input -> its tensor in that graph.
      specs: what is fed so far.
      variable_shapes: variable node -> shape.
      outputs: nodes, to which the ways are looked at.
    """
    own = index.reach(outputs)
    pictures, others = dict(specs), dict(specs)
    for name, spec in specs.items():
        if isinstance(spec, _FIXED) or not spec.shape or spec.open is UNSET:
            continue
        picture = _picture(index, own, names[name], spec, variable_shapes) if len(spec.shape) == 4 else None
        if picture is not None:
            pictures[name] = picture
        else:
            others[name] = _series(index, own, names[name], spec)
    both = others | {name: spec for name, spec in pictures.items() if spec != specs[name]}
    tried = [specs]
    for proposal in (_to_the_end(both) if others != specs else both, both, pictures, others):
        if proposal not in tried and all(_is_moderate(spec) for spec in proposal.values()):
            tried.append(proposal)
            yield proposal


def _to_the_end(specs: kinds.Inputs) -> kinds.Inputs:
    """The same with lengths that may go as far as the texts and series that got a size here."""
    return {
        name: replace(spec, high=_LENGTH + 1) if isinstance(spec, kinds.Integers) and spec.high is None else spec
        for name, spec in specs.items()
    }


def _is_moderate(spec: kinds.Input) -> bool:
    count = element_count(size or 1 for size in spec.shape or ())
    return count is not None and count <= _MOST_ELEMENTS


def _picture(
    index: GraphIndex, own: set[str], tensor: TensorName, spec: kinds.Input, variable_shapes: Mapping[str, list[int]]
) -> kinds.Input | None:
    """A picture with a height and a width that the network takes; None for what is none, as a mask."""
    shape = list(spec.shape or ())
    is_first = _channels_first(index, own, tensor)
    rows = (2, 3) if is_first else (1, 2)
    free = [at for at in rows if shape[at] is None or spec.open == "rank" or at in (spec.open or ())]
    if not free:
        return spec
    known = (None if rows[0] in free else shape[rows[0]], None if rows[1] in free else shape[rows[1]])
    channels = shape[1 if is_first else 3] or 0
    side = image_sizes.side(index, own, tensor, known, channels, variable_shapes, is_first)
    if side is None and channels not in _CHANNELS:
        return None
    return _sized(spec, dict.fromkeys(free, side or image_sizes.USUAL))


def _channels_first(index: GraphIndex, own: set[str], tensor: TensorName) -> bool:
    """Whether the first op behind an input that has a data format has the channels before height and width."""
    behind = along(index, own, tensor, lambda node, position: index.used_outputs(node.name), _MOST_TENSORS)
    telling = (node for node, _ in behind if "data_format" in node.attr and node.op != "BiasAdd")
    return next((bool(node.attr["data_format"].s == b"NCHW") for node in telling), False)


def _series(index: GraphIndex, own: set[str], tensor: TensorName, spec: kinds.Input) -> kinds.Input:
    """A text, a series or a sound of some length."""
    shape = spec.shape or []
    if _is_sound(index, own, tensor):
        # The op takes samples and channels, and no batch.
        free = [at for at, size in enumerate(shape) if size is None and (at > 0 or len(shape) < 3)]
        return _sized(spec, {free[-1]: _SAMPLES}) if free else spec
    return _sized(spec, {at: _LENGTH for at, size in enumerate(shape) if size is None and at > 0})


def _is_sound(index: GraphIndex, own: set[str], tensor: TensorName) -> bool:
    """Whether an input goes to an op that takes samples, with no more than cutting and scaling on the way."""

    def hands_on(node: NodeDef, position: int) -> set[int]:
        return index.used_outputs(node.name) if node.op in _TO_SOUND else set()

    return any(node.op in _TAKE_SOUND for node, _ in along(index, own, tensor, hands_on, _MOST_TENSORS))


def _sized(spec: kinds.Input, sizes: Mapping[int, int]) -> kinds.Input:
    """The same input with these sizes, by the position of the dimension."""
    shape = [sizes.get(at, size) for at, size in enumerate(spec.shape or ())]
    if shape == spec.shape:
        return spec
    is_open = "rank" if spec.open == "rank" else sorted({*(spec.open or ()), *sizes})
    return replace(spec, shape=shape, open=is_open)
