"""What a graph makes of constant strings, such as a picture's bytes, computed by TensorFlow before the conversion.

Strings are text in ONNX, and have hardly any ops there; what comes of constant ones is constant.
"""

from typing import Any

from permafrost.graph.index import GraphIndex, in_data_order
from permafrost.graph.ops.registry import registered
from permafrost.graph.ops.stateful import RANDOM, changes_by_itself
from permafrost.graph.ops.unsafe import is_unsafe
from permafrost.graph.protos import GraphDef, NodeDef, node_def_pb2, types_pb2
from permafrost.graph.pruning import PLACEHOLDERS, TABLES, extract

# Not to be run by themselves: they take turns in loops and branches.
_ROUTES = ("Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond")


def fold(graph_def: GraphDef) -> GraphDef:
    """The graph with a constant in the place of each node that takes constant strings alone and gives numbers."""
    index = GraphIndex(graph_def)
    followers = _followers(index) if any(map(_is_string, graph_def.node)) else []
    found = _computed(index, followers) if followers else {}
    folded = [_as_constant(node, found[node.name]) if node.name in found else node for node in graph_def.node]
    other = type(graph_def)(versions=graph_def.versions, library=graph_def.library)
    other.node.extend(folded)
    return other


def _is_string(node: NodeDef) -> bool:
    return bool(node.op == "Const" and node.attr["dtype"].type == types_pb2.DT_STRING)


def _followers(index: GraphIndex) -> list[str]:
    """The nodes that constants decide, strings among them; without those constants."""
    constant: set[str] = set()
    followers: list[str] = []
    strings: set[str] = set()
    for name in in_data_order(index):
        sources = {source for source, _ in index.inputs[name]}
        if index.controls[name] or not sources <= constant or not may_be_run(index.nodes[name]):
            continue
        constant.add(name)
        if sources & strings:
            followers.append(name)
        if sources & strings or _is_string(index.nodes[name]):
            strings.add(name)
    return followers


def may_be_run(node: NodeDef) -> bool:
    """Whether a node that takes constants can be run before the conversion: always the same, safe, and no call."""
    op = node.op
    if op in (*PLACEHOLDERS, *TABLES, *_ROUTES) or registered(op) is None or is_unsafe(node):
        return False
    is_call = any(value.HasField("func") or value.list.func for value in node.attr.values())
    return not (is_call or changes_by_itself(op) or RANDOM.match(op))


def _computed(index: GraphIndex, names: list[str]) -> dict[str, Any]:
    """Node -> its value, for those with one output that is no string."""
    import tensorflow as tf

    from permafrost.graph.tensorflow_import import import_to_run

    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        import_to_run(extract(index, index.reach(names)), set())
        outputs = {name: graph.get_operation_by_name(name).outputs for name in names}
        single = {name: found[0] for name, found in outputs.items() if len(found) == 1 and found[0].dtype != tf.string}
        try:
            values = session.run(single)
        except tf.errors.OpError:  # It will fail in the converter, or where the file is run.
            return {}
    return {name: tf.make_tensor_proto(value, single[name].dtype) for name, value in values.items()}


def _as_constant(node: NodeDef, value: Any) -> NodeDef:
    constant = node_def_pb2.NodeDef(name=node.name, op="Const")
    constant.attr["dtype"].type = value.dtype
    constant.attr["value"].tensor.CopyFrom(value)
    return constant
