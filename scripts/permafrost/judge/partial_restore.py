"""A restore of some variables and tables alone.

Of what is needed, since two thirds of a checkpoint may be an optimiser's; for a checkpoint that lacks others, or has
them with other shapes or dtypes; and for a saver that also restores what no output needs and what may not run here: the
position of an iterator, the state of a reader.
"""

from collections.abc import Iterable

from tensorflow.python.framework import tensor_util

from permafrost.flow.body import Body
from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.unsafe import RESTORING, executed, is_unsafe
from permafrost.graph.ops.variables import VARIABLE_OPS, Resource, resource_name
from permafrost.graph.protos import GraphDef, NodeDef, types_pb2
from permafrost.graph.pruning import PLACEHOLDERS, TABLES
from permafrost.judge.structure import uncaptured_state

_ASSIGNS = ("Assign", "AssignVariableOp")
_IMPORTS = ("LookupTableImport", "LookupTableImportV2")
_READING = ("RestoreV2", "Cast", "Const", "Identity", "Reshape", *PLACEHOLDERS)  # and what lies behind it


def roots(index: GraphIndex, restore_op: str, filename: str, needed: set[str]) -> list[str]:
    """The nodes to run so that `restore_op` restores what the nodes `needed` find.

    That is `restore_op` itself, unless it also restores other resources than variables and tables: where none of
    `needed` could tell that from what is there without it, the assignments and fillings are what is left.
    Args:
      filename: the tensor that takes the file's name.
    """
    running = [index.nodes[name] for name in sorted(executed(index, [restore_op], {filename}))]
    body = Body(index.graph_def.node)
    others = [node for node in running if _is_other(node, body)]
    seeing = [index.nodes[name] for name in needed]
    library = index.graph_def.library
    if not others or needed_functions(running, library) or not _are_of_saveables(others, body):
        return [restore_op]
    if uncaptured_state.is_seen(others, body, seeing, library):
        return [restore_op]
    return _filling(running, body, _held(seeing))


def _is_other(node: NodeDef, body: Body) -> bool:
    """Whether a NodeDef of a restore does something else than to read the checkpoint, to assign and to fill tables."""
    if is_unsafe(node):
        return node.op not in RESTORING
    return uncaptured_state.changes(node) and not (node.op in _ASSIGNS + _IMPORTS and _memory(node, body))


def _are_of_saveables(nodes: list[NodeDef], body: Body) -> bool:
    """Whether the NodeDefs restore resources, or give those that do what they take, as their handles."""
    above = (body.data_above(node.name) for node in nodes if _is_saveable(node, body))
    return {node.name for node in nodes} <= set().union(*above)


def _is_saveable(node: NodeDef, body: Body) -> bool:
    """Whether a NodeDef puts what the checkpoint holds into resources of the graph that are known."""
    above = (body.nodes[name] for name in body.data_above(node.name) if name in body.nodes)
    return uncaptured_state.has_handles(node, body) and any(source.op in RESTORING for source in above)


def _held(nodes: Iterable[NodeDef]) -> set[Resource]:
    return {resource_name(node) for node in nodes if node.op in VARIABLE_OPS + TABLES}


def _filling(running: list[NodeDef], body: Body, memory: set[Resource]) -> list[str]:
    """The names of the nodes that give something in `memory` its content."""
    return [node.name for node in running if node.op in _ASSIGNS + _IMPORTS and _memory(node, body) in memory]


def is_plain(graph_def: GraphDef, restores: list[str]) -> bool:
    """Whether a restore does no more than to read tensors and to assign each of some variables one of them.

    Then each assignment can be run without the others: nothing else than its own variable tells that they ran.
    Args:
      graph_def: holds what the restore runs.
      restores: the nodes that restore everything.
    """
    body = Body(graph_def.node)
    running = _above(restores, body, with_controls=True)
    assigns = [node for node in running if node.op in _ASSIGNS]
    memory = [_memory(node, body) for node in assigns]
    sources = {name for node in assigns for name in body.data_above(body.source(node.input[1]))}
    values = [body.nodes[name] for name in sources if name in body.nodes]  # The filename's default may be left out.
    return (
        None not in memory
        and len(set(memory)) == len(memory)
        and {node.op for node in values} <= {*_READING}
        and {node.op for node in running} <= {*_READING, *_ASSIGNS, *VARIABLE_OPS, "NoOp"}
    )


