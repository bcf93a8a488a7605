"""Numbers as people read them."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """A number of bytes: `152 B`, `1.23 MB`."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {_UNITS[unit]}"
