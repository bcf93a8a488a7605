"""The steps by which a forward graph is found; their order, and why, stands in signature.forward.surveying.

Each takes a Survey, and changes it.
"""

from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.variables import static_shape
from permafrost.graph.protos import NodeDef
from permafrost.signature.forward import losses, marks, reductions
from permafrost.signature.forward.survey import Survey
from permafrost.signature.forward.values import Values, of_ops, onward_anywhere, used_only_by


def leave_out_counters(survey: Survey) -> None:
    """Takes away the variables that count steps, and those that the graph lacks."""
    present = survey.variables & survey.index.nodes.keys()
    survey.variables = {name for name in present if not marks.NO_WEIGHT.search(name)}


def set_transitions_apart(survey: Survey) -> None:
    """Finds a conditional random field's scores from one label to the next, which no layer takes."""
    named = {name for name in survey.variables if marks.TRANSITIONS.search(name)}
    survey.transitions = {name for name in named if _is_square(survey.index.nodes[name])}
    survey.variables = survey.variables - survey.transitions


def _is_square(node: NodeDef) -> bool:
    shape = static_shape(node)
    return shape is not None and len(shape) == 2 and shape[0] == shape[1]


def find_trained(survey: Survey) -> None:
    """Finds the way of the gradient: tf.gradients names what it adds for node `a/b` `.../gradients/a/b_grad/...`."""
    for name in survey.index.nodes:
        if match := marks.GRADIENTS.search(name):
            scope, mark, _ = name[match.end() :].rpartition("_grad/")
            if mark and scope in survey.index.nodes:
                survey.trained.add(scope)


def leave_out_learning(survey: Survey) -> None:
    """Takes away the gradients, and their clipping and scaling, up to the ops that apply them.

    A While op of the forward graph takes tensors that its gradient has made room with, and is none of them.
    """
    gradients = {name for name in survey.index.nodes if marks.GRADIENTS.search(name)}
    survey.learning = onward_anywhere(survey.index, gradients, lambda name: name not in survey.trained)
    _leave_out(survey, survey.learning)


def leave_out_sinks(survey: Survey) -> None:
    """Takes away savers, summaries, checks and queues, and the updates and prints that nothing takes."""
    ending = of_ops(survey.index, marks.ENDING)
    unused = {name for name in ending if not survey.index.consumers.get(name)}
    _leave_out(survey, of_ops(survey.index, marks.SINKS) | unused)


def _leave_out(survey: Survey, names: set[str]) -> None:
    survey.values = Values(survey.index, survey.values.side | names)


def find_weighted(survey: Survey) -> None:
    """Finds what depends on a weight."""
    survey.weighted = survey.values.onward(survey.variables)


def find_fed(survey: Survey) -> None:
    """Finds what depends on something that is new in each run: a random op or a feed point."""
    survey.random = survey.values.onward(survey.drawing)
    survey.fed = survey.values.onward(name for name, _ in survey.feeds) | survey.random


def find_reduced(survey: Survey) -> None:
    """Finds the single numbers that were made of larger tensors, as losses and metrics are."""
    survey.reduced = reductions.single_numbers(survey.index)


def find_joins(survey: Survey) -> None:
    """Finds the layers: where weights, on their way through nodes that are not fed, meet what is fed."""
    ops, values = survey.index.ops, survey.values
    logarithms = {name for name, op in ops.items() if op in ("Log", "Log1p")}
    onward = values.onward(survey.variables - _statistics(survey), logarithms)
    survey.parameters = onward - survey.fed - survey.reduced
    taking = {consumer for name in survey.parameters for consumer in survey.index.consumers.get(name, ())}
    meeting = taking & survey.weighted & survey.fed
    survey.joins = {name for name in meeting if ops[name] not in marks.NO_LAYER}


def _statistics(survey: Survey) -> set[str]:
    """Variables that the forward pass itself counts up or averages: moving means, metrics, steps."""
    index = survey.index
    updates = {name for name, op in index.ops.items() if op in marks.STATISTICS} - survey.learning
    return {index.inputs[name][0][0] for name in updates if index.inputs[name]}


def leave_out_updates(survey: Survey) -> None:
    """Takes away the assignments whose value nothing uses, and the arithmetic that only they use."""
    index = survey.index
    kept = survey.joins | survey.variables | {name for name, op in index.ops.items() if op in marks.HEADS}
    updates = {name for name in of_ops(index, marks.UPDATES) if not survey.values.consumers(name)}

    def joins(name: str) -> bool:
        return name not in kept and name in index.consumers

    _leave_out(survey, used_only_by(index, updates, lambda name: True, joins))


