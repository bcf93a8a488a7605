"""What the page shows of one model beyond its row of summary.csv: from its records and its own CSV files.

Whatever is missing or cannot be read is left out, since the page must be written whatever became of the models.
"""

import csv
import heapq
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from permafrost import layout, recording
from permafrost.records import ImportRecord, Output, Provenance, Record, Repair, Verdict, is_known, known
from permafrost.report import csv_files, output_meanings
from permafrost.report.columns import TEXT
from permafrost.report.page import outputs
from permafrost.report.reference import type_of
from permafrost.report.tables.steps import SAME

R = TypeVar("R", bound=Record)

MOST_ROWS = 16  # of each table
_STEP_COLUMNS = (
    "tensor",
    "change",
    "dtype",
    "shape",
    "elements",
    "changed_elements",
    "relative_change",
    "max_abs_change",
)
_COUNT = re.compile("[0-9]{1,19}")  # Python reads no number of any number of digits.


Hide = Callable[[str], str]


def detail(frozen: str | Path, reports: str | Path, model: str, hidden: tuple[Hide, Hide]) -> dict[str, Any]:
    """The details of a model as a JSON-able dict, tables as {columns, rows, of}, where `of` counts all rows.

    Args:
      hidden: two functions that shorten the paths in a text: for findings, and for all else (hidden_paths.hider).
    """
    of_findings, of_all = hidden
    directory = Path(layout.of_model(reports, model, ""))
    imported = _record(directory / layout.IMPORT, ImportRecord)
    provenance = _record(Path(layout.of_frozen(frozen, model, layout.PROVENANCE)), Provenance)
    verified, listed = _record(directory / layout.VERDICT, Verdict), _record(directory / layout.LISTING, Record)
    shown = {
        "inputs": _inputs(imported, provenance),
        **outputs.tables(_outputs(directory, known(imported.described, {}))),
        "op_types": _op_types(imported, provenance),
        "variables": _table(directory / layout.VARIABLES, largest="bytes"),
        "steps": _steps(directory / layout.STEPS),
        "verification": _table(directory / layout.VERIFICATION),
        "control": msgspec.to_builtins(known(verified.control, {})),
        "repairs": _listing([_repair(repair) for repair in known(provenance.repairs, ())]),
        "initializers": _listing(known(provenance.initializers, [])),
        "provenance": _provenance(provenance, verified),
        "timings": _timings(imported, provenance, verified, listed),
    }
    shown = without(of_all, shown)
    shown["findings"] = without(of_findings, _table(directory / layout.MODEL_FINDINGS, left_out="model"))
    shown["graph"] = of_all(_text(directory / layout.PICTURE))
    return {key: value for key, value in shown.items() if value}


