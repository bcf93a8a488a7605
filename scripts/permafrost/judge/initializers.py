"""The judge's word on variables that no saver restores: what a program runs to give them a value, before it restores.

Found by the meta graph's own collections and TensorFlow's op registry; what the value is, TensorFlow says when it runs
the initializer, on the checkpoint's side. The freezer is not asked.
"""

from collections import Counter
from collections.abc import Iterable

from google.protobuf.message import DecodeError
from tensorflow.core.framework import variable_pb2
from tensorflow.python.framework import op_def_registry

from permafrost.flow.body import Body
from permafrost.graph.calls import functions_in
from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.unsafe import is_unsafe
from permafrost.graph.ops.variables import VARIABLE_OPS, resource_name
from permafrost.graph.protos import MetaGraphDef, NodeDef
from permafrost.graph.pruning import PLACEHOLDERS
from permafrost.records import Variable, is_known


def of_unsaved(meta_graph: MetaGraphDef, index: GraphIndex, rows: Iterable[Variable]) -> dict[str, str]:
    """Variable -> the node that gives it its initial value, for those that are not restored and may have that value.

    Left out are variables that share their memory with another node, and those whose value does not come from
    constants alone, through ops without a state.
    Args:
      index: of the graph that is run, which may have its inputs cut.
      rows: as the import record has them.
    """
    unsaved = [row.variable for row in rows if not row.key and not is_known(row.defect)]
    if not unsaved:
        return {}
    body = Body(index.graph_def.node)
    counts = Counter(resource_name(node) for node in body.nodes.values() if node.op in VARIABLE_OPS)
    own = [name for name in unsaved if name in body.nodes and counts[resource_name(body.nodes[name])] == 1]
    said = _said(meta_graph) if own else {}
    found = {name: said.get(name, f"{name}/Assign") for name in own}
    return {name: node for name, node in found.items() if _is_initializer(node, name, body, index)}


def _said(meta_graph: MetaGraphDef) -> dict[str, str]:
    """Variable -> its initializer, by the VariableDefs of all collections; "" where these do not agree."""
    found: dict[str, str] = {}
    for held in meta_graph.collection_def.values():
        for content in held.bytes_list.value:
            try:
                variable = variable_pb2.VariableDef.FromString(content)
            except DecodeError:
                continue
            name, initializer = (Body.source(text) for text in (variable.variable_name, variable.initializer_name))
            if initializer:
                found[name] = initializer if found.get(name, initializer) == initializer else ""
    return found


def _is_initializer(name: str, variable: str, body: Body, index: GraphIndex) -> bool:
    """Whether a node assigns to a variable what constants alone determine."""
    node = body.nodes.get(name)
    if node is None or node.op not in ("Assign", "AssignVariableOp") or body.origin(node.input[0]) != variable:
        return False
    way = index.reach([name]) - {name, variable}
    return all(_is_pure(body.nodes[each]) for each in way)


def _is_pure(node: NodeDef) -> bool:
    """Whether a NodeDef gives the same in each run, by its inputs alone, and does nothing else."""
    definition = op_def_registry.get(node.op)
    if definition is None or definition.is_stateful or is_unsafe(node) or node.op in PLACEHOLDERS:
        return False
    if any(arg.is_ref for arg in [*definition.input_arg, *definition.output_arg]):
        return False
    return not any(name for value in node.attr.values() for name in functions_in(value))
