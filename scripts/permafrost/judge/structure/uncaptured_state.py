"""The judge's word on state: what a restore, a loader or what fills a table leaves behind, and a frozen graph lacks.

Found by TensorFlow's op registry, and by the judge itself: it does not ask the freezer. Feeds that happen to see
nothing of such state would show no difference.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from tensorflow.python.framework import op_def_registry

from permafrost.flow.body import PASSING, Body
from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.calls import needed_functions
from permafrost.graph.ops.stateful import TABLE_INITIALIZERS
from permafrost.graph.ops.variables import VARIABLE_OPS, Resource, resource_name
from permafrost.graph.protos import FunctionDefLibrary, MetaGraphDef, NodeDef, OpDef, types_pb2
from permafrost.graph.pruning import TABLES
from permafrost.outcome import Problem

_QUIET = {
    "Assert", "Case", "If", "IsVariableInitialized", "LookupTableExport", "LookupTableExportV2", "LookupTableFind",
    "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2", "PartitionedCall", "Print", "PrintV2", "QueueIsClosed",
    "QueueIsClosedV2", "QueueSize", "QueueSizeV2", "ReadVariableOp", "RefEnter", "RefExit", "RefIdentity", "RefMerge",
    "RefNextIteration", "RefSelect", "RefSwitch", "ResourceGather", "ResourceGatherNd", "Restore", "RestoreSlice",
    "RestoreV2", "StatefulPartitionedCall", "VarIsInitializedOp", "VariableShape", "While",
}  # fmt: skip
_WRITES = ("Assign", "AssignAdd", "AssignSub", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
_IMPORT = "LookupTableImportV2"
_INIT_OPS = ("saved_model_main_op", "legacy_init_op")
_INIT_SIGNATURE = "__saved_model_init_op"


def refuse(
    meta_graph: MetaGraphDef,
    cut: Any,
    frozen: Any,
    outputs: list[str],
    initializers: list[str],
    initializing: Collection[str] = (),
    after: Iterable[str] = (),
) -> None:
    """Compares what is done before the first run with what a frozen GraphDef can have of it.

    Args:
      cut: the meta graph's GraphDef with its inputs cut, as the frozen one has them.
      outputs: names of the output nodes or tensors.
      initializers: the nodes of the frozen graph that are run before its first use.
      initializing: the nodes that give variables which are not restored their initial values; the weights tell these.
      after: the nodes of the meta graph that are run after the restore; the comparison of weights tells what they leave
        in variables.
    Raises Problem (structure_differs) naming the first node that changes what the frozen graph uses, where that does
    not have it changed.
    """
    body, part, library = Body(meta_graph.graph_def.node), Body(cut.node), meta_graph.graph_def.library
    kept = [part.nodes[node.name] for node in frozen.node if node.name in part.nodes]
    seeing = [*kept, *_inside(kept, library)]
    restoring, loading = (_run(body, [name]) for name in (meta_graph.saver_def.restore_op_name, _init_op(meta_graph)))
    filling = {node.name for node in _run(body, initializers) if node.op in TABLE_INITIALIZERS and node.input}
    assigning = {node.name for node in restoring if _is_restored(node, body)}
    own = [node for node in frozen.node if node.op == _IMPORT and node.name in initializers and node.input]
    imported = {body.source(node.input[0]) for node in own}

    def is_plain_in_the_restore(frame: Frame, node: NodeDef) -> bool:
        return _gives_value(frame, node) or _imports(frame, node, imported) or _is_unseen(frame, node, seeing)

    def is_plain_afterwards(frame: Frame, node: NodeDef) -> bool:
        return _fills_table(frame, node, initializers) or _is_unseen(frame, node, seeing)

    inside = _inside_calls(restoring, body, library, is_plain_in_the_restore)
    _refuse_changes(_changing(restoring, body, library, assigning | filling, inside), body, seeing, "in the restore")
    following = _run(body, after)
    captured = filling | {node.name for node in following if _is_written(node, body)}
    for running, plain, when in (
        (loading, captured | set(initializing), "in the loader"),
        (following, captured, "after the restore"),
    ):
        inside = _inside_calls(running, body, library, is_plain_afterwards)
        _refuse_changes(_changing(running, body, library, plain, inside), body, seeing, when)
    _refuse_fillings(body, kept, seeing, filling)
    _refuse_written(part, library, outputs, initializers)


def changes(node: NodeDef) -> bool:
    """Whether a NodeDef, which calls no function of the graph, may change something beside what it gives."""
    return _is_changing(node.op, set())


def has_handles(node: NodeDef, body: Body) -> bool:
    """Whether all that a NodeDef of a graph may change are resources whose handles it gets, at least one."""
    names, hidden = _handles_above(node, body)
    return bool(names) and not hidden


def is_seen(changing: list[NodeDef], body: Body, nodes: list[NodeDef], library: FunctionDefLibrary) -> bool:
    """Whether one of `nodes`, or of the functions that they call, could tell what the NodeDefs `changing` do.

    A handle that is found by its name, as that of an iterator is, may be any.
    Args:
      body: the graph that they are all in.
    """
    seeing = [*nodes, *_inside(nodes, library)]
    return any(_finds_handle(node) for node in seeing) or any(_seen(node, body, seeing) for node in changing)


def _finds_handle(node: NodeDef) -> bool:
    """Whether an op gives a handle, and takes something else than handles."""
    definition = op_def_registry.get(node.op)
    if definition is None or not any(arg.type == types_pb2.DT_RESOURCE for arg in definition.output_arg):
        return False
    taken = [arg for arg in definition.input_arg if arg.type == types_pb2.DT_STRING]
    return bool(taken) and len(taken) == len(definition.input_arg)


def _refuse_changes(changing: Iterator[tuple[Body, NodeDef]], graph: Body, seeing: list[NodeDef], when: str) -> None:
    for body, node in changing:
        seen = _seen(node, body, seeing) if body is graph else "the state of a function"
        if seen:
            raise _differs(node, f"changes {seen!r} {when}")


def _inside(nodes: list[NodeDef], library: FunctionDefLibrary) -> list[NodeDef]:
    return [node for function in needed_functions(nodes, library) for node in function.node_def]


def _differs(node: NodeDef, how: str) -> Problem:
    return Problem("structure_differs", f"node {node.name!r} ({node.op}) {how}, which the frozen graph does not have")


def _run(body: Body, starts: Iterable[str]) -> list[NodeDef]:
    found, waiting = {}, [body.source(text) for text in starts]
    while waiting:
        name = waiting.pop()
        if name in body.nodes and name not in found:
            found[name] = body.nodes[name]
            waiting.extend(map(body.source, found[name].input))
    return [found[name] for name in sorted(found)]


def _is_restored(node: NodeDef, body: Body) -> bool:
    """Whether a node assigns to a variable of the graph, whose value the comparison of weights tells."""
    return node.op in ("Assign", "AssignVariableOp") and _is_written(node, body)


def _is_written(node: NodeDef, body: Body) -> bool:
    """Whether a node writes a value to a variable of the graph, as a whole."""
    if node.op not in _WRITES or not node.input:
        return False
    variable = body.nodes.get(body.origin(node.input[0]))
    return variable is not None and variable.op in VARIABLE_OPS


def _inside_calls(
    running: list[NodeDef], body: Body, library: FunctionDefLibrary, is_plain: Callable[[Frame, NodeDef], bool]
) -> set[tuple[str, str]]:
    """(function, node) for what is plain in each call of its function."""
    frames = Frames(body.nodes.values(), library, [node.name for node in running])
    found: dict[tuple[str, str], bool] = {}
    for frame in frames.frames:
        is_known = bool(frames.of(frame.function))
        for node in frame.nodes.values():
            place = frame.function, node.name
            found[place] = found.get(place, True) and is_known and is_plain(frame, node)
    return {place for place, is_right in found.items() if is_right}


def _handle_given(frame: Frame, node: NodeDef) -> Any:
    """The node of the graph whose handle a function's node gets as its first input; None where it is none."""
    where, source, _ = frame.source(node.input[0]) if node.input else (frame, None, 0)
    return source if not where.function else None


