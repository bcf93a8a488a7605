"""Chooses a model's outputs and inputs, and looks for what stands in the way of freezing what lies between them.

What the settings name is taken or refused. Of the outputs that were found in the graph, those that cannot be frozen
are left out where others can.
"""

from collections.abc import Callable, Collection
from typing import Any

from permafrost.graph import loading, pruning
from permafrost.graph.calls import CALLS, needed_functions, recursive_function
from permafrost.graph.index import GraphIndex, data_inputs, missing_input, node_in_cycle, tensor_name
from permafrost.graph.ops import node_checks, registry
from permafrost.graph.protos import FunctionDef, MetaGraphDef, NodeDef
from permafrost.input_kinds import Inputs
from permafrost.model import Settings
from permafrost.outcome import Problem
from permafrost.records import LEFT_OUT, ImportRecord, OpDefinition, Ranked, Variable
from permafrost.signature import composite_inputs, cudnn, inputs, outputs
from permafrost.signature.missing import after_missing, lacks_kernel, without_kernel
from permafrost.signature.ranking import tables
from permafrost.signature.table_words import Words

Freezing = Callable[[list[str], Inputs, dict[str, OpDefinition]], None]
_MOST_NAMES = 3  # of outputs that a hint names
_OF_FILES = ("missing_vocabulary", "outside_zoo")
_LONGEST_NAME = 100  # characters of one that a message shows


def choose(
    meta_graph: MetaGraphDef,
    index: GraphIndex,
    variables: list[Variable],
    settings: Settings,
    run_before: set[str],
    try_to_freeze: Freezing,
    record: ImportRecord,
    words: Words | None = None,
    saved: Collection[str] = (),
) -> None:
    """Says in `record` the outputs and inputs of a model, of its settings or of its graph, and the ops between them.

    These are `outputs`, what is said of them, `inputs` and `op_definitions`, all of them or none.
    `op_definitions` also has the ops inside the library functions that the outputs need, and those that a saver runs.

    Args:
      variables: as signature.importing.describe_variables gives them.
      settings: `outputs` and `inputs`.
      run_before: the op types that a saver or a loader runs.
      try_to_freeze: raises Problem where outputs, inputs and op definitions cannot be frozen.
      words: what tables are filled with that the graph does not tell.
      saved: the keys of the checkpoint.
    Raises Problem: no_output, unknown_output, unknown_input, unknown_op, bad_meta_graph (a needed node is not as its
      op demands, or an input of it is not in the graph) or bad_setting.
    """
    named = None if isinstance(settings.outputs, str) else settings.outputs
    names = {variable.variable for variable in variables}
    choice = outputs.choose(meta_graph, index, names, named)
    between = _Descriptions(meta_graph, index, variables, settings.inputs, run_before, words or {})
    try:
        fed, definitions = between.describe(choice.outputs)
        if named is None:
            try_to_freeze(choice.outputs, fed, definitions)
    except Problem as found:
        weights = cudnn.told(index, {variable.variable: variable.key for variable in variables}, saved)
        after = {node: _further(why, weights) for node, why in after_missing(index).items()}
        problem = Problem(found.cause, _further(found.message, weights), found.hint)
        before = _chosen_before(choice, after, names, lambda: outputs.choose(meta_graph, index, names, None, after))
        if named is not None:
            raise _with_names(problem, before) from None
        choice = before or choice
        between.refuse_without_file(choice.outputs[:1], try_to_freeze)
        reasons = between.hindrances(choice.outputs, try_to_freeze)
        if choice.alone and not reasons and not between.hindrance(choice.alone.outputs, try_to_freeze):
            note = f"outputs of {choice.why} cannot be frozen in one graph ({problem.message}); {choice.alone.why} is"
            choice, record.findings = choice.alone, [*record.findings, note]
        else:
            reasons = reasons or between.together(choice.outputs, try_to_freeze)
            if not leave_out(choice, reasons, names) and (reasons or before is None):
                raise problem from None
        fed, definitions = between.describe(choice.outputs)
    tell(choice, record)
    record.inputs, record.op_definitions = fed, definitions


def _further(message: str, further: dict[str, str]) -> str:
    """A message, with what else there is to say about a node: how the message begins -> that."""
    return message + next((more for begin, more in further.items() if message.startswith(begin)), "")


def _chosen_before(
    choice: outputs.Choice, after: dict[str, str], variables: set[str], choose_anew: Callable[[], outputs.Choice]
) -> outputs.Choice | None:
    """Outputs that lie before all that cannot run here; None where none chosen so far lies after, or none is found.

    Args:
      after: node -> why it cannot be an output (signature.missing).
    """
    lost = {name: after[node] for name in choice.outputs if (node := tensor_name(name)[0]) in after}
    if not lost:
        return None
    try:
        found = choose_anew()
    except Problem:
        return None
    if found.reach == 0 or _are_weights(found.outputs, variables):  # It says nothing of what is made of the weights.
        return None
    ranked = {entry.name: entry for entry in choice.ranking}
    for name, why in lost.items():
        entry = ranked.get(name) or Ranked(name, 0, True, [choice.why])
        found.ranking.append(Ranked(name, entry.score, False, [*entry.reasons, f"{LEFT_OUT}{why}"]))
        found.confidence = _without(found, entry)
    return found


