"""The arguments of the programs that export to a format, which are the same for all, and the call."""

import argparse
from pathlib import Path

from permafrost.model import Settings
from permafrost.recording import reader
from permafrost.stages import export_model
from permafrost.stages.export_model import Make, Records


def main(description: str | None, form: str, make: Make, argv: list[str] | None) -> int:
    """Runs the program of a format, which `make` makes the files of, and returns its exit status.

    Args:
      description: what it does, for its help.
    Raises SystemExit where the arguments are wrong, and OSError where the record cannot be written.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument(
        "--provenance", required=True, type=Path, help="the model's provenance.json, beside frozen_graph.pb"
    )
    parser.add_argument("--verdict", required=True, help="the model's verify.json")
    parser.add_argument(
        "--settings", required=True, type=reader(Settings), help=f"JSON: {form}, signature, timeout, memory_mb, ..."
    )
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("record", type=Path, help=f"export_{form}.json, to be written; the files come beside it")
    args = parser.parse_args(argv)

    records = Records(args.import_record, args.provenance, args.verdict)
    export_model.run(form, make, args.model, args.attempt, records, args.settings, args.record)
    return 0
