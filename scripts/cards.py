"""Writes card.md and SHA256SUMS beside each frozen graph, and cards.md, which leads to the cards.

A card says what goes into a model and what comes out, how it is used, what was verified, and what its files are.
"""

import argparse
import sys
from pathlib import Path

from permafrost.outcome import Problem
from permafrost.report.cards import writing
from permafrost.zoo import state_file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="the state file of the last discovery")
    parser.add_argument("--frozen", required=True, help="the directory of the frozen graphs and their provenance.json")
    parser.add_argument("--reports", required=True, help="the directory of models/<model>/import.json and verify.json")
    parser.add_argument("index", type=Path, help="cards.md, to be written")
    args = parser.parse_args(argv)

    try:
        writing.write(state_file.read(args.state), args.frozen, args.reports, args.index)
    except Problem as problem:
        print(f"cards: {problem.message} ({problem.hint})", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cards: {error.filename or 'a card'} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
