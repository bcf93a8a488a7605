"""The part of a graph that is kept: what the outputs need, down to the points where inputs are fed."""

import copy
from collections import deque
from typing import Any

from permafrost.graph.fed_controls import runs_though_fed
from permafrost.graph.index import GraphIndex, TensorName, tensor_name
from permafrost.graph.loading import filling_calls
from permafrost.graph.ops.stateful import TABLE_INITIALIZERS
from permafrost.graph.protos import GraphDef, NodeDef, graph_pb2, node_def_pb2, types_pb2
from permafrost.outcome import Problem

PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
TABLES = (
    "HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2", "MutableHashTableOfTensors",
    "MutableHashTableOfTensorsV2", "MutableDenseHashTable", "MutableDenseHashTableV2", "AnonymousHashTable",
)  # fmt: skip
# Tables that are saved and filled as they lie in memory, with what marks a free place.
DENSE_TABLES = ("MutableDenseHashTable", "MutableDenseHashTableV2")
QUEUES = (
    "FIFOQueue", "FIFOQueueV2", "PaddingFIFOQueue", "PaddingFIFOQueueV2", "PriorityQueue", "PriorityQueueV2",
    "RandomShuffleQueue", "RandomShuffleQueueV2", "Stack", "StackV2",
)  # fmt: skip


def colocated(node: NodeDef) -> list[str]:
    """The names of the nodes that a NodeDef's `_class` attribute binds it to."""
    if "_class" not in node.attr:
        return []
    names = [value.decode("utf-8", "replace") for value in node.attr["_class"].list.s]
    return [name[len("loc:@") :] if name.startswith("loc:@") else name for name in names]


def needed(index: GraphIndex, outputs: list[str], with_colocated: bool = True) -> set[str]:
    """The nodes that `tf.compat.v1.graph_util.extract_sub_graph` keeps for the output nodes `outputs`.

    TensorFlow keeps the nodes that a kept node is colocated with, too; without them where `with_colocated` is false.
    Names that the graph lacks are left out.
    """
    return index.reach(outputs, colocated) if with_colocated else index.reach(outputs)


def table_initializers(index: GraphIndex, kept: set[str], loader: str) -> list[str]:
    """The nodes that fill the lookup tables among `kept`, in graph order. TensorFlow's freeze_graph loses them.

    Args:
      loader: the node that the loader of a SavedModel runs (graph.loading); it may fill tables in functions.
    """
    tables = {name for name in kept if index.ops[name] in TABLES}
    calls = filling_calls(index, loader, tables, TABLE_INITIALIZERS) if tables else ()
    return [
        name
        for name, op in index.ops.items()
        if name in calls or (op in TABLE_INITIALIZERS and any(source in tables for source, _ in index.inputs[name][:1]))
    ]


def extract(index: GraphIndex, kept: set[str]) -> GraphDef:
    """A GraphDef of copies of the nodes `kept`, in the order of the graph, with its library and versions."""
    graph_def = graph_pb2.GraphDef()
    graph_def.node.extend(node for node in index.graph_def.node if node.name in kept)
    graph_def.library.CopyFrom(index.graph_def.library)
    graph_def.versions.CopyFrom(index.graph_def.versions)
    return graph_def


def drop_foreign_colocation(graph_def: GraphDef) -> list[str]:
    """Takes `_class` entries that name absent nodes out of `graph_def`; returns the names of the nodes changed."""
    names = {node.name for node in graph_def.node}
    changed = []
    for node in graph_def.node:
        if any(name not in names for name in colocated(node)):
            present = [f"loc:@{name}".encode() for name in colocated(node) if name in names]
            del node.attr["_class"]
            if present:
                node.attr["_class"].list.s.extend(present)
            changed.append(node.name)
    return changed


def cut_inputs(graph_def: GraphDef, fed: list[str], outputs: list[str]) -> Any:
    """A copy of `graph_def` in which the fed tensors that are no placeholders come from placeholders.

    Args:
      fed: tensor names, such as `IteratorGetNext:1`.
      outputs: names of output nodes or tensors.
    Returns:
      (GraphDef, cuts): cuts maps each fed tensor that was cut to the tensor of the placeholder in its place.
      The placeholder of output 0 takes the name of the node it stands for, so that consumers stay as they are;
      but where the outputs need another output of that node, which is not fed, or wait for what it does, it stays.
    Raises Problem (bad_setting) for a tensor whose dtype the graph does not tell.
    """
    index = GraphIndex(graph_def)
    points = [tensor_name(name) for name in fed]
    points = [(n, k) for n, k in points if n in index.nodes and index.nodes[n].op not in PLACEHOLDERS]
    if not points:
        return graph_def, {}
    cut = copy.deepcopy(graph_def)
    names = set(index.nodes)
    still_needed = _needed_beside(index, set(points), [tensor_name(name) for name in outputs])
    gone = {node for node, _ in points} - still_needed
    placeholders: dict[str, Any] = {}
    replaced: dict[TensorName, str] = {}
    for node, output in points:
        takes_name = output == 0 and node not in still_needed
        name = node if takes_name else _unused(f"{node}_{output}", names)
        names.add(name)
        replaced[node, output] = name
        placeholders.setdefault(node, []).append(_placeholder(index, node, output, name))
    stand_ins = {name: placeholders[name][0].name for name in gone}
    nodes = []
    for original in cut.node:
        nodes.extend(placeholders.get(original.name, ()))
        if original.name not in gone:
            nodes.append(_reconnected(original, replaced, stand_ins))
    del cut.node[:]
    cut.node.extend(nodes)
    return cut, {f"{node}:{output}": f"{name}:0" for (node, output), name in replaced.items()}


