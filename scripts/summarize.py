"""Sums up the records of all models: summary.csv with a row for each, timings.csv, op_types.csv and findings.csv.

summary.csv is the same bytes for the same zoo: times and memory are in timings.csv.
"""

import argparse
import sys
from pathlib import Path

from permafrost.outcome import Problem
from permafrost.report import summary
from permafrost.zoo import state_file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--frozen", required=True, help="the directory of the frozen graphs and their provenance.json")
    parser.add_argument("--reports", required=True, help="the directory of models/<model>/import.json and verify.json")
    parser.add_argument("--summary", required=True, type=Path, help="summary.csv, to be written")
    parser.add_argument("--timings", required=True, type=Path, help="timings.csv, to be written")
    parser.add_argument("--op-types", required=True, type=Path, help="op_types.csv, to be written")
    parser.add_argument("--findings", required=True, type=Path, help="findings.csv, to be written")
    args = parser.parse_args(argv)

    paths = summary.Paths(args.summary, args.timings, args.op_types, args.findings)
    try:
        summary.write(state_file.read(args.state), args.frozen, args.reports, paths)
    except Problem as problem:
        print(f"summarize: {problem.message} ({problem.hint})", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"summarize: {error.filename or 'a report'} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
