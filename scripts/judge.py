"""Judges a frozen graph that another tool made of a checkpoint, as verify judges those that were made here.

Its outputs and inputs are the file's own: its ends and its placeholders. judged.json says what was found, judged.csv
has a row for each output and trial.
"""

import argparse

from permafrost.model import Settings, Source
from permafrost.recording import reader
from permafrost.stages import judge_file


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument(
        "--source", required=True, type=reader(Source), help="JSON: prefix, meta, format, ... of the model"
    )
    parser.add_argument(
        "--settings", required=True, type=reader(Settings), help="JSON: judge, outputs, inputs, trials, ..."
    )
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("record", help="judged.json, to be written")
    parser.add_argument("table", help="judged.csv, to be written")
    args = parser.parse_args(argv)

    judge_file.run(args.model, args.attempt, args.source, args.settings, args.record, args.table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
