"""Whether a graph that was changed for a converter still computes the same, bit by bit, in TensorFlow."""

from typing import Any

from numpy.typing import NDArray

from permafrost.export_records import Signature
from permafrost.graph.protos import GraphDef
from permafrost.judge import comparison
from permafrost.judge.exports.trials import Trials
from permafrost.judge.sessions import RunFailed
from permafrost.judge.sides import FrozenFile, FrozenSide


def first_difference(
    trials: Trials,
    graph_def: GraphDef,
    weights: dict[str, NDArray[Any]],
    signature: Signature,
    initializers: list[str],
    allowed: set[str],
) -> str:
    """What tells a changed graph from the checkpoint, in words; "" where all outputs of all trials are the same bits.

    Args:
      graph_def, weights: the changed graph, without the values of its large weights, and these by node.
      signature: its tensors. initializers: the nodes that fill its tables.
      allowed: op types that may run though they are unsafe.
    """
    copy = GraphDef()
    copy.CopyFrom(graph_def)
    side = FrozenSide(FrozenFile(copy, dict(weights), initializers), allowed)
    fetches = [endpoint.tensor for endpoint in (*signature.outputs, *signature.hidden)]
    tensors = {endpoint.source: endpoint.tensor for endpoint in signature.inputs}
    for trial in trials:
        expected = trials.expected(trial)
        try:
            actual = side.run(fetches, {tensor: trial.feed[source] for source, tensor in tensors.items()})
        except RunFailed as failed:
            return f"the changed graph does not run: {failed}"
        for name, a, b in zip(trials.fetched, expected, actual, strict=True):
            if not comparison.match(a, b):
                return f"{name} differs in trial {trial.number}: {comparison.said(comparison.first_unequal(a, b))}"
    return ""