def _gives_value(frame: Frame, node: NodeDef) -> bool:
    """As _is_restored, for a node of a function."""
    variable = _handle_given(frame, node) if node.op == "AssignVariableOp" else None
    return variable is not None and variable.op in VARIABLE_OPS


def _imports(frame: Frame, node: NodeDef, imported: Collection[str]) -> bool:
    """Whether a function's node imports one of the tables `imported`, of which the comparison of tables tells."""
    table = _handle_given(frame, node) if node.op == _IMPORT else None
    return table is not None and table.op in TABLES and table.name in imported


def _fills_table(frame: Frame, node: NodeDef, initializers: list[str]) -> bool:
    """Whether a function's node fills a table in a call that fills it in the frozen graph as well."""
    table = _handle_given(frame, node) if node.op in TABLE_INITIALIZERS and frame.call in initializers else None
    return table is not None and table.op in TABLES


def _is_unseen(frame: Frame, node: NodeDef, seeing: list[NodeDef]) -> bool:
    """Whether all that a function's node may change are resources of the graph that no node of `seeing` is."""
    given = [frame.source(text) for text in _handle_inputs(node)]
    if not given:
        return False
    made = [other for other in seeing if (d := op_def_registry.get(other.op)) is not None and _gives_handle(d)]
    seen = {resource_name(other) for other in made}
    return all(
        source is not None
        and not where.function
        and (definition := op_def_registry.get(source.op)) is not None
        and _gives_handle(definition)
        and resource_name(source) not in seen
        for where, source, _ in given
    )


