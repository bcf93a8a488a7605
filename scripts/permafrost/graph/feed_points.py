"""The tensors at which a graph can be fed, and those of them that given outputs need."""

from collections.abc import Collection

from permafrost.graph.fed_controls import INPUT_PIPELINES, runs_though_fed
from permafrost.graph.index import GraphIndex, TensorName, tensor_name
from permafrost.graph.ops.unsafe import PYTHON_OPS
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.pruning import PLACEHOLDERS


def feed_points(index: GraphIndex) -> list[TensorName]:
    """The tensors (node name, output) at which a graph can be fed, in graph order.

    These are its placeholders, and those outputs of its queues, iterators, readers and of Python functions of no
    variable that something uses.
    """
    points = []
    for name, op in index.ops.items():
        if op in PLACEHOLDERS:
            points.append((name, 0))
        elif is_input_pipeline(index, name):
            points += [(name, output) for output in sorted(index.used_outputs(name))]
    return points


def is_input_pipeline(index: GraphIndex, name: str) -> bool:
    """Whether a node hands in what a server would feed: an op of queues and iterators, or a loader that is Python."""
    op = index.ops[name]
    if op not in PYTHON_OPS:
        return op in INPUT_PIPELINES
    return not any(index.ops[source] in VARIABLE_OPS for source in index.reach([name]))


def needed(index: GraphIndex, outputs: list[str], chosen: Collection[TensorName] = ()) -> list[TensorName]:
    """The tensors (node name, output) to feed so that the output tensors or nodes `outputs` can be computed.

    First the feed points on which they depend, in graph order, then those of the tensors `chosen`, which are fed too.
    """
    own, run = _walk(index, outputs, chosen)
    used = {point for name in run for point in index.inputs[name]}
    wanted = used | {tensor_name(name) for name in outputs}
    points = [
        (name, output)
        for name, output in feed_points(index)
        if (name, output) in wanted or (name in own and index.ops[name] in PLACEHOLDERS)
    ]
    known = set(points)
    return points + [point for point in chosen if point in used and point not in known]


def nodes_between(index: GraphIndex, outputs: list[str], chosen: Collection[TensorName]) -> set[str]:
    """The nodes on which the output tensors or nodes `outputs` depend, up to where the graph is fed.

    The walk does not go beyond input pipelines and the tensors `chosen`, which are fed as well.
    """
    return _walk(index, outputs, chosen)[0]


def _walk(index: GraphIndex, outputs: list[str], chosen: Collection[TensorName]) -> tuple[set[str], set[str]]:
    """The nodes that are reached from the outputs, and those of them that have to run since not they are fed."""
    reached, run, fed = set(), set(), set(chosen)
    cut = {node for node, _ in fed}
    waiting = [tensor_name(name) for name in outputs]
    ops, inputs, controls = index.ops, index.inputs, index.controls
    while waiting:
        tensor = name, _ = waiting.pop()
        if name in run or name not in ops:
            continue
        reached.add(name)
        if tensor in fed or is_input_pipeline(index, name):
            continue
        run.add(name)
        waiting += inputs[name]
        waiting += [
            (control, -1) for control in controls[name] if control not in cut or runs_though_fed(index, control)
        ]
    return reached, run
