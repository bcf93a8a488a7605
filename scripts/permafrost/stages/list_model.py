"""Lists a model's ops before and after it was frozen, its variables, and what to warn about, as CSV files.

A table for which there is nothing has its header alone. The frozen graph is drawn as well, in a few boxes. What takes
more time or memory than the model's settings allow, or cannot be made, is left out, and findings.csv says so.
list_ops.json says how long it took; where the machine failed it says that, and the next run makes all of it again.
"""

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import DecodeError
from msgspec.structs import replace

from permafrost import recording, whole_files
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.graph import frozen_file, graph_sources
from permafrost.graph.metagraph import producer_ops
from permafrost.graph.ops import registry
from permafrost.graph.protos import GraphDef, MetaGraphDef, OpList
from permafrost.input_kinds import Default, Value
from permafrost.model import Limits
from permafrost.outcome import CAUSES, OK, TRANSIENT, Problem
from permafrost.records import ImportRecord, Provenance, Record, failure, is_known, known, success
from permafrost.report import graph_findings, state_findings, weight_findings
from permafrost.report.columns import Row, Table
from permafrost.report.picture import drawing
from permafrost.report.tables.findings import FINDINGS, WARNING, Finding
from permafrost.report.tables.ops import OPS
from permafrost.report.tables.variables import VARIABLES
from permafrost.sandbox import limits

# What a stranger's graph brings about must not keep the reports of the whole zoo from being written.
_BROUGHT_ABOUT = (ValueError, TypeError, OverflowError, LookupError, RecursionError)

T = TypeVar("T")


class Limited:
    """Runs the parts of the stage within a model's limits, all of them together, and none stops the others.

    `findings` has one, without the model, for each part that reached one, or that failed;
    `faults` has the problems that are the machine's, so that another run may do better.
    Args:
      settings: `timeout`, `memory_mb`, `file_mb` and `processes`.
    """

    def __init__(self, settings: Limits):
        self._settings, self._began = settings, time.monotonic()
        self.findings: list[Finding] = []
        self.faults: list[Problem] = []

    def part(self, name: str, otherwise: T, work: Callable[..., T], *args: Any) -> T:
        """work(*args), or `otherwise` where it reaches a limit or fails, which is then told of the part `name`."""
        try:
            return limits.held(self.left(), work, *args)
        except Problem as problem:
            self.tell(name, problem)
        except OSError:
            raise  # What cannot be written is no matter of the graph.
        except Exception as error:
            self.fail(name, error)
        return otherwise

    def table(self, name: str, table: Table, rows: list[Row], path: str | Path) -> None:
        """Writes a CSV file; its header alone where a row cannot be written. Raises OSError."""
        try:
            table.write(path, rows)
        except OSError:
            raise
        except Exception as error:
            self.fail(name, error)
            table.write(path, [])

    def left(self) -> Limits:
        """The settings with the time that is left."""
        return limits.left(self._settings, self._began)

    def tell(self, name: str, problem: Problem) -> None:
        """Says on stderr, and in `findings`, that a part is missing."""
        print(f"{name} left out: {problem.message}", file=sys.stderr)
        self.faults += [problem] if problem.cause in TRANSIENT else []
        advice = f"{name} left out: {problem.message}; {problem.hint}"
        self.findings.append(Finding(WARNING, "limit_reached", "", advice))

    def fail(self, name: str, error: Exception) -> None:
        """Says on stderr, with the traceback, and in `findings` that a part is missing for an error."""
        traceback.print_exception(error)
        advice = f"{name} left out: {type(error).__name__}; {CAUSES['internal']}, list_ops.log"
        self.findings.append(Finding(WARNING, "not_whole", "", advice))


def meta_graph_of(imported: ImportRecord, faults: list[Problem]) -> MetaGraphDef | None:
    """The MetaGraphDef of an import record, or None where it cannot be read; adds to `faults` what is the machine's."""
    if not _has_graph(imported):
        return None
    try:
        return graph_sources.read(imported.graph)
    except Problem as problem:
        note(problem, faults)
        return None


def _has_graph(imported: ImportRecord) -> bool:
    return is_known(imported.graph) and bool(imported.graph.path)


def note(error: Problem | OSError, faults: list[Problem]) -> None:
    """Says on stderr what went wrong, and adds it to `faults` where it is a fault of the machine."""
    problem = Problem("io_error", str(error)) if isinstance(error, OSError) else error
    print(problem.message, file=sys.stderr)
    faults += [problem] if problem.cause in TRANSIENT else []


def frozen_graph_of(provenance: Provenance, frozen_graph: Path) -> GraphDef | None:
    """The frozen GraphDef without the values of its large constants, of which nothing is told.

    None where the model could not be frozen, or its .pb cannot be read.
    """
    if provenance.status != OK:
        return None
    try:
        return frozen_file.outline(str(frozen_graph))
    except (OSError, DecodeError) as error:
        print(f"{frozen_graph} cannot be read: {error}", file=sys.stderr)
        return None


def prepared(graph_def: GraphDef, producer: OpList | None = None) -> Any:
    """The op_listing.Graph of a GraphDef, which is used up."""
    from permafrost.report import op_listing  # Here, since what cannot be read needs no TensorFlow.

    return op_listing.Graph(graph_def, producer)


