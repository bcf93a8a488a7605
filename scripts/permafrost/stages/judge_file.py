"""Judges a frozen graph that another tool made of a checkpoint, as verify judges those that were made here.

Its outputs and inputs are the file's own: its ends and its placeholders. judged.json says what was found, judged.csv
has a row for each output and trial.
"""

import os
import time
from typing import Any

from permafrost import recording
from permafrost.checkpoint import unchanged
from permafrost.graph import graph_sources
from permafrost.graph.index import GraphIndex
from permafrost.judge import judging, verdict
from permafrost.judge.comparison import Row
from permafrost.model import Settings, Source
from permafrost.outcome import UNVERIFIABLE, VERIFIED, Problem
from permafrost.records import ImportRecord, JudgedFile, failure
from permafrost.report.tables.verification import VERIFICATION
from permafrost.sandbox import limits
from permafrost.signature import foreign, graph_choice
from permafrost.stages.import_model import import_model, initialize, rehearse


def judge(frozen_graph: str, source: Source, settings: Settings, record: JudgedFile) -> list[Row]:
    """Judges the file `frozen_graph`, and says in `record` what was found and how it ended.

    Args:
      settings: of the model, as for import_meta and verify together.
    Returns the rows of judged.csv. Raises Problem for whatever keeps the two from being compared.
    """
    imported = recording.begun(ImportRecord, "")
    record.frozen_graph = frozen_graph
    if source.problem:
        import_model(source, settings, imported)
        record.end(imported)
        return []
    began = time.monotonic()
    try:
        index = limits.held(settings, foreign.read, frozen_graph)
    except Problem as problem:
        record.end(failure("judge", problem, verdict.status(problem.cause)))
        return []

    def import_both() -> tuple[Any, ...]:
        found = graph_choice.chosen(source, settings.weights) if graph_choice.is_open(source) else source
        meta_graph = graph_sources.read(graph_sources.graph_of(found))
        own = foreign.settings_for(frozen_graph, index, GraphIndex(meta_graph.graph_def), settings)
        import_model(found, own, imported)
        return meta_graph, own

    meta_graph, settings = limits.held(limits.left(settings, began), import_both)
    initialize(limits.left(settings, began), imported)
    rehearse(limits.left(settings, began), imported)
    record.prefix, record.inputs, record.outputs = imported.prefix, imported.inputs, imported.outputs
    record.transient = imported.transient
    provenance = limits.held(limits.left(settings, began), foreign.provenance, index, meta_graph, imported)
    model = verdict.Model(graph_sources.absolute(imported), provenance, os.path.abspath(frozen_graph))
    return verdict.decide("judge", judging.judge_foreign, model, settings, record)


def run(model: str, attempt: str, source: Source, settings: Settings, path: str, table: str) -> None:
    """Writes judged.json to `path` and judged.csv to `table`. Raises OSError where one cannot be written.

    Args:
      model, attempt: the model's id, and the token of this attempt, or "".
      source, settings: as judge has them; `settings.judge` is the frozen graph's path.
    """
    rows: list[Row] = []
    begun = recording.begun(JudgedFile, model)
    with recording.recording("judge", begun, path, attempt, UNVERIFIABLE) as record:
        named = filter(os.path.exists, [settings.judge])
        with unchanged.watched([*graph_sources.seen(source), *named]) as refuse_changed:
            found = judge(settings.judge, source, settings, record)
            if record.status != VERIFIED and not source.problem:
                refuse_changed()
        rows += found
    VERIFICATION.write(table, rows)
