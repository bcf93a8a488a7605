"""What a meta graph says about a checkpoint: who wrote it, its ops, its variables and their checkpoint keys."""

from collections import Counter
from collections.abc import Mapping
from math import prod

from permafrost.checkpoint.v2 import Tensor
from permafrost.graph import pruning
from permafrost.graph.dtypes import KNOWN, enum_name
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.variables import VARIABLE_OPS, static_shape
from permafrost.graph.protos import MetaGraphDef, NodeDef
from permafrost.graph.restore_map import Source, restore_map, saved_slices, saved_tables
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, SavedTable, SavedTensor, Variable
from permafrost.signature import averages


def describe_graph(meta_graph: MetaGraphDef, record: ImportRecord) -> None:
    """Says in `record` what of a meta graph needs no checkpoint: who wrote it, and its nodes by op type."""
    graph_def = meta_graph.graph_def
    record.tensorflow_version = meta_graph.meta_info_def.tensorflow_version
    record.producer = graph_def.versions.producer
    record.nodes = len(graph_def.node)
    record.op_types = dict(sorted(Counter(node.op for node in graph_def.node).items()))
    record.placeholders = [node.name for node in graph_def.node if node.op in pruning.PLACEHOLDERS]


def describe_variables(
    path: str,
    meta_graph: MetaGraphDef,
    index: GraphIndex,
    tensors: Mapping[str, Tensor],
    weights: str,
    is_named: bool = False,
) -> list[Variable]:
    """The variable nodes of a meta graph.

    `key` is empty for a variable that the meta graph's saver does not restore; a meta graph without a saver is taken
    to restore each variable as a Saver made for it would: by its name, or as the part of a tensor that its collection
    says it is.
    Args:
      path: of the meta graph, for messages.
      tensors: key -> checkpoint.reader.Tensor.
      weights: "raw", or "ema" for the averages of the variables that have one.
      is_named: whether the settings name a graph without a saver, whose variables then go by their names.
    Raises Problem: foreign_meta_graph where the saver restores keys that the checkpoint lacks, shape_mismatch where
      dtype or shape of a variable is not that of its tensor.
    """
    sources = restore_map(meta_graph, index)
    variable_nodes = [node for node in index.graph_def.node if node.op in VARIABLE_OPS]
    if not sources:
        parts = saved_slices(meta_graph)
        sources = {node.name: parts.get(node.name, Source(node.name)) for node in variable_nodes}
        sources = {name: source for name, source in sources.items() if source.key in tensors}
        averaged = [name for name in sources if f"{name}/{averages.NAME}" in tensors]
        if averaged and weights == "raw" and not is_named:
            raise Problem(
                "bad_meta_graph",
                f"{path} has no saver, and the checkpoint holds {averaged[0]!r} as well as its average: nothing says "
                "which of the two belongs to the graph",
                "copy the .meta file again; or set `weights: ema`, or `restore_op_name:`, if this is all there is",
            )
    _refuse_foreign(path, sources, tensors)
    rows = [_variable(node, sources.get(node.name), tensors) for node in variable_nodes]
    if weights == "ema" and not averages.take_averages(rows, index, tensors):
        raise Problem(
            "bad_setting",
            f"`weights: ema` asks for averages, but the checkpoint has none: no variable of {path} is updated as an "
            f"average and restored, and no tensor is named <variable>/{averages.NAME}",
        )
    return rows


def describe_tables(meta_graph: MetaGraphDef, index: GraphIndex, tensors: Mapping[str, Tensor]) -> list[SavedTable]:
    """What the meta graph's saver restores into lookup tables, as far as the checkpoint has it.

    Of a graph without a saver, which has nothing that would restore them, the tables of which the checkpoint has
    tensors; `initializer` is the table then.

    Args:
      tensors: key -> checkpoint.reader.Tensor.
    Raises Problem (bad_meta_graph) as restore_map does.
    """

    def saved(key: str) -> SavedTensor:
        tensor = tensors[key]
        return SavedTensor(key=key, dtype_enum=tensor.dtype, shape=list(tensor.shape), bytes=tensor.nbytes)

    found = saved_tables(meta_graph, index).items()
    if not meta_graph.saver_def.restore_op_name:
        named = [name for name, op in index.ops.items() if op in pruning.TABLES]
        found = {name: (f"{name}-keys", f"{name}-values") for name in named}.items()
    return [
        SavedTable(initializer=name, keys=saved(keys), values=saved(values))
        for name, (keys, values) in found
        if keys in tensors and values in tensors
    ]


def _refuse_foreign(path: str, sources: dict[str, Source], tensors: Mapping[str, Tensor]) -> None:
    wanted = {source.key for source in sources.values()}
    missing, unused = sorted(wanted - set(tensors)), sorted(set(tensors) - wanted)
    if missing or (tensors and not wanted):
        raise Problem(
            "foreign_meta_graph",
            f"the checkpoint lacks {len(missing)} of the {len(wanted)} tensors that {path} restores "
            f"({_some(missing)}), and has {len(unused)} that it does not restore ({_some(unused)})",
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "none"


def _variable(node: NodeDef, source: Source | None, tensors: Mapping[str, Tensor]) -> Variable:
    dtype = node.attr["dtype"].type
    if dtype and dtype not in KNOWN:
        raise Problem("bad_meta_graph", f"variable {node.name!r} has the unknown dtype number {dtype}")
    declared = static_shape(node)
    row = Variable(
        variable=node.name,
        op=node.op,
        dtype=_enum(dtype),
        dtype_enum=dtype,
        shape=list(declared) if declared is not None else None,
    )
    if source is None:
        return row
    tensor, start = tensors[source.key], source.start or ()
    shape = tensor.shape if source.extent is None else source.extent
    if tensor.dtype != dtype:
        stored = _enum(tensor.dtype)
        raise Problem("shape_mismatch", f"variable {node.name!r} is {row.dtype}, but tensor {source.key!r} is {stored}")
    if source.extent is not None and (
        len(source.extent) != len(tensor.shape)
        or any(s + e > size for s, e, size in zip(start, source.extent, tensor.shape, strict=True))
    ):
        raise Problem(
            "shape_mismatch",
            f"variable {node.name!r} is a slice that tensor {source.key!r} of shape {list(tensor.shape)} does not have",
        )
    shape_fits = declared is None or _compatible(declared, shape)
    if source.reshaped and declared is not None and min(declared, default=0) >= 0:
        shape_fits, shape = prod(declared) == prod(shape), declared
    if declared is not None and not shape_fits:
        raise Problem(
            "shape_mismatch",
            f"variable {node.name!r} has shape {list(declared)}, but tensor {source.key!r} has {list(shape)}",
        )
    whole = max(1, prod(tensor.shape))
    row.shape, row.key = list(shape), source.key
    row.bytes = tensor.nbytes if prod(shape) == prod(tensor.shape) else tensor.nbytes * prod(shape) // whole
    if source.extent is not None and (any(start) or tuple(source.extent) != tuple(tensor.shape)):
        row.box = [list(start), list(source.extent)]
        row.slice = ":".join(f"{first},{length}" for first, length in zip(start, source.extent, strict=True))
    return row


def _enum(dtype: int) -> str:
    return enum_name(dtype).removeprefix("DT_").lower()


def _compatible(declared: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    # TF 0.x wrote no dimensions for a shape that it did not know.
    return not declared or (
        len(declared) == len(shape) and all(a in (-1, b) for a, b in zip(declared, shape, strict=True))
    )
