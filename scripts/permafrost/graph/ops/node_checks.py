"""Whether a node is as its op's definition demands; files from strangers hold nodes that are not."""

from typing import Any

from permafrost.graph.dtypes import KNOWN
from permafrost.graph.protos import AttrValue, NodeDef, OpDef, types_pb2
from permafrost.outcome import Problem


def check(node: NodeDef, definition: OpDef) -> None:
    """Raises Problem (bad_meta_graph) where a NodeDef's data inputs or dtypes are not what its OpDef asks for.

    The number of inputs is counted as tensorflow/core/framework/node_def_util.cc does (InputTypesForNode); it stays
    open where a function leaves attributes to its caller.
    """
    is_open, attributes = False, node.attr
    for attribute in definition.attr:
        name, kind = attribute.name, attribute.type
        if name not in attributes:
            if not attribute.HasField("default_value"):
                _refuse(node, f"lacks the attribute {name!r}")
        elif attributes[name].placeholder:
            is_open = True
        elif kind in ("type", "list(type)"):
            for dtype in [attributes[name].type] if kind == "type" else attributes[name].list.type:
                if dtype not in KNOWN:
                    _refuse(node, f"has the unknown dtype number {dtype}")
    controls = [text.startswith("^") for text in node.input]
    if controls != sorted(controls):
        _refuse(node, "has a data input after a control input")
    if is_open:
        return
    wanted = sum(_width(node, argument, definition) for argument in definition.input_arg)
    found = len(controls) - sum(controls)
    if wanted != found:
        _refuse(node, f"has {found} inputs where {wanted} are needed")


def _refuse(node: NodeDef, wrong: str) -> None:
    raise Problem("bad_meta_graph", f"node {node.name!r} ({node.op}) {wrong}")


def output_count(node: NodeDef, definition: OpDef) -> int:
    """The number of outputs of a NodeDef."""
    return sum(_width(node, argument, definition) for argument in definition.output_arg)


def output_dtype(node: NodeDef, definition: OpDef, output: int) -> int:
    """The DataType of an output that the node has; DT_INVALID (0) where the node does not tell it."""
    for argument in definition.output_arg:
        width = _width(node, argument, definition)
        if output < width and argument.type_list_attr:
            return int(_attribute(node, argument.type_list_attr, definition).list.type[output])
        if output < width:
            return int(argument.type or _attribute(node, argument.type_attr, definition).type)
        output -= width
    return int(types_pb2.DT_INVALID)


def _attribute(node: NodeDef, name: str, definition: OpDef) -> AttrValue:
    if name in node.attr:
        return node.attr[name]
    return next(attribute.default_value for attribute in definition.attr if attribute.name == name)


def _width(node: NodeDef, argument: Any, definition: OpDef) -> int:
    """The number of tensors that an argument of an op stands for."""
    if argument.number_attr:
        return max(0, int(_attribute(node, argument.number_attr, definition).i))
    if argument.type_list_attr:
        return len(_attribute(node, argument.type_list_attr, definition).list.type)
    return 1
