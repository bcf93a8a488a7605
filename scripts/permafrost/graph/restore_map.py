"""Which checkpoint tensor belongs to which variable: what the graph's own restore ops say.

Names alone are wrong for renamed, averaged (EMA) and partitioned variables, so the walk goes from the SaverDef's
restore op over its control inputs to each Assign, into the functions that it calls, and from the assigned value back to
the restoring op, whose inputs name the key and the slice (`shape_and_slice`, parsed as
tensorflow/core/util/saved_tensor_slice_util.cc does). On the way the graph may cast the value.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from permafrost.graph import pruning
from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.declared import declarations
from permafrost.graph.index import GraphIndex
from permafrost.graph.loading import init_op
from permafrost.graph.ops.variables import ASSIGNS, VARIABLE_OPS
from permafrost.graph.protos import MetaGraphDef, NodeDef
from permafrost.outcome import Problem

_VARIABLES = "variables"  # tf.GraphKeys.GLOBAL_VARIABLES
IMPORTS = ("LookupTableImport", "LookupTableImportV2")

_RESTORE_ALL = re.compile(r"(.*/)?restore_all(_[0-9]+)?", re.DOTALL)
_RESTORES = ("RestoreV2", "RestoreSlice", "Restore")
_PASS_THROUGH = ("Identity", "Reshape", "Cast")


@dataclass(frozen=True)
class Source:
    """The checkpoint tensor, or the box of it (start and extent of each dimension), that a variable restores.

    casts: what the value goes through before it is assigned, in this order, as pairs of DataTypes (from, to).
    """

    key: str
    start: tuple[int, ...] | None = None
    extent: tuple[int, ...] | None = None
    reshaped: bool = False
    casts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class SaverNodes:
    """What a SaverDef says of a saver: the node that restores, and the tensor that takes the file's name."""

    restore_op: str
    filename: str


def restore_map(meta_graph: MetaGraphDef, index: GraphIndex) -> dict[str, Source]:
    """Variable node name -> Source, for each variable that the meta graph's saver restores.

    A meta graph without a SaverDef gives an empty map. Raises Problem (bad_meta_graph) where the SaverDef names a
    node that the graph lacks, a restore op is not as TensorFlow's savers write it, or two of them fill one variable
    with different tensors.
    """
    restore_op = restore_op_of(meta_graph)
    if not restore_op:
        return {}
    if restore_op not in index.nodes:
        raise Problem("bad_meta_graph", f"the SaverDef names the restore op {restore_op!r}, which the graph lacks")
    sources: dict[str, Source] = {}
    for name in index.reach([restore_op]):
        node = index.nodes[name]
        if node.op in ASSIGNS:
            variable = _variable_of(node, index)
            source = _source_of(node, index)
            if variable and source:
                _add(sources, variable, source)
    for variable, source in _restored_in_functions(index, restore_op):
        _add(sources, variable, source)
    return sources


def restore_op_of(meta_graph: MetaGraphDef) -> str:
    """The node that a meta graph's saver restores by; "" where it has no saver."""
    return str(meta_graph.saver_def.restore_op_name).partition(":")[0]


def restored_keys(restore_op: str, index: GraphIndex) -> set[str]:
    """The keys of all tensors that the node `restore_op` reads, into variables or whatever else.

    Raises Problem (bad_meta_graph) where a restore op is not as TensorFlow's savers write it.
    """
    nodes = [index.nodes[name] for name in index.reach([restore_op])]
    found = [_elements(_constant(index, node, 1), node) for node in nodes if node.op in _RESTORES]
    return {key.decode("utf-8", "surrogateescape") for keys in found for key in keys}


def savers_in(index: GraphIndex) -> list[SaverNodes]:
    """The savers that a graph was built with, which a GraphDef names nowhere: by the name of their restore ops.

    A Saver groups what it restores in `<its scope>/restore_all`, and each restore op takes the file's name first
    (BaseSaverBuilder in tensorflow/python/training/saver.py).
    """
    found = []
    for name, node in index.nodes.items():
        if node.op == "NoOp" and _RESTORE_ALL.fullmatch(name):
            reached = sorted(index.reach([name]))
            restores = (index.nodes[other] for other in reached if index.nodes[other].op in _RESTORES)
            filenames = {inputs[0] for inputs in map(index.inputs_of, restores) if inputs}
            found += [SaverNodes(name, f"{file}:{output}") for file, output in filenames if len(filenames) == 1]
    return found