def find_losses(survey: Survey) -> None:
    """Finds what depends on a loss, by its op or by the collection `losses`."""
    ops = of_ops(survey.index, marks.LOSSES)
    named = {tensor_name(name)[0] for name in survey.losses_named}
    survey.losses = survey.values.onward((ops | named) & survey.weighted)


def find_tails(survey: Survey) -> None:
    """Finds the nodes after which only losses and metrics come; not what shapes a network's result for its user."""
    values = survey.values

    def joins(name: str) -> bool:
        if name in values.side or name not in survey.weighted or name in survey.parameters:
            return False
        is_consumed = any(map(values.are_taken_by, survey.index.consumers.get(name, ())))
        if not is_consumed and not (name in survey.reduced or name in survey.losses or _is_metric(survey, name)):
            return False
        passes = is_consumed and survey.index.ops[name] in marks.PASSED
        return name in survey.losses or passes or not survey.results.has(name)

    survey.tail = used_only_by(survey.index, set(), values.are_taken_by, joins)


def _is_metric(survey: Survey, name: str) -> bool:
    op = survey.index.ops[name]
    if marks.METRIC_ENDS.match(op) or marks.METRIC_SCOPES.search(name):
        return True
    return bool(survey.trained) and op in marks.REDUCTIONS | marks.ACTIVATIONS and name not in survey.trained


def tell_labels_from_inputs(survey: Survey) -> None:
    """Finds the labels among the feed points: what meets the weights in a tail alone."""
    values, weighted = survey.values, survey.weighted
    meeting, beside_tails = (values.leading_to(names, weighted) for names in (weighted, weighted - survey.tail))
    used = [point for point in survey.feeds if values.are_used_by(meeting, point)]
    survey.labels = [point for point in used if not values.are_used_by(beside_tails, point)]
    labels = set(survey.labels)
    survey.inputs = [point for point in survey.feeds if point not in labels]
    survey.labelled = values.after(survey.labels)


def find_targets(survey: Survey) -> None:
    """Finds the inputs that go into a loss as they are, though the network takes them as well."""
    comparing = {name for name in survey.weighted if survey.index.ops[name] in marks.LOSS_OPS}
    into_losses = survey.values.leading_to(comparing, survey.weighted)
    survey.targets = {point[0] for point in survey.inputs if survey.values.are_used_by(into_losses, point)}


def find_reachable(survey: Survey) -> None:
    """Finds what could be fetched as a result: it depends on weights, on inputs if anything does, and on no label."""
    values, loops, branches = survey.values, *in_frames(survey.index)
    usable = survey.weighted - values.side - survey.labelled - survey.losses - loops - branches
    usable -= survey.variables | survey.parameters | _scored_by_transitions(survey)
    survey.reachable = usable & (values.after(survey.inputs) | survey.random) or usable


def in_frames(index: GraphIndex) -> tuple[set[str], set[str]]:
    """The nodes inside while loops, which cannot be fetched, and in conditional branches, which may not run."""

    def between(first: tuple[str, ...], last: tuple[str, ...], outside: set[str]) -> set[str]:
        begin = {name for name, op in index.ops.items() if op in first} - outside
        return onward_anywhere(index, begin, lambda name: index.ops[name] not in last)

    loops = between(("Enter", "RefEnter"), ("Exit", "RefExit"), set())
    return loops, between(("Switch", "RefSwitch"), ("Merge", "RefMerge"), loops)


def _scored_by_transitions(survey: Survey) -> set[str]:
    """What a conditional random field computes of its transitions, but for the labels that it decodes."""
    scored = survey.values.onward(survey.transitions)
    return scored - survey.values.onward(name for name in scored if survey.index.ops[name] == "ArgMax")


def find_compared(survey: Survey) -> None:
    """Finds what a loss compares with labels, before the arithmetic that the loss adds."""
    survey.compared = losses.compared(survey)


def find_live(survey: Survey) -> None:
    """Finds what of the forward graph is no tail of a loss, and what a loss compares."""
    survey.live = (survey.reachable - survey.tail) | survey.compared or survey.reachable
    survey.closing = survey.tail | survey.labelled | survey.losses
