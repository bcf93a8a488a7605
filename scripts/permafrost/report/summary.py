"""Sums up the records of all models: summary.csv with a row for each, timings.csv, op_types.csv and findings.csv.

summary.csv is the same bytes for the same zoo: times and memory are in timings.csv.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msgspec import UNSET

from permafrost import recording
from permafrost.outcome import (
    CAUSES,
    FINDING_COLUMNS,
    OP_TYPE_COLUMNS,
    STATUSES,
    SUMMARY_COLUMNS,
    TIMING_COLUMNS,
    Problem,
)
from permafrost.records import ImportRecord, Model, Provenance, Record, Verdict, failure, known
from permafrost.report import csv_files
from permafrost.zoo.state_file import State

R = TypeVar("R", bound=Record)

_SUMMARY_INTEGERS = {
    "step", "producer", "nodes", "frozen_nodes", "variables", "frozen_variables", "checkpoint_bytes", "frozen_bytes",
    "trials",
}  # fmt: skip
_SUMMARY_NUMBERS = {"max_abs_diff", "tolerance_used"}


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
    directory = f"{reports}/models/{model}"
    imported, first = _read(f"{directory}/import.json", ImportRecord)
    provenance, second = _read(f"{frozen}/{model}/provenance.json", Provenance)
    verified, third = _read(f"{directory}/verify.json", Verdict)
    wrong = first or second or third
    if not wrong and verified.status not in STATUSES:
        known_ones = ", ".join(STATUSES)
        wrong = f"{directory}/verify.json has the status {verified.status!r}, which is none of {known_ones}"
    return Records(imported, provenance, verified, wrong)


def _read(path: str, kind: type[R]) -> tuple[R, str]:
    """The record at `path`, and "", or an empty one and what is wrong."""
    try:
        return recording.load(path, kind), ""
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a record of a stage"
        return recording.begun(kind, ""), f"{path} cannot be read: {reason}"


def summary_row(model: Model, found: Records) -> tuple:
    """A model's row of summary.csv, with a value for each of SUMMARY_COLUMNS; what is not known is None."""
    imported, provenance, verified = found.imported, found.provenance, found.verified
    outcome = failure("summarize", Problem("internal", found.wrong)) if found.wrong else verified
    inputs = known(imported.inputs, {})
    facts = {
        **{key: getattr(outcome, key) for key in ("status", "stage", "cause", "message", "hint")},
        "model": model.id,
        "expect": model.expect,
        **_known(verified, "match", "behaviour", "tolerance_used", "trials", "max_abs_diff"),
        **{key: known(getattr(imported, key), getattr(model, key)) for key in ("prefix", "step", "format", "findings")},
        **_known(imported, "producer", "tensorflow_version", "outputs", "outputs_why", "nodes"),
        "inputs": list(inputs),
        "inputs_why": [_fed(name, spec) for name, spec in inputs.items()],
        "variables": known(imported.variables, None) and len(imported.variables),
        "checkpoint_bytes": known(imported.checkpoint_bytes, model.bytes),
        **_known(provenance, "frozen_nodes", "frozen_variables", "frozen_bytes", "frozen_crc32c"),
        "repairs": [f"{repair.repair}: {repair.node}" for repair in known(provenance.repairs, ())],
    }
    if facts["cause"] and not facts["hint"]:
        facts["hint"] = CAUSES.get(facts["cause"])
    return tuple(facts[column] for column in SUMMARY_COLUMNS)


def _known(record: Record, *fields: str) -> dict:
    return {field: known(getattr(record, field), None) for field in fields}


def listing_record(reports: str | Path, model: str) -> Record:
    """The record of a model's listing of ops, an empty one where it cannot be read: only its timing is shown."""
    return _read(f"{reports}/models/{model}/list_ops.json", Record)[0]


def timing_rows(model: str, found: Records, listed: Record) -> list[tuple]:
    """A row for each stage that measured itself, with a value for each of TIMING_COLUMNS (seconds, seconds, MiB)."""
    timings = [record.timing for record in (found.imported, found.provenance, found.verified, listed)]
    return [(model, *(getattr(t, key) for key in TIMING_COLUMNS[1:])) for t in timings if t is not UNSET]


def op_type_rows(model: str, found: Records) -> list[tuple]:
    """A row for each op type of a model, with a value for each of OP_TYPE_COLUMNS.

    A count is None where the model got no such graph, and 0 where its graph has no such op.
    """
    before, after = (known(record.op_types, {}) for record in (found.imported, found.provenance))
    return [
        (op, model, before.get(op, 0 if before else None), after.get(op, 0 if after else None))
        for op in sorted({*before, *after})
    ]


def finding_rows(reports: str | Path, model: str) -> list[tuple]:
    """The rows of a model's own findings.csv, with a value for each of FINDING_COLUMNS; none without that file."""
    try:
        with open(f"{reports}/models/{model}/findings.csv", encoding="utf-8", newline="") as file:
            return [tuple(row[column] for column in FINDING_COLUMNS) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, csv.Error):
        return []


def _fed(name: str, spec: dict) -> str:
    """What is fed to an input, with `?` for the sizes that each trial chooses."""
    spec = spec if isinstance(spec, dict) else {}
    shape = spec.get("shape") if isinstance(spec.get("shape"), list) else None
    sizes = "" if shape is None else f" [{', '.join('?' if size is None else str(size) for size in shape)}]"
    return f"{name}: {spec.get('dtype')}{sizes}, {spec.get('why')}"


def write(state: State, frozen: str, reports: str, paths: Paths) -> None:
    """Writes the four tables. Raises OSError, and Problem where a table cannot be made.

    Args:
      state: as zoo.state_file reads it.
      frozen, reports: the directories of provenance.json, and of the other records of the models.
    """
    summary, timings, op_types, findings = [], [], [], []
    for model in sorted(state.models, key=lambda model: model.id):
        found = read_records(frozen, reports, model.id)
        summary.append(summary_row(model, found))
        timings += timing_rows(model.id, found, listing_record(reports, model.id))
        op_types += op_type_rows(model.id, found)
        findings += finding_rows(reports, model.id)
    csv_files.write(paths.timings, csv_files.table(timings, TIMING_COLUMNS, set(), set(TIMING_COLUMNS[2:])))
    csv_files.write(paths.op_types, csv_files.table(op_types, OP_TYPE_COLUMNS, {"nodes", "frozen_nodes"}, set()))
    csv_files.write(paths.findings, csv_files.table(findings, FINDING_COLUMNS, set(), set()))
    csv_files.write(paths.summary, csv_files.table(summary, SUMMARY_COLUMNS, _SUMMARY_INTEGERS, _SUMMARY_NUMBERS))
