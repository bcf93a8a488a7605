"""Judges a frozen graph that another tool made of a checkpoint, as verify judges those that were made here.

Its outputs and inputs are the file's own: its ends and its placeholders. judged.json says what was found, judged.csv
has a row for each output and trial.
"""

import os
import time

from permafrost import records
from permafrost.checkpoint import unchanged
from permafrost.graph import graph_sources
from permafrost.graph.index import GraphIndex
from permafrost.judge import judging, verdict
from permafrost.outcome import VERIFIED, Problem
from permafrost.report import judgement
from permafrost.sandbox import limits
from permafrost.signature import foreign
from permafrost.stages.import_model import import_model, rehearse


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


def run(model: str, attempt: str, source: dict, settings: dict, record: str, table: str) -> None:
    """Writes judged.json to `record` and judged.csv to `table`. Raises OSError where one cannot be written.

    Args:
      model, attempt: as records.write_record has them.
      source, settings: as judge has them; `settings["judge"]` is the frozen graph's path.
    """

    def work(facts: dict) -> dict:
        named = filter(os.path.exists, [settings["judge"]])
        with unchanged.watched([*graph_sources.seen(source), *named]) as refuse_changed:
            outcome = judge(settings["judge"], source, settings, facts)
            if outcome["status"] != VERIFIED and not source["problem"]:
                refuse_changed()
        return outcome

    judgement.write("judge", model, record, table, work, attempt)