def _changing(
    running: list[NodeDef],
    body: Body,
    library: FunctionDefLibrary,
    plain: set[str],
    inside_plain: Collection[tuple[str, str]] = (),
) -> Iterator[tuple[Body, Any]]:
    """The nodes that change something by themselves, each with the body that it is in: the graph, or a function.

    Args:
      plain: the nodes of the graph that are left out; inside_plain: those of functions, as _inside_calls gives them.
    """
    names = {function.signature.name for function in library.function}
    yield from ((body, node) for node in running if node.name not in plain and _is_changing(node.op, names))
    for function in needed_functions(running, library):
        inside, name = Body(function.node_def, function), function.signature.name
        yield from (
            (inside, node)
            for node in function.node_def
            if (name, node.name) not in inside_plain and _is_changing(node.op, names)
        )


def _is_changing(op: str, functions: set[str]) -> bool:
    definition = op_def_registry.get(op)
    if definition is None:
        return op not in functions
    if op in _QUIET or _gives_handle(definition):
        return False
    return definition.is_stateful or any(arg.is_ref for arg in definition.input_arg)


def _gives_handle(definition: OpDef) -> bool:
    """Whether an op takes nothing and gives a reference or a handle: that of a variable, a table, a queue."""
    results = definition.output_arg
    handles = all(arg.is_ref or arg.type == types_pb2.DT_RESOURCE for arg in results)
    return bool(results) and handles and not definition.input_arg


def _handles_above(node: NodeDef, body: Body) -> tuple[set[Resource], bool]:
    """The resources whose handles a node may get, and whether it may get others, too."""
    if op_def_registry.get(node.op) is None and body.function is None:
        return _given_to_unknown(node, body)
    names, hidden, seen = set(), op_def_registry.get(node.op) is None, set()
    waiting = _handle_inputs(node)
    while waiting:
        source = body.nodes.get(body.source(waiting.pop()))
        definition = op_def_registry.get(source.op) if source is not None else None
        if source is None or definition is None:
            hidden = True
        elif _gives_handle(definition):
            names.add(resource_name(source))
        elif source.op not in (*PASSING, "Merge") and not any(arg.is_ref for arg in definition.output_arg):
            hidden = True
        elif source.name not in seen:
            seen.add(source.name)
            waiting.extend(text for text in source.input if not text.startswith("^"))
    return names, hidden


