"""Text in Markdown (https://spec.commonmark.org/0.31.2, with the tables of GitHub's).

What strangers' graphs and files are called is shown as it is, and marks nothing up.
"""

import re

from permafrost.report import csv_files

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
_SPAN = re.compile(r"`([^`]*)`")


def escaped(value: str) -> str:
    """A text on one line in which nothing is markup."""
    return _MARKS.sub(r"\\\1", csv_files.text(value))


def paragraph(value: str) -> str:
    """A text of ours, in which pairs of backticks mark code, and nothing else is markup."""
    parts = _SPAN.split(value)
    return "".join(f"`{part}`" if at % 2 else escaped(part) for at, part in enumerate(parts))
