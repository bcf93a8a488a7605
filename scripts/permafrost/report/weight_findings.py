"""What the weights themselves tell: numbers that are none, layers that were never trained, averages never updated."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.graph.dtypes import dtype_name, numpy_dtype
from permafrost.outcome import Problem
from permafrost.records import Variable
from permafrost.report.tables.findings import ERROR, INFO, WARNING, Finding

_MEAN, _VARIANCE = re.compile(r"moving_mean(/|$)"), re.compile(r"moving_var(iance)?(/|$)")
_AVERAGE = "/ExponentialMovingAverage"
_MOMENTS = ("/Adam", "/Momentum")  # slots that are zero as long as a variable has had no gradient
_NAME_OF_FLAG = re.compile(r"is_?training|train(ing)?_(mode|phase)|learning_phase", re.IGNORECASE)


def of_weights(variables: list[Variable], weights: str, checkpoint: Any) -> Iterator[Finding]:
    """Findings for the variables that the checkpoint has values for; each tensor is read once, and let go.

    Args:
      variables: as signature.importing.describe_variables gives them.
      weights: `raw` or `ema`, what is frozen.
      checkpoint: an open checkpoint.reader.Checkpoint.
    Tensors that cannot be read are passed over: the freezer says so.
    """
    rows = [row for row in variables if row.key in checkpoint.tensors]
    idle: dict[str, set[float]] = {"mean": set(), "variance": set()}
    names = {row.variable for row in rows}
    firsts = {"mean": "", "variance": ""}
    is_zero: dict[str, bool] = {}
    for row in rows:
        values = _values(checkpoint, row.key)
        if values is None or not values.size:
            continue
        is_zero[row.key] = not values.any()
        if values.dtype == bool:
            if values.size == 1 and values.item() and _NAME_OF_FLAG.search(row.variable):
                yield Finding(WARNING, "training_flag", row.variable, "it is true in the checkpoint")
            continue
        yield from _of_values(row, values, row.variable.rpartition("/")[0] in names)
        for kind, pattern in (("mean", _MEAN), ("variance", _VARIANCE)):
            if pattern.search(row.variable):
                idle[kind] |= {float(values.min()), float(values.max())}
                firsts[kind] = firsts[kind] or row.variable
    if idle["mean"] == {0.0} and idle["variance"] == {1.0}:
        advice = "all moving averages are 0 and 1: they were never updated, and inference with them is wrong"
        yield Finding(WARNING, "averages_not_updated", firsts["mean"], advice)
    yield from _of_slots(rows, checkpoint, is_zero)
    averaged = [row.variable for row in rows if row.key + _AVERAGE in checkpoint.tensors]
    if averaged and weights == "raw":
        advice = f"the checkpoint has moving averages of {len(averaged)} variables; `weights: ema` freezes those"
        yield Finding(INFO, "averages_not_used", averaged[0], advice)


def _of_values(row: Variable, values: NDArray[Any], is_slot: bool) -> Iterator[Finding]:
    if values.dtype.kind not in "fcV":
        return
    if not _are_finite(values):
        nans, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
        if nans:
            yield Finding(ERROR, "nan_weights", row.variable, f"{nans} of {values.size} values are NaN")
        if infinite:
            yield Finding(ERROR, "infinite_weights", row.variable, f"{infinite} of {values.size} values are infinite")
    if values.ndim > 1 and not is_slot and not values.any():
        yield Finding(WARNING, "zero_weights", row.variable, "all values are 0; the layer gives the same for any input")


def _are_finite(values: NDArray[Any]) -> bool:
    """Whether none of the values, of which there are some, is NaN or infinite; without an array of as many booleans."""
    if values.dtype.kind != "f":
        return bool(np.isfinite(values).all())
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _of_slots(rows: list[Variable], checkpoint: Any, is_zero: dict[str, bool]) -> Iterator[Finding]:
    """Variables whose optimizer slots are all zero, where those of others are not; `is_zero`: of keys read before."""
    for slot in _MOMENTS:
        slots = {row.variable: row.key + slot for row in rows if row.key + slot in checkpoint.tensors}
        idle = []
        for variable, key in slots.items():
            if key not in is_zero:
                values = _values(checkpoint, key)
                is_zero[key] = values is not None and values.size > 0 and not values.any()
            if is_zero[key]:
                idle.append(variable)
        if len(idle) < len(slots):
            for variable in idle:
                advice = f"its {slot[1:]} slot is all 0: it has had no gradient"
                yield Finding(INFO, "never_trained", variable, advice)


def _values(checkpoint: Any, key: str) -> NDArray[Any] | None:
    tensor = checkpoint.tensors[key]
    try:
        dtype = numpy_dtype(dtype_name(tensor.dtype))
        if dtype.kind == "O":
            return None
        return np.frombuffer(checkpoint.read(key), dtype).reshape(tensor.shape)
    except (Problem, OSError, ValueError, TypeError):
        return None
