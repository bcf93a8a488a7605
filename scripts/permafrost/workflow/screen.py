"""What a run shows to people: lines that stay, and on a terminal below them one line that is written over.

It is imported before all other modules of Permafrost, and needs none of them.
"""

import os
import re
import shutil
import sys
import textwrap
from urllib.parse import quote

_WIDTHS = 60, 120  # columns; narrower lines cannot be read, and wider ones are not
_ASSUMED = 100  # columns where there is no terminal
_VERBATIM = 8  # spaces; what is indented so far is to be copied as it stands
_ARROW = "-> "
_COLUMN = re.compile(r" *\S+(?: \S+)* {2,}(?=\S)")  # what stands before the second column of a table
_ERASE = "\r\x1b[K"


class Screen:
    """The terminal, or the file, that stderr of a run is."""

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty()
        self._has_status = False

    def say(self, text: str) -> None:
        """Prints a line, or several, that stay."""
        self.clear()
        print(text, file=sys.stderr, flush=True)

    def show(self, status: str) -> None:
        """Prints a line that the next one takes the place of; where that cannot be, one that stays."""
        if not self.is_terminal:
            self.say(status)
            return
        columns = shutil.get_terminal_size().columns
        print(f"{_ERASE}{status[: columns - 1]}", end="", file=sys.stderr, flush=True)
        self._has_status = True

    def clear(self) -> None:
        """Takes the line away that does not stay, where there is one."""
        if self._has_status:
            print(_ERASE, end="", file=sys.stderr, flush=True)
            self._has_status = False


def width() -> int:
    """The columns in which text for people is written."""
    least, most = _WIDTHS
    return min(max(shutil.get_terminal_size((_ASSUMED, 24)).columns, least), most)


def wrapped(text: str, columns: int) -> str:
    """Text whose long lines go on below, indented as they are, or in their second column.

    Names are never broken, nor is what is to be copied, which is indented by eight spaces or more.
    """
    return "\n".join(part for line in text.split("\n") for part in _wrapped(line, columns))


def _wrapped(line: str, columns: int) -> list[str]:
    content = line.lstrip(" ")
    indent = " " * (len(line) - len(content))
    if len(line) <= columns or len(indent) >= _VERBATIM:
        return [line]
    column = _COLUMN.match(line)
    below = " " * (column.end() if column else len(indent) + (len(_ARROW) if content.startswith(_ARROW) else 2))
    return textwrap.wrap(
        content,
        columns,
        initial_indent=indent,
        subsequent_indent=below,
        break_on_hyphens=False,
        break_long_words=False,
    )


def link(path: str) -> str:
    """A path as terminals show it that open it at a click, and others as it is.

    Source: https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda (OSC 8).
    """
    address = f"file://{os.uname().nodename}{quote(os.path.abspath(path))}"
    return f"\x1b]8;;{address}\x1b\\{path}\x1b]8;;\x1b\\"
