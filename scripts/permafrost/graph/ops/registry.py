"""What this TensorFlow's op registry says of the ops in a graph, and what its importer makes of that.

`import_graph_def` fills in the default of each attribute that a NodeDef lacks, in the caller's own GraphDef, and
drops attributes that only the producer knew, where they have the producer's default; freeze_graph therefore writes
them so. The registry needs TensorFlow; applying what it says does not.
"""

import base64
from collections.abc import Iterable

from permafrost.graph.protos import GraphDef, NodeDef, OpDef, OpList, types_pb2
from permafrost.records import OpDefinition


def registered(op: str) -> OpDef | None:
    """The OpDef of an op type, or None where this TensorFlow does not know it. Imports TensorFlow, and runs nothing."""
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(op)


def load() -> None:
    """Imports TensorFlow, which takes seconds and hundreds of MB, before anything of a model is measured."""
    registered("NoOp")


def look_up(ops: Iterable[str]) -> dict[str, OpDefinition]:
    """Op type -> what is known of it. Ops that are not registered are left out.

    Imports TensorFlow, and runs nothing.
    """
    definitions = {}
    for op in sorted(set(ops)):
        definition = registered(op)
        if definition is not None:
            definitions[op] = OpDefinition(
                attrs=[attr.name for attr in definition.attr],
                defaults={
                    attr.name: base64.b64encode(attr.default_value.SerializeToString(deterministic=True)).decode()
                    for attr in definition.attr
                    if attr.HasField("default_value")
                },
                references=_references(definition),
                lends=_references(definition) is None and any(arg.is_ref for arg in definition.output_arg),
                stateful=keeps_state(definition),
                handles=_handles(definition),
            )
    return definitions


def keeps_state(definition: OpDef) -> bool:
    """Whether an op may change something that outlasts it, by its OpDef.

    The registry does not call those stateful that take a table, a queue, or an accumulator as TensorFlow did before it
    had handles: by reference to a string.
    """
    takes_handle = any(arg.is_ref and arg.type == types_pb2.DT_STRING for arg in definition.input_arg)
    return definition.is_stateful or takes_handle


def _references(definition: OpDef) -> list[int | None] | None:
    """The first data input that an op takes by reference, and the first after those; they follow each other."""
    positions = [position for position, arg in enumerate(definition.input_arg) if arg.is_ref]
    if not positions:
        return None
    return [positions[0], None if definition.input_arg[positions[-1]].number_attr else positions[-1] + 1]


def _handles(definition: OpDef) -> list[int] | None:
    found = []
    for position, arg in enumerate(definition.input_arg):
        if arg.is_ref or arg.type == types_pb2.DT_RESOURCE:
            if any(before.number_attr or before.type_list_attr for before in definition.input_arg[: position + 1]):
                return None
            found.append(position)
    return found


def apply(graph_def: GraphDef, definitions: dict[str, OpDefinition], producer_ops: OpList | None) -> None:
    """Brings the nodes of `graph_def`, in place, to what TensorFlow's importer makes of them.

    Args:
      definitions: what look_up gave for the ops of the graph.
      producer_ops: the meta graph's stripped_op_list (an OpList), or None.
    Source: _SetDefaultAttrValues and _RemoveDefaultAttrs in tensorflow/python/framework/importer.py.
    """
    producers = {op.name: op for op in producer_ops.op} if producer_ops is not None else {}
    for node in graph_def.node:
        definition = definitions.get(node.op)
        if definition is None:
            continue
        for name, value in definition.defaults.items():
            if name not in node.attr or node.attr[name].WhichOneof("value") is None:
                node.attr[name].ParseFromString(base64.b64decode(value))
        if node.op in producers:
            _drop_unknown(node, set(definition.attrs), producers[node.op])


def _drop_unknown(node: NodeDef, known: set[str], producer: OpDef) -> None:
    for attr in producer.attr:
        if (
            attr.name in node.attr
            and attr.name not in known
            and attr.HasField("default_value")
            and node.attr[attr.name] == attr.default_value
        ):
            del node.attr[attr.name]
