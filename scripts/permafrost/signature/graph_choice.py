"""Which of the graphs that lie around a checkpoint without a meta graph is its own.

A graph fits where it restores exactly the tensors of the checkpoint, each with its dtype and shape, and no others:
what its SaverDef restores, or, without one, what a saver restores that it was built with; or else, by their names, its
variables, each of which then has to have a tensor. Graphs of which one holds all nodes of the other, and restores the
same into them, are one graph in two forms, of which that is taken which has a SaverDef, or else is larger.
"""

import contextlib
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from msgspec.structs import replace

from permafrost.checkpoint.reader import open_checkpoint
from permafrost.checkpoint.v2 import Tensor
from permafrost.graph import graph_sources
from permafrost.graph.digests import node_digests
from permafrost.graph.graph_sources import EVENTS, GRAPH_DEF, META_GRAPH, SAVED_MODEL
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import MetaGraphDef
from permafrost.graph.restore_map import restore_map, restore_op_of, restored_keys, savers_in
from permafrost.model import Graph, GraphFiles, Source
from permafrost.outcome import Problem
from permafrost.records import Variable, is_known
from permafrost.signature.importing import describe_variables

_MOST_NAMED = 5


@dataclass(frozen=True)
class Fit:
    """A graph that fits: what each of its variables restores, and the digests of its nodes."""

    graph: Graph
    has_saver_def: bool
    restores: dict[str, tuple[str, str]]
    nodes: dict[str, bytes]

    def holds(self, other: "Fit") -> bool:
        """Whether all of another graph is in this one."""
        return other.nodes.items() <= self.nodes.items() and other.restores.items() <= self.restores.items()


def _refuse_misfits(rows: list[Variable]) -> None:
    """Raises the Problem of the first variable that has not the shape or the dtype of its tensor."""
    for row in rows:
        if is_known(row.defect) and row.defect.cause in ("shape_mismatch", "dtype_mismatch"):
            raise Problem(row.defect.cause, row.defect.message)


def is_open(source: Source) -> bool:
    """Whether a model's graph is still to be chosen."""
    return source.graphs is not None and not graph_sources.graph_of(source).path


def chosen(source: Source, weights: str) -> Source:
    """A model with the graph that fits its checkpoint, as its `graph` and `meta`, and a sentence on that.

    Args:
      source: its `graphs` are the files to look into; what its `graph` says of a saver holds for all of them.
      weights: "raw" or "ema", as importing.describe_variables has it.
    Raises Problem: no_meta_graph where none fits or several do, and as checkpoint.reader.open_checkpoint does.
    """
    graphs = source.graphs or GraphFiles(own=[])
    told = source.graph if is_known(source.graph) else Graph(form="", path="")
    with open_checkpoint(source.prefix) as checkpoint:
        search = _Search(checkpoint.tensors, weights, told)
        fits = search.fits(graphs.own)
        if not fits and not graphs.unseen:
            fits = search.fits(graphs.others)
    missing = f"{source.prefix}.meta is missing"
    if graphs.unseen:
        raise Problem("no_meta_graph", f"{missing}, and {_crowd(graphs)} may hold the graph", _HINT)
    if not fits:
        raise Problem("no_meta_graph", f"{missing}, and {search.failures()}", _HINT)
    best = min(fits, key=lambda fit: (not fit.has_saver_def, -len(fit.nodes)))
    if rivals := [fit for fit in fits if not (best.holds(fit) or fit.holds(best))]:
        ways = " or ".join(dict.fromkeys(setting(fit.graph, source.prefix) for fit in [best, *rivals][:_MOST_NAMED]))
        paths = " and ".join(dict.fromkeys(fit.graph.path for fit in [best, *rivals][:_MOST_NAMED]))
        why = f"{missing}, and different graphs restore exactly its tensors: those in {paths}"
        raise Problem("no_meta_graph", why, f"say which is its own, in the model's settings: {ways}")
    path = best.graph.path
    finding = f"the graph is that in {path}, which restores exactly the tensors of the checkpoint"
    whose = "; a checkpoint of its own lies beside it" if path in graphs.others else ""
    return replace(source, graph=best.graph, meta=path, findings=[*source.findings, finding + whose])