def _with_names(problem: Problem, before: outputs.Choice | None) -> Problem:
    """The problem, with a hint at the outputs before what cannot run here."""
    if before is None:
        return problem
    names = ", ".join(repr(name) for name in before.outputs[:_MOST_NAMES])
    return Problem(problem.cause, problem.message, f"{problem.hint}; before it lie {names}")


def tell(choice: outputs.Choice, record: ImportRecord) -> None:
    """Says in `record` which outputs were chosen, and what is known of them."""
    record.outputs, record.outputs_why, record.outputs_ranking = choice.outputs, choice.why, choice.ranking
    record.outputs_confidence = choice.confidence
    record.weights_reached, record.reaches_more = choice.reach, choice.further


def told(record: ImportRecord) -> outputs.Choice:
    """The choice of which `tell` has told."""
    return outputs.Choice(
        record.outputs,
        record.outputs_why,
        record.outputs_ranking,
        record.outputs_confidence,
        record.weights_reached,
        record.reaches_more,
    )


def leave_out(choice: outputs.Choice, reasons: dict[str, str], variables: set[str]) -> bool:
    """Takes the outputs that `reasons` names out of a choice.

    Args:
      reasons: output -> the sentence that says why it cannot be one.
      variables: the names of the variable nodes, which alone are no outputs in the place of others.
    Returns whether any output is left; nothing is changed where none is, or where `reasons` is empty. What is left has
    all outputs only if none was left out that is wanted, so that the confidence is no higher than that is likely; and
    what it reaches of the weights is not known any more.
    """
    left = [name for name in choice.outputs if name not in reasons]
    if not reasons or _are_weights(left, variables):
        return False
    for entry in choice.ranking:
        if entry.name in reasons:
            entry.chosen = False
            choice.confidence = _without(choice, entry)
            entry.reasons.append(f"{LEFT_OUT}{reasons[entry.name]}")
    choice.outputs, choice.reach, choice.further = left, None, ""
    if choice.ranking:
        choice.why = outputs.sentence(choice.ranking)
    return True


def _without(choice: outputs.Choice, entry: Ranked) -> float:
    """How sure a choice is once a candidate is left out that may be wanted."""
    return min(choice.confidence, round(1 - tables.probability(entry.score), 3))


def _are_weights(names: list[str], variables: set[str]) -> bool:
    """Whether tensors are nothing but variables themselves, or none at all."""
    return all(tensor_name(name)[0] in variables for name in names)


class _Descriptions:
    """A graph with the inputs that the settings describe, and what lies between them and any outputs."""

    def __init__(
        self,
        meta_graph: MetaGraphDef,
        index: GraphIndex,
        variables: list[Variable],
        configured_inputs: dict[str, Any],
        run_before: set[str],
        words: Words,
    ):
        self._words = words
        self._meta_graph, self._index = meta_graph, index
        self._configured = configured_inputs
        self._run_before = registry.look_up(run_before)
        self._shapes = {v.variable: v.shape for v in variables if v.shape is not None}

    def refuse_without_file(self, best: list[str], try_to_freeze: Freezing) -> None:
        """Raises Problem where the best of the outputs needs a file that is not there, or that is not allowed.

        Whoever has the file can put it there, and would not want the other outputs instead.
        """
        for output in best:
            try:
                try_to_freeze([output], *self.describe([output]))
            except Problem as problem:
                if problem.cause in _OF_FILES:
                    raise

    def hindrances(self, chosen: list[str], try_to_freeze: Freezing) -> dict[str, str]:
        """Output -> why it cannot be frozen by itself, for those that cannot."""
        return {name: why for name in chosen if (why := self.hindrance([name], try_to_freeze))}

    def together(self, chosen: list[str], try_to_freeze: Freezing) -> dict[str, str]:
        """Output -> why it cannot be frozen together with those before it, for those that cannot."""
        together: list[str] = []
        found = {}
        for name in chosen:
            if why := self.hindrance([*together, name], try_to_freeze):
                found[name] = why
            else:
                together.append(name)
        return found

    def hindrance(self, chosen: list[str], try_to_freeze: Freezing) -> str:
        """Why outputs cannot be frozen together; empty where they can."""
        try:
            try_to_freeze(chosen, *self.describe(chosen))
        except Problem as problem:
            return problem.message
        return ""

    def describe(self, chosen: list[str]) -> tuple[Inputs, dict[str, OpDefinition]]:
        """Inputs and op definitions for the outputs `chosen`; raises Problem as choose does."""
        fed = inputs.describe(self._index, chosen, self._configured, self._shapes, self._words)
        composite_inputs.fit(self._meta_graph, self._index, chosen, fed)
        cut, cuts = pruning.cut_inputs(self._meta_graph.graph_def, list(fed), chosen)
        for name in chosen:
            point = "{}:{}".format(*tensor_name(name))
            if cuts.get(point, point) != point:
                raise Problem("unknown_output", f"output {name!r} is fed as an input, so nothing computes it")
        loader = loading.init_op(self._meta_graph)
        definitions = _checked_definitions(self._index.of(cut), chosen, loader) | self._run_before
        return fed, dict(sorted(definitions.items()))


