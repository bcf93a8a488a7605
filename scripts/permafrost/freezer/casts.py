"""TensorFlow's Cast, in numpy: between the dtypes of graph.dtypes.castable, bit for bit as on a CPU.

TensorFlow's threads take numbers too small for their exponent for zeros (port::ScopedFlushDenormal in
tensorflow/core/common_runtime/process_util.cc), and half and bfloat16 are made of float32 alone (cast_op.h).
"""

from typing import TYPE_CHECKING, Any

from permafrost.graph.dtypes import DTYPES, UNSIGNED, dtype_name, numpy_dtype
from permafrost.outcome import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HALVES = ("float16", "bfloat16")


def cast(values: "NDArray[Any]", before: int, after: int) -> "NDArray[Any]":
    """The values of DataType `before` as those of DataType `after`, of the same shape.

    Raises Problem (unsupported_op) for a number that the other dtype cannot hold, of which each processor makes its
    own.
    """
    import numpy as np  # Only here, since it takes a third of the time in which freezing starts.

    target = numpy_dtype(dtype_name(after))
    if before == after:
        return values
    # Between these two, TensorFlow moves bits.
    if {values.dtype.name, target.name} == {"float32", "bfloat16"}:
        return values.astype(target)
    values = flushed(values)
    if values.dtype.name in (*_HALVES, "float32", "float64") and target.kind in "iu":
        _refuse_outside(values, target, after)
    with np.errstate(all="ignore"):
        if {target.name, values.dtype.name} & {*_HALVES} and values.dtype.name != "float32" and target.kind != "b":
            values = flushed(values.astype(np.float32))
        return flushed(values.astype(target))


def flushed(values: "NDArray[Any]") -> "NDArray[Any]":
    """float32, float64 and complex numbers, with zeros of their sign for those below the smallest normal number."""
    import numpy as np

    if values.dtype.kind == "c":
        parts = values.view(values.real.dtype) if values.flags.c_contiguous and values.ndim else None
        return flushed(parts).view(values.dtype) if parts is not None else values
    if values.dtype.name not in ("float32", "float64"):
        return values
    small = (np.abs(values) < np.finfo(values.dtype).tiny) & (values != 0)
    return np.where(small, np.copysign(values.dtype.type(0), values), values) if small.any() else values


def _refuse_outside(values: "NDArray[Any]", target: Any, after: int) -> None:
    """Raises Problem (unsupported_op) for floats that are no whole number of an integer dtype once they are cut off."""
    import numpy as np

    whole, limits = np.trunc(values.astype(np.float64)), np.iinfo(target)
    lowest = 0 if DTYPES[after].kind == UNSIGNED else float(limits.min)
    # The largest int64 is no float64: what is to fit lies below the power of two after it.
    if not bool(((whole >= lowest) & (whole < float(int(limits.max) + 1))).all()):
        raise Problem("unsupported_op", f"a cast to {dtype_name(after)} meets a number that {dtype_name(after)} lacks")
