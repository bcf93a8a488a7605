"""What a meta graph says about a checkpoint: who wrote it, its ops, its variables and their checkpoint keys."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

from permafrost.checkpoint.v2 import OBJECT_GRAPH, Tensor
from permafrost.graph import pruning
from permafrost.graph.declared import Declarations, declarations
from permafrost.graph.dtypes import ITEM_SIZES, KNOWN, castable, enum_name
from permafrost.graph.feed_points import nodes_between
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.variables import VARIABLE_OPS, may_have_shape, static_shape
from permafrost.graph.protos import MetaGraphDef, NodeDef
from permafrost.graph.restore_map import (
    Source,
    restore_map,
    restore_op_of,
    restored_keys,
    saved_slices,
    saved_tables,
    savers_in,
)
from permafrost.model import Defect
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, SavedTable, SavedTensor, Variable, is_known
from permafrost.signature import averages, twins

_GLOBAL = "variables"  # tf.GraphKeys.GLOBAL_VARIABLES
_MOST_NOTES = 5  # of variables that do not fit


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
    unsaved: str = "initial",
    is_named: bool = False,
    keys_by_name: Callable[[], dict[str, str]] = dict,
) -> list[Variable]:
    """The variable nodes of a meta graph.

    `key` is empty for a variable that the meta graph's saver does not restore; a meta graph without a saver is taken
    to restore each variable as a Saver made for it would: by its name, or as the part of a tensor that its collection
    says it is. It is empty too for one that the saver cannot restore from this checkpoint: its `defect` says why, and
    matters to outputs that need the variable. So does that of a variable without a key that must not have its initial
    value.
    Args:
      path: of the meta graph, for messages.
      tensors: key -> checkpoint.reader.Tensor.
      weights: "raw", or "ema" for the averages of the variables that have one.
      unsaved: "initial" where variables that no saver restores may have their initial values, "refuse" where not.
      is_named: whether the settings name a graph without a saver, whose variables then go by their names.
      keys_by_name: gives what checkpoint.object_graph does, for a checkpoint that lacks the keys of the graph's saver.
    Raises Problem: saved_model for a SavedModel of TensorFlow 2 without variables, foreign_meta_graph where the
      checkpoint has nothing of what the saver restores, tf2_checkpoint where it goes by Python objects and lacks some.
    """
    sources = restore_map(meta_graph, index)
    has_saver = bool(sources)
    if meta_graph.object_graph_def.nodes and not sources:
        raise Problem("saved_model", f"{path} is a SavedModel whose graph restores no variables")
    variable_nodes = [node for node in index.graph_def.node if node.op in VARIABLE_OPS]
    if not has_saver:
        parts = saved_slices(meta_graph)
        sources = {node.name: parts.get(node.name, Source(node.name)) for node in variable_nodes}
        known = {*tensors, *keys_by_name()} if OBJECT_GRAPH in tensors else tensors
        sources = {name: source for name, source in sources.items() if source.key in known}
        averaged = [name for name in sources if f"{name}/{averages.NAME}" in tensors]
        if averaged and weights == "raw" and not is_named:
            raise Problem(
                "bad_meta_graph",
                f"{path} has no saver, and the checkpoint holds {averaged[0]!r} as well as its average: nothing says "
                "which of the two belongs to the graph",
                "copy the .meta file again; or set `weights: ema`, or `restore_op_name:`, if this is all there is",
            )
    by_objects = _by_objects(path, sources, tensors, keys_by_name, weights) if OBJECT_GRAPH in tensors else {}
    sources_here = sources | by_objects
    lacking = _lacking(path, meta_graph, index, sources_here, tensors)
    rows = [_row(node, sources_here.get(node.name), tensors, lacking) for node in variable_nodes]
    for row in rows:
        if row.variable in by_objects:
            row.restored = sources[row.variable].key
    if weights == "ema" and not averages.take_averages(rows, index, tensors):
        raise Problem(
            "bad_setting",
            f"`weights: ema` asks for averages, but the checkpoint has none: no variable of {path} is updated as an "
            f"average and restored, and no tensor is named <variable>/{averages.NAME}",
        )
    twins.share(rows, index)
    declared = None if has_saver else declarations(meta_graph)
    for row in rows:
        why = "" if row.key or is_known(row.defect) else _not_initial(row, declared, tensors, unsaved)
        if why:
            row.defect = Defect("missing_variable", f"the meta graph's saver does not restore it, {why}", "")
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


def _lacking(
    path: str, meta_graph: MetaGraphDef, index: GraphIndex, sources: dict[str, Source], tensors: Mapping[str, Tensor]
) -> str:
    """What the checkpoint lacks of what a meta graph restores; "" where that is nothing, Problem where it is all."""
    wanted = {source.key for source in sources.values()}
    missing, unused = sorted(wanted - set(tensors)), sorted(set(tensors) - wanted - {OBJECT_GRAPH})
    told = (
        f"the checkpoint lacks {len(missing)} of the {len(wanted)} tensors that {path} restores "
        f"({_some(missing)}), and has {len(unused)} that it does not restore ({_some(unused)})"
    )
    if missing and len(missing) == len(wanted):
        raise Problem("foreign_meta_graph", told, _other_saver(index, tensors))
    if not wanted and (others := _restored_by_none(meta_graph, index, tensors)):
        raise Problem("foreign_meta_graph", f"{path} restores no tensor of the checkpoint, which has {_some(others)}")
    return told if missing else ""


def _restored_by_none(meta_graph: MetaGraphDef, index: GraphIndex, tensors: Mapping[str, Tensor]) -> list[str]:
    """The tensors that a graph that restores no variable has no other use for either: no table, no iterator."""
    restore_op = restore_op_of(meta_graph)
    return sorted(set(tensors) - {OBJECT_GRAPH} - (restored_keys(restore_op, index) if restore_op else set()))


def _other_saver(index: GraphIndex, tensors: Mapping[str, Tensor]) -> str:
    """The settings that take another saver of the graph, which restores tensors that the checkpoint has; or ""."""
    for saver in savers_in(index):
        keys = restored_keys(saver.restore_op, index)
        if keys and keys <= set(tensors):
            return (
                f"set `restore_op_name: {saver.restore_op}` and `filename_tensor_name: {saver.filename}`, by which the "
                "graph restores tensors that the checkpoint has; or put the .meta file that was written with it there"
            )
    return ""


def note_defects(record: ImportRecord, index: GraphIndex) -> None:
    """Notes in `record` what does not fit the checkpoint, and is not needed by the outputs that were chosen.

    Args:
      index: of the meta graph.
    Raises Problem (of the first defect) where the outputs need none of the variables that do fit: then these may fit by
    chance, and nothing shows that the meta graph belongs to the checkpoint.
    """
    unfit = [row for row in record.variables if is_known(row.defect) and row.defect.cause != "missing_variable"]
    fit = {row.variable for row in record.variables if row.key}
    used = nodes_between(index, record.outputs, [tensor_name(name) for name in record.inputs]) if unfit else set()
    if unfit and not fit & used:
        raise Problem(unfit[0].defect.cause, unfit[0].defect.message, unfit[0].defect.hint)
    # What an output needs, the freezer refuses, where it cannot do without.
    matters = {row.defect.message for row in unfit if row.variable in used}
    told = dict.fromkeys(row.defect.message for row in unfit if row.defect.message not in matters)
    notes = [f"{message}; no output needs that" for message in told]
    more = [f"{len(notes) - _MOST_NOTES} further variables do not fit"] if len(notes) > _MOST_NOTES else []
    record.findings = [*record.findings, *notes[:_MOST_NOTES], *more]


def _not_initial(row: Variable, declared: Declarations | None, tensors: Mapping[str, Tensor], unsaved: str) -> str:
    """Why a variable that is not restored must not have its initial value; "" where it may.

    Args: `declared`, what the collections of a graph without a saver say.
    """
    if unsaved == "refuse":
        return "and `unsaved_variables: refuse` keeps it from its initial value"
    if row.variable in tensors:
        return "though the checkpoint has a tensor of its name, so that its initial value may be wrong"
    held = declared.get(row.variable, {}) if declared is not None else {}
    # A Saver that is made for a graph saves what is in this collection; of what is in none, nothing tells.
    if declared is not None and (not held or _GLOBAL in held):
        return "since there is none, and the checkpoint has no tensor of its name"
    return ""


def _by_objects(
    path: str,
    sources: dict[str, Source],
    tensors: Mapping[str, Tensor],
    keys_by_name: Callable[[], dict[str, str]],
    weights: str,
) -> dict[str, Source]:
    """The sources in an object-based checkpoint that lacks keys of the graph's saver; empty where it lacks none.

    TensorFlow's Saver then takes what the checkpoint says the variables were called, or nothing where it lacks a name
    (saver_from_object_based_checkpoint in tensorflow/python/training/saver.py).
    Raises Problem: tf2_checkpoint for a name that it lacks, bad_setting where averages are asked for.
    """
    if sources and all(source.key in tensors for source in sources.values()):
        return {}
    keys = keys_by_name()
    wanted = {source.key for source in sources.values()}
    missing = sorted(key for key in wanted if keys.get(key) not in tensors)
    if missing or not wanted:
        raise Problem(
            "tf2_checkpoint",
            f"the checkpoint is a TensorFlow 2 object-based one, and lacks {len(missing)} of the {len(wanted)} "
            f"variables that {path} restores ({_some(missing)})"
            if wanted
            else f"the checkpoint is a TensorFlow 2 object-based one, and knows no variable of {path}",
        )
    if weights != "raw":
        raise Problem(
            "bad_setting", "`weights: ema` asks for averages, which no object-based checkpoint is searched for"
        )
    return {name: replace(source, key=keys[source.key]) for name, source in sources.items()}


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "none"


def _row(node: NodeDef, source: Source | None, tensors: Mapping[str, Tensor], lacking: str) -> Variable:
    """The row of a variable, with a defect where the checkpoint has not what `source` says, or it does not fit.

    Args: `lacking`, what is to be said where the checkpoint lacks the tensor.
    """
    found = Problem("foreign_meta_graph", lacking)
    if source is None or source.key in tensors:
        try:
            return _variable(node, source, tensors)
        except Problem as problem:
            if problem.cause == "bad_meta_graph":
                raise
            found = problem
    row = _variable(node, None, tensors)
    row.defect = Defect(found.cause, found.message, found.hint)
    return row


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
    _refuse_other_dtype(row, source, tensor)
    if source.extent is not None and (
        len(source.extent) != len(tensor.shape)
        or any(s + e > size for s, e, size in zip(start, source.extent, tensor.shape, strict=True))
    ):
        raise Problem(
            "shape_mismatch",
            f"variable {node.name!r} is a slice that tensor {source.key!r} of shape {list(tensor.shape)} does not have",
        )
    shape_fits = may_have_shape(declared, shape)
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
    if source.casts:
        row.casts, row.bytes = list(source.casts), prod(shape) * ITEM_SIZES[dtype]
    if source.extent is not None and (any(start) or tuple(source.extent) != tuple(tensor.shape)):
        row.box = [list(start), list(source.extent)]
        row.slice = ":".join(f"{first},{length}" for first, length in zip(start, source.extent, strict=True))
    return row


def _refuse_other_dtype(row: Variable, source: Source, tensor: Tensor) -> None:
    """Raises Problem where a tensor has not a variable's dtype once the restore has cast it, or such a cast is unknown.

    It is dtype_mismatch, or unsupported_op.
    """
    dtype = tensor.dtype
    for before, after in source.casts:
        if dtype == before and not castable(before, after):
            how = f"restores {row.variable!r} by a cast from {_enum(before)} to {_enum(after)}"
            raise Problem("unsupported_op", f"the saver {how}, which only TensorFlow can do")
        dtype = after if dtype == before else 0
    if dtype != row.dtype_enum:
        stored, by = _enum(tensor.dtype), " and is cast otherwise" if source.casts else ""
        message = f"variable {row.variable!r} is {row.dtype}, but tensor {source.key!r} is {stored}{by}"
        raise Problem("dtype_mismatch", message)


def _enum(dtype: int) -> str:
    return enum_name(dtype).removeprefix("DT_").lower()
