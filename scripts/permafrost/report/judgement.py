"""The table of a stage that judges: a row for each output and trial."""

from permafrost.report.tables.verification import VERIFICATION


def write(path: str, rows: list[dict]) -> None:
    """Writes what was found of each output and trial to `path`. Raises OSError."""
    VERIFICATION.write(path, rows)
