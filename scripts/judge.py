"""Judges a frozen graph that another tool made of a checkpoint, as verify judges those that were made here.

Its outputs and inputs are the file's own: its ends and its placeholders. judged.json says what was found, judged.csv
has a row for each output and trial.
"""

import argparse
import json
import os
import time

from import_meta import import_model, rehearse
from permafrost import records
from permafrost.checkpoint import unchanged
from permafrost.graph import graph_sources
from permafrost.graph.index import GraphIndex
from permafrost.judge import judging, verdict
from permafrost.outcome import VERIFIED, Problem
from permafrost.report import judgement
from permafrost.sandbox import limits
from permafrost.signature import foreign


def judge(frozen_graph: str, source: dict, settings: dict, facts: dict) -> dict:
    """Judges the file `frozen_graph`, adds what was found to `facts`, and returns how it ended.

    Args:
      source: the model as discovery describes it (zoo.discovery).
      settings: of the model, as for import_meta and verify together.
    Raises Problem for whatever keeps the two from being compared.
    """
    imported: dict = {"status": records.OK}
    facts["frozen_graph"] = frozen_graph
    if source["problem"]:
        return import_model(source, settings, imported)
    began = time.monotonic()
    try:
        index = limits.held(settings, foreign.read, frozen_graph)
    except Problem as problem:
        return records.failure("judge", problem, verdict.status(problem.cause))

    def import_both() -> tuple:
        meta_graph = graph_sources.read(source.get("graph") or graph_sources.describe(source["meta"]))
        own = foreign.settings_for(frozen_graph, index, GraphIndex(meta_graph.graph_def), settings)
        import_model(source, own, imported)
        return meta_graph, own

    meta_graph, settings = limits.held(limits.left(settings, began), import_both)
    rehearse(limits.left(settings, began), imported)
    facts.update({key: imported[key] for key in ("prefix", "inputs", "outputs", "transient") if key in imported})
    provenance = limits.held(limits.left(settings, began), foreign.provenance, index, meta_graph, imported)
    model = (graph_sources.absolute(imported), provenance, os.path.abspath(frozen_graph))
    return verdict.reach("judge", judging.judge_foreign, model, settings, facts)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--source", required=True, type=json.loads, help="JSON: prefix, meta, format, ... of the model")
    parser.add_argument("--settings", required=True, type=json.loads, help="JSON: judge, outputs, inputs, trials, ...")
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("record", help="judged.json, to be written")
    parser.add_argument("table", help="judged.csv, to be written")
    args = parser.parse_args(argv)

    def work(facts: dict) -> dict:
        named = filter(os.path.exists, [args.settings["judge"]])
        with unchanged.watched([*graph_sources.seen(args.source), *named]) as refuse_changed:
            outcome = judge(args.settings["judge"], args.source, args.settings, facts)
            if outcome["status"] != VERIFIED and not args.source["problem"]:
                refuse_changed()
        return outcome

    judgement.write("judge", args.model, args.record, args.table, work, args.attempt)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
