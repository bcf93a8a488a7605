"""Whether a node is as its op's definition demands; files from strangers hold nodes that are not."""

from permafrost.contract import Problem
from permafrost.protos import types_pb2


def check(node, definition) -> None:
    """Raises Problem (bad_meta_graph) where a NodeDef's data inputs or dtypes are not what its OpDef asks for.

    The number of inputs is counted as tensorflow/core/framework/node_def_util.cc does (InputTypesForNode).
    """
    for attribute in definition.attr:
        if attribute.type in ("type", "list(type)") and attribute.name in node.attr:
            value = node.attr[attribute.name]
            for dtype in [value.type] if attribute.type == "type" else value.list.type:
                if dtype not in types_pb2.DataType.values() or dtype == types_pb2.DT_INVALID:
                    raise Problem(
                        "bad_meta_graph", f"node {node.name!r} ({node.op}) has the unknown dtype number {dtype}"
                    )
    wanted = sum(_width(node, argument, definition) for argument in definition.input_arg)
    found = sum(not text.startswith("^") for text in node.input)
    if wanted != found:
        raise Problem("bad_meta_graph", f"node {node.name!r} ({node.op}) has {found} inputs where {wanted} are needed")


def output_dtypes(node, definition) -> list[int]:
    """The DataTypes of a node's outputs, references as what they refer to; 0 where an attribute is missing."""
    dtypes: list[int] = []
    for argument in definition.output_arg:
        if argument.type_list_attr:
            dtypes += list(_attribute(node, argument.type_list_attr, definition).list.type)
        else:
            dtype = argument.type or _attribute(node, argument.type_attr, definition).type
            dtypes += [dtype] * _width(node, argument, definition)
    return dtypes


def _attribute(node, name: str, definition):
    if name in node.attr:
        return node.attr[name]
    return next(attribute.default_value for attribute in definition.attr if attribute.name == name)


def _width(node, argument, definition) -> int:
    """The number of tensors that an argument of an op stands for."""
    if argument.number_attr:
        return max(0, _attribute(node, argument.number_attr, definition).i)
    if argument.type_list_attr:
        return len(_attribute(node, argument.type_list_attr, definition).list.type)
    return 1