def _needed_beside(index: GraphIndex, points: set[TensorName], outputs: list[TensorName]) -> set[str]:
    """The nodes of the fed `points` that the outputs, or what fills a table, need all the same.

    They do where they take another output of the node, or wait for it and it runs though it is fed.
    """
    fed = {name for name, _ in points}
    initializers = [(node.name, 0) for node in index.graph_def.node if node.op in TABLE_INITIALIZERS]
    waiting, reached = deque([*outputs, *initializers]), set()
    while waiting:
        name, output = waiting.popleft()
        if name in reached or name not in index.nodes or (name, output) in points:
            continue
        reached.add(name)
        waiting.extend(index.inputs[name])
        waiting.extend((c, -1) for c in index.controls[name] if c not in fed or runs_though_fed(index, c))
    return fed & reached


def _unused(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def _reconnected(node: NodeDef, replaced: dict[TensorName, str], stand_ins: dict[str, str]) -> NodeDef:
    for position, text in enumerate(node.input):
        if text.startswith("^"):
            node.input[position] = "^" + stand_ins.get(text[1:], text[1:])
        elif (point := tensor_name(text)) in replaced:
            node.input[position] = replaced[point]
    return node


def _placeholder(index: GraphIndex, node_name: str, output: int, name: str) -> NodeDef:
    placeholder = node_def_pb2.NodeDef(name=name, op="Placeholder")
    placeholder.attr["dtype"].type = declared_dtype(index.nodes[node_name], output)
    shape = declared_shape(index, node_name, output)
    if shape is None:
        placeholder.attr["shape"].shape.unknown_rank = True
    else:
        placeholder.attr["shape"].shape.SetInParent()
        for size in shape:
            placeholder.attr["shape"].shape.dim.add(size=size)
    return placeholder


# Ops whose results are of a dtype of their own, whatever they take; of the last, the second output.
_BOOLEAN = {
    "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalAnd", "LogicalOr", "LogicalNot", "All",
    "Any", "IsNan", "IsInf", "IsFinite", "InTopK", "InTopKV2",
}  # fmt: skip
_OWN_DTYPES: dict[str, int] = dict.fromkeys(_BOOLEAN, types_pb2.DT_BOOL) | {"Where": types_pb2.DT_INT64}
_INDEX_SECOND = {"TopK", "TopKV2"}


def declared_dtype(node: NodeDef, output: int) -> int:
    """The DataType of an output, from the attributes in which ops declare it. Raises Problem (bad_setting)."""
    if node.op in _OWN_DTYPES:
        return _OWN_DTYPES[node.op]
    if node.op in _INDEX_SECOND and output == 1:
        return int(types_pb2.DT_INT32)
    if node.op in ("ArgMax", "ArgMin"):
        return int(node.attr["output_type"].type or types_pb2.DT_INT64)
    if node.op in ("Shape", "Size", "Rank"):
        return int(node.attr["out_type"].type or types_pb2.DT_INT32)
    for attribute in ("output_types", "component_types", "dtypes", "Tout"):
        types = node.attr[attribute].list.type if attribute in node.attr else ()
        if output < len(types):
            return int(types[output])
    for attribute in ("dtype", "DstT", "out_type", "T", "Tparams"):
        if attribute in node.attr and node.attr[attribute].type:
            return int(node.attr[attribute].type)
    raise Problem(
        "bad_setting", f"the graph does not tell the dtype of {node.name}:{output} ({node.op}); feed another tensor"
    )


def declared_shape(index: GraphIndex, name: str, output: int) -> tuple[int, ...] | None:
    """What the graph says of an output's shape (-1: unknown size), or None where it says nothing.

    Iterators and queues declare the shapes of their components; DequeueMany adds a batch dimension in front.
    """
    node = index.nodes[name]
    shapes, batched = None, False
    if "Dequeue" in node.op and index.inputs_of(node):
        queue = index.nodes.get(index.inputs_of(node)[0][0])
        if queue is not None and "shapes" in queue.attr:
            shapes, batched = queue.attr["shapes"].list.shape, "Many" in node.op or "UpTo" in node.op
    elif "output_shapes" in node.attr:
        shapes = node.attr["output_shapes"].list.shape
    if not shapes and "_output_shapes" in node.attr:
        shapes, batched = node.attr["_output_shapes"].list.shape, False
    if not shapes or output >= len(shapes) or shapes[output].unknown_rank:
        return None
    sizes = tuple(dimension.size for dimension in shapes[output].dim)
    return (-1, *sizes) if batched else sizes
