"""timings.csv: how long each stage took, and how much memory."""

from permafrost import layout
from permafrost.report.columns import MODEL, Number, Table, Text

TIMINGS = Table(
    f"reports/{layout.TIMINGS}",
    "a row for each stage of each model",
    (
        Text("model", MODEL),
        Text("stage", "`import_meta`, `freeze`, `verify`, `list_ops`, `export_<format>` or `judge_<format>`"),
        Number("seconds", "wall time, in seconds"),
        Number("cpu_seconds", "CPU time of the stage and its children, in seconds"),
        Number("peak_mb", "the largest resident memory, in MiB"),
    ),
)
