"""Who takes a tensor, and what is handed on of it."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

from permafrost.graph.index import GraphIndex, TensorName, Use
from permafrost.graph.protos import NodeDef

HandsOn = Callable[[NodeDef, int], Iterable[int]]  # a node, and the position at which it takes a tensor -> outputs


def takers(index: GraphIndex, own: Collection[str], tensor: TensorName) -> list[Use]:
    """(NodeDef, position) for each use of a tensor by one of the nodes `own`."""
    return [use for use in index.uses.get(tensor, ()) if use[0].name in own]


def along(
    index: GraphIndex, own: Collection[str], tensor: TensorName, hands_on: HandsOn, most: int | None = None
) -> Iterator[Use]:
    """The (NodeDef, position) that take a tensor, and those that take what these hand on of it, breadth first.

    Args:
      own: the nodes to look at.
      hands_on: gives the outputs by which a node hands on what it takes.
      most: how many tensors are looked at; all by default.
    """
    seen, waiting = set[TensorName](), deque([tensor])
    while waiting and (most is None or len(seen) < most):
        tensor = waiting.popleft()
        if tensor in seen:
            continue
        seen.add(tensor)
        for node, position in takers(index, own, tensor):
            yield node, position
            waiting.extend((node.name, further) for further in hands_on(node, position))
