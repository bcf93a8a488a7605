"""Converts a frozen graph by a stranger's converter, in a sandbox: a graph can make it hang, abort or take all memory.

The graph is prepared, and converted in each of the format's ways in turn. The first file that the judge finds right on
a trial is taken; where none is, the first that was made, of which judge_export then says what is wrong.
"""

import os
import traceback
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from permafrost import layout, recording
from permafrost.export_records import ExportRecord, Signature
from permafrost.exporter.prepared import Prepared, Refused
from permafrost.graph import graph_sources
from permafrost.graph.index import GraphIndex
from permafrost.judge import model_files
from permafrost.model import Settings
from permafrost.outcome import TRANSIENT, Problem
from permafrost.records import known
from permafrost.sandbox import runner
from permafrost.signature.baking import refuse_other
from permafrost.stages.export_model import Made, Task, options_of

_MIB = 1 << 20
_TIMES = 3  # A converted file and what is made on the way to it, as multiples of the frozen graph.
_LONGEST = 300  # characters of what a converter says

Convert = Callable[[Prepared, Settings, str, str, str], Signature]  # prepared, settings, way, path, SHA-256 of the .pb
Rewrite = Callable[[Prepared, Settings, str], Prepared]  # prepared, settings, way


class Conversion(Struct):
    """A format: its name, its ways of conversion in the order in which they are tried, and what does one.

    rewrite: gives the graph that the converter gets in a way, where that is another than the prepared one.
    """

    form: str
    ways: tuple[str, ...]
    convert: Convert
    rewrite: Rewrite | None = None


class Refusal(Struct):
    """What Refused says, for the way out of the sandbox."""

    cause: str
    message: str
    op: str
    node: str


class Converted(Struct, kw_only=True):
    """What the child hands out; `refused` where there is no file."""

    signature: Signature | None = None
    baked: dict[str, Any] = {}
    changes: list[str] = []
    way: str = ""
    refused: Refusal | None = None


def make(load: Callable[[], Conversion], form: str, task: Task) -> Made:
    """Makes the files of a format.

    Args:
      load: gives the conversion; called in the child, since it imports the converter.
    Raises Refused where the format cannot hold the graph; Problem as sandbox.runner.run does; OSError.
    """
    found = runner.run(
        convert, load, _absolute(task), os.getcwd(), returns=Converted, keeps=_kept(form, task), **_bounds(task)
    )
    if found.refused:
        raise Refused(found.refused.cause, found.refused.message, found.refused.op, found.refused.node)
    if found.signature is None:
        raise Problem("conversion_failed", f"the conversion to {form} ended without a file and without a reason")
    return Made(found.signature, found.baked, found.changes, found.way)


def _absolute(task: Task) -> Task:
    frozen_graph = task.frozen_graph.absolute()
    return task._replace(imported=graph_sources.absolute(task.imported), frozen_graph=frozen_graph)


def _kept(form: str, task: Task) -> dict[str, Any]:
    return {os.path.basename(name): task.directory / name for name in layout.EXPORTED[form]}


def _bounds(task: Task) -> dict[str, Any]:
    bounds = runner.limits(task.settings)
    needed = task.settings.file_mb + _TIMES * os.path.getsize(task.frozen_graph) // _MIB
    readable = model_files.readable(task.imported, task.settings, os.path.abspath(task.frozen_graph))
    return bounds | {"file_mb": needed, "readable": readable, "kept_mb": runner.KEPT_BY_TURNS_MB}


def convert(load: Callable[[], Conversion], task: Task, directory: str) -> Converted:
    """The child's side: the files are in its working directory, under their names in layout.EXPORTED.

    Args:
      directory: where relative paths of inputs are looked up.
    """
    try:
        conversion = load()
        prepared = _prepared(conversion.form, task)
        return _first_right(conversion, prepared, task, _trials(conversion.form, prepared, task, directory))
    except Refused as refused:
        return Converted(refused=Refusal(refused.cause, refused.message, refused.op, refused.node))


def _prepared(form: str, task: Task) -> Prepared:
    # Imported here, in the child alone.
    from permafrost.exporter import signature
    from permafrost.exporter.preparation import baking, preparing
    from permafrost.graph import frozen_file

    index = GraphIndex(frozen_file.outline(str(task.frozen_graph)))
    found = signature.of_model(task.imported, task.provenance, index, task.settings.signature)
    keys = {endpoint.key: endpoint.source for endpoint in found.inputs}
    baked = baking.chosen(task.imported, getattr(task.settings, form).bake, keys)
    values = {endpoint.tensor: baked[endpoint.source] for endpoint in found.inputs if endpoint.source in baked}
    own = known(task.provenance.baked, {})
    if isinstance(getattr(task.settings, form).bake, dict):
        refuse_other(form, baked, own)
    if others := sorted(baked.keys() - keys.values() - own.keys()):
        _refuse_others(others, form, task)
    prepared: Prepared = preparing.prepare(str(task.frozen_graph), found, values, task.provenance.initializers)
    return prepared