def saved_tables(meta_graph: MetaGraphDef, index: GraphIndex) -> dict[str, tuple[str, str]]:
    """LookupTableImport node -> the keys of the tensors from which a saver fills its table: of the keys, of the values.

    Those are left out that get something else than whole tensors of the checkpoint. Raises Problem (bad_meta_graph) as
    restore_map does.
    """
    restore_op = restore_op_of(meta_graph)
    found = {}
    for name in sorted(index.reach([restore_op])) if restore_op else ():
        node = index.nodes[name]
        if node.op in IMPORTS and len(index.inputs[name]) == 3:
            sources = [_source_of(node, index, position) for position in (1, 2)]
            keys = [source.key for source in sources if source and source.start is None and not source.reshaped]
            if len(keys) == 2:
                found[name] = (keys[0], keys[1])
    return found


def _add(sources: dict[str, Source], variable: str, source: Source) -> None:
    if sources.setdefault(variable, source) != source:
        raise Problem(
            "bad_meta_graph",
            f"variable {variable!r} is restored both from {sources[variable].key!r} and from {source.key!r}, in no "
            "certain order",
        )


def _restored_in_functions(index: GraphIndex, restore_op: str) -> Iterator[tuple[str, Source]]:
    """(variable node, Source) for what is restored in a function that gets the handle as an argument.

    So do the savers of TensorFlow 2 (tensorflow/python/checkpoint/functional_saver.py). A node of the graph is told by
    the handle, not by a name: the variables of one name may be several, each with a key of its own.
    """
    frames = Frames(index.graph_def.node, index.graph_def.library, index.reach([restore_op]))
    for frame in frames.frames:
        for node in frame.nodes.values():
            if node.op == "AssignVariableOp" and len(node.input) >= 2:
                where, variable, _ = frame.source(node.input[0])
                source = _source_in_function(frame, node)
                if source and variable is not None and where is frames.graph and variable.op in VARIABLE_OPS:
                    yield variable.name, source


def _source_in_function(frame: Frame, assign: NodeDef) -> Source | None:
    return restored_in_function(frame, assign.input[1])


def restored_in_function(frame: Frame, text: str, filename: str = "") -> Source | None:
    """What an input of a node in a function takes of the checkpoint; None where it takes something else.

    Args:
      filename: the node of the graph that has to give the checkpoint's name, or "" for whichever does.
    Raises Problem (bad_meta_graph) where a restore op is not as TensorFlow's savers write it.
    """
    where, node, output = frame.source(text, ("Identity", "Reshape"))
    if node is None or node.op != "RestoreV2" or len(node.input) < 3:
        return None
    outside, given, _ = where.source(node.input[0])
    if filename and (given is None or outside.function or given.name != filename):
        return None
    key, part = (_element(where.source(each)[1], node, output) for each in node.input[1:3])
    is_reshaped = frame.source(text)[1] is not node
    return _source(node, key, part, is_reshaped)


def without_other_savers(meta_graph: MetaGraphDef, index: GraphIndex, initializers: list[str]) -> list[str]:
    """The nodes `initializers` without those by which another saver than the meta graph's own would restore a table.

    A graph has one for each Saver that was made for it, and nobody runs the others.
    """
    restore_op = restore_op_of(meta_graph)
    restoring = index.reach([restore_op]) if restore_op and initializers else set()
    return [name for name in initializers if name in restoring or not _reads_checkpoint(index, name)]


def table_initializers(meta_graph: MetaGraphDef, index: GraphIndex, kept: set[str]) -> list[str]:
    """The nodes that fill the lookup tables among `kept`, in graph order; those that only other savers run left out."""
    return without_other_savers(meta_graph, index, pruning.table_initializers(index, kept, init_op(meta_graph)))


def _reads_checkpoint(index: GraphIndex, name: str) -> bool:
    if index.ops.get(name) not in IMPORTS or len(index.inputs[name]) < 2:
        return False
    (source, _), _ = index.upstream(index.inputs[name][1], _PASS_THROUGH)
    return index.ops.get(source) in _RESTORES


def saved_slices(meta_graph: MetaGraphDef) -> dict[str, Source]:
    """Variable node name -> Source, for each variable that its graph's collection says is a part of a saved tensor.

    A Saver that is made for the graph goes by this, where another variable is restored by its name (op_list_to_dict in
    tensorflow/python/training/saving/saveable_object_util.py). A VariableDef that cannot be read says nothing. Raises
    Problem (bad_meta_graph) for a part that is none.
    """
    found = {}
    for name, held in declarations(meta_graph).items():
        if _VARIABLES not in held:
            continue
        part = held[_VARIABLES].save_slice_info_def
        if part.full_name:
            start, extent = tuple(part.var_offset), tuple(part.var_shape)
            if len(start) != len(extent) or min(*start, *extent, 0) < 0:
                raise Problem(
                    "bad_meta_graph", f"variable {name!r} is saved as a slice of {part.full_name!r} that is none"
                )
            found[name] = Source(part.full_name, start, extent)
    return found


