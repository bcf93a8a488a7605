"""Sums up the records of all models: summary.csv with a row for each, timings.csv, op_types.csv and findings.csv.

summary.csv is the same bytes for the same zoo: times and memory are in timings.csv.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from permafrost import records
from permafrost.outcome import (
    CAUSES,
    FAILED,
    FINDING_COLUMNS,
    OP_TYPE_COLUMNS,
    STATUSES,
    SUMMARY_COLUMNS,
    TIMING_COLUMNS,
    VERIFIED,
    Problem,
)
from permafrost.report import csv_files

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


def read_records(frozen: str | Path, reports: str | Path, model: str) -> tuple[list[dict], str]:
    """The records of a model's import, freeze and verification, {} for one that cannot be read; and what is wrong.

    The sentence names the first file that is missing or is no record; it is empty where all are there.
    """
    directory = f"{reports}/models/{model}"
    found, wrong = [], ""
    for path in (f"{directory}/import.json", f"{frozen}/{model}/provenance.json", f"{directory}/verify.json"):
        try:
            found.append(records.load(path))
        except (OSError, ValueError, RecursionError) as error:
            found.append({})
            reason = error.strerror if isinstance(error, OSError) else "it is not a record of a stage"
            wrong = wrong or f"{path} cannot be read: {reason}"
    status = found[2].get("status", FAILED)
    if status not in STATUSES:
        wrong = wrong or f"{directory}/verify.json has the status {status!r}, which is none of {', '.join(STATUSES)}"
    return found, wrong


def summary_row(model: dict, found: list[dict], wrong: str) -> tuple:
    """A model's row of summary.csv, with a value for each of SUMMARY_COLUMNS; what is not known is None.

    Args:
      model: as in the state file of discovery.
      found, wrong: as read_records returns them.
    """
    imported, provenance, verified = found
    outcome = records.failure("summarize", Problem("internal", wrong)) if wrong else verified
    facts = {
        **{key: outcome.get(key) for key in ("status", "stage", "cause", "message", "hint")},
        "model": model["id"],
        "expect": model.get("expect", VERIFIED),
        **{key: verified.get(key) for key in ("match", "behaviour", "tolerance_used", "trials", "max_abs_diff")},
        **{key: imported.get(key, model.get(key)) for key in ("prefix", "step", "format", "findings")},
        **{key: imported.get(key) for key in ("producer", "tensorflow_version", "outputs", "outputs_why", "nodes")},
        "inputs": list(_mapping(imported, "inputs")),
        "inputs_why": [_fed(name, spec) for name, spec in _mapping(imported, "inputs").items()],
        "frozen_nodes": provenance.get("frozen_nodes"),
        "variables": len(imported["variables"]) if isinstance(imported.get("variables"), list) else None,
        "frozen_variables": provenance.get("frozen_variables"),
        "checkpoint_bytes": imported.get("checkpoint_bytes", model.get("bytes")),
        "frozen_bytes": provenance.get("frozen_bytes"),
        "frozen_crc32c": provenance.get("frozen_crc32c"),
        "repairs": _repairs(provenance.get("repairs")),
    }
    if facts["cause"] and not facts["hint"]:
        facts["hint"] = CAUSES.get(facts["cause"])
    return tuple(facts[column] for column in SUMMARY_COLUMNS)


def listing_record(reports: str | Path, model: str) -> dict:
    """The record of a model's listing of ops, {} for one that cannot be read: only its timing is shown."""
    try:
        return records.load(f"{reports}/models/{model}/list_ops.json")
    except (OSError, ValueError):
        return {}


def timing_rows(model: str, found: list[dict]) -> list[tuple]:
    """A row for each stage that measured itself, with a value for each of TIMING_COLUMNS (seconds, seconds, MiB)."""
    timings = [_mapping(record, "timing") for record in found]
    return [(model, *(timing.get(key) for key in TIMING_COLUMNS[1:])) for timing in timings if timing]


def op_type_rows(model: str, found: list[dict]) -> list[tuple]:
    """A row for each op type of a model, with a value for each of OP_TYPE_COLUMNS.

    A count is None where the model got no such graph, and 0 where its graph has no such op.
    """
    before, after = (_mapping(record, "op_types") for record in found[:2])
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


def _mapping(record: dict, key: str) -> dict:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _fed(name: str, spec: dict) -> str:
    """What is fed to an input, with `?` for the sizes that each trial chooses."""
    spec = spec if isinstance(spec, dict) else {}
    shape = spec.get("shape") if isinstance(spec.get("shape"), list) else None
    sizes = "" if shape is None else f" [{', '.join('?' if size is None else str(size) for size in shape)}]"
    return f"{name}: {spec.get('dtype')}{sizes}, {spec.get('why')}"


def _repairs(made) -> list[str]:
    return [
        f"{repair.get('repair')}: {repair.get('node')}" if isinstance(repair, dict) else repair
        for repair in (made if isinstance(made, list) else [])
    ]


def write(state: dict, frozen: str, reports: str, paths: Paths) -> None:
    """Writes the four tables. Raises OSError, and Problem where a table cannot be made.

    Args:
      state: as zoo.state_file reads it.
      frozen, reports: the directories of provenance.json, and of the other records of the models.
    """
    summary, timings, op_types, findings = [], [], [], []
    for model in sorted(state["models"], key=lambda model: model["id"]):
        found, wrong = read_records(frozen, reports, model["id"])
        summary.append(summary_row(model, found, wrong))
        timings += timing_rows(model["id"], [*found, listing_record(reports, model["id"])])
        op_types += op_type_rows(model["id"], found)
        findings += finding_rows(reports, model["id"])
    csv_files.write(paths.timings, csv_files.table(timings, TIMING_COLUMNS, set(), set(TIMING_COLUMNS[2:])))
    csv_files.write(paths.op_types, csv_files.table(op_types, OP_TYPE_COLUMNS, {"nodes", "frozen_nodes"}, set()))
    csv_files.write(paths.findings, csv_files.table(findings, FINDING_COLUMNS, set(), set()))
    csv_files.write(paths.summary, csv_files.table(summary, SUMMARY_COLUMNS, _SUMMARY_INTEGERS, _SUMMARY_NUMBERS))
