"""The table of a stage that judges: a row for each output and trial."""

import pandas as pd

from permafrost.judge.comparison import VERIFICATION_COLUMNS
from permafrost.report import csv_files


def write(path: str, rows: list[dict]) -> None:
    """Writes the rows, with the keys VERIFICATION_COLUMNS, to `path`. Raises OSError."""
    csv_files.write(path, pd.DataFrame(rows, columns=list(VERIFICATION_COLUMNS)))
