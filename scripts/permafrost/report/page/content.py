"""Writes index.html: all the reports as one page that opens from the disk, without a network or a server.

It reads the tables of the zoo, and the records and tables of as many models as fit into the page.
"""

import os
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from permafrost import layout, outcome, whole_files
from permafrost.report import csv_files, reference
from permafrost.report.columns import Table
from permafrost.report.page import exported, overview, plots, template
from permafrost.report.page.details import detail
from permafrost.report.page.hidden_paths import hider
from permafrost.report.tables.changes import CHANGES, KINDS
from permafrost.report.tables.exports import EXPORTS
from permafrost.report.tables.findings import FINDINGS
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
_SHOWN = (layout.SUMMARY, layout.CHANGES, layout.FINDINGS, layout.ZOO, layout.OP_TYPES, layout.TIMINGS, layout.EXPORTS)
_READ = {
    layout.SUMMARY: SUMMARY,
    layout.CHANGES: CHANGES,
    layout.FINDINGS: FINDINGS,
    layout.TIMINGS: TIMINGS,
    layout.OP_TYPES: OP_TYPES,
    layout.EXPORTS: EXPORTS,
}


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


def commands(zoos: list[str], frozen: str, reports: str, has_settings: bool = False) -> dict[str, str]:
    """What the commands that repeat a step need: directories, `--config`, and a note; absolute paths are not shown.

    Args:
      has_settings: whether the config says more of a zoo than where it is, which naming it again would undo.
    """
    shown = {"frozen": frozen, "reports": reports, "zoo": zoos[0] if len(zoos) == 1 else ""}
    hidden = [key for key, path in shown.items() if os.path.isabs(path) or not path]
    shown |= {key: key.upper() for key in hidden}
    is_plain = shown == {"frozen": "frozen", "reports": "reports", "zoo": "models"}
    if has_settings:
        hidden = [key for key in hidden if key != "zoo"]
        del shown["zoo"]
    config = (
        ""
        if is_plain
        else "--config " + " ".join(shlex.quote(f"{key}={value}") for key, value in sorted(shown.items()))
    )
    as_before = [*(["the config file"] if has_settings and not is_plain else []), *sorted(map(str.upper, hidden))]
    note = f"{', '.join(as_before)} as in this run" if as_before else ""
    return {"frozen": shown["frozen"], "reports": shown["reports"], "config": config, "note": note}


def content(
    read: dict[str, pd.DataFrame], frozen: str, reports: str, zoos: list[str], has_settings: bool = False
) -> dict[str, Any]:
    """All that the template shows, and `data`, all that its script shows.

    Args:
      read: the tables of _READ, all strings.
      has_settings: as for `commands`.
    """
    summary, exports = read[layout.SUMMARY], read[layout.EXPORTS]
    roots = [*zoos, frozen, reports, os.getcwd(), os.path.expanduser("~"), str(_SOURCE.parents[4])]
    of_all, of_findings = hider(roots), hider(roots, foreign=False)
    beside = [f"{layout.MODELS}/{{model}}/{name}" for name in layout.OF_MODEL]
    named = [layout.of_frozen(os.path.relpath(frozen, reports), "{model}", name) for name in layout.OF_FROZEN]
    changes = overview.told_changes(read[layout.CHANGES])
    kinds = [row["change"] for row in changes]
    worst = exported.worst_first(exports)
    data = {
        "models": overview.models_table(summary, read[layout.FINDINGS], of_all),
        "details": overview.details(
            overview.worst_first(summary), lambda model: detail(frozen, reports, model, (of_findings, of_all))
        ),
        "types": reference.TYPES,
        "meanings": SUMMARY.sentences(),
        "commands": commands(zoos, frozen, reports, has_settings),
        "model_files": beside + named,
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
        "steps": [step | {"hint": of_all(step["hint"])} for step in overview.next_steps(summary)],
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


def write(frozen: str, reports: str, path: Path, zoos: list[str], has_settings: bool) -> None:
    """Writes the page to `path`. Raises OSError, and Problem where a table cannot be read.

    Args:
      frozen, reports, zoos: the directories that the page is about.
      has_settings: as for `commands`.
    """
    read = {name: frame(f"{reports}/{name}", table) for name, table in _READ.items()}
    html = template.render(_SOURCE, content(read, frozen, reports, zoos, has_settings))
    with whole_files.written_whole(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