def _refuse_others(sources: list[str], form: str, task: Task) -> None:
    """Raises Problem (bad_setting) where the settings bake what is no input of the file anyway."""
    if isinstance(getattr(task.settings, form).bake, dict):
        said = f"`{form}:` bakes {sources[0]}, which is no input of the exported file: it keeps its default"
        raise Problem("bad_setting", said, "name it under `signature: {inputs: ...}` too, or leave it out")


def _trials(form: str, prepared: Prepared, task: Task, directory: str) -> Any:
    """The judge's trials; raises Refused where the prepared graph does not compute in each what the checkpoint does."""
    from permafrost.judge.exports.trials import Exported, Trials

    record = _described(form, Converted(signature=prepared.signature, baked=prepared.baked), task)
    model = (task.imported, task.provenance, task.verdict, str(task.frozen_graph))
    trials = Trials(Exported(*model, record, ""), task.settings, directory)
    _refuse_different(prepared, task, trials)
    return trials


def _first_right(conversion: Conversion, prepared: Prepared, task: Task, trials: Any) -> Converted:
    """The first conversion that is right, else the first; raises the first way's Refused where all ways refuse."""
    refused: list[Refused] = []
    made: list[Converted] = []
    for way in conversion.ways:
        try:
            made.append(_by(conversion, prepared, way, task, trials))
        except (Refused, Problem) as error:
            refused.append(_refusal(error))
            continue
        if _is_right(conversion.form, made[-1], task, trials):
            made.insert(0, made[-1])
            break
    if not made:
        raise refused[0]
    for name in layout.EXPORTED[conversion.form]:
        if os.path.exists(path := os.path.join(made[0].way, name)):
            os.replace(path, name)
    return made[0]


def _refusal(error: Refused | Problem) -> Refused:
    """What a way of conversion is refused for; raises a Problem that is the machine's or the limits', not the way's."""
    if isinstance(error, Refused):
        return error
    if error.cause in TRANSIENT | {"memory"}:
        raise error
    return Refused(error.cause, error.message)


def _by(conversion: Conversion, prepared: Prepared, way: str, task: Task, trials: Any) -> Converted:
    """Converts in a way, into the directory of its name. Raises Refused."""
    os.mkdir(way)
    path = os.path.abspath(os.path.join(way, layout.EXPORTED[conversion.form][0]))
    own = _copied(prepared)
    try:
        if conversion.rewrite is not None:
            _refuse_different(conversion.rewrite(own, task.settings, way), task, trials)
        signature = conversion.convert(own, task.settings, way, path, task.frozen_sha256)
    except (Refused, Problem, MemoryError):
        raise
    except Exception as error:
        traceback.print_exc()
        said = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        raise Refused("conversion_failed", f"the converter failed: {said}") from error
    return Converted(signature=signature, baked=prepared.baked, changes=own.changes, way=way)


def _refuse_different(prepared: Prepared, task: Task, trials: Any) -> None:
    """Raises Refused where TensorFlow does not compute of a graph, bit by bit, what the checkpoint does."""
    from permafrost.judge.exports import rewrites

    graph = (prepared.graph_def, prepared.weights, prepared.signature, prepared.initializers)
    own = trials.of(prepared.signature)
    if differs := rewrites.first_difference(own, *graph, set(task.settings.allow_ops)):
        said = f"the graph that was prepared for the converter computes something else: {differs}"
        raise Refused("conversion_failed", said)


def _copied(prepared: Prepared) -> Prepared:
    """What a way of conversion may change, and say what it changed, with the large weights shared."""
    graph_def = type(prepared.graph_def)()
    graph_def.CopyFrom(prepared.graph_def)
    return Prepared(
        graph_def=graph_def,
        weights=prepared.weights,
        signature=prepared.signature,
        initializers=prepared.initializers,
        baked=prepared.baked,
        changes=list(prepared.changes),
    )


def _is_right(form: str, made: Converted, task: Task, trials: Any) -> bool:
    """Whether the judge finds a converted file right in the first trial."""
    from permafrost.judge.exports import deciding, judging

    record = _described(form, made, task)
    try:
        runtime = deciding.runtime_of(record, os.path.abspath(made.way))
        own = trials.of(record.signature)
        is_right = bool(judging.is_right(own, runtime, deciding.share(record, task.settings)))
    except MemoryError:
        raise
    except Exception as error:  # A runtime says in ways of its own that it does not take a file.
        print(f"{made.way}: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"{made.way}: {'right' if is_right else 'not right'} in the first trial", flush=True)
    return is_right


def _described(form: str, made: Converted, task: Task) -> ExportRecord:
    """The record of an export as the judge needs it, before its files are where they belong."""
    record = recording.begun(ExportRecord, "")
    record.format, record.options, record.frozen_sha256 = form, options_of(task.settings, form), task.frozen_sha256
    assert made.signature is not None  # A conversion that was made has one.
    record.signature, record.baked, record.changes, record.way = made.signature, made.baked, made.changes, made.way
    record.files = {name: "" for name in layout.EXPORTED[form] if os.path.exists(os.path.join(made.way, name))}
    return record
