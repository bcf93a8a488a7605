"""The passes that make a frozen graph of a meta graph; their order, and why, stands in freezer.planning.

Each takes a Draft, and either changes it or raises Problem.
"""

import base64
import re

from permafrost.freezer import conversion, repairs, tables, writer
from permafrost.freezer.contents import Constant
from permafrost.freezer.draft import Draft, Request, acting
from permafrost.freezer.initialization import refuse_written_by_initializers
from permafrost.freezer.propagation import Value
from permafrost.graph import pruning
from permafrost.graph.calls import needed_functions
from permafrost.graph.dtypes import dtype_name, numpy_dtype
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.metagraph import producer_ops
from permafrost.graph.ops import registry
from permafrost.graph.ops.stateful import TABLE_INITIALIZERS
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import NodeDef
from permafrost.graph.restore_map import table_initializers, without_other_savers
from permafrost.outcome import Problem, maybe_meant
from permafrost.records import INITIAL, Initialized, Repair, known

_GIVING, _TAKING = re.compile(r"QueueEnqueue(Many)?(V2)?$"), re.compile(r"QueueDequeue(Many|UpTo)?(V2)?$")


def cut_inputs(draft: Draft) -> None:
    """Puts a placeholder where an input is fed that is none. Raises Problem (bad_setting) where it lacks a dtype."""
    request = draft.request
    draft.graph_def, draft.cuts = pruning.cut_inputs(request.meta_graph.graph_def, request.fed, request.fetched)
    draft.source = draft.source.of(draft.graph_def)
    for tensor, placeholder in draft.cuts.items():
        draft.repairs.append(Repair("input cut to a placeholder", tensor, placeholder))


def bake(draft: Draft) -> None:
    """Makes constants of the inputs that always have one value, and takes away what these switch off.

    Raises Problem (unsupported_op) as freezer.baking.baking does.
    """
    request = draft.request
    if not request.baked:
        return
    from permafrost.freezer.baking import baking  # Only here, since it needs numpy, which takes long to load.

    tensors = {name: draft.cuts.get(name, name) for name in request.fed}
    values = {tensor_name(tensors[name])[0]: value for name, value in request.baked.items()}
    fed = {tensor_name(tensor)[0] for tensor in tensors.values()}
    filling = _filling(draft, pruning.needed(draft.source, request.output_nodes, with_colocated=False))
    fetched = [draft.cuts.get(name, name) for name in request.fetched]
    draft.graph_def, made = baking.bake(draft.graph_def, values, fetched, filling, fed, draft.acts)
    draft.source = draft.source.of(draft.graph_def)
    draft.acts = acting(request, draft.graph_def.library)
    draft.repairs += made


def prune(draft: Draft) -> None:
    """Keeps what the outputs need, and what fills their lookup tables."""
    kept = _kept_for_outputs(draft)
    draft.initializers = _filling(draft, kept)
    kept |= pruning.needed(draft.source, draft.initializers, with_colocated=False)
    draft.graph_def = pruning.extract(draft.source, kept)
    draft.repairs += [Repair("initializer kept", name) for name in draft.initializers]


def _filling(draft: Draft, kept: set[str]) -> list[str]:
    """The nodes that fill the tables among some nodes, and those that the settings name."""
    of_tables = table_initializers(draft.request.meta_graph, draft.source, kept)
    # What those leave behind that were run after the restore is in the constants.
    named = [name for name in draft.request.options.initializer_nodes if name not in draft.request.run_after]
    return list(dict.fromkeys([*of_tables, *named]))


def drop_uncalled_functions(draft: Draft) -> None:
    """Drops from the library of a TensorFlow 2 SavedModel what nothing that is kept calls, as its saver's functions.

    Other graphs keep theirs, as TensorFlow's freeze_graph has it, unless inputs are baked, and branches gone by that.
    """
    if not draft.request.meta_graph.object_graph_def.nodes and not draft.request.baked:
        return
    library = draft.graph_def.library
    functions = needed_functions(draft.graph_def.node, library)
    names = {function.signature.name for function in functions}
    gradients = [gradient for gradient in library.gradient if gradient.function_name in names]
    draft.graph_def.library.CopyFrom(type(library)(function=functions, gradient=gradients))


def _kept_for_outputs(draft: Draft) -> set[str]:
    """What TensorFlow keeps for the outputs; where what is there for its colocation alone hinders, without that."""
    index, request = draft.source, draft.request
    kept = pruning.needed(index, request.output_nodes)
    own = pruning.needed(index, request.output_nodes, with_colocated=False)
    if request.baked:  # What is colocated alone may take what is gone.
        return own
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
    initializers = [name for name, op in draft.source.ops.items() if op in TABLE_INITIALIZERS]
    reached = draft.source.reach(draft.initializers)
    filling = [name for name in initializers if name in reached]
    tables.refuse_unrestored(draft.graph_def, fillings)
    tables.refuse_in_functions(draft.initializers, draft.source)
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


