"""Verifies a model: TensorFlow restores the checkpoint, loads the frozen graph from the disk, and compares the two.

All of it runs in a child process with a time and memory limit; verify.json says what was found, verification.csv has
a row for each output and trial.
"""

import argparse
import json
import os
from pathlib import Path

import pandas as pd

from permafrost import graph_files, records
from permafrost.comparison import VERIFICATION_COLUMNS
from permafrost.contract import MISMATCH, UNVERIFIABLE, VERIFIED, Problem

_MISMATCHES = ("weights_differ", "outputs_differ", "structure_differs", "not_importable")
_FREEZE_AGAIN = "run again: the next run freezes the model anew"
_SEARCH_SHARE = 0.25  # of the time limit, in addition to it


def verify(imported: dict, provenance: dict, frozen_graph: Path, settings: dict, facts: dict) -> dict:
    """Judges a frozen model, adds what was measured to `facts`, and returns how it ended.

    Raises Problem (changed) where the frozen graph is not the one that its provenance describes.
    """
    if provenance["status"] != records.OK:
        return records.passed_on(provenance)
    if not frozen_graph.exists() or records.checksum(frozen_graph) != provenance["frozen_crc32c"]:
        raise Problem("changed", f"{frozen_graph} is not the file that its provenance.json describes", _FREEZE_AGAIN)
    _refuse_changed(imported, provenance)
    # Imported here: a model that could not be frozen needs no TensorFlow. Nothing is run before the fork.
    from permafrost import judging, sandbox, sides

    facts["environment"] = sides.ENVIRONMENT
    model = (graph_files.absolute(imported), provenance, os.path.abspath(frozen_graph))
    try:
        found = sandbox.run(judging.judge, *model, settings, os.getcwd(), **sandbox.limits(settings))
    except Problem as problem:
        return records.failure("verify", problem, _status(problem.cause))
    finding = found.pop("finding", None)
    facts.update(found)
    if finding is None:
        return records.success(VERIFIED)
    message = finding["message"]
    if finding["cause"] == "outputs_differ":
        message += _name_first_tensor(model, found["rows"], settings)
    return records.failure("verify", Problem(finding["cause"], message), _status(finding["cause"]))


def _status(cause: str) -> str:
    return MISMATCH if cause in _MISMATCHES else UNVERIFIABLE


def _refuse_changed(imported: dict, provenance: dict) -> None:
    """Raises Problem (changed) where the graph or the index is not what was frozen; weights are the judge's matter."""
    for path in (imported["graph"]["path"], imported["graph"]["saver"], f"{imported['prefix']}.index"):
        hashed = provenance["sha256"].get(os.path.basename(path)) if path else None
        if hashed and (not os.path.exists(path) or records.sha256(path) != hashed):
            raise Problem("changed", f"{path} is not what it was when the model was frozen")


def _name_first_tensor(model: tuple, rows: list[dict], settings: dict) -> str:
    """Adds to the rows of the first trial that does not match the tensor where it begins to; says so for the message.

    The verdict stands by then, whatever becomes of this search.
    """
    from permafrost import first_difference, sandbox

    bad = [row for row in rows if not row["match"]]
    if not bad:
        return ""
    seed, batch = bad[0]["seed"], bad[0]["batch"]
    limits = sandbox.limits(settings, _SEARCH_SHARE)
    try:
        where = sandbox.run(first_difference.find, *model, os.getcwd(), seed, batch, **limits)
    except (Problem, RuntimeError) as error:
        return f"; where it begins was not found: {error}"
    for row in bad:
        if row["trial"] == bad[0]["trial"]:
            row["first_tensor"] = where
    return f"; the first tensor that differs is {where}" if where else ""


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
