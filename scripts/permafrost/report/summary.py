"""Sums up the records of all models: summary.csv with a row for each, timings.csv, op_types.csv and findings.csv.

summary.csv is the same bytes for the same zoo: times and memory are in timings.csv.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from permafrost import layout, recording
from permafrost.model import Model
from permafrost.outcome import STATUSES, Problem
from permafrost.records import ImportRecord, Provenance, Record, Verdict, failure, is_known, known
from permafrost.report import csv_files, exports
from permafrost.report.columns import Row
from permafrost.report.tables.exports import Export
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.op_types import OP_TYPES
from permafrost.report.tables.summary import SUMMARY, Result
from permafrost.report.tables.timings import TIMINGS
from permafrost.zoo.state_file import State


@dataclass(frozen=True)
class Paths:
    """Where the tables are to be written."""

    summary: Path
    timings: Path
    op_types: Path
    findings: Path


@dataclass(frozen=True)
class Records:
    """The records of a model, empty ones for those that cannot be read.

    wrong: a sentence that names the first file that is missing or is no record; empty where all are there.
    """

    imported: ImportRecord
    provenance: Provenance
    verified: Verdict
    wrong: str


def read_records(frozen: str | Path, reports: str | Path, model: str) -> Records:
    """The records of a model's import, freeze and verification."""
    verdict = layout.of_model(reports, model, layout.VERDICT)
    imported, first = recording.load_or_empty(layout.of_model(reports, model, layout.IMPORT), ImportRecord)
    provenance, second = recording.load_or_empty(layout.of_frozen(frozen, model, layout.PROVENANCE), Provenance)
    verified, third = recording.load_or_empty(verdict, Verdict)
    wrong = first or second or third
    if not wrong and verified.status not in STATUSES:
        wrong = f"{verdict} has the status {verified.status!r}, which is none of {', '.join(STATUSES)}"
    return Records(imported, provenance, verified, wrong)


def result(model: Model, found: Records, exported: list[Export]) -> Result:
    """What a model's row of summary.csv is made of."""
    ended = failure("summarize", Problem("internal", found.wrong)) if found.wrong else found.verified
    return Result(model, found.imported, found.provenance, found.verified, ended, exports.told(exported))


def listing_record(reports: str | Path, model: str) -> Record:
    """The record of a model's listing of ops, an empty one where it cannot be read: only its timing is shown."""
    return recording.load_or_empty(layout.of_model(reports, model, layout.LISTING), Record)[0]


def timing_rows(model: str, found: Records, listed: Record, exported: list[Export]) -> list[Row]:
    """A row of TIMINGS for each stage that measured itself."""
    of_exports = [record for export in exported for record in (export.record, export.verdict)]
    timings = [record.timing for record in (found.imported, found.provenance, found.verified, listed, *of_exports)]
    return [msgspec.to_builtins(timing) | {"model": model} for timing in timings if is_known(timing)]


def op_type_rows(model: str, found: Records) -> list[Row]:
    """A row of OP_TYPES for each op type of a model.

    A count is None where the model got no such graph, and 0 where its graph has no such op.
    """
    before, after = (known(record.op_types, {}) for record in (found.imported, found.provenance))
    return [
        {
            "op_type": op,
            "model": model,
            "nodes": before.get(op, 0 if before else None),
            "frozen_nodes": after.get(op, 0 if after else None),
        }
        for op in sorted({*before, *after})
    ]


def finding_rows(reports: str | Path, model: str, found: Records, exported: list[Export]) -> list[Any]:
    """The rows of a model's own findings.csv, none without that file, and what is said of its exports."""
    of_exports = exports.findings(exported, found.imported)
    try:
        return [
            *csv_files.read_rows(layout.of_model(reports, model, layout.MODEL_FINDINGS), FINDINGS.header),
            *of_exports,
        ]
    except Problem:
        return of_exports


def write(state: State, frozen: str, reports: str, paths: Paths) -> None:
    """Writes the four tables. Raises OSError.

    Args:
      state: as zoo.state_file reads it.
      frozen, reports: the directories of provenance.json, and of the other records of the models.
    """
    results, timings, op_types = [], [], []
    findings: list[Any] = []
    for model in sorted(state.models, key=lambda model: model.id):
        found = read_records(frozen, reports, model.id)
        exported = exports.of_model(model, frozen, reports)
        results.append(result(model, found, exported))
        timings += timing_rows(model.id, found, listing_record(reports, model.id), exported)
        op_types += op_type_rows(model.id, found)
        findings += finding_rows(reports, model.id, found, exported)
    TIMINGS.write(paths.timings, timings)
    OP_TYPES.write(paths.op_types, op_types)
    FINDINGS.write(paths.findings, findings)
    SUMMARY.write(paths.summary, results)
