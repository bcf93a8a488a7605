"""Lists the exports of all models and how they were judged: a CSV file with a row for each model and format."""

import argparse
import sys
from pathlib import Path

from permafrost.outcome import Problem
from permafrost.report import exports
from permafrost.report.tables.exports import EXPORTS
from permafrost.zoo import state_file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--frozen", required=True, help="the directory of <model>/export_<format>.json")
    parser.add_argument("--reports", required=True, help="the directory of models/<model>/judged_<format>.json")
    parser.add_argument("table", type=Path, help="exports.csv, to be written")
    args = parser.parse_args(argv)

    try:
        rows = exports.rows(state_file.read(args.state), args.frozen, args.reports)
        EXPORTS.write(args.table, rows)
    except Problem as problem:
        print(f"list_exports: {problem.message} ({problem.hint})", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"list_exports: {args.table} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{args.table} has {len(rows)} exports", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
