"""The plots of the page, drawn by Vega-Lite as SVG when the page is made: no script and no font is needed to see them.

Colours are the page's own CSS variables, so that the plots follow its light and dark.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd
import vl_convert

MOST_MODELS = 40  # that get a row or column of their own
_MOST_OP_TYPES = 30
_MOST_VERSIONS = 20
_WIDTH = 560
_LABEL = 190  # px

_CONFIG = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "padding": {"left": 16, "right": 16, "top": 4, "bottom": 4},
    "axis": {
        "labelColor": "var(--ink)", "titleColor": "var(--soft)", "titleFontWeight": "normal", "labelFontSize": 11,
        "gridColor": "var(--line)", "domainColor": "var(--line)", "tickColor": "var(--line)", "labelLimit": _LABEL,
    },
    "axisQuantitative": {"labelOverlap": "greedy", "labelSeparation": 12},
    "legend": {"labelColor": "var(--ink)", "titleColor": "var(--soft)", "titleFontWeight": "normal"},
    "bar": {"fill": "var(--plot-1)"},
    "range": {"category": [f"var(--plot-{number})" for number in range(1, 6)]},
}  # fmt: skip
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
_NAMES = ("model", "format", "stage", "op_type")
# Without the mark, and with the middle left out of what is long, since names are told apart by their ends.
_UNMARKED = {
    "labelExpr": "length(datum.label) > 30 ? slice(datum.label, 1, 13) + '…' + slice(datum.label, -16)"
    " : slice(datum.label, 1)"
}
_BYTES = "format(datum.value, '.2~s') + 'B'"


Spec = dict[str, Any]  # of Vega-Lite
Plot = tuple[str, Spec]  # what it shows, and how


def plots(summary: pd.DataFrame, timings: pd.DataFrame, op_types: pd.DataFrame) -> Iterator[dict[str, str]]:
    """For each plot that there is data for: its `title`, what it shows (`caption`), and its `svg`.

    Args:
      summary, timings, op_types: the tables of those names, all strings.
    """
    summary, timings, op_types = (_marked(table) for table in (summary, timings, op_types))
    draws: tuple[tuple[str, Callable[[], Plot | None]], ...] = (
        ("Sizes before and after", lambda: _sizes(summary)),
        ("Time by stage", lambda: _times(timings)),
        ("TensorFlow versions and formats", lambda: _versions(summary)),
        ("Op types over the zoo", lambda: _op_types(op_types, summary)),
    )
    for title, draw in draws:
        if not (made := draw()):
            continue
        caption, spec = made
        try:
            yield {"title": title, "caption": caption, "svg": vl_convert.vegalite_to_svg(drawable(spec, caption))}
        except ValueError as error:
            print(f"{title}: not drawn: {error}", file=sys.stderr)


def drawable(spec: Spec, description: str) -> Spec:
    """A specification with the version of Vega-Lite and the page's colours and fonts."""
    return {"$schema": _SCHEMA, "description": description, **spec, "config": _CONFIG}


