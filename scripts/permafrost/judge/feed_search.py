"""What to feed instead, when TensorFlow has refused to run a graph on what was fed: from the numbers it complains of.

A graph often fixes more than it declares: a batch size, a length, an image's size. TensorFlow's error names the node
that the sizes do not suit, and the sizes.
"""

import re
from collections.abc import Iterator
from math import isqrt

from msgspec import UNSET
from msgspec.structs import replace

from permafrost.graph.static import element_count
from permafrost.input_kinds import Input, Inputs, Integers, Shape
from permafrost.signature import feeds

# Many graphs hide a fixed batch size. These are tried in this order.
BATCHES = (2, 3, 1, 4, 8, 16, 32, 64, 100, 128, 256, 10, 20, 50)
_IMAGE_SIZES = (28, 32, 64, 128, 224, 256, 299, 512)
_RANKS: tuple[Shape, ...] = ([None], [None, 28, 28, 1], [None, 32, 32, 3], [None, 224, 224, 3])
_NUMBER = re.compile(r"(?<![\w/.'-])\d{1,5}(?![\w/.'])")
_CHANGED = "; changed until it ran"
# What says that a number has to be more than nothing: a length, of which the last entry is taken.
_POSITIVE = re.compile(r"> 0 did not hold|greater than zero|must be positive|= -\d+ is not in")
_OUT_OF_BOUNDS = re.compile(r"index (\d+) of dimension \d+ out of bounds")
_LARGEST_BATCH = 4096
_LARGEST = 1 << 24  # elements of an input that is made larger
_NODE = re.compile(r"^node '([^']*)': ")
# An index that is too large, and the first number that is so.
_BOUNDS = (
    (re.compile(r"not in (?:the )?(?:range )?\[0, ?(\d+)\)"), 0),
    (re.compile(r"<= (\d+)"), 1),
    (re.compile(r"(?:out of range|must be less than|should be less than)\D*(\d+)"), 0),
)


def failing_node(message: str) -> str:
    """The node that an error message of judge.sessions begins with; empty where it names none."""
    found = _NODE.match(message)
    return found[1] if found else ""


def alternatives(specs: Inputs, batch: int, message: str, suspects: set[str]) -> Iterator[tuple[Inputs, int]]:
    """Other (inputs, batch size) to try after a run failed with `message`, the likeliest first.

    Only what the graph and the settings leave open is changed: sizes of dimensions in `open` of an input, which those
    from the settings lack, and how far integers go.
    Args:
      suspects: the names in `specs` on which the failing node depends.
    """
    text = _NODE.sub("", message)
    beyond = {int(index) + 1 for index in _OUT_OF_BOUNDS.findall(text)}
    beyond |= {2 * size for size in beyond}
    numbers = sorted({int(number) for number in _NUMBER.findall(text)} - {0} | beyond)
    for name in sorted(suspects):
        for low, high in _other_ranges(specs[name], text):
            yield _with(specs, name, low=low, high=high), batch
    for name in sorted(suspects):
        for shape in _other_shapes(specs[name], batch, numbers):
            count = element_count(batch if size is None else size for size in shape)
            if count is not None and count <= _LARGEST:
                yield _with(specs, name, shape=shape), batch
    if feeds.has_batch(specs):
        yield from ((specs, other) for other in dict.fromkeys([*_other_batches(numbers, batch), *BATCHES]))
    for name in sorted(suspects):
        for shape in _usual_shapes(specs[name]):
            yield _with(specs, name, shape=shape), batch


def _with(specs: Inputs, name: str, **changed: int | Shape | None) -> Inputs:
    why = specs[name].why.removesuffix(_CHANGED) + _CHANGED
    return specs | {name: replace(specs[name], why=why, **changed)}


def _other_batches(numbers: list[int], batch: int) -> list[int]:
    """Sizes of the batch that a message names, or that would make one count of elements into another."""
    scaled = {b * batch // a for a in numbers for b in numbers if b * batch % a == 0}
    return sorted(size for size in {*numbers, *scaled} if 0 < size <= _LARGEST_BATCH and size != batch)


def _other_ranges(spec: Input, text: str) -> Iterator[tuple[int, int | None]]:
    """From where to where integers could go that the settings do not give."""
    if not isinstance(spec, Integers) or spec.open is UNSET:
        return
    if _POSITIVE.search(text) and spec.low < 1:
        yield 1, spec.high if spec.high is None else max(spec.high, 2)
    for pattern, beyond in _BOUNDS:
        for found in pattern.findall(text):
            high = int(found) + beyond
            if spec.low < high and (spec.high is None or high < spec.high):
                yield spec.low, high
    if spec.high is None or spec.high > spec.low + 1:
        yield spec.low, spec.low + 1
    if (spec.low, spec.high) != (1, 2):
        yield 1, 2


def _other_shapes(spec: Input, batch: int, numbers: list[int]) -> Iterator[Shape]:
    """Shapes with sizes that the message names, or whose number of elements it names."""
    if spec.open == "rank":
        yield from ([None, number] for number in numbers if number > 1)
        return
    shape, open_sizes = _open(spec)
    if not open_sizes:
        return
    known = element_count(size if size is not None else batch for at, size in enumerate(shape) if at not in open_sizes)
    if not known:
        return
    for number in numbers:
        sizes = {number}
        for elements in (number // known, number * batch // known):
            if elements:
                sizes |= {elements, isqrt(elements)} if len(open_sizes) == 2 else {elements}
        for size in sorted(sizes):
            yield [size if at in open_sizes else old for at, old in enumerate(shape)]
            if len(open_sizes) > 1:
                for one in open_sizes:
                    yield [size if at == one else old for at, old in enumerate(shape)]


def _usual_shapes(spec: Input) -> Iterator[Shape]:
    if spec.open == "rank":
        yield from (list(rank) for rank in _RANKS)
        return
    shape, open_sizes = _open(spec)
    for size in _IMAGE_SIZES if open_sizes else ():
        yield [size if at in open_sizes else old for at, old in enumerate(shape)]


def _open(spec: Input) -> tuple[Shape, list[int]]:
    """The shape of an input, and the positions in it that are no more than a guess."""
    return (spec.shape, spec.open) if spec.shape and isinstance(spec.open, list) else ([], [])
