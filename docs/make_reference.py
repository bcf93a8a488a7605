"""Writes docs/reports.md, the reference of the CSV files, from what the code says of them."""

import sys
from pathlib import Path

HOME = Path(__file__).parents[1]
sys.path.insert(0, str(HOME / "scripts"))

from permafrost import columns, records  # noqa: E402 - after the path

if __name__ == "__main__":
    with records.written_whole(HOME / "docs" / "reports.md") as temporary:
        temporary.write_text(columns.reference(), encoding="utf-8")
