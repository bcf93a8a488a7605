"""Exports a verified frozen graph to TensorFlow Lite, by TensorFlow's converter in a child process with limits.

export_tflite.json says what was made, or why nothing was.
"""

import argparse
from pathlib import Path

from permafrost.export_records import TFLITE
from permafrost.model import Settings
from permafrost.recording import reader
from permafrost.stages import export_model, export_tflite


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument(
        "--provenance", required=True, type=Path, help="the model's provenance.json, beside frozen_graph.pb"
    )
    parser.add_argument("--verdict", required=True, help="the model's verify.json")
    parser.add_argument(
        "--settings", required=True, type=reader(Settings), help="JSON: tflite, signature, timeout, memory_mb, ..."
    )
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("record", type=Path, help="export_tflite.json, to be written; model.tflite comes beside it")
    args = parser.parse_args(argv)

    records = export_model.Records(args.import_record, args.provenance, args.verdict)
    make = export_tflite.make
    export_model.run(TFLITE, make, args.model, args.attempt, records, args.settings, args.record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
