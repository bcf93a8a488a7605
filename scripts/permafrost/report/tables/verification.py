"""verification.csv, and the judged.csv of a model: how much the two sides differ."""

from collections.abc import Sequence
from typing import Any

from permafrost import layout
from permafrost.report.columns import Integer, Number, Table, Text


class _Count(Number):
    """A number that is written as an integer where it is known in all rows, and as a float where it is not."""

    def cells(self, values: Sequence[Any]) -> list[str]:
        return super().cells(values) if None in values else list(map(str, values))


VERIFICATION = Table(
    layout.of_model("reports", "<model>", layout.VERIFICATION),
    "a row for each output and trial",
    (
        Text("output", "the tensor that was compared"),
        Integer("trial", "the number of the trial, from 0"),
        Integer("seed", "the seed of what was fed"),
        Integer("batch", "the batch size"),
        Text("session", "`shared` where nothing that is run keeps state, and one session has all trials; else `fresh`"),
        Text("dtype", "the dtype of the checkpoint's output"),
        Text("shape", "its shape"),
        Text("behaviour", "`deterministic`, `random` or `stateful`, by further runs of the checkpoint's graph"),
        Text("match", "`bitwise`, `tolerance`, or empty where the two sides differ"),
        Number("tolerance_used", "the part of a tolerance that the largest difference takes; more than 1 is beyond it"),
        Integer("unequal", "elements that are not equal"),
        Number("max_abs_diff", "the largest absolute difference"),
        Number("max_rel_diff", "the largest difference relative to the checkpoint's value"),
        _Count("max_ulp_diff", "the largest number of representable numbers between the two values"),
        Number("cosine", "the cosine of the angle between the two, as vectors"),
        Integer("nan_checkpoint", "elements of the checkpoint's output that are NaN"),
        Integer("nan_frozen", "elements of the frozen graph's output that are NaN"),
        Integer("inf_checkpoint", "elements of the checkpoint's output that are infinite"),
        Integer("inf_frozen", "elements of the frozen graph's output that are infinite"),
        Text("where", "the index of the first element that differs; empty where dtype or shape do"),
        Text("checkpoint_value", "the checkpoint's value there"),
        Text("frozen_value", "the frozen graph's value there"),
        Text("first_tensor", "the first tensor, in the order of the data, that differs: its name, op and both values"),
    ),
)