def _record(path: Path, kind: type[R]) -> R:
    """The record at `path`, an empty one where it cannot be read."""
    try:
        return recording.load(path, kind)
    except (OSError, ValueError):
        return recording.begun(kind, "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _repair(repair: Repair) -> str:
    return ": ".join([repair.repair, repair.node, *filter(None, [repair.placeholder])])


def _listing(texts: list[str]) -> list[str]:
    """The first of the texts, and how many more there are."""
    return texts[:MOST_ROWS] + ([f"and {len(texts) - MOST_ROWS} more"] if len(texts) > MOST_ROWS else [])


def _table(path: Path, largest: str = "", left_out: str = "") -> dict[str, Any]:
    """The first rows of a CSV file, or those with the largest values in a column; `total` sums that column up."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error):
        return {}
    rows = [row for row in rows if len(row) == len(header)]
    found = {"of": len(rows)}
    if largest in header:
        place = header.index(largest)
        sized: list[tuple[int, list[str]]] = [
            (int(row[place]) if _COUNT.fullmatch(row[place]) else 0, row) for row in rows
        ]
        found["total"] = sum(size for size, _ in sized)
        rows = [row for _, row in heapq.nlargest(MOST_ROWS, sized, key=lambda item: item[0])]
    values = [[_value(name, cell) for name, cell in zip(header, row, strict=True)] for row in rows[:MOST_ROWS]]
    if left_out in header:
        place = header.index(left_out)
        header = [*header[:place], *header[place + 1 :]]
        values = [[*row[:place], *row[place + 1 :]] for row in values]
    return {"columns": header, "rows": values, **found} if values else {}


def _outputs(directory: Path, described: dict[str, Output]) -> list[dict[str, str]]:
    """The rows of outputs.csv, each with dtype, shape and meaning: as they were seen, else as ops.csv tells them."""
    rows = [row for row in csv_files.read_rows_or_none(directory / layout.OUTPUTS) if row.get("output")]
    nodes = {row.get("name", ""): row for row in csv_files.read_rows_or_none(directory / layout.OPS)} if rows else {}
    return [output_meanings.described(row["output"], nodes) | _seen(row["output"], described) | row for row in rows]


def _seen(name: str, described: dict[str, Output]) -> dict[str, str]:
    """What the trial run saw of an output; {} where it saw nothing."""
    found = described.get(name)
    if found is None or found.shape is None:
        return {}
    shape = csv_files.shape(found.shape)
    return {"dtype": found.dtype, "shape": shape} | ({"meaning": found.meaning} if found.meaning else {})


def _steps(path: Path) -> dict[str, Any]:
    """The weights that changed since the step before, the most changed first; {} where there is no such step."""
    rows = csv_files.read_rows_or_none(path)
    frozen = [row for row in rows if row.get("frozen") == "yes"] or rows
    changed = [row for row in frozen if row.get("change") != SAME]
    shown = [[_value(name, row.get(name, "")) for name in _STEP_COLUMNS] for row in changed[:MOST_ROWS]]
    counts = {"of": len(changed), "changed": len(changed), "all": len(frozen)}
    return {"columns": list(_STEP_COLUMNS), "rows": shown, "before": rows[0].get("since", ""), **counts} if rows else {}


def _value(column: str, cell: str) -> str | int | float:
    """A cell as a number where its column holds numbers that JSON has, else as text."""
    if type_of(column) == TEXT:
        return cell
    try:
        number = int(cell) if cell.lstrip("-").isdecimal() else float(cell)
    except ValueError:
        return cell
    return number if abs(number) < 2**53 else cell  # false for NaN too


def _inputs(imported: ImportRecord, provenance: Provenance) -> dict[str, Any]:
    fed = {name: f"always {value}" for name, value in known(provenance.baked, {}).items()}
    fed |= known(provenance.inputs, {})
    rows = []
    for name, spec in known(imported.inputs, {}).items():
        sizes = "" if spec.shape is None else csv_files.shape(spec.shape)
        rows.append([name, spec.dtype, sizes, spec.why, str(fed.get(name, ""))])
    header = ["input", "dtype", "shape", "why", "fed as"]
    return {"columns": header, "rows": rows[:MOST_ROWS], "of": len(rows)} if rows else {}


def _op_types(imported: ImportRecord, provenance: Provenance) -> dict[str, Any]:
    before, after = known(imported.op_types, {}), known(provenance.op_types, {})
    ops = sorted({*before, *after}, key=lambda op: (-after.get(op, 0), -before.get(op, 0), op))
    rows = [[op, before.get(op, 0 if before else ""), after.get(op, 0 if after else "")] for op in ops]
    return {"columns": ["op_type", "nodes", "frozen_nodes"], "rows": rows[:MOST_ROWS], "of": len(rows)} if rows else {}


def _provenance(provenance: Provenance, verified: Verdict) -> list[list[str]]:
    facts = [(f"sha256 of {name}", value) for name, value in sorted(known(provenance.sha256, {}).items())]
    facts += [
        (f"option {name}", value) for name, value in sorted(msgspec.to_builtins(known(provenance.options, {})).items())
    ]
    facts += [(f"made with {name}", value) for name, value in sorted(known(provenance.versions, {}).items())]
    facts += [(f"judged with {name}", value) for name, value in sorted(known(verified.environment, {}).items())]
    return [[name, value if isinstance(value, str) else json.dumps(value)] for name, value in facts]


def _timings(*found: Record) -> dict[str, Any]:
    keys = ("stage", "seconds", "cpu_seconds", "peak_mb")
    rows = [[getattr(record.timing, key) for key in keys] for record in found if is_known(record.timing)]
    return {"columns": list(keys), "rows": rows, "of": len(rows)} if rows else {}


def without(hidden: Hide, value: Any) -> Any:
    """`value` with all texts in it shortened by `hidden`, and as text what JSON has no number for."""
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, list):
        return [without(hidden, item) for item in value]
    if isinstance(value, dict):
        return {key: without(hidden, item) for key, item in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
