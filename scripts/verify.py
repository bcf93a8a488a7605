"""Verifies a model: TensorFlow restores the checkpoint, loads the frozen graph from the disk, and compares the two.

All of it runs in a child process with a time and memory limit; verify.json says what was found, verification.csv has
a row for each output and trial.
"""

import argparse
from pathlib import Path

from permafrost.model import Settings
from permafrost.recording import reader
from permafrost.stages import verify_model


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument("--provenance", required=True, type=Path, help="provenance.json, beside frozen_graph.pb")
    parser.add_argument(
        "--settings", required=True, type=reader(Settings), help="JSON: trials, seed, tolerance, timeout, ..."
    )
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("record", help="verify.json, to be written")
    parser.add_argument("table", help="verification.csv, to be written")
    args = parser.parse_args(argv)

    paths = (args.import_record, args.provenance)
    verify_model.run(args.model, args.attempt, *paths, args.settings, args.record, args.table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
