"""Writes index.html: all the reports as one page that opens from the disk, without a network or a server.

It reads the tables of the zoo, and the records and tables of as many models as fit into the page.
"""

import os
import shlex
from pathlib import Path

import pandas as pd

from permafrost import outcome, whole_files
from permafrost.report import columns, csv_files
from permafrost.report.page import overview, plots, template
from permafrost.report.page.details import detail
from permafrost.report.page.hidden_paths import hider

_SOURCE = Path(__file__).parent / "assets"
_MEANINGS = {
    "verified": "the frozen graph computes what the checkpoint computes",
    "mismatch": "the judge found a difference: do not use them",
    "unverifiable": "frozen, but they could not be run or compared",
    "failed": "could not be frozen; there is no .pb",
}
_OF_MODEL = (
    "import.json", "outputs.csv", "ops.csv", "frozen_ops.csv", "variables.csv", "findings.csv", "graph.svg",
    "list_ops.json", "verify.json", "verification.csv", "import_meta.log", "freeze.log", "verify.log", "list_ops.log",
)  # fmt: skip
_OF_ZOO = ("summary.csv", "changes.csv", "findings.csv", "zoo.csv", "op_types.csv", "timings.csv")
_TABLES = {
    "summary": outcome.SUMMARY_COLUMNS,
    "changes": outcome.CHANGE_COLUMNS,
    "findings": outcome.FINDING_COLUMNS,
    "timings": outcome.TIMING_COLUMNS,
    "op_types": outcome.OP_TYPE_COLUMNS,
}


def verdict(summary: pd.DataFrame) -> str:
    """The one sentence that says how it went."""
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
) -> dict:
    """All that the template shows, and `data`, all that its script shows.

    Args:
      read: the tables of _TABLES, all strings.
      has_settings: as for `commands`.
    """
    summary = read["summary"]
    roots = [*zoos, frozen, reports, os.getcwd(), os.path.expanduser("~"), str(_SOURCE.parents[4])]
    of_all, of_findings = hider(roots), hider(roots, foreign=False)
    named = [os.path.relpath(frozen, reports) + f"/{{model}}/{name}" for name in ("provenance.json", "frozen_graph.pb")]
    changes = overview.told_changes(read["changes"])
    kinds = [row["change"] for row in changes]
    data = {
        "models": overview.models_table(summary, read["findings"], of_all),
        "details": overview.details(
            overview.worst_first(summary), lambda model: detail(frozen, reports, model, (of_findings, of_all))
        ),
        "types": {column: columns.type_of(column) for table in columns.TABLES for column in table.columns},
        "meanings": columns.TABLES[0].sentences(),
        "commands": commands(zoos, frozen, reports, has_settings),
        "model_files": [f"models/{{model}}/{name}" for name in _OF_MODEL] + named,
    }
    described = {os.path.basename(table.path): table.rows for table in columns.TABLES}
    return {
        "verdict": verdict(summary),
        "models": len(summary),
        "answer": overview.answer(summary),
        "meanings": _MEANINGS,
        "steps": [step | {"hint": of_all(step["hint"])} for step in overview.next_steps(summary)],
        "warnings": [row | {"advice": of_findings(row["advice"])} for row in overview.warnings(read["findings"])],
        "changes": [
            row | {"before": of_all(row["before"]), "after": of_all(row["after"])}
            for row in changes[: overview.MOST_CHANGES]
        ],
        "changes_in_all": len(changes),
        "change_counts": [(kind, count) for kind in outcome.CHANGES if (count := kinds.count(kind))],
        "all_new": bool(kinds) and kinds.count("new") == len(kinds) == len(summary),
        "plots": list(plots.plots(summary, read["timings"], read["op_types"])),
        "files": [(name, described[name]) for name in _OF_ZOO],
        "data": data,
    }


def write(frozen: str, reports: str, path: Path, zoos: list[str], has_settings: bool) -> None:
    """Writes the page to `path`. Raises OSError, and Problem where a table cannot be read.

    Args:
      frozen, reports, zoos: the directories that the page is about.
      has_settings: as for `commands`.
    """
    read = {name: csv_files.read(f"{reports}/{name}.csv", needed) for name, needed in _TABLES.items()}
    html = template.render(_SOURCE, content(read, frozen, reports, zoos, has_settings))
    with whole_files.written_whole(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
