"""Takes directories out of what the page shows: nobody's machine or name is to be read there."""

import os
import re
from collections.abc import Callable

_BEFORE = r"(?<![\w.:/\\~%*\]…])"
_PART = r"[^\s/\\'\"`<>|;,:()\[\]{}]+"
_UNIX = re.compile(rf"(?:\bfile:/+(?=/)|{_BEFORE})(?:~[\w.-]*)?(?:/{_PART})+/?")
_WINDOWS = re.compile(rf"(?<!\w)(?:[A-Za-z]:|\\)(?:[\\/]+{_PART})+")
_FEWEST_SHOWN = 3  # components; of a shorter path the last may be the name of a user


def hider(roots: list[str], foreign: bool = True) -> Callable[[str], str]:
    """A function that shortens the paths in a text.

    Args:
      roots: directories of this machine; where one begins a path, its own name is left of it.
      foreign: whether any other absolute path becomes `…/<last part>`, or `…` where that could be somebody's name.
    """
    absolute = {os.path.abspath(root).rstrip("/") for root in roots} | {os.path.realpath(root) for root in roots}
    longest_first = sorted((root for root in absolute if root.count("/") > 1), key=len, reverse=True)
    own = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, longest_first))})(?![\w.-])") if longest_first else None

    def hidden(text: str) -> str:
        if "/" not in text and "\\" not in text:
            return text
        if own:
            text = own.sub(lambda match: os.path.basename(match[0]), text)
        return _WINDOWS.sub(_shortened, _UNIX.sub(_shortened, text)) if foreign else text

    return hidden


def _shortened(match: re.Match[str]) -> str:
    parts = [part for part in re.split(r"[/\\]+", match[0]) if part and not part.endswith(":")]
    return f"…/{parts[-1]}" if len(parts) >= _FEWEST_SHOWN else "…" if len(parts) == 2 else match[0]
