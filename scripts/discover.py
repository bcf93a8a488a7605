"""Writes what discovery found: zoo.csv with each checkpoint, also the unusable, and the state file.

The zoo itself is not read; zoo.state_file does that when the Snakefile is parsed, and hands over what it found.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from permafrost.outcome import ZOO_COLUMNS, Problem
from permafrost.records import written_whole
from permafrost.zoo import state_file
from permafrost.zoo.names import printable


def table(state: dict) -> pd.DataFrame:
    """The rows of zoo.csv, all strings, for a state as zoo_state.read gives it.

    Sorted by model and step. What UTF-8 or a line of text cannot hold is percent-encoded.
    """
    found = {model["id"]: model["findings"] for model in state["models"]}
    rows = [_row(candidate, found) for candidate in state["candidates"]]
    return pd.DataFrame(rows, columns=list(ZOO_COLUMNS), dtype=str)


def _row(candidate: dict, found: dict[str, list[str]]) -> list[str]:
    problem = candidate["problem"] or {"cause": "", "message": "", "hint": ""}
    findings = found[candidate["model"]] if candidate["selected"] else candidate["findings"]
    row = {
        **{key: candidate[key] for key in ("model", "directory", "prefix", "format", "shards", "bytes")},
        **{key: problem[key] for key in ("cause", "message", "hint")},
        "step": "" if candidate["step"] is None else candidate["step"],
        "meta_graph": candidate["meta"],
        "selected": "yes" if candidate["selected"] else "no",
        "findings": "; ".join(findings),
    }
    return [printable(str(row[column])) for column in ZOO_COLUMNS]


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
    state_file.keep(args.state, args.keep)
    with written_whole(args.table) as temporary:
        table(state).to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
