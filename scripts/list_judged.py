"""Lists how the frozen graphs of other tools were judged: a CSV file with a row for each."""

import argparse
import sys
from pathlib import Path

from permafrost.report import judged
from permafrost.report.tables.judged import JUDGED
from permafrost.zoo import state_file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--reports", required=True, help="the directory of models/<model>/judged.json")
    parser.add_argument("table", type=Path, help="judged.csv, to be written")
    args = parser.parse_args(argv)

    rows = judged.rows(state_file.read(args.state), args.reports)
    JUDGED.write(args.table, rows)
    print(f"{args.table} has {len(rows)} frozen graphs", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
