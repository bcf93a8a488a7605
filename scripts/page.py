"""Writes index.html, all the reports as one page that opens from the disk, without a network or a server; and
summary.md, what of it matters to who decides, on one sheet.

It reads the tables of the zoo, and the records and tables of as many models as fit into the page.
"""

import argparse
import sys
from pathlib import Path

from permafrost.outcome import Problem
from permafrost.report.page import content
from permafrost.zoo import state_file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--frozen", required=True, help="the directory of the frozen graphs and their provenance.json")
    parser.add_argument("--reports", required=True, help="the directory of summary.csv and of all the other reports")
    parser.add_argument("--page", required=True, type=Path, help="index.html, to be written")
    parser.add_argument("--brief", required=True, type=Path, help="summary.md, to be written")
    parser.add_argument("zoo", nargs="+", help="the directories of the checkpoints")
    args = parser.parse_args(argv)

    try:
        models = state_file.read(args.state).models
        content.write(models, args.frozen, args.reports, args.page, args.brief, args.zoo)
    except Problem as problem:
        print(f"page: {problem.message} ({problem.hint})", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"page: {error.filename or args.page}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
