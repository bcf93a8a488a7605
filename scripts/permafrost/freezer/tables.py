"""Lookup tables that are filled from a file, or from the checkpoint: what fills them becomes constants of the graph.

The initializer stays where it is and keeps its name. One that reads a text file becomes one that takes tensors; one
by which a saver restores a table takes constants in the place of what the saver reads.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from permafrost.flow.body import Body, controls
from permafrost.freezer.contents import Constant
from permafrost.graph import text_tables
from permafrost.graph.dtypes import DTYPES
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.variables import resource_name
from permafrost.graph.protos import GraphDef, NodeDef, node_def_pb2, types_pb2
from permafrost.graph.pruning import DENSE_TABLES, TABLES
from permafrost.graph.text_fillings import reads_files
from permafrost.graph.text_tables import Cell
from permafrost.graph.vocabularies import FROM_FILES
from permafrost.outcome import Problem
from permafrost.records import Repair, SavedTable, Vocabulary

# Op that reads a text file -> the op that takes tensors.
_TWINS = dict(zip(FROM_FILES, ("InitializeTable", "InitializeTableV2"), strict=True))


@dataclass(frozen=True)
class Fillings:
    """What fills the tables of a meta graph.

    vocabularies: initializer -> its text file. saved: initializer -> what the saver restores by it. restoring: all
    nodes that the saver runs.
    """

    vocabularies: dict[str, Vocabulary]
    saved: dict[str, SavedTable]
    restoring: Collection[str]


def refuse_missing(initializers: Iterable[str], index: GraphIndex, fillings: Fillings, others: Iterable[str]) -> None:
    """Raises Problem for an initializer of which nobody knows what it fills its table with, without reading any file.

    Its file is gone (missing_vocabulary) or may not be read (outside_zoo, too_large), or (unsupported_op) the saver
    restores its table from no tensor of the checkpoint, or beside another initializer.
    Args:
      others: all initializers of the graph that somebody may run.
    """
    body = Body(index.graph_def.node)
    for name in initializers:
        vocabulary = fillings.vocabularies.get(name)
        if vocabulary is not None and vocabulary.problem is not None:
            raise Problem(vocabulary.problem.cause, vocabulary.problem.message, vocabulary.problem.hint)
        if vocabulary is not None or name in fillings.restoring:
            _refuse_unknown_table(name, body)
        if name in fillings.restoring:
            _refuse_odd_restore(name, body, fillings.saved.get(name))
            _refuse_others(name, others, body)


def refuse_in_functions(initializers: Iterable[str], index: GraphIndex) -> None:
    """Raises Problem (unsupported_op) for a text file that fills a table in a function, and cannot be told from there.

    Args:
      initializers: the nodes that are run to fill tables; those of which more is known stand in the graph themselves.
    """
    for call, function, node in reads_files(index, initializers):
        raise Problem(
            "unsupported_op",
            f"node {node!r} of function {function!r}, which {call!r} calls, fills a table from a text file, and the "
            "function does more than that, or the graph does not show which file or which table it is",
        )


def refuse_unrestored(graph_def: GraphDef, fillings: Fillings) -> None:
    """Raises Problem (unsupported_op) for a table of a graph that the checkpoint has, and that nothing restores."""
    for node in graph_def.node:
        if node.op in TABLES and node.name in fillings.saved:
            raise Problem(
                "unsupported_op",
                f"the table {node.name!r} ({node.op}) is in the checkpoint, and the graph has no saver to restore it",
                "put the .meta file that was written with this checkpoint beside it, or set `restore_op_name:`",
            )


def _refuse_unknown_table(initializer: str, body: Body) -> None:
    table = _table_of(initializer, body)
    if table is None or table.op not in TABLES:
        node = body.nodes[initializer]
        raise Problem("unsupported_op", f"node {node.name!r} ({node.op}) fills a table that the graph does not show")


def _refuse_odd_restore(initializer: str, body: Body, saved: SavedTable | None) -> None:
    """Keys are a vector; those of a dense table are rows, as many as of its values. TensorFlow aborts for others."""
    node, table = body.nodes[initializer], _table_of(initializer, body)
    what = f"node {initializer!r} ({node.op}) restores the table {table.name!r} ({table.op})"
    if saved is None:
        raise Problem("unsupported_op", f"{what} from no tensors of the checkpoint")
    keys, values = saved.keys.shape, saved.values.shape
    dimensions = 2 if table.op in DENSE_TABLES else 1
    if len(keys) != dimensions or keys[:1] != values[:1]:
        why = f"from keys of shape {keys} and values of shape {values}, which do not fit it"
        raise Problem("unsupported_op", f"{what} {why}")


def _refuse_others(initializer: str, others: Iterable[str], body: Body) -> None:
    """Which one comes last, a graph does not say."""
    table = _table_of(initializer, body)
    for other in others:
        twin = _table_of(other, body)
        if other != initializer and twin is not None and resource_name(twin) == resource_name(table):
            op = body.nodes[other].op
            raise Problem(
                "unsupported_op",
                f"node {other!r} ({op}) fills the table {table.name!r} as well as {initializer!r}, by which the saver "
                "restores it",
            )


def _table_of(initializer: str, body: Body) -> Any:
    inputs = body.nodes[initializer].input
    return body.nodes.get(body.origin(inputs[0])) if inputs else None


def fill(
    initializers: Iterable[str], nodes: Any, index: GraphIndex, fillings: Fillings
) -> tuple[dict[str, Constant], list[Repair]]:
    """Has the initializers among `nodes` take constants, in place.

    Args:
      nodes: the repeated field of NodeDefs; gets those of the constants.
      index: of the graph that they are from, whose names no constant gets.
    Returns (constants, repairs): by node, the constants whose bytes the checkpoint has, and what was changed.
    Raises Problem as text_tables.read does.
    """
    body = Body(nodes, taken=index.nodes)
    constants: dict[str, Constant] = {}
    repairs = []
    for name in initializers:
        vocabulary, saved = fillings.vocabularies.get(name), fillings.saved.get(name)
        if vocabulary is not None:
            _fill_from_file(body.nodes[name], vocabulary, body)
            repairs.append(Repair("vocabulary embedded", name))
        elif saved is not None:
            constants |= _fill_from_checkpoint(body.nodes[name], saved, body)
            repairs.append(Repair("table embedded", name))
    return constants, repairs


def _fill_from_file(initializer: NodeDef, vocabulary: Vocabulary, body: Body) -> None:
    table = body.nodes[body.origin(initializer.input[0])]
    form = text_tables.format_of(initializer, table)
    entries = text_tables.read(vocabulary.path, form)
    keys = _constant(body.unused(f"{initializer.name}/keys"), form.key_dtype)
    values = _constant(body.unused(f"{initializer.name}/values"), form.value_dtype)
    _hold(keys, entries.keys())
    _hold(values, entries.values())
    inputs = [initializer.input[0], keys.name, values.name, *controls(initializer)]
    body.rewrite(initializer, _TWINS[initializer.op], inputs, ("_class",))
    initializer.attr["Tkey"].type, initializer.attr["Tval"].type = form.key_dtype, form.value_dtype
    body.container.extend([keys, values])


def _fill_from_checkpoint(initializer: NodeDef, saved: SavedTable, body: Body) -> dict[str, Constant]:
    constants = {}
    for position, part, tensor in ((1, "keys", saved.keys), (2, "values", saved.values)):
        node = _constant(body.unused(f"{initializer.name}/{part}"), tensor.dtype_enum)
        initializer.input[position] = node.name
        body.container.append(node)
        shape = tuple(tensor.shape)
        constants[node.name] = Constant(node.name, tensor.dtype_enum, shape, tensor.bytes, tensor.key)
    if body.nodes[body.origin(initializer.input[0])].op in DENSE_TABLES:
        _hide_shape(initializer, body)
    return constants


def _hide_shape(initializer: NodeDef, body: Body) -> None:
    """Has the op take keys whose shape nothing tells before it runs.

    A dense table takes them as rows, as it was saved, and none other; the op's shape function lets only vectors pass,
    and what it cannot tell (LookupTableImportV2 in tensorflow/core/ops/lookup_ops.cc).
    """
    node = node_def_pb2.NodeDef(name=body.unused(f"{initializer.name}/rows"), op="PlaceholderWithDefault")
    node.input.append(initializer.input[1])
    node.attr["dtype"].type = initializer.attr["Tin"].type
    node.attr["shape"].shape.unknown_rank = True
    initializer.input[1] = node.name
    body.container.append(node)


def _constant(name: str, dtype: int) -> NodeDef:
    node = node_def_pb2.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = dtype
    return node


def _hold(constant: NodeDef, cells: Collection[Cell]) -> None:
    """Gives a Const a vector of cells."""
    dtype = constant.attr["dtype"].type
    tensor = constant.attr["value"].tensor
    tensor.dtype = dtype
    tensor.tensor_shape.dim.add(size=len(cells))
    field = "string_val" if dtype == types_pb2.DT_STRING else DTYPES[dtype].field
    getattr(tensor, field).extend(cells)
