"""What the weights themselves tell: numbers that are none, layers that were never trained, averages never updated."""

import re
from collections.abc import Iterator
from typing import Any

from permafrost.records import Variable
from permafrost.report.tables.findings import ERROR, INFO, WARNING, Finding
from permafrost.report.weight_summaries import Summary, summarize

_MEAN, _VARIANCE = re.compile(r"moving_mean(/|$)"), re.compile(r"moving_var(iance)?(/|$)")
_AVERAGE = "/ExponentialMovingAverage"
_MOMENTS = ("/Adam", "/Momentum")  # slots that are zero as long as a variable has had no gradient
_NAME_OF_FLAG = re.compile(r"is_?training|train(ing)?_(mode|phase)|learning_phase", re.IGNORECASE)


def of_weights(variables: list[Variable], weights: str, checkpoint: Any) -> Iterator[Finding]:
    """Findings for the variables that the checkpoint has values for; each tensor is read once.

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
        values = summarize(checkpoint, row.key)
        if values is None or not values.size:
            continue
        is_zero[row.key] = values.is_zero
        if values.dtype == bool:
            if values.size == 1 and not values.is_zero and _NAME_OF_FLAG.search(row.variable):
                yield Finding(WARNING, "training_flag", row.variable, "it is true in the checkpoint")
            continue
        yield from _of_values(row, values, row.variable.rpartition("/")[0] in names)
        for kind, pattern in (("mean", _MEAN), ("variance", _VARIANCE)):
            if pattern.search(row.variable):
                idle[kind] |= {values.lowest, values.highest}
                firsts[kind] = firsts[kind] or row.variable
    if idle["mean"] == {0.0} and idle["variance"] == {1.0}:
        advice = "all moving averages are 0 and 1: they were never updated, and inference with them is wrong"
        yield Finding(WARNING, "averages_not_updated", firsts["mean"], advice)
    yield from _of_slots(rows, checkpoint, is_zero)
    averaged = [row.variable for row in rows if row.key + _AVERAGE in checkpoint.tensors]
    if averaged and weights == "raw":
        advice = f"the checkpoint has moving averages of {len(averaged)} variables; `weights: ema` freezes those"
        yield Finding(INFO, "averages_not_used", averaged[0], advice)


def _of_values(row: Variable, values: Summary, is_slot: bool) -> Iterator[Finding]:
    if values.dtype.kind not in "fcV":
        return
    if values.nans:
        yield Finding(ERROR, "nan_weights", row.variable, f"{values.nans} of {values.size} values are NaN")
    if values.infinite:
        told = f"{values.infinite} of {values.size} values are infinite"
        yield Finding(ERROR, "infinite_weights", row.variable, told)
    if len(values.shape) > 1 and not is_slot and values.is_zero:
        yield Finding(WARNING, "zero_weights", row.variable, "all values are 0; the layer gives the same for any input")


def _of_slots(rows: list[Variable], checkpoint: Any, is_zero: dict[str, bool]) -> Iterator[Finding]:
    """Variables whose optimizer slots are all zero, where those of others are not; `is_zero`: of keys read before."""
    for slot in _MOMENTS:
        slots = {row.variable: row.key + slot for row in rows if row.key + slot in checkpoint.tensors}
        idle = []
        for variable, key in slots.items():
            if key not in is_zero:
                values = summarize(checkpoint, key)
                is_zero[key] = values is not None and values.size > 0 and values.is_zero
            if is_zero[key]:
                idle.append(variable)
        if len(idle) < len(slots):
            for variable in idle:
                advice = f"its {slot[1:]} slot is all 0: it has had no gradient"
                yield Finding(INFO, "never_trained", variable, advice)
