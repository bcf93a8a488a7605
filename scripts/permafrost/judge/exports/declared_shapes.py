"""The shapes that an exported file declares of what it takes and gives, beside those of the arrays of a trial."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

Sizes = list[int | str | None]  # a name for an open dimension, or None


class Declared(NamedTuple):
    """Key -> the shape that a file declares; None for an unknown rank."""

    inputs: Mapping[str, Sizes | None]
    outputs: Mapping[str, Sizes | None]


def contradicted(declared: Declared, fed: Mapping[str, NDArray[Any]], given: Mapping[str, NDArray[Any]]) -> str:
    """The first input or output, in words, that has another shape than the file declares; "" where there is none.

    Runtimes pass over that, but what plans memory by it, or builds for one shape, does not. Dimensions of one name have
    to be of one size.
    Args:
      fed, given: what goes into the file and what it should give, by key.
    """
    sizes: dict[str, int] = {}
    for what, key, shape, value in _ends(declared, fed, given):
        found = list(value.shape)
        if len(shape) != len(found) or not all(_fits(*each, sizes) for each in zip(shape, found, strict=True)):
            named = f" where {sizes}" if any(isinstance(own, str) for own in shape) else ""
            return f"the file declares {what} {key!r} to have the shape {shape}{named}, and it has {found}"
    return ""


def _fits(declared: int | str | None, size: int, sizes: dict[str, int]) -> bool:
    if isinstance(declared, str):
        return sizes.setdefault(declared, size) == size
    return declared in (None, size)


def _ends(
    declared: Declared, fed: Mapping[str, NDArray[Any]], given: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, str, Sizes, NDArray[Any]]]:
    for what, shapes, values in (("input", declared.inputs, fed), ("output", declared.outputs, given)):
        for key, shape in shapes.items():
            if shape is not None and key in values:
                yield what, key, shape, values[key]
