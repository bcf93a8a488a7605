"""Verifies a model: TensorFlow restores the checkpoint, loads the frozen graph from the disk, and compares the two.

All of it runs in a child process with a time and memory limit; verify.json says what was found, verification.csv has
a row for each output and trial.
"""

import argparse
import json
import os
from pathlib import Path

import pandas as pd

from permafrost import records
from permafrost.comparison import VERIFICATION_COLUMNS
from permafrost.contract import MISMATCH, UNVERIFIABLE, VERIFIED, Problem

_MISMATCHES = ("weights_differ", "outputs_differ", "structure_differs", "not_importable")


def verify(imported: dict, provenance: dict, frozen_graph: Path, settings: dict, facts: dict) -> dict:
    """Judges a frozen model, adds what was measured to `facts`, and returns how it ended.

    Raises Problem (internal) where the frozen graph is not the one that its provenance describes.
    """
    if provenance["status"] != records.OK:
        return records.passed_on(provenance)
    if not frozen_graph.exists() or frozen_graph.stat().st_size != provenance["frozen_bytes"]:
        raise Problem("changed", f"{frozen_graph} is not the file that its provenance.json describes")
    # Imported here: a model that could not be frozen needs no TensorFlow. Nothing is run before the fork.
    from permafrost import judging, sandbox

    try:
        found = sandbox.run(
            judging.judge,
            imported | {"prefix": os.path.abspath(imported["prefix"]), "meta": os.path.abspath(imported["meta"])},
            provenance,
            os.path.abspath(frozen_graph),
            settings,
            os.getcwd(),
            seconds=settings["timeout"],
            memory_mb=settings["memory_mb"],
        )
    except Problem as problem:
        status = MISMATCH if problem.cause in _MISMATCHES else UNVERIFIABLE
        return records.failure("verify", problem, status)
    facts.update(found)
    if "difference" in found:
        return records.failure("verify", Problem("outputs_differ", found["difference"]), MISMATCH)
    return records.success(VERIFIED)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument("--provenance", required=True, type=Path, help="provenance.json, beside frozen_graph.pb")
    parser.add_argument(
        "--settings", required=True, type=json.loads, help="JSON: trials, seed, tolerance, timeout, ..."
    )
    parser.add_argument("record", help="verify.json, to be written")
    parser.add_argument("table", help="verification.csv, to be written")
    args = parser.parse_args(argv)

    imported, provenance = records.load(args.import_record), records.load(args.provenance)
    frozen_graph = args.provenance.with_name("frozen_graph.pb")
    rows: list[dict] = []

    def work(facts: dict) -> dict:
        outcome = verify(imported, provenance, frozen_graph, args.settings, facts)
        rows.extend(facts.pop("rows", []))
        return outcome

    records.write_record("verify", args.model, args.record, work, failed=UNVERIFIABLE)
    table = pd.DataFrame(rows, columns=list(VERIFICATION_COLUMNS))
    with records.written_whole(args.table) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
