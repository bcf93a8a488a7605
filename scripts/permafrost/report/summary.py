"""Sums up the records of all models: summary.csv with a row for each, timings.csv, op_types.csv and findings.csv.

summary.csv is the same bytes for the same zoo: times and memory are in timings.csv.
"""

from dataclasses import dataclass
from pathlib import Path

from permafrost import layout, records
from permafrost.outcome import FAILED, STATUSES, Problem
from permafrost.report import csv_files
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.op_types import OP_TYPES
from permafrost.report.tables.summary import SUMMARY, Result
from permafrost.report.tables.timings import TIMINGS


@dataclass(frozen=True)
class Paths:
    """Where the tables are to be written."""

    summary: Path
    timings: Path
    op_types: Path
    findings: Path


def read_records(frozen: str | Path, reports: str | Path, model: str) -> tuple[list[dict], str]:
    """The records of a model's import, freeze and verification, {} for one that cannot be read; and what is wrong.

    The sentence names the first file that is missing or is no record; it is empty where all are there.
    """
    verdict = layout.of_model(reports, model, layout.VERDICT)
    provenance = layout.of_frozen(frozen, model, layout.PROVENANCE)
    found, wrong = [], ""
    for path in (layout.of_model(reports, model, layout.IMPORT), provenance, verdict):
        try:
            found.append(records.load(path))
        except (OSError, ValueError, RecursionError) as error:
            found.append({})
            reason = error.strerror if isinstance(error, OSError) else "it is not a record of a stage"
            wrong = wrong or f"{path} cannot be read: {reason}"
    status = found[2].get("status", FAILED)
    if status not in STATUSES:
        wrong = wrong or f"{verdict} has the status {status!r}, which is none of {', '.join(STATUSES)}"
    return found, wrong


def result(model: dict, found: list[dict], wrong: str) -> Result:
    """What a model's row of summary.csv is made of.

    Args:
      model: as in the state file of discovery.
      found, wrong: as read_records returns them.
    """
    imported, provenance, verified = found
    ended = records.failure("summarize", Problem("internal", wrong)) if wrong else verified
    return Result(model, imported, provenance, verified, ended)


def listing_record(reports: str | Path, model: str) -> dict:
    """The record of a model's listing of ops, {} for one that cannot be read: only its timing is shown."""
    try:
        return records.load(layout.of_model(reports, model, layout.LISTING))
    except (OSError, ValueError):
        return {}


def timing_rows(model: str, found: list[dict]) -> list[dict]:
    """A row of TIMINGS for each stage that measured itself."""
    timings = [_mapping(record, "timing") for record in found]
    return [timing | {"model": model} for timing in timings if timing]


def op_type_rows(model: str, found: list[dict]) -> list[dict]:
    """A row of OP_TYPES for each op type of a model.

    A count is None where the model got no such graph, and 0 where its graph has no such op.
    """
    before, after = (_mapping(record, "op_types") for record in found[:2])
    return [
        {
            "op_type": op,
            "model": model,
            "nodes": before.get(op, 0 if before else None),
            "frozen_nodes": after.get(op, 0 if after else None),
        }
        for op in sorted({*before, *after})
    ]


def finding_rows(reports: str | Path, model: str) -> list[dict[str, str]]:
    """The rows of a model's own findings.csv; none without that file."""
    try:
        return csv_files.read_rows(layout.of_model(reports, model, layout.MODEL_FINDINGS), FINDINGS.header)
    except Problem:
        return []


def _mapping(record: dict, key: str) -> dict:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def write(state: dict, frozen: str, reports: str, paths: Paths) -> None:
    """Writes the four tables. Raises OSError.

    Args:
      state: as zoo.state_file reads it.
      frozen, reports: the directories of provenance.json, and of the other records of the models.
    """
    results, timings, op_types, findings = [], [], [], []
    for model in sorted(state["models"], key=lambda model: model["id"]):
        found, wrong = read_records(frozen, reports, model["id"])
        results.append(result(model, found, wrong))
        timings += timing_rows(model["id"], [*found, listing_record(reports, model["id"])])
        op_types += op_type_rows(model["id"], found)
        findings += finding_rows(reports, model["id"])
    TIMINGS.write(paths.timings, timings)
    OP_TYPES.write(paths.op_types, op_types)
    FINDINGS.write(paths.findings, findings)
    SUMMARY.write(paths.summary, results)