def refuse_filled_queues(draft: Draft) -> None:
    """Raises Problem (unsupported_op) for what hands values to a queue that nothing empties once its values are fed."""
    emptied = {node.input[0] for node in draft.graph_def.node if _TAKING.match(node.op) and node.input}
    for node in draft.graph_def.node:
        if _GIVING.match(node.op) and node.input and node.input[0] not in emptied:
            raise Problem(
                "unsupported_op",
                f"node {node.name!r} ({node.op}), on which an output waits, fills {node.input[0]!r}, and nothing "
                "empties it where its values are fed: a run would wait for ever once it is full",
            )


def refuse_changes_before_the_first_run(draft: Draft) -> None:
    """Raises Problem (unsupported_op) where the saver or the loader changes what the graph could see."""
    own = {draft.request.initial.initializer(name) for name in _initial_ones(draft)}
    draft.initialization.refuse_changes(draft.graph_def, draft.initializers, draft.request.definitions, own)


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
    definitions, initial = draft.request.definitions, draft.request.initial
    return repairs.Known(
        converted=set(_variables(draft)),
        restored=draft.request.sources.keys() | draft.request.initialized.keys() | _initial_ones(draft),
        doubtful=draft.initialization.doubtful() | set(filter(initial.may_have, _variables(draft))),
        references=_references(draft),
        lenders={op for op, definition in definitions.items() if definition.lends} - set(VARIABLE_OPS),
        names=draft.source.nodes,
    )


def _references(draft: Draft) -> dict[str, list[int | None]]:
    """Op type -> the inputs that it takes by reference; baking makes of a RefSwitch an op that no definition is for."""
    found = {op: own for op, definition in draft.request.definitions.items() if (own := definition.references)}
    return {"RefIdentity": [0, 1], **found} if draft.request.baked else found


def describe_constants(draft: Draft) -> None:
    """Says where the bytes of each variable lie, or what is in it before the first run where the checkpoint lacks it.

    What nodes that are run after the restore leave in it comes first, and an initial value last.
    Raises Problem (missing_variable, or that of its defect) where it has none of these.
    """
    initial = _initial_ones(draft)
    draft.constants = {name: _constant(name, draft, initial) for name in _variables(draft)}
    draft.repairs += [
        Repair("Variable -> Const", node.name)
        for node in draft.graph_def.node
        if node.op == "Variable" and node.name in draft.constants
    ]
    for name, constant in draft.constants.items():
        draft.repairs += [Repair(INITIAL, name)] if name in initial else []
        draft.repairs += [Repair("cast as the saver casts it", name)] if constant.casts else []


def _initial_ones(draft: Draft) -> set[str]:
    """The variables that have their initial value before the first run, where that is known."""
    request = draft.request
    given = request.sources.keys() | request.initialized.keys()
    found = {name for name in _variables(draft) if name not in given and request.initial.has(name)}
    return found - draft.initialization.doubtful() if found else found


def _initialized(variable: Initialized, is_trial: bool) -> Constant:
    """The constant of a variable to which nodes write after the restore; what they leave, no trial knows."""
    import numpy as np  # Only here, since it takes a third of the time in which freezing starts.

    shape, content = tuple(variable.shape or ()), base64.b64decode(variable.content)
    dtype = numpy_dtype(dtype_name(variable.dtype_enum))
    value = None if is_trial else np.frombuffer(content, dtype).reshape(shape)
    return Constant(variable.variable, variable.dtype_enum, shape, len(content), "", value=value)


def _initial(name: str, draft: Draft, initial: set[str]) -> Constant:
    value = draft.request.initial.of(name)
    if name not in initial:
        raise Problem(
            "missing_variable",
            f"variable {name!r} is needed for the outputs, but no tensor of the checkpoint is restored to it, and the "
            "saver, or another node that is the same variable by its shared_name, may change its initial value",
        )
    dtype = draft.source.nodes[name].attr["dtype"].type
    size = sum(map(len, value.flat)) if value.dtype == object else value.nbytes
    return Constant(name, dtype, value.shape, size, "", value=value)


def _constant(name: str, draft: Draft, initial: set[str]) -> Constant:
    request = draft.request
    if name in request.initialized:
        return _initialized(request.initialized[name], request.is_trial)
    variable = request.sources.get(name)
    if variable is None:
        return _initial(name, draft, initial)
    box = variable.box
    return Constant(
        node=name,
        dtype=variable.dtype_enum,
        shape=tuple(variable.shape or ()),
        nbytes=variable.bytes or 0,
        key=variable.key,
        start=tuple(box[0]) if box else None,
        extent=tuple(box[1]) if box else None,
        casts=tuple(known(variable.casts, [])),
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
