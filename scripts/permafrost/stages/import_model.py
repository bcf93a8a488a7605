"""Imports a model's meta graph: its variables with their checkpoint keys, its outputs and its inputs.

Reads the meta graph and the checkpoint's index, and TensorFlow's op registry. Then the outputs are run on the inputs
for a trial, in a child process. All of it has a time and a memory limit.
"""

import contextlib
import os
import time

from permafrost import records
from permafrost.checkpoint import unchanged
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.freezer import planning
from permafrost.freezer.beginning import Beginning
from permafrost.graph import graph_sources, op_registry
from permafrost.graph.index import GraphIndex
from permafrost.judge import model_files
from permafrost.outcome import TRANSIENT, Problem
from permafrost.report.tables.outputs import OUTPUTS
from permafrost.sandbox import limits
from permafrost.signature import choosing, importing


def import_model(source: dict, settings: dict, facts: dict) -> dict | None:
    """Adds to `facts` what is known of the model, as far as it goes; returns the problem that discovery found, if any.

    Args:
      source: a model as discovery describes it (zoo.discovery).
      settings: `outputs`, `inputs`, `weights` and `checkpoint_version` as in config.yaml.
    Raises Problem for whatever keeps the model from being frozen.
    """
    facts.update({key: source[key] for key in ("prefix", "step", "format", "meta", "findings")})
    facts["checkpoint_bytes"] = source["bytes"]
    facts["files"] = graph_sources.seen(source)
    facts["weights"] = settings["weights"]
    facts["graph"] = source.get("graph") or graph_sources.describe(source["meta"])
    if problem := source["problem"]:
        with contextlib.suppress(Problem):
            facts.update(importing.describe_graph(graph_sources.read(facts["graph"])))
        return records.failure("discover", Problem(problem["cause"], problem["message"], problem["hint"]))
    meta_graph = graph_sources.read(facts["graph"])
    facts.update(importing.describe_graph(meta_graph))
    if not meta_graph.saver_def.restore_op_name:
        facts["findings"] = [*facts["findings"], "the graph has no saver; its variables are restored by their names"]
    index = GraphIndex(meta_graph.graph_def)
    with open_checkpoint(source["prefix"]) as checkpoint:
        facts["format"], facts["checkpoint_bytes"] = checkpoint.format, checkpoint.bytes
        facts["files"] = checkpoint.files
        if settings["checkpoint_version"] not in (None, checkpoint.format):
            raise Problem("bad_setting", f"{source['prefix']} is a checkpoint of format {checkpoint.format}")
        facts["variables"] = importing.describe_variables(
            facts["graph"]["path"], meta_graph, index, checkpoint.tensors, settings["weights"], "graph" in source
        )
    run_before = Beginning(meta_graph, index).ops()
    try_to_freeze = planning.trial(meta_graph, index, facts["variables"])
    facts.update(choosing.choose(meta_graph, index, facts["variables"], settings, run_before, try_to_freeze))
    return None


def rehearse(settings: dict, facts: dict) -> None:
    """Runs the outputs on the inputs, and adds to `facts` what came of it: `batches`, `rehearsal`, `stale_shapes`.

    Inputs are changed where that makes the graph run, and outputs that were found in the graph, rather than named in
    the settings, are left out where they do not run and others do. A graph that does not run at all is frozen none
    the less; `rehearsal` then says why, else it is empty. Where it was the machine's fault, the record is `transient`.
    """
    from permafrost.judge import rehearsal
    from permafrost.sandbox import runner

    is_named = settings["outputs"] != "auto"
    work = (rehearsal.rehearse, graph_sources.absolute(facts), settings, os.getcwd(), is_named)
    try:
        readable = model_files.readable(facts, settings)
        found = runner.run(*work, readable=readable, **runner.limits(settings))
    except Problem as problem:
        found = rehearsal.nothing_found(facts["inputs"], problem.message)
        if problem.cause in TRANSIENT:
            facts["transient"] = True
    choosing.leave_out(facts, found["left_out"])
    facts.update(inputs=found["inputs"], batches=found["batches"], stale_shapes=found["stale_shapes"])
    facts["rehearsal"] = found["failure"]


def import_and_rehearse(source: dict, settings: dict, facts: dict) -> dict | None:
    """What import_model and then rehearse do, within the `timeout` and `memory_mb` of the settings.

    Returns and raises as import_model does, and Problem: timeout, memory, or changed where files change meanwhile.
    """
    if not source["problem"]:
        op_registry.load()
    began = time.monotonic()
    with unchanged.watched(graph_sources.seen(source)) as refuse_changed:
        failure = limits.held(settings, import_model, source, settings, facts)
        if failure is None:
            rehearse(limits.left(settings, began), facts)
        if facts.get("rehearsal"):
            refuse_changed()
    return failure


def ranking(record: dict) -> list[dict]:
    """All that could be an output of a model, best first: the rows of OUTPUTS."""
    entries = record.get("outputs_ranking", ())
    known = {entry["name"] for entry in entries}
    named = [name for name in record.get("outputs", ()) if name not in known]
    return [
        *entries,
        *({"name": name, "chosen": True, "score": None, "reasons": record["outputs_why"]} for name in named),
    ]


def run(model: str, attempt: str, source: dict, settings: dict, record: str, table: str) -> None:
    """Writes import.json to `record` and outputs.csv to `table`. Raises OSError where one cannot be written.

    Args:
      model, attempt: as records.write_record has them.
      source, settings: as import_model has them.
    """

    def work(facts: dict) -> dict | None:
        return import_and_rehearse(source, settings, facts)

    found = records.write_record("import_meta", model, record, work, attempt)
    OUTPUTS.write(table, ranking(found))
