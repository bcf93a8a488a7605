"""Imports a model's meta graph: its variables with their checkpoint keys, its outputs and its inputs.

Reads the meta graph and the checkpoint's index, and TensorFlow's op registry. Then the outputs are run on the inputs
for a trial, in a child process. All of it has a time and a memory limit.
"""

import contextlib
import os
import time
from typing import Any

import msgspec
from msgspec import UNSET

from permafrost import recording
from permafrost.checkpoint import object_graph, unchanged
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.freezer import lifting, planning, replicas
from permafrost.freezer.initialization import Initialization
from permafrost.graph import graph_sources, initializers, pruning, vocabularies
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops import registry
from permafrost.graph.protos import MetaGraphDef
from permafrost.input_kinds import Inputs
from permafrost.judge import model_files
from permafrost.model import Settings, Source
from permafrost.outcome import OK, TRANSIENT, Problem
from permafrost.records import ImportRecord, Initialized, failure, is_known, known
from permafrost.report.columns import Row
from permafrost.report.tables.outputs import OUTPUTS
from permafrost.sandbox import limits
from permafrost.signature import baking, choosing, graph_choice, importing, table_words
from permafrost.signature.table_words import Words


def import_model(source: Source, settings: Settings, record: ImportRecord) -> None:
    """Says in `record` what is known of the model, as far as it goes.

    Args:
      settings: `outputs`, `inputs`, `weights`, `unsaved_variables`, `checkpoint_version` and `bake` as in config.yaml.
    Where discovery found a problem, the record ends with that.
    Raises Problem for whatever keeps the model from being frozen.
    """
    record.prefix, record.step, record.format = source.prefix, source.step, source.format
    record.meta, record.findings, record.checkpoint_bytes = source.meta, source.findings, source.bytes
    record.files = graph_sources.seen(source)
    record.weights = settings.weights
    record.graph = graph_sources.graph_of(source)
    if problem := source.problem:
        with contextlib.suppress(Problem):
            importing.describe_graph(graph_sources.read(record.graph), record)
        record.end(failure("discover", Problem(problem.cause, problem.message, problem.hint)))
        return
    # Who names a graph says what it belongs to, as one that was found here does not.
    is_named = is_known(source.graph) and source.graphs is None
    if graph_choice.is_open(source):
        source = graph_choice.chosen(source, settings.weights)
        record.graph, record.meta, record.findings = source.graph, source.meta, source.findings
    meta_graph = graph_sources.read(record.graph)
    importing.describe_graph(meta_graph, record)
    if not meta_graph.saver_def.restore_op_name:
        record.findings = [*record.findings, "the graph has no saver; its variables are restored by their names"]
    replicas.resolve(meta_graph.graph_def)
    lifting.lift(meta_graph)
    index = GraphIndex(meta_graph.graph_def)
    words, saved = _import_checkpoint(meta_graph, index, settings, is_named, record)
    if found := vocabularies.find(meta_graph, index, record.graph, record.prefix, settings.allow_paths):
        record.vocabularies = found
    _find_initializers(meta_graph, index, settings, record)
    run_before = Initialization(meta_graph, index, known(record.initializers, [])).ops()
    try_to_freeze = planning.trial(meta_graph, index, record, lambda inputs: _baked(inputs, settings))
    words |= table_words.of_files(index, known(record.vocabularies, []))
    choosing.choose(meta_graph, index, record.variables, settings, run_before, try_to_freeze, record, words, saved)
    importing.note_defects(record, index)
    _leave_out_initializers(index, record)


def _baked(inputs: Inputs, settings: Settings) -> dict[str, Any]:
    """Those of some inputs that the settings bake; none where one of them cannot be, as freezing then says."""
    if not settings.bake:
        return {}
    with contextlib.suppress(Problem):
        return baking.chosen(inputs, settings.bake)
    return {}


def _import_checkpoint(
    meta_graph: MetaGraphDef, index: GraphIndex, settings: Settings, is_named: bool, record: ImportRecord
) -> tuple[Words, set[str]]:
    """Says in `record` what the checkpoint has for the graph; gives the words in tables that it fills, and its keys."""
    with open_checkpoint(record.prefix) as checkpoint:
        record.format, record.checkpoint_bytes = checkpoint.format, checkpoint.bytes
        record.files = checkpoint.files
        if settings.checkpoint_version not in (None, checkpoint.format):
            raise Problem("bad_setting", f"{record.prefix} is a checkpoint of format {checkpoint.format}")
        record.variables = importing.describe_variables(
            record.graph.path,
            meta_graph,
            index,
            checkpoint.tensors,
            settings.weights,
            settings.unsaved_variables,
            is_named,
            lambda: object_graph.keys_by_name(checkpoint),
        )
        if found := importing.describe_tables(meta_graph, index, checkpoint.tensors):
            record.tables = found
        return table_words.of_checkpoint(found, checkpoint), set(checkpoint.tensors)


