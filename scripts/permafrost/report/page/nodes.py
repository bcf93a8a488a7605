"""Every node of a model's graph, compressed, so that the page can search them without a file beside it."""

import base64
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from permafrost import layout
from permafrost.outcome import Problem
from permafrost.report import csv_files
from permafrost.report.tables.ops import OPS

MOST = 3_000_000  # characters of all models together
_COLUMNS = ("name", "type", "inputs", "dtypes", "shapes")


def packed(reports: str | Path, model: str) -> dict[str, Any]:
    """`of`, how many nodes the meta graph has, and `packed`, rows as JSON, deflated, as base64.

    {} where there are none. A row is name, op type, inputs, dtypes, shapes, and whether the frozen graph has the node,
    `yes` or `no`.
    """
    try:
        rows = csv_files.read_rows(layout.of_model(reports, model, layout.OPS), OPS.header)
        frozen = csv_files.read_rows(layout.of_model(reports, model, layout.FROZEN_OPS), ("name",))
    except Problem:
        return {}
    kept = {row["name"] for row in frozen}
    cells = [[*(row[name] for name in _COLUMNS), "yes" if row["name"] in kept else "no"] for row in rows]
    text = json.dumps(cells, ensure_ascii=True, separators=(",", ":"))
    content = base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")
    return {"of": len(cells), "packed": content} if cells else {}


def of_all(reports: str | Path, models: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The nodes of the first of the models, as many as fit into MOST; those of the others are not even read."""
    found, room = {}, MOST
    for model in models:
        made = packed(reports, model)
        room -= len(made.get("packed", ""))
        if room < 0:
            break
        if made:
            found[model] = made
    return found
