"""Compares summary.csv with that of the last finished run: changes.csv says what became other in between.

A model that is new or gone is a row; of any other, each column of summary.csv that changed is one. `worse` and
`better` are said of the status. Without a finished run before, all models are new.
"""

import argparse
import sys
from pathlib import Path

from permafrost.outcome import Problem
from permafrost.report import changes


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", required=True, type=Path, help="the summary of the last finished run; may be missing")
    parser.add_argument("summary", type=Path, help="summary.csv")
    parser.add_argument("changes", type=Path, help="changes.csv, to be written")
    args = parser.parse_args(argv)

    try:
        changes.write(args.kept, args.summary, args.changes)
    except Problem as problem:
        print(f"changes: {problem.message} ({problem.hint})", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"changes: {args.changes} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
