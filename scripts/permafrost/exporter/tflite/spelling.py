"""Ops that TensorFlow Lite's converter knows under another name, or one by one."""

import copy

from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import GraphDef, NodeDef, types_pb2

_FILLS = {"InitializeTableV2": "LookupTableImportV2", "InitializeTable": "LookupTableImport"}


def respelled(graph_def: GraphDef) -> GraphDef:
    """A graph without ShapeN, whose tables are filled by an import; the graph itself where it has nothing of it."""
    if not any(node.op == "ShapeN" or node.op in _FILLS for node in graph_def.node):
        return graph_def
    held = copy.deepcopy(graph_def)
    index = GraphIndex(held)
    made: list[NodeDef] = []
    for node in list(held.node):
        if node.op == "ShapeN":
            made += _shapes(index, node)
        elif node.op in _FILLS:
            _import(node)
    held.node.extend(made)
    return held


def _shapes(index: GraphIndex, node: NodeDef) -> list[NodeDef]:
    """The Shape of each tensor of which a ShapeN gives the shape; the node itself becomes the first of them."""
    inputs = [text for text in node.input if text[:1] != "^"]
    controls = [text for text in node.input if text[:1] == "^"]
    out_type = node.attr["out_type"].type or types_pb2.DT_INT32
    made = []
    for position, text in enumerate(inputs[1:], start=1):
        name = _free(index, f"{node.name}/of_{position}")
        shape = NodeDef(name=name, op="Shape", input=[text, *controls])
        shape.attr["T"].type, shape.attr["out_type"].type = node.attr["T"].type, out_type
        made.append(shape)
        for user, place in index.uses.get((node.name, position), ()):
            places = [k for k, taken in enumerate(user.input) if taken[:1] != "^"]
            user.input[places[place]] = name
    dtype = node.attr["T"].type
    node.ClearField("attr")
    node.op = "Shape"
    node.attr["T"].type, node.attr["out_type"].type = dtype, out_type
    del node.input[:]
    node.input.extend([inputs[0], *controls])
    return made


def _free(index: GraphIndex, wanted: str) -> str:
    name = wanted
    while name in index.nodes:
        name += "_"
    return name


def _import(node: NodeDef) -> None:
    """Both fill an empty table with the same keys and values (tensorflow/core/kernels/lookup_table_op.cc)."""
    keys, values = node.attr["Tkey"].type, node.attr["Tval"].type
    node.op = _FILLS[node.op]
    node.ClearField("attr")
    node.attr["Tin"].type, node.attr["Tout"].type = keys, values
