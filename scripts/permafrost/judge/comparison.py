"""Comparing two arrays: whether they are the same, and by how much they differ where they are not."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from msgspec import UNSET, Struct, structs
from numpy.typing import NDArray

from permafrost.model import Tolerance
from permafrost.records import is_known

_SAME: Any = UNSET
_PART = 1 << 18  # bytes of weights that are compared at a time
_LARGEST_WHOLE = 2.0**64 - 2048  # the largest float64 that a uint64 holds


def _floats(array: NDArray[Any]) -> NDArray[Any] | None:
    """The array as float64 or complex128, or None where its dtype is no number."""
    if array.dtype.kind in "OSU":
        return None
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _difference(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any] | None:
    """|a - b|; 0 where both are NaN or the same infinity, infinite where only one is. Exact (uint64) for integers."""
    if a.dtype.kind in "biu" and a.dtype == b.dtype:
        return _ulps(a, b)
    x, y = _floats(a), _floats(b)
    if x is None or y is None or x.shape != y.shape:
        return None
    if x.dtype.kind == "c" or y.dtype.kind == "c":
        return np.asarray(np.hypot(_real_difference(x.real, y.real), _real_difference(x.imag, y.imag)))
    return _real_difference(x, y)


def _real_difference(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        agree = (x == y) | (np.isnan(x) & np.isnan(y))
        difference = np.where(agree, 0, np.abs(x - y))
    return np.where(np.isnan(difference), np.inf, difference)


def _max_abs(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    difference = _difference(a, b)
    return None if difference is None else float(difference.max(initial=0))


def _max_rel(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    difference, reference = _difference(a, b), _floats(a)
    if difference is None or reference is None:
        return None
    with np.errstate(all="ignore"):
        relative = np.where(difference == 0, 0, difference / np.abs(reference))
    return float(np.where(np.isnan(relative), np.inf, relative).max(initial=0))


def _ulps(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any] | None:
    """How many representable numbers lie from a to b (uint64); the largest count where only one is NaN.

    Complex numbers count as their two parts, one after the other; None where the dtype is no number.
    """
    if _floats(a) is None or a.shape != b.shape or a.dtype != b.dtype:
        return None
    if a.dtype.kind == "c":
        a, b = (np.ascontiguousarray(array).reshape(-1).view(array.real.dtype) for array in (a, b))
    p, q = _ordered(a), _ordered(b)
    ulps = np.maximum(p, q) - np.minimum(p, q)
    with np.errstate(all="ignore"):
        nan_a, nan_b = a != a, b != b
    return np.where(nan_a & nan_b, 0, np.where(nan_a ^ nan_b, np.iinfo(np.uint64).max, ulps)).astype(np.uint64)


def _ordered(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers as uint64 that have the same order and follow one another without gaps; 0.0 and -0.0 are one."""
    middle = np.uint64(1 << 63)
    if array.dtype.kind in "biu":
        return array.astype(np.uint64) + (middle if array.dtype.kind == "i" else np.uint64(0))
    # A float's bits without the sign count up with its magnitude.
    bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").reshape(array.shape).astype(np.uint64)
    sign = np.uint64(1 << (8 * array.dtype.itemsize - 1))
    magnitude = bits & (sign - np.uint64(1))
    return np.where(bits & sign != 0, middle - magnitude, middle + magnitude)


def _max_ulps(a: NDArray[Any], b: NDArray[Any]) -> int | None:
    ulps = _ulps(a, b)
    return None if ulps is None else int(ulps.max(initial=0))


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    x, y = _floats(a), _floats(b)
    if x is None or y is None or x.size != y.size:
        return None
    with np.errstate(all="ignore"):
        cosine = np.vdot(x, y).real / (np.linalg.norm(x) * np.linalg.norm(y))
    return float(cosine) if np.isfinite(cosine) else None


