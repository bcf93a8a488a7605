"""Freezes a model: writes frozen_graph.pb, straight from the checkpoint's bytes, and provenance.json beside it.

The record says how it ended; the .pb is there only when it is good. TensorFlow is not imported.
"""

import argparse
from pathlib import Path

from permafrost.model import Settings
from permafrost.recording import reader
from permafrost.stages import freeze_model


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument(
        "--options", required=True, type=reader(Settings), help="JSON: clear_devices, ..., timeout, ..."
    )
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("provenance", type=Path, help="provenance.json; frozen_graph.pb is written beside it")
    args = parser.parse_args(argv)

    freeze_model.run(args.model, args.attempt, args.import_record, args.options, args.provenance)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
