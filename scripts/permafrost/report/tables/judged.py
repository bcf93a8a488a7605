"""judged.csv: how the frozen graphs of other tools were judged."""

from dataclasses import replace

from permafrost import layout
from permafrost.report.columns import Column, Integer, Table, Text
from permafrost.report.tables.summary import SUMMARY


def _as_in_summary(*names: str) -> list[Column]:
    return [replace(SUMMARY.column(name), value=None) for name in names]


JUDGED = Table(
    f"reports/{layout.JUDGED}",
    "a row for each frozen graph that `snakemake judge` judged, sorted by the model's id",
    (
        *_as_in_summary("model", "status", "stage", "cause", "message", "hint"),
        *_as_in_summary("expect", "match", "behaviour", "tolerance_used"),
        Text("frozen_graph", "the file, as the settings name it"),
        Text("structure", "`same`, or the first difference from the meta graph"),
        Integer("weights", "constants that bear a variable's name, all of which have its value"),
        *_as_in_summary("prefix", "inputs", "outputs", "trials", "max_abs_diff"),
    ),
)