def _variable_of(assign: NodeDef, index: GraphIndex) -> str | None:
    inputs = index.inputs_of(assign)
    if not inputs:
        raise Problem("bad_meta_graph", f"node {assign.name!r} ({assign.op}) lacks its inputs")
    (name, _), _ = index.upstream(inputs[0], ("Identity",))
    return name if name in index.nodes and index.nodes[name].op in VARIABLE_OPS else None


def _source_of(assign: NodeDef, index: GraphIndex, position: int = 1) -> Source | None:
    inputs = index.inputs_of(assign)
    if len(inputs) <= position:
        raise Problem("bad_meta_graph", f"node {assign.name!r} ({assign.op}) lacks its inputs")
    (name, output), passed = index.upstream(inputs[position], _PASS_THROUGH)
    node = index.nodes.get(name)
    if node is None or node.op not in _RESTORES or any(cast.attr["Truncate"].b for cast in passed):
        return None
    key = _element(_constant(index, node, 1), node, output)
    part = _element(_constant(index, node, 2), node, output) if node.op != "Restore" else b""
    reshaped = any(each.op == "Reshape" for each in passed)
    casts = [(each.attr["SrcT"].type, each.attr["DstT"].type) for each in reversed(passed) if each.op == "Cast"]
    return _source(node, key, part, reshaped, tuple(casts))


def _source(
    node: NodeDef, key: bytes, part: bytes, is_reshaped: bool, casts: tuple[tuple[int, int], ...] = ()
) -> Source:
    """What an output of a restore op gives, by its key and its `shape_and_slice`."""
    start, extent = parse_slice(part.decode("ascii", "replace"), node.name)
    return Source(key.decode("utf-8", "surrogateescape"), start, extent, is_reshaped, casts)


def _constant(index: GraphIndex, node: NodeDef, position: int) -> NodeDef | None:
    inputs = index.inputs_of(node)
    if position >= len(inputs):
        return None
    (name, _), _ = index.upstream(inputs[position], ("Identity",))
    return index.nodes.get(name)


def _element(constant: NodeDef | None, node: NodeDef, place: int) -> bytes:
    """A string of a constant that a restore op takes; the others are not read, since there is one for each tensor."""
    values, count = _strings(constant, node)
    if place >= count:
        raise Problem("bad_meta_graph", f"node {node.name!r} ({node.op}) restores fewer tensors than are used")
    return bytes(values[min(place, len(values) - 1)])


def _elements(constant: NodeDef | None, node: NodeDef) -> list[bytes]:
    """The strings of a constant that a restore op takes."""
    values, count = _strings(constant, node)
    return [*values, *[values[-1]] * (count - len(values))] if values else []


def _strings(constant: NodeDef | None, node: NodeDef) -> tuple[Sequence[bytes], int]:
    """The strings that a constant states, and how many it has: the last one stated stands for all that follow."""
    if constant is None or constant.op != "Const":
        raise Problem("bad_meta_graph", f"node {node.name!r} ({node.op}) takes its tensor names from no constant")
    tensor = constant.attr["value"].tensor
    elements = prod(dimension.size for dimension in tensor.tensor_shape.dim)
    return tensor.string_val, max(len(tensor.string_val), min(elements, 1 << 20)) if tensor.string_val else 0


def parse_slice(text: str, node: str = "") -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """(start, extent) of a `shape_and_slice` like `10 4 0,5:-`; (None, None) for the empty text, the whole tensor.

    Raises Problem (bad_meta_graph), naming `node`, for a text that is none.
    """
    if not text:
        return None, None
    try:
        *shape, box = text.split()
        start, extent = [], []
        for size, span in zip(map(int, shape), box.split(":"), strict=True):
            first, length = (0, size) if span == "-" else map(int, span.split(","))
            if first < 0 or length < 0 or first + length > size:
                raise ValueError
            start.append(first)
            extent.append(length)
    except ValueError as error:
        raise Problem("bad_meta_graph", f"node {node!r} restores the slice {text!r}, which is none") from error
    return tuple(start), tuple(extent)
