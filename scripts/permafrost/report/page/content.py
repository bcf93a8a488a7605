"""Writes index.html: all the reports as one page that opens from the disk, without a network or a server.

It reads the tables of the zoo, and the records and tables of as many models as fit into the page.
"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from permafrost import layout, outcome, whole_files
from permafrost.model import Model
from permafrost.report import causes, csv_files, history, reference, run_file
from permafrost.report.columns import Table
from permafrost.report.page import brief, card, exported, head, judged, nodes, overview, plots, template, trend
from permafrost.report.page.details import detail
from permafrost.report.page.hidden_paths import hider
from permafrost.report.run_file import Run
from permafrost.report.tables.changes import CHANGES, KINDS
from permafrost.report.tables.exports import EXPORTS
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.history import HISTORY
from permafrost.report.tables.op_types import OP_TYPES
from permafrost.report.tables.summary import SUMMARY
from permafrost.report.tables.timings import TIMINGS

_SOURCE = Path(__file__).parent / "assets"
_MEANINGS = {
    "verified": "the frozen graph computes what the checkpoint computes",
    "mismatch": "the judge found a difference: do not use them",
    "unverifiable": "frozen, but they could not be run or compared",
    "failed": "could not be frozen; there is no .pb",
}
_SHOWN = (
    layout.SUMMARY,
    layout.CHANGES,
    layout.FINDINGS,
    layout.ZOO,
    layout.OP_TYPES,
    layout.TIMINGS,
    layout.EXPORTS,
    layout.HISTORY,
)
_READ = {
    layout.SUMMARY: SUMMARY,
    layout.CHANGES: CHANGES,
    layout.FINDINGS: FINDINGS,
    layout.TIMINGS: TIMINGS,
    layout.OP_TYPES: OP_TYPES,
    layout.EXPORTS: EXPORTS,
}


@dataclass(frozen=True)
class Ended:
    """How a model ended, as history.row asks for it."""

    status: str
    is_as_expected: bool


def verdict(summary: pd.DataFrame, exports: pd.DataFrame | None = None) -> str:
    """The one sentence that says how it went."""
    bad = 0 if exports is None else exported.unexpected(exports)
    of_exports = f"; {bad:,} {'export is' if bad == 1 else 'exports are'} not as expected" if bad else ""
    return f"{_of_models(summary)}{of_exports}"


def _of_models(summary: pd.DataFrame) -> str:
    count, verified = len(summary), int((summary["status"] == outcome.VERIFIED).sum())
    unexpected = int((~overview.as_expected(summary)).sum())
    if not count:
        return "There is no model"
    said = "All models are verified" if verified == count else f"{verified:,} of {count:,} models are verified"
    if unexpected:
        return f"{said}, and {unexpected:,} {'is' if unexpected == 1 else 'are'} not as expected"
    return said if verified == count else f"{said}, and the others are as expected"


def content(
    models: list[Model], read: dict[str, pd.DataFrame], frozen: str, reports: str, zoos: list[str]
) -> dict[str, Any]:
    """All that the template shows, and `data`, all that its script shows.

    Args:
      models: as the last discovery found them.
      read: the tables of _READ, all strings.
    """
    summary, exports = read[layout.SUMMARY], read[layout.EXPORTS]
    roots = [*zoos, frozen, reports, os.getcwd(), os.path.expanduser("~"), str(_SOURCE.parents[4])]
    of_all, of_findings = hider(roots), hider(roots, foreign=False)
    beside = [f"{layout.MODELS}/{{model}}/{name}" for name in layout.OF_MODEL]
    beside_graph = partial(layout.of_frozen, os.path.relpath(frozen, reports), "{model}")
    card_of = card.of_models(models, frozen, reports, of_all)
    changes = overview.told_changes(read[layout.CHANGES])
    kinds = [row["change"] for row in changes]
    worst = exported.worst_first(exports)
    run = run_file.read(f"{reports}/{layout.RUN}")
    finished = past_runs(reports, read, run)
    steps = [*overview.next_steps(summary), *exported.next_steps(exports)]
    of_others = judged.rows(reports)
    first = overview.worst_first(summary)
    data = {
        "models": overview.models_table(summary, read[layout.FINDINGS], of_all),
        "details": overview.details(
            first, lambda model: detail(frozen, reports, model, (of_findings, of_all)) | card_of(model)
        ),
        "nodes": nodes.of_all(reports, first),
        "ops": overview.ops(read[layout.OP_TYPES], summary["model"].tolist()),
        "types": reference.TYPES,
        "meanings": SUMMARY.sentences(),
        "causes": {cause: causes.MEANINGS.get(cause, "") for cause in sorted({*summary["cause"], *exports["cause"]})},
        "commands": head.commands(run, frozen, reports),
        "frozen_graph": beside_graph(layout.FROZEN_GRAPH),
        "model_files": beside + list(map(beside_graph, layout.OF_FROZEN)),
        "card_files": list(map(beside_graph, (layout.CARD, layout.HASHES))),
        "example": beside_graph(layout.EXAMPLE),
        "exports": {
            model: [list(map(of_all, row)) for row in rows] for model, rows in exported.by_model(exports).items()
        },
        "export_columns": exported.columns(),
        "export_files": exported.files(os.path.relpath(frozen, reports)),
    }
    described = {os.path.basename(table.path): table.rows for table in reference.TABLES}
    return {
        "verdict": verdict(summary, exports),
        "models": len(summary),
        "answer": overview.answer(summary),
        "meanings": _MEANINGS,
        "head": [(name, of_all(text)) for name, text in head.facts(run, zoos, finished)],
        "steps": [
            step | {"hint": of_all(step["hint"]), "meaning": causes.MEANINGS.get(step["cause"], "")} for step in steps
        ],
        "runs": trend.last(finished),
        "run_counts": ("models", *outcome.STATUSES, "not_as_expected"),
        "trend": trend.drawing(finished),
        "judged": [{key: of_all(text) for key, text in row.items()} for row in of_others[: judged.MOST]],
        "judged_counts": judged.counts(of_others),
        "judged_in_all": len(of_others),
        "unsure": overview.unsure(summary),
        "warnings": [row | {"advice": of_findings(row["advice"])} for row in overview.warnings(read[layout.FINDINGS])],
        "changes": [
            row | {"before": of_all(row["before"]), "after": of_all(row["after"])}
            for row in changes[: overview.MOST_CHANGES]
        ],
        "changes_in_all": len(changes),
        "change_counts": [(kind, count) for kind in KINDS if (count := kinds.count(kind))],
        "all_new": bool(kinds) and kinds.count("new") == len(kinds) == len(summary),
        "plots": list(plots.plots(summary, read[layout.TIMINGS], read[layout.OP_TYPES])),
        "exports": [{key: of_all(text) for key, text in row.items() if isinstance(text, str)} for row in worst],
        "export_counts": exported.counts(exports),
        "export_statuses": outcome.EXPORT_STATUSES,
        "exports_in_all": exported.not_well(exports),
        "files": [(name, described[name]) for name in _SHOWN],
        "data": data,
    }


def frame(path: str, table: Table) -> pd.DataFrame:
    """A table on the disk, all strings. Raises Problem where it cannot be read, or lacks a column of `table`."""
    header, rows = csv_files.read(path, table.header)
    return pd.DataFrame(rows, columns=header, dtype=str)


def past_runs(reports: str, read: dict[str, pd.DataFrame], run: Run | None) -> list[dict[str, str]]:
    """The rows of history.csv, and that of the run which wrote the summary, which the gate adds when it has passed.

    Args:
      run: what is known of that run.
    Raises OSError where the summary is not there any more.
    """
    summary = read[layout.SUMMARY]
    ended = [Ended(*pair) for pair in zip(summary["status"], overview.as_expected(summary), strict=True)]
    row = history.row(ended, Path(reports, layout.SUMMARY), run)
    return history.with_row(csv_files.read_rows_or_none(Path(reports, layout.HISTORY), HISTORY.header), row)


def write(models: list[Model], frozen: str, reports: str, path: Path, brief_path: Path, zoos: list[str]) -> None:
    """Writes the page to `path` and the brief to `brief_path`. Raises OSError, and Problem for a table that is none.

    Args:
      models: as the last discovery found them.
      frozen, reports, zoos: the directories that the page is about.
    """
    read = {name: frame(f"{reports}/{name}", table) for name, table in _READ.items()}
    made = content(models, read, frozen, reports, zoos)
    html, text = template.render(_SOURCE, made), brief.text(made, read[layout.SUMMARY])
    for place, said in ((path, html), (brief_path, text)):
        with whole_files.written_whole(place) as temporary:
            temporary.write_text(said, encoding="utf-8")