def _marked(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a mark before each name: Vega takes names such as `constructor` for what JavaScript calls so."""
    return table.assign(**{name: "·" + table[name] for name in _NAMES if name in table})


def _numbers(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """`frame` with columns as numbers, without the rows in which one of them is none or not above 0."""
    frame = frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce") for name in names})
    return frame[(frame[list(names)] > 0).all(axis=1) & (frame[list(names)] < math.inf).all(axis=1)]


def _log_axis(field: str, title: str, **axis: Any) -> Spec:
    return {"field": field, "type": "quantitative", "scale": {"type": "log"}, "axis": {"title": title, **axis}}


def _sizes(summary: pd.DataFrame) -> Plot | None:
    rows = _numbers(summary, "checkpoint_bytes", "frozen_bytes")
    if rows.empty:
        return None
    if len(rows) > MOST_MODELS:
        return _sizes_of_many(rows)
    rows = rows.sort_values("checkpoint_bytes", ascending=False)
    ends = rows.melt("model", ["checkpoint_bytes", "frozen_bytes"], "side", "bytes")
    ends["side"] = ends["side"].map({"checkpoint_bytes": "checkpoint", "frozen_bytes": "frozen graph"})
    y = {"field": "model", "type": "nominal", "sort": rows["model"].tolist(), "axis": {"title": None, **_UNMARKED}}
    x = _log_axis("bytes", "size", labelExpr=_BYTES, tickCount=6)
    ends_of_line = {"x": {**x, "field": "checkpoint_bytes"}, "x2": {"field": "frozen_bytes"}}
    lines = {
        "data": {"values": rows[["model", "checkpoint_bytes", "frozen_bytes"]].to_dict("records")},
        "mark": {"type": "rule", "stroke": "var(--line-strong)", "strokeWidth": 2},
        "encoding": {"y": y, **ends_of_line},
    }
    color = {"field": "side", "type": "nominal", "legend": {"title": None, "orient": "top"}}
    points = {
        "data": {"values": ends.to_dict("records")},
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
        "encoding": {"y": y, "x": x, "color": color, "shape": {**color}},
    }
    caption = "The files of each checkpoint, optimizer slots included, and its frozen graph; a logarithmic scale."
    return caption, {"width": _WIDTH - _LABEL, "height": {"step": 18}, "layer": [lines, points]}


def _sizes_of_many(rows: pd.DataFrame) -> Plot:
    """Models counted in cells of a third of an order of magnitude."""
    cells = rows[["checkpoint_bytes", "frozen_bytes"]].map(lambda size: 10 ** (round(math.log10(size) * 3) / 3))
    counted = cells.value_counts().rename("models").reset_index()
    low, high = cells.min().min(), cells.max().max()
    x = _log_axis("checkpoint_bytes", "size of the checkpoint", labelExpr=_BYTES, tickCount=6)
    y = _log_axis("frozen_bytes", "size of the frozen graph", labelExpr=_BYTES, tickCount=6)
    same = {
        "data": {"values": [{"checkpoint_bytes": end, "frozen_bytes": end} for end in (low, high)]},
        "mark": {"type": "line", "stroke": "var(--line-strong)", "strokeDash": [4, 3]},
        "encoding": {"x": x, "y": y},
    }
    size = {
        "field": "models",
        "type": "quantitative",
        "legend": {"title": "models", "symbolFillColor": "var(--plot-1)"},
    }
    points = {
        "data": {"values": counted.to_dict("records")},
        "mark": {"type": "circle", "fill": "var(--plot-1)", "opacity": 0.8},
        "encoding": {"x": x, "y": y, "size": size},
    }
    caption = f"{len(rows)} models by the size of their files; below the dashed line the frozen graph is the smaller."
    return caption, {"width": _WIDTH - 120, "height": 300, "layer": [same, points]}


def _op_types(op_types: pd.DataFrame, summary: pd.DataFrame) -> Plot | None:
    rows = _numbers(op_types, "frozen_nodes")
    if rows.empty:
        return None
    by_models = rows.groupby("op_type")["frozen_nodes"].agg(["count", "sum"]).reset_index()
    by_models = by_models.sort_values(["count", "sum", "op_type"], ascending=[False, False, True])
    frequent = by_models["op_type"].head(_MOST_OP_TYPES).tolist()
    rows = rows[rows["op_type"].isin(frequent)]
    models = rows["model"].nunique()
    shown = f"The {len(frequent)} op types that the most models have" if len(by_models) > len(frequent) else "Op types"
    order: str | list[str]
    if models <= MOST_MODELS:
        column, value, order, scale = "model", "frozen_nodes", "ascending", "log"
        axis = {"title": None, "labelAngle": -60, **_UNMARKED}
        most = int(rows["frozen_nodes"].max())
        caption = f"{shown}, by model: nodes of the frozen graph, on a logarithmic scale; the darkest are {most:,}."
    else:
        rows, column, value, scale = _shares_by_version(rows, summary), "version", "share", "linear"
        axis, order = {"title": "TensorFlow"}, _oldest_first(rows["version"].unique())
        caption = f"{shown}, by the version of TensorFlow: the darker, the more of the models have them."
    spec = {
        "data": {"values": rows[["op_type", column, value]].to_dict("records")},
        "mark": {"type": "rect", "fill": "var(--plot-1)"},
        "width": {"step": max(12, min(26, 340 // rows[column].nunique()))},
        "height": {"step": 15},
        "encoding": {
            "x": {"field": column, "type": "nominal", "sort": order, "axis": axis},
            "y": {"field": "op_type", "type": "nominal", "sort": frequent, "axis": {"title": None, **_UNMARKED}},
            "fillOpacity": {
                "field": value,
                "type": "quantitative",
                "scale": {"type": scale, "range": [0.18, 1]},
                "legend": None,
            },
        },
    }
    return caption, spec


def _shares_by_version(rows: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    version = _short_versions(summary).set_axis(summary["model"])
    rows = rows.assign(version=rows["model"].map(version).fillna("?"))
    models = version.value_counts()
    common = models.index[:_MOST_VERSIONS]
    shares = rows[rows["version"].isin(common)].groupby(["op_type", "version"])["model"].nunique().rename("share")
    shares = shares.reset_index()
    return shares.assign(share=shares["share"] / shares["version"].map(models))


def _short_versions(summary: pd.DataFrame) -> pd.Series:
    """`1.12` of `1.12.0-rc1`, `?` where nothing is said."""
    return summary["tensorflow_version"].str.extract(r"^(\d+\.\d+)")[0].fillna("?")


def _oldest_first(versions: Iterable[str]) -> list[str]:
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".") if part != "?"])


def _times(timings: pd.DataFrame) -> Plot | None:
    rows = _numbers(timings, "seconds")
    if rows.empty:
        return None
    stages = list(dict.fromkeys(rows["stage"]))
    found = rows.groupby("stage", sort=False)["seconds"].quantile([0, 0.25, 0.5, 0.75, 1]).unstack()
    found.columns = ["least", "quarter", "median", "three_quarters", "most"]
    values = found.reset_index().to_dict("records")
    y = {"field": "stage", "type": "nominal", "sort": stages, "axis": {"title": None, **_UNMARKED}}

    def layer(mark: Spec, start: str, end: str | None = None) -> Spec:
        ends = {"x": _log_axis(start, "seconds", format="~g", tickCount=6)} | ({"x2": {"field": end}} if end else {})
        return {"mark": mark, "encoding": {"y": y, **ends}}

    caption = (
        f"Wall time of {rows['model'].nunique()} models: the line is from the fastest to the slowest, the bar holds "
        "the middle half, the dot is the median; a logarithmic scale. All stages together: "
        + ", ".join(f"{stage[1:]} {rows.loc[rows['stage'] == stage, 'seconds'].sum():.3g} s" for stage in stages)
        + "."
    )
    layers = [
        layer({"type": "rule", "stroke": "var(--line-strong)", "strokeWidth": 2}, "least", "most"),
        layer({"type": "bar", "height": 14, "opacity": 0.55}, "quarter", "three_quarters"),
        layer({"type": "point", "filled": True, "fill": "var(--ink)", "size": 60, "opacity": 1}, "median"),
    ]
    return caption, {
        "data": {"values": values}, "width": _WIDTH - 100, "height": {"step": 34}, "layer": layers,
    }  # fmt: skip


def _versions(summary: pd.DataFrame) -> Plot | None:
    rows = pd.DataFrame({"version": _short_versions(summary), "format": summary["format"].replace("·", "·?")})
    if rows.empty:
        return None
    common = rows["version"].value_counts().index[:_MOST_VERSIONS]
    counted = rows[rows["version"].isin(common)].value_counts().rename("models").reset_index()
    spec = {
        "data": {"values": counted.to_dict("records")},
        "mark": {"type": "bar"},
        "width": _WIDTH - 100,
        "height": {"step": 22},
        "encoding": {
            "y": {"field": "version", "type": "nominal", "sort": _oldest_first(common), "axis": {"title": None}},
            "x": {
                "field": "models",
                "type": "quantitative",
                "axis": {"title": "models", "tickMinStep": 1, "format": "~s"},
            },
            "color": {
                "field": "format",
                "type": "nominal",
                "legend": {"title": None, "orient": "top", **_UNMARKED},
            },
        },
    }
    return "Models by the TensorFlow that wrote their meta graph (? where it does not say) and by file format.", spec
