"""summary.md: what of the page matters to who decides, on one sheet of Markdown."""

import re
from typing import Any

import pandas as pd

from permafrost.report import markdown
from permafrost.report.amounts import counted, size

_MOST = 8  # rows of each list
_MOST_RUNS = 5
_LONGEST = 160  # characters of what somebody else wrote


def text(content: dict[str, Any], summary: pd.DataFrame) -> str:
    """The sheet.

    Args:
      content: as content.content makes it for the page.
      summary: summary.csv, all strings.
    """
    parts = [
        f"# {_plain(content['verdict'])}",
        " · ".join(f"{name}: {_plain(said)}" for name, said in content["head"]),
        _table(("", "models", "as expected"), [(r["status"], r["models"], r["expected"]) for r in content["answer"]]),
        _exports(content),
        _sizes(summary),
        _next(content),
        _warnings(content),
        _changes(content),
        _runs(content),
        "Each model, with what was checked and how, is in [index.html](index.html), which opens in a browser, and in "
        "[summary.csv](summary.csv). *Verified* means that the frozen graph gave what the checkpoint gives, bit by bit "
        "or within a tolerance that was asked for, on the inputs that were tried; not that the model is a good one.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(said: str) -> str:
    """A text in which Markdown finds nothing to obey, cut where it is long."""
    short = said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
    return markdown.escaped(re.sub(r"\s+", " ", short))


def _hint(said: str) -> str:
    """A hint, whose settings and commands stand between backticks."""
    parts = said.split("`")
    if len(parts) % 2 == 0:
        return _plain(said)
    return "".join(f"`{part}`" if place % 2 else _plain(part) for place, part in enumerate(parts))


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [header, ("---", *["---:"] * (len(header) - 1)), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) if rows else ""


def _exports(content: dict[str, Any]) -> str:
    rows = [(row["format"], *row["counts"], row["others"]) for row in content["export_counts"]]
    return _table(("export", *content["export_statuses"], "model not verified"), rows)


def _sizes(summary: pd.DataFrame) -> str:
    rows = summary[["checkpoint_bytes", "frozen_bytes"]].apply(pd.to_numeric, errors="coerce").dropna()
    if rows.empty:
        return ""
    before, after = (size(float(total)) for total in rows.sum())
    return f"The {len(rows):,} frozen graphs take {after}; their checkpoints take {before}."


def _next(content: dict[str, Any]) -> str:
    steps = [step for step in content["steps"] if step["expected"] < step["models"]]
    if not content["models"]:
        return "No checkpoint was found below the zoo's directories; see `zoo` in the config."
    if not steps:
        return "## What to do next\n\nNothing: all is as expected."
    lines = [
        f"- **{step['models']:,}** {_kind(step)}, {_plain(step['cause'])}: {_hint(step['hint'])} ({_named(step)})"
        for step in steps[:_MOST]
    ]
    more = [f"- and {len(steps) - _MOST} more kinds, in index.html"] if len(steps) > _MOST else []
    return "## What to do next\n\n" + "\n".join([*lines, *more])


def _kind(step: dict[str, Any]) -> str:
    return f"{step['format']} {step['status']}" if "format" in step else str(step["status"])


def _named(step: dict[str, Any]) -> str:
    more = step["models"] - len(step["named"])
    return ", ".join(map(_plain, step["named"])) + (f" and {more:,} more" if more else "")


def _warnings(content: dict[str, Any]) -> str:
    grave = [row for row in content["warnings"] if row["severity"] in ("error", "warning")]
    unsure = content["unsure"]["models"]
    lines = [
        f"- {row['finding']} ({counted(row['models'], 'model')}): {_plain(row['advice'])}" for row in grave[:_MOST]
    ]
    if unsure:
        lines.append(
            f"- the outputs of {counted(unsure, 'model')} may not be the ones meant: somebody should look at them"
        )
    return "## What to know before using them\n\n" + "\n".join(lines) if lines else ""


def _changes(content: dict[str, Any]) -> str:
    if not content["change_counts"] or content["all_new"]:
        return ""
    return f"Since the last finished run: {', '.join(f'{count:,} {kind}' for kind, count in content['change_counts'])}."


def _runs(content: dict[str, Any]) -> str:
    rows = content["runs"][:_MOST_RUNS]
    if len(rows) < 2:
        return ""
    names = ("date", "models", "verified", "failed", "not_as_expected")
    shown = [tuple(_plain(row[name]) for name in names) for row in rows]
    return "## The last runs\n\n" + _table(("date", "models", "verified", "failed", "not as expected"), shown)
