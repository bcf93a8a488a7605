"""Imports a model's meta graph: its variables with their checkpoint keys, its outputs and its inputs.

Reads the meta graph and the checkpoint's index, and TensorFlow's op registry. Then the outputs are run on the inputs
for a trial, in a child process. All of it has a time and a memory limit.
"""

import argparse

from permafrost.model import Settings, Source
from permafrost.recording import reader
from permafrost.stages import import_model


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument(
        "--source", required=True, type=reader(Source), help="JSON: prefix, meta, format, ... of the model"
    )
    parser.add_argument("--settings", required=True, type=reader(Settings), help="JSON: outputs, inputs, timeout, ...")
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("record", help="import.json, to be written")
    parser.add_argument("ranking", help="outputs.csv, to be written")
    args = parser.parse_args(argv)

    import_model.run(args.model, args.attempt, args.source, args.settings, args.record, args.ranking)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
