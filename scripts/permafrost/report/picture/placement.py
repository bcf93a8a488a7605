"""Where the boxes of a picture stand: in rows that follow the data from top to bottom, with few crossings.

The method is Sugiyama's: each box is one row below the last of those it takes from, flows that skip rows keep a free
place in each row between, and rows are sorted by where their neighbours stand.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT = 184, 42  # of a box, in pixels
GAP_X, GAP_Y = 18, 26
_LANE = 16  # the width of a flow that passes a row
_SWEEPS = 8


@dataclass
class Place:
    """A box, or a flow that passes a row; `x` is its centre, `row` counts from the top."""

    row: int
    width: int
    x: float = 0.0


def layout(count: int, flows: set[tuple[int, int]]) -> tuple[list[Place], dict[tuple[int, int], list[Place]], int, int]:
    """Places for `count` boxes, for each flow the places that it passes (both ends included), width and height (px).

    Flows that lead back (from a box to one that is earlier in the order) decide no rows, but pass them as others do.
    """
    forward = sorted(flow for flow in flows if flow[0] < flow[1])
    places = [Place(row, WIDTH) for row in _rows_of(count, forward)]
    passes = {(a, b): [places[a], places[b]] for a, b in flows}
    rows: list[list[Place]] = [[] for _ in range(max((place.row for place in places), default=-1) + 1)]
    for place in places:
        rows[place.row].append(place)
    links: list[tuple[Place, Place]] = []
    for flow in sorted(flows):
        first, last = passes[flow]
        step = 1 if first.row < last.row else -1
        lanes = [Place(row, _LANE) for row in range(first.row + step, last.row, step)]
        for lane in lanes:
            rows[lane.row].append(lane)
        passes[flow] = [first, *lanes, last]
        links += pairwise(passes[flow])
    _sort(rows, links)
    width = max((_spread(row) for row in rows), default=0)
    _straighten(rows, links, width)
    return places, passes, round(width), len(rows) * (HEIGHT + GAP_Y) - GAP_Y


def _rows_of(count: int, forward: list[tuple[int, int]]) -> list[int]:
    rows = [0] * count
    for before, after in forward:  # sorted, so that rows of `before` are known
        rows[after] = max(rows[after], rows[before] + 1)
    # What only gives stands right above the first that takes from it.
    for box in range(count):
        takers = [rows[after] for before, after in forward if before == box]
        if takers and not any(after == box for _, after in forward):
            rows[box] = min(takers) - 1
    return rows


def _neighbours(links: Any) -> dict[int, list[Place]]:
    near: dict[int, list[Place]] = {}
    for one, other in links:
        near.setdefault(id(one), []).append(other)
        near.setdefault(id(other), []).append(one)
    return near


def _sort(rows: list[list[Place]], links: Any) -> None:
    """Orders each row by the mean place of the neighbours above, then below, in turn; sets `x` to a first guess."""
    near = _neighbours(links)
    for row in rows:
        _spread(row)
    for sweep in range(_SWEEPS):
        step = 1 if sweep % 2 == 0 else -1
        for row in rows[::step]:
            wanted = {}
            for place in row:
                others = [other.x for other in near.get(id(place), ()) if (place.row - other.row) * step > 0]
                wanted[id(place)] = sum(others) / len(others) if others else place.x
            row.sort(key=lambda place: wanted[id(place)])
            _spread(row)


def _spread(row: list[Place]) -> float:
    """Sets the places of a row side by side, centred at 0; returns the row's width."""
    width = sum(place.width for place in row) + GAP_X * (len(row) - 1)
    x = -width / 2
    for place in row:
        place.x = x + place.width / 2
        x += place.width + GAP_X
    return width


def _straighten(rows: list[list[Place]], links: Any, width: float) -> None:
    """Moves places towards their neighbours as far as their row lets them, inside the picture; x counts from 0 then."""
    near = _neighbours(links)
    for row in rows:
        for place in row:
            place.x += width / 2
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            for index, place in enumerate(row):
                others = [other.x for other in near.get(id(place), ()) if other is not place]
                if not others:
                    continue
                left, right = place.width / 2, width - place.width / 2
                if index:
                    left = row[index - 1].x + (row[index - 1].width + place.width) / 2 + GAP_X
                if index + 1 < len(row):
                    right = row[index + 1].x - (row[index + 1].width + place.width) / 2 - GAP_X
                place.x = max(left, min(right, sum(others) / len(others)))
