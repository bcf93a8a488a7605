"""Other values for a weight: what the negative control puts in its place, one change after the other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PART = 1 << 20  # elements


def most_changes() -> int:
    """How many changes the kind of value has that has the most."""
    return max(map(len, _CHANGES.values()))


def changed(value: NDArray[Any], number: int) -> NDArray[Any] | None:
    """`value` after a change, by its number among those of its kind; None where there is none, or nothing changes."""
    changes = _CHANGES.get(value.dtype.kind, _CHANGES["f"])[number:]
    if not changes or not value.size:
        return None
    with np.errstate(all="ignore"):
        other = np.asarray(changes[0](value)).astype(value.dtype, copy=False).reshape(value.shape)
    return None if np.array_equal(other, value) else other


def overflows(expected: NDArray[Any], actual: NDArray[Any]) -> bool:
    """Whether numbers have become infinite or none, as 0 times what is too large does: that shows no dependence."""
    if expected.shape != actual.shape or expected.dtype.kind not in "fcV":
        return False
    return bool((np.isfinite(expected) & ~np.isfinite(actual)).any())


def _larger(value: NDArray[Any], factor: float = 1) -> NDArray[Any]:
    """`factor` times what is larger; part by part, since the numbers on the way to it take several times the memory."""
    flat = value.reshape(-1)
    other = np.empty_like(flat)
    wide = np.complex128 if value.dtype.kind == "c" else np.float64
    for start in range(0, flat.size, _PART):
        part = flat[start : start + _PART].astype(wide)
        # Uneven, so that neither a softmax nor a normalisation takes it back.
        uneven = np.linspace(0.5, 1.5, part.size)
        other[start : start + _PART] = (factor * (part * (1 + uneven) + uneven)).astype(value.dtype)
    return other


def _reversed(value: NDArray[Any]) -> NDArray[Any]:
    """What is in another order stays what it is to be: numbers of rows, words of a vocabulary, some of them true."""
    return value.reshape(-1)[::-1]


def _filled(value: NDArray[Any], element: Any) -> NDArray[Any]:
    return np.full(value.shape, element, value.dtype)


_FLOATS = (
    _larger,
    lambda value: _larger(value, -1),
    lambda value: _larger(value, 1e-3),
    _reversed,
    lambda value: _larger(value, 1000),
    lambda value: _larger(value, -1000),
)
_INTEGERS = (
    lambda value: value + value.dtype.type(1),
    lambda value: value - value.dtype.type(1),
    _reversed,
    lambda value: np.roll(value, 1),
    np.zeros_like,
    lambda value: _filled(value, np.iinfo(value.dtype).max),
    lambda value: _filled(value, np.iinfo(value.dtype).min),
)
_BOOLEANS = (np.logical_not, np.ones_like, np.zeros_like, _reversed)
_STRINGS = (
    lambda value: value + _filled(value, b"~"),
    _reversed,
    lambda value: np.roll(value, 1),
    # What may be taken for a number, or for nothing.
    lambda value: _filled(value, b"0"),
    lambda value: _filled(value, b"1"),
    lambda value: _filled(value, b""),
)
# Kind of a numpy dtype -> the changes of its values, first the one that is enough for most.
_CHANGES = {"f": _FLOATS, "c": _FLOATS, "i": _INTEGERS, "u": _INTEGERS, "b": _BOOLEANS, "O": _STRINGS}