def _unequal(a: NDArray[Any], b: NDArray[Any]) -> int:
    return max(a.size, b.size) if a.shape != b.shape or a.dtype != b.dtype else int((~_same(a, b)).sum())


def _count(test: Any) -> Any:
    def count(array: NDArray[Any]) -> int:
        values = _floats(array)
        return 0 if values is None else int(test(values).sum())

    return count


_nans, _infinities = _count(np.isnan), _count(np.isinf)

# The columns of verification.csv that say how much two arrays differ: name -> function of (checkpoint's, frozen's).
METRICS: dict[str, Callable[[NDArray[Any], NDArray[Any]], int | float | None]] = {
    "unequal": _unequal,
    "max_abs_diff": _max_abs,
    "max_rel_diff": _max_rel,
    "max_ulp_diff": _max_ulps,
    "cosine": _cosine,
    "nan_checkpoint": lambda a, b: _nans(a),
    "nan_frozen": lambda a, b: _nans(b),
    "inf_checkpoint": lambda a, b: _infinities(a),
    "inf_frozen": lambda a, b: _infinities(b),
}


def measure(a: NDArray[Any], b: NDArray[Any]) -> dict[str, Any]:
    """Each metric of METRICS for the checkpoint's array `a` and the frozen graph's array `b`, of any dtype."""
    return {name: metric(a, b) for name, metric in METRICS.items()}


def largest(values: Iterable[float | None]) -> float | None:
    """The largest of some measures, of which None tells nothing; None where there is no other."""
    return max((value for value in values if value is not None), default=None)