def _find_initializers(meta_graph: MetaGraphDef, index: GraphIndex, settings: Settings, record: ImportRecord) -> None:
    """Says in `record` what is run after the restore, and to which variables that writes."""
    if nodes := initializers.run_after_restore(meta_graph, index, settings.initializer_nodes):
        written = {variable for name in nodes for variable in initializers.written_by(index, name)}
        record.initializers = nodes
        record.initialized = [
            Initialized(variable=row.variable, dtype_enum=row.dtype_enum, shape=row.shape)
            for row in record.variables
            if row.variable in written
        ]


def _leave_out_initializers(index: GraphIndex, record: ImportRecord) -> None:
    """Says nothing of variables that the outputs do not need, and, where they need none, of what writes to any."""
    needed = pruning.needed(index, [tensor_name(name)[0] for name in record.outputs])
    kept = [each for each in known(record.initialized, []) if each.variable in needed]
    nothing: Any = UNSET
    record.initialized = kept or nothing
    record.initializers = record.initializers if kept else nothing


def initialize(settings: Settings, record: ImportRecord) -> None:
    """Runs what is to run after the restore, and says in `record` what it leaves in the variables that outputs need.

    Raises Problem as judge.initializing.values does, and what the sandbox raises.
    """
    from permafrost.judge import initializing
    from permafrost.sandbox import runner

    if not is_known(record.initializers):
        return
    readable = model_files.readable(record, settings)
    work = (initializing.values, graph_sources.absolute(record), settings)
    found = runner.run(*work, returns=list[Initialized], readable=readable, **runner.limits(settings))
    record.initialized = found


def rehearse(settings: Settings, record: ImportRecord) -> None:
    """Runs the outputs on the inputs, and says in `record` what came of it, `described` too.

    Inputs are changed where that makes the graph run, and outputs that were found in the graph, rather than named in
    the settings, are left out where they do not run and others do. A graph that does not run at all is frozen none
    the less; `rehearsal` then says why, else it is empty. Where it was the machine's fault, the record is `transient`.
    """
    from permafrost.judge.rehearsal import Found, rehearse
    from permafrost.sandbox import runner

    is_named = settings.outputs != "auto"
    work = (rehearse, graph_sources.absolute(record), settings, os.getcwd(), is_named)
    try:
        readable = model_files.readable(record, settings)
        found = runner.run(*work, returns=Found, readable=readable, **runner.limits(settings))
    except Problem as problem:
        found = Found(inputs=record.inputs, failure=problem.message)
        record.transient = record.transient or problem.cause in TRANSIENT
    choice = choosing.told(record)
    variables = {variable.variable for variable in record.variables}
    if found.left_out and not choosing.leave_out(choice, found.left_out, variables):
        found = Found(inputs=record.inputs, failure=next(iter(found.left_out.values())))
    choosing.tell(choice, record)
    record.inputs, record.batches, record.stale_shapes = found.inputs, found.batches, found.stale_shapes
    record.rehearsal = found.failure
    record.described = {name: found.outputs[name] for name in record.outputs if name in found.outputs}


def import_and_rehearse(source: Source, settings: Settings, record: ImportRecord) -> None:
    """What import_model and then rehearse do, within the `timeout` and `memory_mb` of the settings.

    Raises as import_model does, and Problem: timeout, memory, or changed where files change meanwhile.
    """
    if not source.problem:
        registry.load()
    began = time.monotonic()
    with unchanged.watched(graph_sources.seen(source)) as refuse_changed:
        limits.held(settings, import_model, source, settings, record)
        if record.status == OK:
            initialize(limits.left(settings, began), record)
            rehearse(limits.left(settings, began), record)
            if record.rehearsal:
                refuse_changed()


def ranking(record: ImportRecord) -> list[Row]:
    """All that could be an output of a model, best first: the rows of OUTPUTS."""
    if not is_known(record.outputs):
        return []
    known = {entry.name for entry in record.outputs_ranking}
    named = [name for name in record.outputs if name not in known]
    return [
        *(msgspec.to_builtins(entry) for entry in record.outputs_ranking),
        *({"name": name, "chosen": True, "score": None, "reasons": record.outputs_why} for name in named),
    ]


def run(model: str, attempt: str, source: Source, settings: Settings, path: str, table: str) -> None:
    """Writes import.json to `path` and outputs.csv to `table`. Raises OSError where one cannot be written.

    Args:
      model, attempt: the model's id, and the token of this attempt, or "".
      source, settings: as import_model has them.
    """
    with recording.recording("import_meta", recording.begun(ImportRecord, model), path, attempt) as record:
        import_and_rehearse(source, settings, record)
    OUTPUTS.write(table, ranking(record))
