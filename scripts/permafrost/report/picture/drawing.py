"""A picture of a frozen graph, as an SVG that stands alone: no script, no font from elsewhere, light and dark."""

from typing import Any
from xml.etree import ElementTree

from permafrost.graph.protos import GraphDef
from permafrost.report import csv_files
from permafrost.report.picture import grouping, placement
from permafrost.report.picture.grouping import INPUT, OUTPUT, Box
from permafrost.report.picture.placement import GAP_Y, HEIGHT, WIDTH, Place

_MARGIN = 12
_LONGEST = 24  # characters in a line of a box
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1d2733; text-anchor: middle }
.small { font-size: 10.5px; fill: #52606d }
.scope { fill: #f3f5f8; stroke: #b9c3cf } .input { fill: #e3f0fd; stroke: #2f77c0 }
.output { fill: #e2f5ea; stroke: #22824f }
.cut { stroke-dasharray: 5 3; stroke-width: 2 }
.flow { fill: none; stroke: #8795a5; stroke-width: 1.3 } .back { stroke-dasharray: 3 3 } .head { fill: #8795a5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6ebf1 } .small { fill: #a9b4c0 }
.scope { fill: #232c37; stroke: #4b5a6b } .input { fill: #16324d; stroke: #6cb0f2 }
.output { fill: #143826; stroke: #5fc48f }
.flow { stroke: #7a8999 } .head { fill: #7a8999 }
}
"""


def picture(graph_def: GraphDef, inputs: dict[str, str], outputs: list[str]) -> str:
    """The SVG of a frozen GraphDef; its arguments are those of graph_boxes.boxes."""
    boxes, flows = grouping.boxes(graph_def, inputs, outputs)
    places, passes, width, height = placement.layout(len(boxes), flows)
    svg = _svg(width, height, f"The graph in {len(boxes)} boxes, from its inputs at the top to its outputs")
    for flow, passed in sorted(passes.items()):
        _draw_flow(svg, passed, flow[0] > flow[1])
    for box, place in zip(boxes, places, strict=True):
        _draw_box(svg, box, place)
    return ElementTree.tostring(svg, encoding="unicode")


def sentence(text: str) -> str:
    """An SVG that says why there is no picture."""
    svg = _svg(WIDTH * 3, HEIGHT, text)
    _text(svg, text, WIDTH * 1.5, HEIGHT / 2)
    return ElementTree.tostring(svg, encoding="unicode")


def _svg(width: float, height: float, title: str) -> ElementTree.Element:
    width, height = width + 2 * _MARGIN, height + 2 * _MARGIN
    size = {"width": str(width), "height": str(height), "viewBox": f"{-_MARGIN} {-_MARGIN} {width} {height}"}
    svg = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ElementTree.SubElement(svg, "title").text = title
    ElementTree.SubElement(svg, "style").text = _STYLE
    marker = {"id": "head", "markerWidth": "7", "markerHeight": "8", "refX": "6", "refY": "4", "orient": "auto"}
    head = ElementTree.SubElement(ElementTree.SubElement(svg, "defs"), "marker", marker)
    ElementTree.SubElement(head, "path", {"class": "head", "d": "M0 0 7 4 0 8z"})
    return svg


def _draw_box(svg: Any, box: Box, place: Place) -> None:
    y = _top(place)
    group = ElementTree.SubElement(svg, "g")
    names = ", ".join(box.nodes[:5]) + (f" and {len(box.nodes) - 5} more" if len(box.nodes) > 5 else "")
    ElementTree.SubElement(group, "title").text = csv_files.text(f"{box.label}: {len(box.nodes)} ops: {names}")
    rectangle = {"x": f"{place.x - WIDTH / 2:.1f}", "y": f"{y}", "width": str(WIDTH), "height": str(HEIGHT), "rx": "6"}
    ElementTree.SubElement(group, "rect", {"class": f"{box.kind}{' cut' if box.cut else ''}", **rectangle})
    said = {
        INPUT: "input, cut off here" if box.cut else "input",
        OUTPUT: f"output, {box.caption()}" if box.nodes else "output",
    }.get(box.kind, f"{len(box.nodes)} ops: {box.caption()}" if len(box.nodes) > 1 else box.caption())
    weights = f" · {_size(box.weight_bytes)}" if box.weight_bytes >= 1024 else ""
    _text(group, _shortened(csv_files.text(box.label), _LONGEST), place.x, y + HEIGHT * 0.4)
    _text(group, _shortened(said, _LONGEST + 5 - len(weights)) + weights, place.x, y + HEIGHT * 0.78, "small")


def _draw_flow(svg: Any, passed: list[Place], back: bool) -> None:
    """A flow between the rows and through the lanes that are free for it, so that it crosses no box."""
    start, end = passed[0], passed[-1]
    path = _beside(start, end) if start.row == end.row else _between_rows(passed, down=start.row < end.row)
    ElementTree.SubElement(svg, "path", {"class": f"flow{' back' * back}", "d": path, "marker-end": "url(#head)"})


def _beside(start: Place, end: Place) -> str:
    """Over what stands between two boxes of a row, in the gap above it; from a box to itself, from its one half."""
    x, to, y = start.x + (WIDTH / 4 if start is end else 0), end.x - (WIDTH / 4 if start is end else 0), _top(start)
    return f"M{x:.1f} {y}C{x:.1f} {y - GAP_Y} {to:.1f} {y - GAP_Y} {to:.1f} {y}"


def _between_rows(passed: list[Place], down: bool) -> str:
    leave, enter = (HEIGHT, 0) if down else (0, HEIGHT)
    x, y = passed[0].x, _top(passed[0]) + leave
    path = f"M{x:.1f} {y}"
    for place in passed[1:]:
        middle = y + (GAP_Y / 2 if down else -GAP_Y / 2)
        path += f"C{x:.1f} {middle} {place.x:.1f} {middle} {place.x:.1f} {_top(place) + enter}"
        x, y = place.x, _top(place) + leave
        if place is not passed[-1]:
            path += f"V{y}"
    return path


def _top(place: Place) -> int:
    return place.row * (HEIGHT + GAP_Y)


def _text(parent: Any, text: str, x: float, y: float, kind: str = "") -> None:
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}"} | ({"class": kind} if kind else {})
    ElementTree.SubElement(parent, "text", attributes).text = csv_files.text(text)


def _shortened(text: str, longest: int) -> str:
    """`text` with its middle left out where it is too long: scopes are told apart by their ends."""
    if len(text) <= longest:
        return text
    head = longest // 3
    return f"{text[:head]}…{text[-(longest - head - 1) :]}"


def _size(count: int) -> str:
    """A number of bytes, of KiB and more, in the unit that fits."""
    return f"{count / 1024:.3g} KiB" if count < 1000 * 1024 else f"{count / 1024**2:.3g} MiB"
