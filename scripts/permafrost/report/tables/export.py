"""export_<format>.csv of a model: how much an exported file and the checkpoint differ."""

from dataclasses import replace

from permafrost import layout
from permafrost.report.tables.verification import VERIFICATION

EXPORT = replace(
    VERIFICATION,
    path=layout.of_model("reports", "<model>", layout.export_table("<format>")),
    rows="a row for each output and trial of an exported file; its values are in the columns of the frozen graph",
)