def _given_to_unknown(node: NodeDef, body: Body) -> tuple[set[Resource], bool]:
    """As _handles_above, for a node of the graph whose op TensorFlow lacks: what is given to it, by whatever way.

    What such an op gives in its turn is taken for the handle of a resource of its own.
    """
    names, hidden = set(), False
    for name in body.data_above(node.name) - {node.name}:
        source = body.nodes.get(name)
        definition = op_def_registry.get(source.op) if source is not None else None
        if source is not None and (definition is None or _gives_handle(definition)):
            names.add(resource_name(source))
        elif source is None or _is_changing(source.op, set()):
            hidden = True
    return names, hidden


def _handle_inputs(node: NodeDef) -> list[str]:
    """The inputs of a node that are references or handles; all, where a list of inputs before them hides which."""
    definition = op_def_registry.get(node.op)
    args = definition.input_arg if definition is not None else ()
    texts = [text for text in node.input if not text.startswith("^")]
    handles = [at for at, arg in enumerate(args) if arg.is_ref or arg.type == types_pb2.DT_RESOURCE]
    lists = [at for at, arg in enumerate(args) if arg.number_attr or arg.type_list_attr]
    if handles and lists and lists[0] <= handles[-1]:
        return texts
    return [texts[at] for at in handles if at < len(texts)]


def _seen(node: NodeDef, body: Body, seeing: list[NodeDef]) -> str:
    """A node of `seeing` that could tell what `node` changes; "" where there is none."""
    names, hidden = _handles_above(node, body)
    if names and not hidden:
        made = (other for other in seeing if (d := op_def_registry.get(other.op)) is not None and _gives_handle(d))
        return next((other.name for other in made if resource_name(other) in names), "")
    return next((other.name for other in seeing if _could_tell(other.op, hidden)), "")


def _could_tell(op: str, hidden: bool) -> bool:
    """Whether an op may see a change through a handle that is not known (`hidden`), or one without a handle."""
    definition = op_def_registry.get(op)
    if definition is None or not definition.is_stateful:
        return definition is None or any(arg.is_ref for arg in definition.input_arg)
    return hidden or op not in (*VARIABLE_OPS, *TABLES, *TABLE_INITIALIZERS, *_QUIET)


def _refuse_fillings(body: Body, kept: list[NodeDef], seeing: list[NodeDef], filling: set[str]) -> None:
    """A table that is filled by a node which the frozen graph does not have filling it."""
    filled = {body.origin(body.nodes[name].input[0]) for name in filling}
    tables = [node for node in kept if node.name not in filled] + seeing[len(kept) :]
    wanting = {resource_name(node): node.name for node in tables if node.op in TABLES}
    for node in body.nodes.values():
        if node.op in TABLE_INITIALIZERS and node.name not in filling and node.input:
            table = body.nodes.get(body.origin(node.input[0]))
            if table is not None and resource_name(table) in wanting:
                raise _differs(node, f"fills the table {wanting[resource_name(table)]!r}")


def _refuse_written(body: Body, library: FunctionDefLibrary, outputs: list[str], initializers: list[str]) -> None:
    """A variable that the outputs need, and that what fills a table writes to."""
    own = _run(body, outputs)
    variables = [node for node in [*own, *_inside(own, library)] if node.op in VARIABLE_OPS]
    running = _run(body, initializers)
    filling = _inside_calls(running, body, library, lambda frame, node: _fills_table(frame, node, initializers))
    for where, node in _changing(running, body, library, set(initializers), filling):
        if variables and _handle_inputs(node) and (_handles_above(node, where)[1] or _seen(node, where, variables)):
            raise _differs(node, f"may write to the variable {variables[0].name!r} when the tables are filled")


def _init_op(meta_graph: MetaGraphDef) -> str:
    """The op that TensorFlow's loader runs in the end (tensorflow/python/saved_model/loader_impl.py)."""
    if not meta_graph.meta_info_def.tags:
        return ""
    if _INIT_SIGNATURE in meta_graph.signature_def:
        outputs = meta_graph.signature_def[_INIT_SIGNATURE].outputs
        return outputs[_INIT_SIGNATURE].name if _INIT_SIGNATURE in outputs else ""
    lists = [meta_graph.collection_def[key].node_list.value for key in _INIT_OPS if key in meta_graph.collection_def]
    return lists[0][0] if lists and len(lists[0]) == 1 else ""