def split(graph_def: GraphDef, restores: list[str], held: set[str]) -> list[str]:
    """Has the assignments to those of `held` in a restore read their own tensors of the checkpoint alone.

    A RestoreV2 reads many tensors, takes the time and the memory for all of them, and fails where the checkpoint lacks
    one. All else stays the graph's own.
    Args:
      graph_def: changed in place; it holds what the restore runs.
      restores: the nodes that restore everything.
      held: variable and table nodes; other nodes that are the same variable or table count as well.
    Returns the names of the nodes to run in place of `restores`.
    """
    body = Body(graph_def.node)
    running = _above(restores, body, with_controls=True)
    filling = _filling(running, body, _held(body.nodes[name] for name in held))
    takers = _above(filling, body, with_controls=False)
    taking = {node.name for node in takers}
    for name in [node.name for node in takers if node.op == "RestoreV2"]:
        uses = [(node, position, tensor_name(node.input[position])[1]) for node, position in body.consumers[name]]
        uses = [use for use in uses if use[0].name in taking]
        places = {output: place for place, output in enumerate(sorted({output for _, _, output in uses}))}
        part = _part(body, body.nodes[name], list(places))
        for node, position, output in uses:
            node.input[position] = f"{part}:{places[output]}"
    return filling


def _memory(filling: NodeDef, body: Body) -> Resource | None:
    """What tells the variable or the table that a NodeDef fills; None where it is none of the graph."""
    found = body.nodes.get(body.origin(filling.input[0])) if filling.input else None
    return None if found is None or found.op not in VARIABLE_OPS + TABLES else resource_name(found)


def _above(names: list[str], body: Body, with_controls: bool) -> list[NodeDef]:
    """The nodes `names` and all before them, in the order of the graph."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name in body.nodes:
            found.add(name)
            texts = body.nodes[name].input
            waiting += [body.source(text) for text in texts if with_controls or not text.startswith("^")]
    return [node for name, node in body.nodes.items() if name in found]


def _part(body: Body, restore: NodeDef, outputs: list[int]) -> str:
    """Adds a RestoreV2 that gives some outputs of another, in this order; returns its name."""
    base = f"{restore.name}/part"
    filename, *lists = [text for text in restore.input if not text.startswith("^")]
    indices, axis = _integers(body, f"{base}/indices", outputs), _integers(body, f"{base}/axis", 0)
    parts = [_gather(body, f"{base}/{place}", [text, indices, axis]) for place, text in enumerate(lists)]
    node = body.container.add(name=body.unused(base), op="RestoreV2", input=[filename, *parts])
    node.attr["dtypes"].list.type.extend(restore.attr["dtypes"].list.type[output] for output in outputs)
    return str(node.name)


def _gather(body: Body, name: str, inputs: list[str]) -> str:
    """Adds what picks elements out of a list of strings; returns its name."""
    node = body.container.add(name=body.unused(name), op="GatherV2", input=inputs)
    node.attr["Tparams"].type = types_pb2.DT_STRING
    node.attr["Tindices"].type = node.attr["Taxis"].type = types_pb2.DT_INT32
    return str(node.name)


def _integers(body: Body, name: str, values: int | list[int]) -> str:
    node = body.container.add(name=body.unused(name), op="Const")
    node.attr["dtype"].type = types_pb2.DT_INT32
    node.attr["value"].tensor.CopyFrom(tensor_util.make_tensor_proto(values, types_pb2.DT_INT32))
    return str(node.name)
