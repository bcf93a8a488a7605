"""Judges an exported file: the runtime of its format runs it, and TensorFlow the checkpoint, on the same feeds.

All of it runs in a child process with limits. judged_<format>.json says what was found, export_<format>.csv has a row
for each output and trial.
"""

import argparse
from pathlib import Path

from permafrost.export_records import FORMATS
from permafrost.model import Settings
from permafrost.recording import reader
from permafrost.stages import judge_export


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", required=True, choices=FORMATS, help="what was exported")
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument("--provenance", required=True, help="the model's provenance.json")
    parser.add_argument("--verdict", required=True, help="the model's verify.json")
    parser.add_argument(
        "--export", required=True, type=Path, help="the export's record, beside its files and frozen_graph.pb"
    )
    parser.add_argument(
        "--settings", required=True, type=reader(Settings), help="JSON: trials, seed, timeout, memory_mb, ..."
    )
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("record", help="judged_<format>.json, to be written")
    parser.add_argument("table", help="export_<format>.csv, to be written")
    args = parser.parse_args(argv)

    paths = judge_export.Paths(args.import_record, args.provenance, args.verdict, args.export)
    judge_export.run(args.format, args.model, args.attempt, paths, args.settings, args.record, args.table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
