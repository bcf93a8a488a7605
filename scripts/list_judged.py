"""Lists how the frozen graphs of other tools were judged: a CSV file with a row for each."""

import argparse
import sys
from pathlib import Path

from permafrost import records
from permafrost.outcome import JUDGED_COLUMNS, VERIFIED, Problem
from permafrost.report import csv_files
from permafrost.zoo import state_file

_NUMBERS = {"max_abs_diff", "tolerance_used"}


def row(model: dict, reports: str) -> tuple:
    """A model's row, with a value for each of JUDGED_COLUMNS.

    Args:
      model: as in the state file of discovery.
    """
    path = Path(reports, "models", model["id"], "judged.json")
    try:
        found = records.load(path)
    except (OSError, ValueError) as error:
        found = records.failure("judge", Problem("internal", f"{path} cannot be read: {error}"))
    found |= {"model": model["id"], "expect": model.get("expect", VERIFIED), "inputs": list(found.get("inputs", ()))}
    return tuple(found.get(column) for column in JUDGED_COLUMNS)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--reports", required=True, help="the directory of models/<model>/judged.json")
    parser.add_argument("table", type=Path, help="judged.csv, to be written")
    args = parser.parse_args(argv)

    models = sorted(state_file.read(args.state)["models"], key=lambda model: model["id"])
    rows = [row(model, args.reports) for model in models if model["judge"]]
    csv_files.write(args.table, csv_files.table(rows, JUDGED_COLUMNS, {"trials", "weights"}, _NUMBERS))
    print(f"{args.table} has {len(rows)} frozen graphs", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