def _checked_definitions(cut_index: GraphIndex, chosen: list[str], loader: str) -> dict[str, OpDefinition]:
    """The definitions of the ops that a frozen graph of the outputs `chosen` holds; the graph has its inputs cut.

    Raises Problem (unknown_op, unsupported_op, bad_meta_graph) for what TensorFlow could not import or run.
    """
    output_nodes = [tensor_name(name)[0] for name in chosen]
    own = pruning.needed(cut_index, output_nodes, with_colocated=False)
    own |= pruning.needed(cut_index, pruning.table_initializers(cut_index, own, loader), with_colocated=False)
    names = sorted(own)
    if missing := missing_input(cut_index, names):
        node, source = missing
        shown = source if len(source) <= _LONGEST_NAME else f"{source[:_LONGEST_NAME]}..."
        raise Problem("bad_meta_graph", f"the graph lacks the node {shown!r}, which node {node!r} takes from")
    if name := node_in_cycle(cut_index, own):
        raise Problem("bad_meta_graph", f"node {name!r} depends on itself, and no while loop is around it")
    nodes, library = [cut_index.nodes[name] for name in names], cut_index.graph_def.library
    functions = needed_functions(nodes, library)
    if name := recursive_function(functions):
        raise Problem("bad_meta_graph", f"function {name!r} calls itself, which TensorFlow cannot run")
    callable_ = {function.signature.name: function for function in library.function}
    _check_nodes("", nodes, callable_)
    for function in functions:
        _check_nodes(f"{function.signature.name}/", function.node_def, callable_)
    _check_kernels([*nodes, *(node for function in functions for node in function.node_def)])
    _check_sources(cut_index, nodes)
    kept = own | pruning.needed(cut_index, output_nodes)
    ops = {cut_index.ops[name] for name in kept} | {n.op for function in functions for n in function.node_def}
    definitions = registry.look_up(ops)
    beside = [cut_index.nodes[name] for name in sorted(kept - own)]
    _check_nodes("", [node for node in beside if node.op in definitions], callable_)
    return definitions


def _check_nodes(where: str, nodes: Any, functions: dict[str, FunctionDef]) -> None:
    """Raises Problem (unknown_op, bad_meta_graph) for nodes that this TensorFlow could not import."""
    for node in nodes:
        definition = registry.registered(node.op)
        if definition is not None:
            node_checks.check(node, definition)
            _check_calls(node, functions)
        elif node.op not in functions:
            raise Problem("unknown_op", f"node {where + node.name!r} has op {node.op}, which this TensorFlow lacks")


def _check_calls(node: NodeDef, functions: dict[str, FunctionDef]) -> None:
    """Raises Problem (bad_meta_graph) where the graph lacks a function that a node calls, or it takes other inputs."""
    if node.op not in CALLS:
        return
    first, _, attributes = CALLS[node.op]
    arguments = len(data_inputs(node)) - first
    for attribute in attributes:
        value = node.attr[attribute]
        for called in value.list.func or [value.func]:
            if called.name not in functions and not value.placeholder:
                raise Problem("bad_meta_graph", f"the graph lacks function {called.name!r}, which {node.name!r} calls")
            if called.name in functions and len(functions[called.name].signature.input_arg) != arguments:
                raise Problem(
                    "bad_meta_graph",
                    f"node {node.name!r} ({node.op}) calls function {called.name!r} with {arguments} inputs, "
                    f"which takes {len(functions[called.name].signature.input_arg)}",
                )


def _check_kernels(nodes: Any) -> None:
    """Raises Problem (unsupported_op) for an op that TensorFlow knows but cannot run here, on a CPU."""
    for op in sorted({node.op for node in nodes}):
        if lacks_kernel(op):
            name = next(node.name for node in nodes if node.op == op)
            raise Problem("unsupported_op", f"node {name!r} {without_kernel(op).format(op)}")


def _check_sources(index: GraphIndex, nodes: Any) -> None:
    """Raises Problem (bad_meta_graph) where one of `nodes` takes an output that its source does not have."""
    for node in nodes:
        for name, output in index.inputs_of(node):
            source = index.nodes[name]
            definition = registry.registered(source.op) if output else None
            if definition is not None and output >= node_checks.output_count(source, definition):
                raise Problem("bad_meta_graph", f"node {node.name!r} takes {name}:{output}, which {source.op} lacks")
