"""What a person may have meant by a name that is not there."""

import difflib
from collections.abc import Iterable


def maybe_meant(wrong: str, known: Iterable[str], cutoff: float) -> str:
    """A hint with up to three of the names `known` that are close to `wrong`; empty where none is.

    Args:
      cutoff: how close, from 0 to 1, as in difflib.get_close_matches.
    """
    close = difflib.get_close_matches(wrong, list(known), n=3, cutoff=cutoff)
    return f"maybe you meant {' or '.join(close)}" if close else ""