def _same(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Element by element: the same bits, or NaN in both; for complex numbers, each part so."""
    if a.dtype.kind in "OSU":
        return np.asarray(a == b, dtype=bool)
    x, y = (np.ascontiguousarray(array).reshape(-1) for array in (a, b))
    if a.dtype.kind == "c":
        p, q = (array.view(array.real.dtype).reshape(-1, 2) for array in (x, y))
        return np.asarray(_same(p, q).all(axis=1)).reshape(a.shape)
    p, q = (array.view(np.uint8).reshape(array.size, array.itemsize) for array in (x, y))
    bits: NDArray[np.bool_] = (p == q).all(axis=1)
    if np.issubdtype(a.dtype, np.inexact) or a.dtype.kind == "V":
        with np.errstate(all="ignore"):
            bits |= (x != x) & (y != y)
    return bits.reshape(a.shape)


def same_bytes(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays have the same dtype, shape and bytes, the bits of NaN included."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind == "O":
        return bool(a.tolist() == b.tolist())
    x, y = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (a, b))
    # Part by part, since a comparison makes an array of as many booleans.
    return all(np.array_equal(x[at : at + _PART], y[at : at + _PART]) for at in range(0, x.size, _PART))


class Unequal(Struct, kw_only=True):
    """Where two arrays differ first, and their values there; UNSET where they are the same bits."""

    where: str = _SAME
    checkpoint_value: str = _SAME
    frozen_value: str = _SAME


def first_unequal(a: NDArray[Any], b: NDArray[Any]) -> Unequal:
    """Where the checkpoint's array `a` and the frozen graph's `b` differ first.

    Arrays of another dtype or shape differ in that, in no place.
    """
    if a.dtype != b.dtype or a.shape != b.shape:
        first, second = (f"{array.dtype} {list(array.shape)}" for array in (a, b))
        return Unequal(where="", checkpoint_value=first, frozen_value=second)
    different = np.argwhere(~_same(a, b))
    if not len(different):
        return Unequal()
    at = tuple(different[0].tolist())
    return Unequal(where=str(list(at)), checkpoint_value=f"{a[at]!s:.60}", frozen_value=f"{b[at]!s:.60}")


def said(found: Unequal) -> str:
    """What `first_unequal` found, in words."""
    if not is_known(found.where):
        return "the same bits"
    where = f"at {found.where} " if found.where else ""
    return f"{where}{found.checkpoint_value} and {found.frozen_value}"


class Row(Unequal, kw_only=True):
    """What verification.csv tells of a tensor in a trial, with the columns' names; the later ones are METRICS.

    first_tensor: where it begins to differ, UNSET where nobody looked.
    """

    output: str
    trial: int
    seed: int
    batch: int
    session: str
    behaviour: str
    dtype: str
    shape: str
    match: str
    tolerance_used: float | None
    first_tensor: str = _SAME
    unequal: int
    max_abs_diff: float | None
    max_rel_diff: float | None
    max_ulp_diff: int | None
    cosine: float | None
    nan_checkpoint: int
    nan_frozen: int
    inf_checkpoint: int
    inf_frozen: int


def compare(a: NDArray[Any], b: NDArray[Any], tolerance: Tolerance | None) -> dict[str, Any]:
    """What a Row tells of the checkpoint's array `a` and the frozen graph's array `b`, field by field."""
    matching = match(a, b, tolerance)
    found = {"dtype": str(a.dtype), "shape": str(list(a.shape)), "match": matching}
    used = {"tolerance_used": tolerance_used(a, b, tolerance)}
    return found | used | measure(a, b) | ({} if matching else structs.asdict(first_unequal(a, b)))


def match(a: NDArray[Any], b: NDArray[Any], tolerance: Tolerance | None = None) -> str:
    """`bitwise` where the arrays are the same bits (NaN equals NaN), `tolerance` where they are within it, else ``.

    Args:
      tolerance: as for `tolerance_used`.
    """
    if a.dtype == b.dtype and a.shape == b.shape and _same(a, b).all():
        return "bitwise"
    used = tolerance_used(a, b, tolerance)
    return "tolerance" if used is not None and used <= 1 else ""


def is_close(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays differ by no more than what another order of the same arithmetic makes."""
    numbers = _floats(a)
    if numbers is None or not numbers.size:
        return bool(match(a, b))
    with np.errstate(all="ignore"):
        magnitudes = np.abs(numbers)
        largest = float(np.where(np.isfinite(magnitudes), magnitudes, 0).max())
    return bool(match(a, b, {"rtol": 1e-4, "atol": 1e-4 * largest}))


def tolerance_used(a: NDArray[Any], b: NDArray[Any], tolerance: Tolerance | None) -> float | None:
    """The part of a tolerance that the largest difference takes; more than 1 is beyond it, None where it says nothing.

    Args:
      tolerance: {"ulp": int}, units in the last place, or {"rtol": float, "atol": float}, either of which may be
        missing and is 0 then: |a - b| <= atol + rtol * |a|. NaN and infinities must stand in the same places. None
        and {} allow nothing.
    """
    if not tolerance or a.dtype != b.dtype or a.shape != b.shape:
        return None
    numbers = _floats(a)
    difference = _difference(a, b)
    if difference is None or numbers is None:
        return None
    if not np.isfinite(difference).all():
        return float("inf")
    if "ulp" in tolerance and (ulps := _ulps(a, b)) is not None:
        difference, bound = ulps, np.asarray(tolerance["ulp"], np.float64)
    else:
        with np.errstate(all="ignore"):
            reference = np.abs(numbers)
            reference = np.where(np.isfinite(reference), reference, 0)
            bound = tolerance.get("atol", 0.0) + tolerance.get("rtol", 0.0) * reference
    # Whole numbers are compared as such, since a float64 does not hold all of them.
    limit = bound
    if difference.dtype == np.uint64:
        limit = np.minimum(np.floor(bound), _LARGEST_WHOLE).astype(np.uint64)
    with np.errstate(all="ignore"):
        part = np.where(difference == 0, 0, difference / bound)
    beyond = difference > limit
    # A part of 1 may be rounded; what is beyond is more than 1.
    part = np.where(beyond, np.maximum(part, np.nextafter(1, 2)), np.minimum(part, 1))
    return float(part.max(initial=0))
