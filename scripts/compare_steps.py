"""Compares a model's checkpoint with that of the step before it: a CSV file with a row for each tensor.

It has no rows where one of the two could not be imported, or cannot be read; the log then says why.
"""

import argparse
import sys
from pathlib import Path

from permafrost import recording
from permafrost.outcome import OK, Problem
from permafrost.records import ImportRecord, Provenance, known
from permafrost.report import step_comparison
from permafrost.report.columns import Row
from permafrost.report.tables.steps import STEPS


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, type=Path, help="import.json of the step before")
    parser.add_argument("--import-record", required=True, type=Path, help="import.json of the model")
    parser.add_argument("--provenance", required=True, type=Path, help="provenance.json of the model")
    parser.add_argument("--sources", default="", help="what the two checkpoints are, by content; not read")
    parser.add_argument("table", type=Path, help="steps.csv, to be written")
    args = parser.parse_args(argv)

    try:
        STEPS.write(args.table, _rows(args.before, args.import_record, args.provenance))
    except OSError as error:
        print(f"compare_steps: {args.table} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _rows(before: Path, after: Path, provenance: Path) -> list[Row]:
    """The rows of STEPS, none where the two cannot be compared, which is said on stderr."""
    (old, unread), (new, unread_too) = (recording.load_or_empty(path, ImportRecord) for path in (before, after))
    bad = [record.message for record in (old, new) if record.status != OK]
    if unread or unread_too or bad:
        print(f"not compared: {next(filter(None, [unread, unread_too, *bad]), '')}", file=sys.stderr)
        return []
    frozen = known(recording.load_or_empty(provenance, Provenance)[0].tensors, [])
    try:
        return step_comparison.compare(old.prefix, new.prefix, old.model, {tensor.key for tensor in frozen})
    except Problem as problem:
        print(f"not compared: {problem.message} ({problem.hint})", file=sys.stderr)
        return []


if __name__ == "__main__":
    raise SystemExit(main())
