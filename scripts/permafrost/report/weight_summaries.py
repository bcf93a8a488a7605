"""What is known of a tensor of a checkpoint once its bytes have gone by: none of them stay in memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.checkpoint.reader import Checkpoint
from permafrost.graph.dtypes import dtype_name, numpy_dtype
from permafrost.outcome import Problem


class Summary:
    """What the values of a tensor have in common, which come part by part.

    dtype, shape: the tensor's. size: how many there are. is_zero: whether all are 0, as they are where there is none.
    lowest, highest: of all but complex ones; NaN where one is NaN, 0 where there is none. nans, infinite: how many are
    such.
    """

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...]):
        self.dtype, self.shape = dtype, shape
        self.size, self.is_zero, self.nans, self.infinite = 0, True, 0, 0
        self.lowest = self.highest = 0.0

    def add(self, part: memoryview) -> None:
        """Takes in the bytes of further values, of which there is a whole number. Raises ValueError for other bytes."""
        values: NDArray[Any] = np.frombuffer(part, self.dtype)
        if not values.size:
            return
        if self.dtype.kind == "c":
            is_finite, is_zero = bool(np.isfinite(values).all()), not values.any()
        else:
            with np.errstate(invalid="ignore"):
                lowest, highest = float(values.min()), float(values.max())
            self.lowest = float(np.minimum(self.lowest, lowest)) if self.size else lowest
            self.highest = float(np.maximum(self.highest, highest)) if self.size else highest
            is_finite, is_zero = bool(np.isfinite(lowest) and np.isfinite(highest)), lowest == 0 == highest
        if not is_finite:
            self.nans += int(np.isnan(values).sum())
            self.infinite += int(np.isinf(values).sum())
        self.is_zero = self.is_zero and is_zero
        self.size += values.size


def summarize(checkpoint: Checkpoint, key: str) -> Summary | None:
    """The summary of a tensor of an open checkpoint; None for strings, and for what cannot be read."""
    try:
        tensor = checkpoint.tensors[key]
        summary = Summary(numpy_dtype(dtype_name(tensor.dtype)), tensor.shape)
        if summary.dtype.kind == "O":
            return None
        checkpoint.stream(key, summary.add)
    except (Problem, OSError, ValueError, TypeError):
        return None
    return summary
