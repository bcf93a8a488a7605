"""The passes that make a frozen graph of a meta graph; their order, and why, stands in freezer.planning.

Each takes a Draft, and either changes it or raises Problem.
"""

import base64

from permafrost.freezer import conversion, repairs, tables, writer
from permafrost.freezer.draft import Draft, Request
from permafrost.freezer.initialization import refuse_written_by_initializers
from permafrost.freezer.propagation import Value
from permafrost.freezer.writer import Constant
from permafrost.graph import pruning
from permafrost.graph.index import GraphIndex
from permafrost.graph.metagraph import producer_ops
from permafrost.graph.ops import registry
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import NodeDef
from permafrost.graph.restore_map import without_other_savers
from permafrost.outcome import Problem, maybe_meant
from permafrost.records import Initialized, Repair, Variable


def cut_inputs(draft: Draft) -> None:
    """Puts a placeholder where an input is fed that is none. Raises Problem (bad_setting) where it lacks a dtype."""
    request = draft.request
    draft.graph_def, draft.cuts = pruning.cut_inputs(request.meta_graph.graph_def, request.fed, request.fetched)
    draft.source = draft.source.of(draft.graph_def)
    for tensor, placeholder in draft.cuts.items():
        draft.repairs.append(Repair("input cut to a placeholder", tensor, placeholder))


def prune(draft: Draft) -> None:
    """Keeps what the outputs need, and what fills their lookup tables."""
    kept = _kept_for_outputs(draft)
    found = pruning.table_initializers(draft.source, kept)
    of_tables = without_other_savers(draft.request.meta_graph, draft.source, found)
    # What those leave behind that were run after the restore is in the constants.
    named = [name for name in draft.request.options.initializer_nodes if name not in draft.request.run_after]
    draft.initializers = list(dict.fromkeys([*of_tables, *named]))
    kept |= pruning.needed(draft.source, draft.initializers, with_colocated=False)
    draft.graph_def = pruning.extract(draft.source, kept)
    draft.repairs += [Repair("initializer kept", name) for name in draft.initializers]


def _kept_for_outputs(draft: Draft) -> set[str]:
    """What TensorFlow keeps for the outputs; where what is there for its colocation alone hinders, without that."""
    index, request = draft.source, draft.request
    kept = pruning.needed(index, request.output_nodes)
    own = pruning.needed(index, request.output_nodes, with_colocated=False)
    return own if any(_hinders(index.nodes[name], request) for name in kept - own) else kept


def _hinders(node: NodeDef, request: Request) -> bool:
    """Whether a node that is kept for its colocation alone could not stand in a frozen graph."""
    if node.op in VARIABLE_OPS:
        return node.name not in request.sources and node.name not in request.initialized
    definition = request.definitions.get(node.op)
    return definition is None or definition.references is not None or "PyFunc" in node.op


def fill_tables(draft: Draft) -> None:
    """Has lookup tables filled from constants where a file or the checkpoint fills them; prunes what read these.

    Raises Problem: missing_vocabulary, outside_zoo or unsupported_op where nobody knows with what, and as
    text_tables.read does.
    """
    request = draft.request
    saved = {table.initializer: table for table in request.tables}
    files = {vocabulary.initializer: vocabulary for vocabulary in request.vocabularies}
    fillings = tables.Fillings(files, saved, set(draft.initialization.restoring))
    initializers = [name for name, op in draft.source.ops.items() if op in pruning.TABLE_INITIALIZERS]
    reached = draft.source.reach(draft.initializers)
    filling = [name for name in initializers if name in reached]
    tables.refuse_unrestored(draft.graph_def, fillings)
    if filling:
        others = without_other_savers(request.meta_graph, draft.source, initializers)
        tables.refuse_missing(filling, draft.source, fillings, others)
    if not filling or request.is_trial:
        return
    draft.contents, made = tables.fill(filling, draft.graph_def.node, draft.source, fillings)
    if made:
        index = GraphIndex(draft.graph_def)
        kept = pruning.needed(index, request.output_nodes)
        kept |= pruning.needed(index, draft.initializers, with_colocated=False)
        draft.graph_def = pruning.extract(index, kept)
        draft.repairs += made


def drop_foreign_colocation(draft: Draft) -> None:
    """Takes out the colocations with nodes that are not kept."""
    changed = pruning.drop_foreign_colocation(draft.graph_def)
    draft.repairs += [Repair("colocation dropped", name) for name in changed]


def drop_stale_shapes(draft: Draft) -> None:
    """Drops all `_output_shapes` where TensorFlow would not import them; they only note what it infers by itself."""
    if not draft.request.stale_shapes:
        return
    draft.repairs.append(Repair("stale _output_shapes dropped", draft.request.stale_shapes))
    for node in draft.graph_def.node:
        node.attr.pop("_output_shapes", None)


def clear_devices(draft: Draft) -> None:
    """Clears the device of each node, where the settings say so."""
    if draft.request.options.clear_devices:
        for node in draft.graph_def.node:
            node.device = ""


def apply_definitions(draft: Draft) -> None:
    """Brings each node's attributes to what TensorFlow's importer makes of them."""
    registry.apply(draft.graph_def, draft.request.definitions, producer_ops(draft.request.meta_graph))


