"""The finished runs as the page shows them: a line for each status, and the last few in a table."""

import sys
from typing import Any

import vl_convert

from permafrost.report.page import plots

_MOST_ROWS = 8
_MOST_POINTS = 200
_STATUSES = {"verified": "--verified", "mismatch": "--mismatch", "unverifiable": "--unverifiable", "failed": "--failed"}

Row = dict[str, str]


def last(rows: list[Row]) -> list[Row]:
    """The last few runs, the newest first, with their dates as people read them."""
    return [row | {"date": date(row["date"])} for row in reversed(rows[-_MOST_ROWS:])]


def date(text: str) -> str:
    """`2026-11-27 19:24 UTC` of `2026-11-27T19:24:05Z`; another text stays what it is."""
    return f"{text[:10]} {text[11:16]} UTC" if len(text) == 20 and text[10] == "T" and text[19] == "Z" else text


def duration(seconds: str) -> str:
    """`3 min 20 s` of `200.0`; empty for what is no number."""
    try:
        whole = round(float(seconds))
    except (ValueError, OverflowError):
        return ""
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def drawing(rows: list[Row]) -> str:
    """How many models ended with each status in the last runs, as SVG; empty where there are not two runs."""
    if len(rows) < 2:
        return ""
    try:
        svg: str = vl_convert.vegalite_to_svg(
            plots.drawable(_spec(rows[-_MOST_POINTS:]), "Models by status in the last runs")
        )
        return svg
    except ValueError as error:
        print(f"the trend is not drawn: {error}", file=sys.stderr)
        return ""


def _spec(rows: list[Row]) -> dict[str, Any]:
    values = [
        {"run": row["date"], "status": status, "models": int(row[status])}
        for row in rows
        for status in _STATUSES
        if row[status].isdecimal()
    ]
    colors = {"domain": list(_STATUSES), "range": [f"var({name})" for name in _STATUSES.values()]}
    return {
        "data": {"values": values},
        "width": 420,
        "height": 130,
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "run", "type": "temporal", "axis": {"title": None, "tickCount": 4, "labelOverlap": True}},
            "y": {
                "field": "models",
                "type": "quantitative",
                "axis": {"title": "models", "tickMinStep": 1, "tickCount": 4},
            },
            "color": {"field": "status", "type": "nominal", "scale": colors, "legend": {"title": None}},
        },
    }
