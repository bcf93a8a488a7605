"""Exports a verified frozen graph as a SavedModel: its bytes as they are, in a frame with signatures.

export_saved_model.json says what was made, or why nothing was.
"""

import argparse
from pathlib import Path

from permafrost.export_records import SAVED_MODEL
from permafrost.model import Settings
from permafrost.recording import reader
from permafrost.stages import export_model, export_saved_model


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument(
        "--provenance", required=True, type=Path, help="the model's provenance.json, beside frozen_graph.pb"
    )
    parser.add_argument("--verdict", required=True, help="the model's verify.json")
    parser.add_argument(
        "--settings", required=True, type=reader(Settings), help="JSON: saved_model, signature, timeout, memory_mb, ..."
    )
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument(
        "record", type=Path, help="export_saved_model.json, to be written; saved_model/ comes beside it"
    )
    args = parser.parse_args(argv)

    records = export_model.Records(args.import_record, args.provenance, args.verdict)
    make = export_saved_model.make
    export_model.run(SAVED_MODEL, make, args.model, args.attempt, records, args.settings, args.record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
