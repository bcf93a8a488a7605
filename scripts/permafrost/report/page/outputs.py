"""What the page says of a model's outputs: dtype, shape and meaning of each, and what else could be one.

Candidates that differ in numbers alone, `tower_0/logits` and `tower_1/logits`, are one row.
"""

import re
from typing import Any

MOST = 16  # rows of each table
_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])|(?<=[A-Za-z])\d+(?=/|:|$)|(?<=_)\d+")
_SUFFIX = re.compile(r"_\d+(?=/|:|$)")
_COLUMNS = ("output", "dtype", "shape", "meaning", "score", "reasons")

Row = dict[str, str]


def tables(rows: list[Row]) -> dict[str, Any]:
    """`outputs` and `alternatives`, tables as details.detail has them, and `ranking`: [output, whether it is chosen].

    Args:
      rows: of outputs.csv; a column that they lack is left out.
    """
    chosen = [row for row in rows if row.get("chosen") == "yes"]
    others = [row for row in rows if row.get("chosen") != "yes"]
    return {
        "outputs": _table(chosen),
        "alternatives": _table(others),
        "ranking": [[row["output"], row.get("chosen") == "yes"] for row in [*chosen, *others[:MOST]]],
    }


def _table(rows: list[Row]) -> dict[str, Any]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(kind(row["output"]), []).append(row)
    told = [_told(group) for group in groups.values()]
    columns = [name for name in _COLUMNS if any(row.get(name) for row in told)]
    shown = [[_cell(name, row.get(name, "")) for name in columns] for row in told[:MOST]]
    return {"columns": columns, "rows": shown, "of": len(told)} if told else {}


def kind(name: str) -> str:
    """What the names of numbered twins have in common: `tower_1/out_2:0` and `tower/out:0` are `tower/out:0`."""
    return _NUMBER.sub("#", _SUFFIX.sub("", name))


def _told(group: list[Row]) -> Row:
    """The row of the first of some twins, with how many there are more."""
    first, *twins = group
    if not twins:
        return first
    named = ", ".join(row["output"] for row in twins[:3])
    more = f" and {len(twins) - 3} more" if len(twins) > 3 else ""
    return first | {"output": f"{first['output']} (also {named}{more})"}


def _cell(column: str, text: str) -> str | float:
    try:
        return float(text) if column == "score" else text
    except ValueError:
        return text
