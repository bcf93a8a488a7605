"""Prints how the models ended and which are not as expected; succeeds only where every model is as expected.

gate.txt is there only after a success, so that the next run asks again about a zoo in which something is wrong. The
summary is kept either way: it is what the next run compares with.
"""

import textwrap
from pathlib import Path

import pandas as pd

from permafrost import settings
from permafrost.outcome import STATUSES, Problem
from permafrost.report import csv_files

_WIDTH = 100
_MOST_SHOWN = 50
_NEEDED = ("model", "status", "cause", "message", "hint", "expect")


def read(summary: str | Path) -> pd.DataFrame:
    """The rows of summary.csv, all strings, with a column `as_expected` of bool.

    Raises Problem: io_error where the file cannot be read, internal where it is no summary.
    """
    rows = csv_files.read(summary, _NEEDED)
    strange = rows[~rows["status"].isin(STATUSES)]
    if len(strange):
        first = strange.iloc[0]
        raise Problem("internal", f"{summary} gives {first['model']!r} the status {first['status']!r}, which is none")
    rows["as_expected"] = [
        settings.meets(expect.split("; "), status, cause)
        for expect, status, cause in zip(rows["expect"], rows["status"], rows["cause"], strict=True)
    ]
    return rows


def counts(rows: pd.DataFrame) -> str:
    """A small table: how many models ended with each status, and how many of them were expected to."""
    if rows.empty:
        return "no checkpoint found below the zoo's directories; see `zoo` in the config\n"
    lines = [f"{'':12} {'models':>7} {'expected':>9}"]
    for status in STATUSES:
        expected = rows["as_expected"][rows["status"] == status]
        lines.append(f"{status:12} {len(expected):7} {int(expected.sum()):9}")
    return "\n".join(lines) + "\n"


def unexpected(rows: pd.DataFrame, summary: str | Path) -> str:
    """The models that are not as expected, with cause, message and hint, in at most 100 columns; the first 50."""
    bad = rows[~rows["as_expected"].astype(bool)]
    if bad.empty:
        return ""
    lines = [f"{len(bad)} of {len(rows)} models {'is' if len(bad) == 1 else 'are'} not as expected:", ""]
    for row in bad.head(_MOST_SHOWN).to_dict("records"):
        ended = f"{row['status']}, {row['cause']}" if row["cause"] else row["status"]
        wanted = "" if row["expect"] == "verified" else f" (expected: {row['expect'].replace('; ', ' or ')})"
        hint = row["hint"] or ("" if row["status"] != "verified" else "correct `expect:` in the model's settings")
        lines += _wrapped(f"{row['model']}: {ended}{wanted}", "  ", "      ")
        lines += _wrapped(row["message"], "      ", "      ")
        lines += _wrapped(hint, "      -> ", "         ")
    if len(bad) > _MOST_SHOWN:
        lines.append(f"... and {len(bad) - _MOST_SHOWN} more, see {harmless(str(summary))}")
    return "\n".join(lines) + "\n"


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(harmless(text), _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)


def found(rows: pd.DataFrame, summary: str | Path) -> str:
    """What the gate says of the rows of a summary: how many models ended how, and which are not as expected."""
    return f"{counts(rows)}\n{unexpected(rows, summary)}"


def harmless(text: str) -> str:
    """`text` without what a terminal obeys: escape sequences, line ends, and marks that turn the writing direction."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
