"""What the weights themselves tell: numbers that are none, layers that were never trained, averages never updated."""

import re
from collections.abc import Iterator

import numpy as np

from permafrost.contract import ERROR, INFO, WARNING, Problem
from permafrost.feeds import numpy_dtype
from permafrost.graph_findings import finding
from permafrost.protos import types_pb2

_MEAN, _VARIANCE = re.compile(r"moving_mean(/|$)"), re.compile(r"moving_var(iance)?(/|$)")
_AVERAGE = "/ExponentialMovingAverage"
_MOMENTS = ("/Adam", "/Momentum")  # slots that are zero as long as a variable has had no gradient
_NAME_OF_FLAG = re.compile(r"is_?training|train(ing)?_(mode|phase)|learning_phase", re.IGNORECASE)


def of_weights(variables: list[dict], weights: str, checkpoint) -> Iterator[dict]:
    """Findings for the variables that the checkpoint has values for; each tensor is read once, and let go.

    Args:
      variables: as permafrost.importing.describe_variables gives them.
      weights: `raw` or `ema`, what is frozen.
      checkpoint: an open permafrost.checkpoint.Checkpoint.
    Tensors that cannot be read are passed over: the freezer says so.
    """
    rows = [row for row in variables if row["key"] in checkpoint.tensors]
    idle: dict[str, set[float]] = {"mean": set(), "variance": set()}
    names = {row["variable"] for row in rows}
    firsts = {"mean": "", "variance": ""}
    for row in rows:
        values = _values(checkpoint, row["key"])
        if values is None or not values.size:
            continue
        if values.dtype == bool:
            if values.size == 1 and values.item() and _NAME_OF_FLAG.search(row["variable"]):
                yield finding(WARNING, "training_flag", row["variable"], "it is true in the checkpoint")
            continue
        yield from _of_values(row, values, row["variable"].rpartition("/")[0] in names)
        for kind, pattern in (("mean", _MEAN), ("variance", _VARIANCE)):
            if pattern.search(row["variable"]):
                idle[kind] |= {float(values.min()), float(values.max())}
                firsts[kind] = firsts[kind] or row["variable"]
    if idle["mean"] == {0.0} and idle["variance"] == {1.0}:
        advice = "all moving averages are 0 and 1: they were never updated, and inference with them is wrong"
        yield finding(WARNING, "averages_not_updated", firsts["mean"], advice)
    yield from _of_slots(rows, checkpoint)
    averaged = [row["variable"] for row in rows if row["key"] + _AVERAGE in checkpoint.tensors]
    if averaged and weights == "raw":
        advice = f"the checkpoint has moving averages of {len(averaged)} variables; `weights: ema` freezes those"
        yield finding(INFO, "averages_not_used", averaged[0], advice)


def _of_values(row: dict, values: np.ndarray, is_slot: bool) -> Iterator[dict]:
    if values.dtype.kind not in "fcV":
        return
    nans, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    if nans:
        yield finding(ERROR, "nan_weights", row["variable"], f"{nans} of {values.size} values are NaN")
    if infinite:
        yield finding(ERROR, "infinite_weights", row["variable"], f"{infinite} of {values.size} values are infinite")
    if values.ndim > 1 and not is_slot and not values.any():
        yield finding(
            WARNING, "zero_weights", row["variable"], "all values are 0; the layer gives the same for any input"
        )


def _of_slots(rows: list[dict], checkpoint) -> Iterator[dict]:
    """Variables whose optimizer slots are all zero, where those of others are not."""
    for slot in _MOMENTS:
        slots = {row["variable"]: row["key"] + slot for row in rows if row["key"] + slot in checkpoint.tensors}
        idle = []
        for variable, key in slots.items():
            values = _values(checkpoint, key)
            if values is not None and values.size and not values.any():
                idle.append(variable)
        if len(idle) < len(slots):
            for variable in idle:
                advice = f"its {slot[1:]} slot is all 0: it has had no gradient"
                yield finding(INFO, "never_trained", variable, advice)


def _values(checkpoint, key: str) -> np.ndarray | None:
    tensor = checkpoint.tensors[key]
    name = types_pb2.DataType.Name(tensor.dtype).removeprefix("DT_").lower().removesuffix("_ref")
    try:
        dtype = numpy_dtype({"float": "float32"}.get(name, name))
        if dtype.kind == "O":
            return None
        return np.frombuffer(checkpoint.read(key), dtype).reshape(tensor.shape)
    except (Problem, OSError, ValueError):
        return None