def setting(graph: Graph, prefix: str) -> str:
    """The settings of a model that name a graph, on one line."""
    if graph.form == SAVED_MODEL:
        tags = f", saved_model_tags: [{', '.join(graph.tags)}]" if graph.tags else ""
        return f"`input_saved_model_dir: {os.path.dirname(graph.path)}, input_checkpoint: {prefix}{tags}`"
    key = "input_meta_graph" if graph.form == META_GRAPH else "input_graph"
    names = {"restore_op_name": graph.restore_op_name, "filename_tensor_name": graph.filename_tensor_name}
    saver = "".join(f", {name}: {value}" for name, value in names.items() if value)
    return f"`{key}: {graph.path}{saver}`"


_HINT = (
    "put the .meta file that was written with this checkpoint beside it, or name its graph in the model's settings as "
    "`input_meta_graph:` or `input_graph:`"
)


def _crowd(graphs: GraphFiles) -> str:
    return f"{len(graphs.own) + graphs.unseen} or more files, {graphs.own[0]} first," if graphs.own else "many files"


class _Search:
    """What was found in the files that were looked into."""

    def __init__(self, tensors: Mapping[str, Tensor], weights: str, told: Graph):
        self._tensors, self._weights, self._told = tensors, weights, told
        self._reasons: list[str] = []

    def fits(self, paths: list[str]) -> list[Fit]:
        """The graphs in files that fit, in order."""
        found = []
        for path in paths:
            try:
                held = graph_sources.held_in(path)
            except Problem as problem:
                self._reasons.append(problem.message)
                continue
            for graph, meta_graph in held:
                found += self._fit(graph, meta_graph)
        return found

    def failures(self) -> str:
        """Why none of the graphs fits."""
        shown = "; ".join(self._reasons[:_MOST_NAMED])
        more = len(self._reasons) - _MOST_NAMED
        return f"no graph restores exactly its tensors: {shown}" + (f"; and {more} more" if more > 0 else "")

    def _fit(self, graph: Graph, meta_graph: MetaGraphDef) -> list[Fit]:
        try:
            return [self._fitting(graph, meta_graph)]
        except Problem as problem:
            where = f"{graph.path} with the tags {graph.tags}" if graph.tags else graph.path
            says = problem.message if graph.path in problem.message else f"in {where}, {problem.message}"
            self._reasons.append(says)
        return []

    def _fitting(self, graph: Graph, meta_graph: MetaGraphDef) -> Fit:
        """Raises Problem where the graph does not fit."""
        if graph.form != SAVED_MODEL:
            graph = _with_saver(graph, self._told)
            meta_graph = graph_sources.with_saver(meta_graph, graph)
        index = GraphIndex(meta_graph.graph_def)
        if not any(node.op in VARIABLE_OPS for node in meta_graph.graph_def.node):
            raise _unfit("has no variables: it is frozen already, and no checkpoint can be restored into it", graph)
        nodes = node_digests(meta_graph.graph_def)
        if restore_op_of(meta_graph):
            return Fit(graph, True, _restores(self._restored(graph, meta_graph, index)), nodes)
        fits = self._of_own_savers(graph, meta_graph, index, nodes) if graph.form != SAVED_MODEL else []
        if any(fit.restores != fits[0].restores for fit in fits):
            ways = " or ".join(setting(fit.graph, "") for fit in fits[:_MOST_NAMED])
            raise _unfit(f"has savers that restore the tensors into different variables ({ways})", graph)
        if fits:
            return fits[0]
        return Fit(graph, False, _restores(self._by_names(graph, meta_graph, index)), nodes)

    def _of_own_savers(
        self, graph: Graph, meta_graph: MetaGraphDef, index: GraphIndex, nodes: dict[str, bytes]
    ) -> list[Fit]:
        """The fits of a graph without a SaverDef, by the savers that it was built with."""
        found = []
        for saver in savers_in(index):
            named = replace(graph, restore_op_name=saver.restore_op, filename_tensor_name=saver.filename)
            # One that does not fit restores another checkpoint, such as that with which the training began.
            with contextlib.suppress(Problem):
                rows = self._restored(named, graph_sources.with_saver(meta_graph, named), index)
                found.append(Fit(named, False, _restores(rows), nodes))
            meta_graph.ClearField("saver_def")
        return found

    def _restored(self, graph: Graph, meta_graph: MetaGraphDef, index: GraphIndex) -> list[Variable]:
        self._refuse_other(graph, restored_keys(restore_op_of(meta_graph), index))
        rows = describe_variables(graph.path, meta_graph, index, self._tensors, "raw")
        _refuse_misfits(rows)
        if unfilled := sorted(restore_map(meta_graph, index).keys() - {row.variable for row in rows if row.key}):
            raise _unfit(f"has {len(unfilled)} variables that their tensors do not fit ({_some(unfilled)})", graph)
        self._refuse_parts(graph, rows)
        return rows

    def _by_names(self, graph: Graph, meta_graph: MetaGraphDef, index: GraphIndex) -> list[Variable]:
        rows = describe_variables(graph.path, meta_graph, index, self._tensors, self._weights)
        _refuse_misfits(rows)
        if unsaved := sorted(row.variable for row in rows if not row.key):
            raise _unfit(
                f"has {len(unsaved)} variables for which the checkpoint has no tensor ({_some(unsaved)})", graph
            )
        self._refuse_other(graph, {_key(row) for row in rows})
        self._refuse_parts(graph, rows)
        return rows

    def _refuse_other(self, graph: Graph, keys: set[str]) -> None:
        """Raises Problem where `keys` are not those of the checkpoint."""
        if lacking := sorted(keys - set(self._tensors)):
            raise _unfit(f"restores {len(lacking)} tensors that the checkpoint lacks ({_some(lacking)})", graph)
        if unused := sorted(set(self._tensors) - keys):
            raise _unfit(f"does not restore {len(unused)} tensors of the checkpoint ({_some(unused)})", graph)

    def _refuse_parts(self, graph: Graph, rows: list[Variable]) -> None:
        """Raises Problem where the variables that restore parts of a tensor do not restore all of it."""
        restored: dict[str, int] = defaultdict(int)
        for row in rows:
            restored[_key(row)] += prod(row.box[1] if row.box else row.shape or ())
        held = {key: prod(tensor.shape) for key, tensor in self._tensors.items()}
        partly = [key for key, elements in restored.items() if elements < held.get(key, 0)]
        if partly:
            raise _unfit(f"restores parts of {len(partly)} tensors only ({_some(sorted(partly))})", graph)


def _with_saver(graph: Graph, told: Graph) -> Graph:
    """A graph with what the settings say of its saver."""
    names = {"restore_op_name": told.restore_op_name, "filename_tensor_name": told.filename_tensor_name}
    return replace(graph, saver=told.saver, **names)


def _unfit(why: str, graph: Graph) -> Problem:
    kinds = {META_GRAPH: "the meta graph", GRAPH_DEF: "the graph", EVENTS: "a graph", SAVED_MODEL: "the graph"}
    where = f" with the tags {graph.tags}" if graph.tags else ""
    return Problem("no_meta_graph", f"{kinds[graph.form]} in {graph.path}{where} {why}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _key(row: Variable) -> str:
    return row.restored if is_known(row.restored) else row.key


def _restores(rows: list[Variable]) -> dict[str, tuple[str, str]]:
    return {row.variable: (_key(row), row.slice) for row in rows if _key(row)}