def ops(meta_graph: MetaGraphDef, frozen: Any, limited: Limited | None = None) -> list[list[Row]]:
    """Rows of OPS before and after; none where there is no graph. The graphs are used up.

    Args:
      meta_graph, frozen: the MetaGraphDef and the frozen GraphDef, or None.
      limited: by default one without settings.
    """
    limited = limited or Limited(Limits())
    before = (meta_graph.graph_def, producer_ops(meta_graph)) if meta_graph is not None else None
    graphs = [
        limited.part("the ops were", None, prepared, *before) if before else None,
        limited.part("the ops of the frozen graph were", None, prepared, frozen) if frozen is not None else None,
    ]
    if not any(graphs):
        return [[], []]
    from permafrost.report import op_listing

    try:
        listed = iter(op_listing.list_ops(*filter(None, graphs), settings=limited.left()))
        rows = [next(listed) if graph else [] for graph in graphs]
    except _BROUGHT_ABOUT as error:
        limited.fail("the ops were", error)
        return [[], []]
    stopped = [graph.stopped_by for graph in graphs if graph and graph.stopped_by]
    for problem in stopped[:1]:
        limited.tell("the tensors of the ops were", problem)
    return rows


def findings(
    imported: ImportRecord, provenance: Provenance, meta_graph: MetaGraphDef, frozen: Any, faults: list[Problem]
) -> list[Finding]:
    """The findings of a model, the worst first; adds to `faults` what is the machine's.

    Args:
      meta_graph, frozen: the MetaGraphDef and the frozen GraphDef, or None.
    """
    found: list[Finding] = []
    try:
        found += graph_findings.of_record(imported)
        found += graph_findings.of_repairs(provenance)
        if meta_graph is not None:
            found += graph_findings.of_strings(meta_graph.graph_def)
            found += state_findings.of_restore(meta_graph)
        if frozen is not None:
            named = provenance.inputs
            fed = {name: spec for name, spec in imported.inputs.items() if name in named}
            switches = {named[name] for name, spec in fed.items() if isinstance(spec, Value | Default)}
            found += graph_findings.of_frozen(frozen, switches)
            found += state_findings.of_frozen(frozen)
        if known(imported.variables, ()):
            with open_checkpoint(imported.prefix) as checkpoint:
                found += weight_findings.of_weights(imported.variables, imported.weights, checkpoint)
    except (Problem, OSError) as error:
        print("the weights were not looked at", file=sys.stderr)
        note(error, faults)
    except _BROUGHT_ABOUT:
        traceback.print_exc()
    return graph_findings.worst_first(found)


def variables(imported: ImportRecord, provenance: Provenance) -> list[Row]:
    """Rows of VARIABLES; `frozen` is `yes` for a variable whose value is in the frozen graph."""
    frozen = {tensor.node for tensor in known(provenance.tensors, ()) if provenance.status == OK}
    return [
        msgspec.to_builtins(variable) | {"frozen": "yes" if variable.variable in frozen else "no"}
        for variable in known(imported.variables, ())
    ]


def picture(provenance: Provenance, frozen: Any) -> str:
    """The frozen graph as an SVG; where there is none, or it cannot be drawn, an SVG that says so."""
    if frozen is None:
        return drawing.sentence("there is no frozen graph to draw")
    try:
        return drawing.picture(frozen, provenance.inputs, provenance.outputs)
    except _BROUGHT_ABOUT:
        traceback.print_exc()
        return drawing.sentence("the graph cannot be drawn; list_ops.log says why")


def write_findings(model: str, found: list[Finding], path: str | Path) -> None:
    """Writes the findings of a model, whole or not at all. Raises OSError."""
    FINDINGS.write(path, [replace(finding, model=model) for finding in found])


@dataclass(frozen=True)
class Lists:
    """The paths of the files that the stage writes."""

    ops: str
    frozen_ops: str
    variables: str
    findings: str
    graph: str
    record: str


def run(
    model: str, attempt: str, import_record: str, provenance: str, frozen_graph: Path, settings: Limits, lists: Lists
) -> None:
    """Writes the lists of a model. Raises OSError and ValueError where a record cannot be read or a file written.

    Args:
      model, attempt: the model's id, and the token of this attempt, or "".
      import_record, provenance: the paths of import.json and provenance.json.
      frozen_graph: the path of frozen_graph.pb, which need not exist.
      settings: as Limited has them.
    """
    stopwatch = recording.Stopwatch("list_ops")
    imported = recording.load(import_record, ImportRecord)
    frozen_record = recording.load(provenance, Provenance)
    if _has_graph(imported):
        registry.load()
    limited = Limited(settings)
    nothing: list[Any] = []
    held = limited.part("the variables were", nothing, variables, imported, frozen_record)
    limited.table("the variables were", VARIABLES, held, lists.variables)
    meta_graph = limited.part("the meta graph was", None, meta_graph_of, imported, limited.faults)
    frozen = limited.part("the frozen graph was", None, frozen_graph_of, frozen_record, frozen_graph)
    both = (imported, frozen_record, meta_graph, frozen)
    found = limited.part("the findings were", nothing, findings, *both, limited.faults)
    unfinished = drawing.sentence("the graph was not drawn in time; list_ops.log says why")
    drawn = limited.part("the picture was", unfinished, picture, frozen_record, frozen)
    with whole_files.written_whole(lists.graph) as temporary:
        temporary.write_text(drawn, encoding="utf-8")
    for rows, path in zip(ops(meta_graph, frozen, limited), (lists.ops, lists.frozen_ops), strict=True):
        limited.table(f"the rows of {Path(path).name} were", OPS, rows, path)
    write_findings(model, graph_findings.worst_first([*found, *limited.findings]), lists.findings)
    # The first fault of the machine, if any, is how the stage ended.
    outcome = failure("list_ops", limited.faults[0]) if limited.faults else success()
    record = recording.begun(Record, model, outcome)
    record.timing, record.attempt = stopwatch.timing(), attempt or record.attempt
    whole_files.write_json(lists.record, recording.content(record))