def refuse_unknown_names(draft: Draft) -> None:
    """Raises Problem (bad_setting) for a name in the settings that is no variable of the frozen graph, or no node."""
    nodes = [*(node.name for node in draft.graph_def.node), *draft.request.run_after]
    variables = [node.name for node in draft.graph_def.node if node.op in VARIABLE_OPS]
    known = {"variable_names_allowlist": variables, "variable_names_denylist": variables, "initializer_nodes": nodes}
    for option, names in known.items():
        for name in getattr(draft.request.options, option):
            if name not in names:
                hint = maybe_meant(name, names, cutoff=0.4)
                raise Problem("bad_setting", f"{option} names {name!r}, which is not there to be frozen", hint)


def refuse_waiting_variables(draft: Draft) -> None:
    """Raises Problem (unsupported_op) for a variable with control inputs, which would be lost: no constant waits."""
    variables = set(_variables(draft))
    for node in draft.graph_def.node:
        if node.name in variables and node.input:
            raise Problem("unsupported_op", f"variable {node.name!r} waits for {node.input[0]!r}, as no constant can")


def refuse_changes_before_the_first_run(draft: Draft) -> None:
    """Raises Problem (unsupported_op) where the saver or the loader changes what the graph could see."""
    draft.initialization.refuse_changes(draft.graph_def, draft.initializers, draft.request.definitions)


def refuse_other_fillings(draft: Draft) -> None:
    """Raises Problem (unsupported_op) for a table that is filled by way of another node of its name."""
    draft.initialization.refuse_other_fillings(draft.graph_def, draft.initializers)


def refuse_written_variables(draft: Draft) -> None:
    """Raises Problem (unsupported_op) where what fills the tables writes to a variable that the outputs need."""
    request = draft.request
    refuse_written_by_initializers(draft.source, request.output_nodes, draft.initializers, request.definitions)


def repair(draft: Draft) -> None:
    """Replaces what cannot stand in a frozen graph, and prunes again what only that needed.

    Raises Problem (unsupported_op) for a node that has no right replacement.
    """
    made = repairs.repair(draft.graph_def, _known(draft), draft.acts, draft.request.fetched)
    if made:
        index = GraphIndex(draft.graph_def)
        kept = pruning.needed(index, draft.request.output_nodes + draft.initializers)
        draft.graph_def = pruning.extract(index, kept)
        draft.repairs += made


def _known(draft: Draft) -> repairs.Known:
    definitions = draft.request.definitions
    return repairs.Known(
        converted=set(_variables(draft)),
        restored=draft.request.sources.keys() | draft.request.initialized.keys(),
        doubtful=draft.initialization.doubtful(),
        references={op: found for op, definition in definitions.items() if (found := definition.references)},
        lenders={op for op, definition in definitions.items() if definition.lends} - set(VARIABLE_OPS),
        names=draft.source.nodes,
    )


def describe_constants(draft: Draft) -> None:
    """Says where the bytes of each variable lie. Raises Problem (missing_variable) where the checkpoint has none."""
    initialized = draft.request.initialized
    draft.constants = {
        name: _initialized(initialized[name]) if name in initialized else _constant(name, draft.request.sources)
        for name in _variables(draft)
    }
    draft.repairs += [
        Repair("Variable -> Const", node.name)
        for node in draft.graph_def.node
        if node.op == "Variable" and node.name in draft.constants
    ]


def _initialized(variable: Initialized) -> Constant:
    content = base64.b64decode(variable.content)
    shape = tuple(variable.shape or ())
    return Constant(variable.variable, variable.dtype_enum, shape, len(content), key="", content=content)


def _constant(name: str, sources: dict[str, Variable]) -> Constant:
    if name not in sources:
        raise Problem(
            "missing_variable",
            f"variable {name!r} is needed for the outputs, but the meta graph's saver does not restore it",
        )
    variable = sources[name]
    box = variable.box
    return Constant(
        node=name,
        dtype=variable.dtype_enum,
        shape=tuple(variable.shape or ()),
        nbytes=variable.bytes or 0,
        key=variable.key,
        start=tuple(box[0]) if box else None,
        extent=tuple(box[1]) if box else None,
    )


def convert(draft: Draft) -> None:
    """Makes what reads a variable read a constant. Raises Problem (unsupported_op) where its handle is needed."""
    ops = {node.name: node.op for node in draft.graph_def.node}
    values = {
        name: Value(constant.dtype, constant.shape, ops[name] == "VarHandleOp")
        for name, constant in draft.constants.items()
    }
    draft.repairs += conversion.convert(draft.graph_def, values, draft.acts, draft.request.fetched, draft.source.nodes)


def refuse_too_large(draft: Draft) -> None:
    """Raises Problem (too_large) where the file would have more bytes than a GraphDef can hold."""
    writer.frozen_bytes(draft.graph_def, draft.constants | draft.contents)


def _variables(draft: Draft) -> list[str]:
    """The names of the variable nodes that become constants, in graph order."""
    options = draft.request.options
    return conversion.convertible(draft.graph_def, options.variable_names_allowlist, options.variable_names_denylist)
