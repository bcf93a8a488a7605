"""Writes what discovery found: zoo.csv with each checkpoint, also the unusable, and the state file.

It fails, and writes nothing, where a directory of the zoo is empty in which the last run found models: one that is not
mounted, perhaps. The zoo itself is not read; zoo.state_file does that when the Snakefile is parsed, and hands over what
it found.
"""

import argparse
import sys
from pathlib import Path

from permafrost.outcome import Problem
from permafrost.report.tables import zoo
from permafrost.zoo import state_file
from permafrost.zoo.names import printable


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="what discovery found")
    parser.add_argument("--keep", required=True, type=Path, help="the state file, to be written for the next discovery")
    parser.add_argument("table", type=Path, help="zoo.csv, to be written")
    args = parser.parse_args(argv)

    try:
        state = state_file.read(args.state)
    except Problem as problem:
        print(f"{problem.message} ({problem.hint})", file=sys.stderr)
        return 1
    if state.emptied:
        print(_refusal(state), file=sys.stderr)
        return 1
    state_file.keep(args.state, args.keep)
    zoo.ZOO.write(args.table, zoo.rows(state))
    return 0


def _refusal(state: state_file.State) -> str:
    told = [f"{printable(zoo)}, where the last run found {count}" for zoo, count in state.emptied.items()]
    return (
        f"no model is left in {', nor in '.join(told)}; all stays as it was (mount the directory or correct `zoo`, or "
        "set `allow_empty: true` if the models are meant to be gone)"
    )


if __name__ == "__main__":
    raise SystemExit(main())
