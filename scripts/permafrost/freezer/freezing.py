"""The freezer: from a meta graph and a checkpoint to the frozen graph, without TensorFlow.

For given outputs: cut the inputs, prune, repair, turn variables into constants, stream. Where TensorFlow's own
freeze_graph gives a right answer, the file is the same byte for byte.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from permafrost import recording
from permafrost.freezer import conversion, repairs, writer
from permafrost.freezer.beginning import Beginning, refuse_written_by_initializers
from permafrost.freezer.propagation import Value
from permafrost.freezer.writer import Constant
from permafrost.graph import effects, op_registry, pruning
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.metagraph import producer_ops
from permafrost.graph.variable_ops import VARIABLE_OPS
from permafrost.outcome import Problem, maybe_meant
from permafrost.records import ImportRecord, OpDefinition, Options, Provenance, Repair, Tensor, Variable
from permafrost.whole_files import written_whole


@dataclass
class Plan:
    """A frozen graph before its weights are there.

    graph_def: the nodes to write, in order; variable nodes among `constants` are written as Const nodes.
    cuts: fed tensor -> the placeholder's tensor that stands for it, where an input pipeline was cut.
    initializers: nodes to run once before the first use of the graph (they fill its lookup tables).
    """

    graph_def: Any
    constants: dict[str, Constant]
    cuts: dict[str, str] = field(default_factory=dict)
    initializers: list[str] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)


_PLAIN_OPTIONS = Options(
    clear_devices=True, initializer_nodes=[], variable_names_allowlist=[], variable_names_denylist=[]
)


def trial(
    meta_graph, index: GraphIndex, variables: list[Variable]
) -> Callable[[list[str], dict[str, dict], dict[str, OpDefinition]], None]:
    """A function that raises Problem, as `plan` does, where what it is given cannot be frozen.

    It is given the outputs, the inputs and the op definitions, as signature.choosing finds them; for the rest see
    `plan`.
    """

    def try_to_freeze(outputs: list[str], inputs: dict[str, dict], definitions: dict[str, OpDefinition]) -> None:
        imported = recording.begun(ImportRecord, "")
        imported.variables, imported.outputs, imported.inputs = variables, outputs, inputs
        imported.op_definitions, imported.stale_shapes = definitions, ""
        plan(meta_graph, index, imported, _PLAIN_OPTIONS)

    return try_to_freeze


def plan(meta_graph, index: GraphIndex, imported: ImportRecord, options: Options) -> Plan:
    """What the frozen graph of a model will be.

    Args:
      meta_graph: the MetaGraphDef; it is not changed.
      index: that of its graph.
      imported: the import record: `outputs`, `inputs`, `variables`, `op_definitions` and `stale_shapes`.
      options: clear_devices, variable_names_allowlist, variable_names_denylist, initializer_nodes.
    Raises Problem: unsupported_op, missing_variable, bad_setting or too_large.
    """
    outputs = [tensor_name(name)[0] for name in imported.outputs]
    sources = {variable.variable: variable for variable in imported.variables if variable.key}
    definitions = imported.op_definitions
    graph_def, cuts = pruning.cut_inputs(meta_graph.graph_def, list(imported.inputs), imported.outputs)
    made = [Repair("input cut to a placeholder", tensor, cuts[tensor]) for tensor in cuts]

    beginning = Beginning(meta_graph, index)
    index = index.of(graph_def)
    names = index.nodes
    kept = pruning.needed(index, outputs)
    own = pruning.needed(index, outputs, with_colocated=False)
    if any(_troublesome(index.nodes[name], sources, definitions) for name in kept - own):
        kept = own
    initializers = list(dict.fromkeys([*pruning.table_initializers(index, kept), *options.initializer_nodes]))
    kept |= pruning.needed(index, initializers, with_colocated=False)
    graph_def = pruning.extract(index, kept)
    made += [Repair("initializer kept", name) for name in initializers]
    made += [Repair("colocation dropped", name) for name in pruning.drop_foreign_colocation(graph_def)]

    if imported.stale_shapes:
        # TensorFlow would not import them; they only note what it infers by itself.
        made.append(Repair("stale _output_shapes dropped", imported.stale_shapes))
        for node in graph_def.node:
            node.attr.pop("_output_shapes", None)
    if options.clear_devices:
        for node in graph_def.node:
            node.device = ""
    op_registry.apply(graph_def, definitions, producer_ops(meta_graph))
    _refuse_unknown(options, graph_def)
    variables = conversion.convertible(graph_def, options.variable_names_allowlist, options.variable_names_denylist)
    acts = effects.acting(graph_def.library, lambda op: op in definitions and definitions[op].stateful)
    _refuse_controlled(graph_def, set(variables))
    beginning.refuse_changes(graph_def, initializers, definitions)
    beginning.refuse_other_fillings(graph_def, initializers)
    refuse_written_by_initializers(index, outputs, initializers, definitions)
    known = repairs.Known(
        converted=set(variables),
        restored=set(sources),
        doubtful=beginning.doubtful(),
        references={op: found for op, definition in definitions.items() if (found := definition.references)},
        lenders={op for op, definition in definitions.items() if definition.lends} - set(VARIABLE_OPS),
        names=names,
    )
    if repaired := repairs.repair(graph_def, known, acts, imported.outputs):
        index = GraphIndex(graph_def)
        graph_def = pruning.extract(index, pruning.needed(index, outputs + initializers))
        made += repaired

    present = {node.name: node for node in graph_def.node}
    constants = {name: _constant(name, sources) for name in variables if name in present}
    made += [
        Repair("Variable -> Const", node.name)
        for node in graph_def.node
        if node.op == "Variable" and node.name in constants
    ]
    made += conversion.convert(
        graph_def,
        {
            name: Value(constant.dtype, constant.shape, present[name].op == "VarHandleOp")
            for name, constant in constants.items()
        },
        acts,
        imported.outputs,
        names,
    )
    writer.frozen_bytes(graph_def, constants)
    return Plan(graph_def, constants, cuts, initializers, made)


def _refuse_controlled(graph_def, variables: set[str]) -> None:
    """A constant waits for nothing, and what a variable waits for would be lost with its control inputs."""
    for node in graph_def.node:
        if node.name in variables and node.input:
            raise Problem("unsupported_op", f"variable {node.name!r} waits for {node.input[0]!r}, as no constant can")


def _refuse_unknown(options: Options, graph_def) -> None:
    """Raises Problem (bad_setting) for a name in the settings that is no variable of the frozen graph."""
    nodes = [node.name for node in graph_def.node]
    variables = [node.name for node in graph_def.node if node.op in VARIABLE_OPS]
    known = {"variable_names_allowlist": variables, "variable_names_denylist": variables, "initializer_nodes": nodes}
    for option, names in known.items():
        for name in getattr(options, option):
            if name not in names:
                hint = maybe_meant(name, names, cutoff=0.4)
                raise Problem("bad_setting", f"{option} names {name!r}, which is not there to be frozen", hint)


def _troublesome(node, sources: dict[str, Variable], definitions: dict[str, OpDefinition]) -> bool:
    """Whether a node that is kept for its colocation alone could not stand in a frozen graph."""
    if node.op in VARIABLE_OPS:
        return node.name not in sources
    return node.op not in definitions or definitions[node.op].references is not None or "PyFunc" in node.op


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


def freeze(plan: Plan, checkpoint, path: str | Path, record: Provenance) -> None:
    """Writes the frozen graph of `plan` to `path`, whole or not at all, and says in `record` what it is.

    Args:
      checkpoint: an open checkpoint.reader.Checkpoint, whose files are checked to be unchanged at the end.
    Raises Problem (corrupt, changed, missing_shard, ...) and OSError; a file that was at `path` is gone then.
    """
    path = Path(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with written_whole(path) as temporary:
        record.frozen_bytes, checksum = writer.write(temporary, plan.graph_def, plan.constants, checkpoint)
        checkpoint.check_unchanged()
    record.frozen_crc32c = f"{checksum:08x}"
    record.frozen_nodes, record.frozen_variables = len(plan.graph_def.node), len(plan.constants)
    ops = Counter("Const" if node.name in plan.constants else node.op for node in plan.graph_def.node)
    record.op_types = dict(sorted(ops.items()))
    record.tensors = [_tensor(constant) for constant in plan.constants.values()]
    record.initializers, record.cuts, record.repairs = plan.initializers, plan.cuts, plan.repairs


def _tensor(constant: Constant) -> Tensor:
    box = None
    if constant.start is not None and constant.extent is not None:
        box = (list(constant.start), list(constant.extent))
    return Tensor(constant.node, constant.key, box, list(constant.shape), constant.nbytes)
