"""Who takes whose values in a graph, apart from the nodes that are no part of its forward graph."""

import re
from collections.abc import Callable, Collection, Iterable

from permafrost.graph.index import GraphIndex, TensorName
from permafrost.signature.forward.marks import SHAPE_OPS


class Values:
    """The ways of values through a graph.

    Args:
      side: the nodes that are left out of all ways, since they are there for training and watching.
    """

    def __init__(self, index: GraphIndex, side: set[str]):
        self.index, self.side = index, side

    def are_taken_by(self, name: str) -> bool:
        """Whether a node is part of the forward graph, and takes more of its inputs than their shapes."""
        return name not in self.side and self.index.ops[name] not in SHAPE_OPS

    def consumers(self, name: str) -> list[str]:
        """The nodes that consume a node's values and are part of the forward graph."""
        return [consumer for consumer in self.index.consumers.get(name, ()) if consumer not in self.side]

    def onward(self, names: Iterable[str], ends: Collection[str] = ()) -> set[str]:
        """What depends on the values of `names` in the forward graph up to the nodes `ends`, `names` included."""
        reached, waiting, beyond = set(), list(names), self.side.union(ends)
        ops, consumers = self.index.ops, self.index.consumers
        while waiting:
            name = waiting.pop()
            if name not in reached and name not in beyond:
                reached.add(name)
                waiting += [consumer for consumer in consumers.get(name, ()) if ops[consumer] not in SHAPE_OPS]
        return reached

    def after(self, points: Iterable[TensorName]) -> set[str]:
        """What depends on the values of the tensors `points`; other outputs of their nodes do not count."""
        return self.onward(user for point in points for user in self._users(*point))

    def are_used_by(self, names: set[str], point: TensorName) -> bool:
        """Whether one of the nodes `names` takes the values of the tensor `point`."""
        return any(user in names for user in self._users(*point))

    def _users(self, name: str, output: int) -> list[str]:
        users = dict.fromkeys(node.name for node, _ in self.index.uses.get((name, output), ()))
        return [user for user in users if self.are_taken_by(user)]

    def leading_to(self, meetings: set[str], weighted: set[str]) -> set[str]:
        """The nodes `meetings`, of those that are `weighted`, and what leads to them over nodes that are not."""
        found = {name for name in meetings if self.are_taken_by(name)}
        waiting, known = list(found), found | weighted
        while waiting:
            for source, _ in self.index.inputs[waiting.pop()]:
                if source not in known and source in self.index.nodes and self.are_taken_by(source):
                    known.add(source)
                    found.add(source)
                    waiting.append(source)
        return found


def used_only_by(
    index: GraphIndex, names: set[str], counts: Callable[[str], bool], joins: Callable[[str], bool]
) -> set[str]:
    """`names`, and each node for which `joins` holds once all its consumers that count are among these."""
    found, left = set(names), {}
    for name in index.nodes:
        consumers = index.consumers.get(name, ())
        left[name] = len([consumer for consumer in consumers if consumer not in found and counts(consumer)])
    waiting = [name for name, count in left.items() if not count and name not in found and joins(name)]
    for name in waiting:
        found.add(name)
        for source in {source for source, _ in index.inputs[name]} & left.keys() if counts(name) else ():
            left[source] -= 1
            if not left[source] and source not in found and joins(source):
                waiting.append(source)
    return found


def onward_anywhere(index: GraphIndex, names: Iterable[str], within: Callable[[str], bool]) -> set[str]:
    """`names`, and what takes data of them by way of nodes for which `within` holds."""
    found = set(names)
    waiting = list(found)
    while waiting:
        for consumer in index.consumers.get(waiting.pop(), ()):
            if consumer not in found and within(consumer):
                found.add(consumer)
                waiting.append(consumer)
    return found


def of_ops(index: GraphIndex, pattern: re.Pattern[str]) -> set[str]:
    """The nodes whose op a pattern matches."""
    ops = {op for op in set(index.ops.values()) if pattern.match(op)}
    return {name for name, op in index.ops.items() if op in ops}
