"""Which nodes of a forward graph are results of its layers, and which are a loss's way of looking at them."""

import os

from permafrost.signature.forward.marks import FOLLOWING, HEADS, INTERNAL, LOSS_SIDE, OF_NORMS, REDUCTIONS, STRUCTURAL
from permafrost.signature.forward.values import Values

_LONGEST_NORM = 8  # ops from a tensor to its norm


class Results:
    """The results of the layers and heads of a forward graph.

    Args:
      joins: the nodes where weights meet data.
      reduced: the nodes that are single numbers, made of larger tensors.
    """

    def __init__(self, values: Values, joins: set[str], reduced: set[str]):
        self._values, self._index = values, values.index
        self._joins, self._reduced = joins, reduced
        self._known: dict[str, bool] = {}

    def has(self, name: str) -> bool:
        """Whether a node is a layer or a head of the network, or reshapes one where the loss does not."""
        way = []
        while name not in self._known:
            way.append(name)
            self._known[name] = self._is_head(name)  # where the way leads back here
            found = self._result_or_source(name)
            if isinstance(found, bool):
                self._known[name] = found
            else:
                name = found
        self._known |= dict.fromkeys(way, self._known[name])
        return self._known[name]

    def _is_head(self, name: str) -> bool:
        return self._index.ops[name] in HEADS and name not in self._reduced

    def _result_or_source(self, name: str) -> bool | str:
        """Whether a node is a result; or the node that it reshapes, which then tells."""
        if name in self._joins:
            return True
        if self._index.ops[name] not in FOLLOWING and not self._normalizes(name):
            return self._is_head(name)
        source = self._index.inputs[name][0][0] if self._index.inputs[name] else ""
        return False if source not in self._index.nodes or self.are_reshaped_for_loss(name, source) else source

    def _normalizes(self, name: str) -> bool:
        """Whether a node divides a tensor by its own norm, as tf.math.l2_normalize does."""
        sources = [source for source, _ in self._index.inputs[name]]
        if self._index.ops[name] not in ("Mul", "RealDiv", "Div") or len(sources) != 2:
            return False
        before, reduces = sources[1], False
        for _ in range(_LONGEST_NORM):
            op = self._index.ops.get(before)
            if op not in OF_NORMS or not self._index.inputs[before]:
                return False
            reduces = reduces or op in ("Sum", "Max")
            before = self._index.inputs[before][0][0]
            if before == sources[0]:
                return reduces
        return False

    def are_reshaped_for_loss(self, name: str, source: str) -> bool:
        """Whether a node that reshapes the result of a layer does so for a loss, by the name scope that it shares."""
        if INTERNAL.search(name):
            return True
        consumers, with_source = self._values.consumers(name), _shared(name, source)
        return bool(consumers) and all(_shared(name, consumer) > with_source for consumer in consumers)

    def are_taken_by_loss(self, name: str, sources: list[str]) -> bool:
        """Whether a node does to the nodes `sources`, which it takes, what losses do before they compare."""
        op = self._index.ops[name]
        if op in LOSS_SIDE or INTERNAL.search(name):
            return True
        if op in REDUCTIONS and sources:
            return self.has(sources[0])
        return op in STRUCTURAL and bool(sources) and self.are_reshaped_for_loss(name, sources[0])


def _shared(one: str, other: str) -> int:
    """How many leading name scopes two node names have in common."""
    return len(os.path.commonprefix([one.split("/")[:-1], other.split("/")[:-1]]))
