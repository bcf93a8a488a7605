"""Networks within a network: a generator and its critic, an actor, an encoder and a decoder.

Where a graph is built of a few networks, each under a variable scope of its own, what one of them hands to the next is
an output of it as well.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.variables import VARIABLE_OPS, static_shape

_MOST_NETWORKS = 4  # more scopes than that are the blocks of one network


def networks(index: GraphIndex, variables: Iterable[str]) -> dict[str, str]:
    """Variable -> the network that it belongs to, i.e. the outermost scope that not all variables have in common.

    Empty where the variables are not those of two to four networks, each with two layers (weight matrices) or more.
    Args:
      variables: names of the variable nodes that are weights, without an optimizer's own.
    """
    parts = {name: name.split("/") for name in variables if len(static_shape(index.nodes[name]) or ()) > 1}
    depth = 0
    while parts and all(len(p) > depth + 1 for p in parts.values()) and len({p[depth] for p in parts.values()}) == 1:
        depth += 1
    scopes = defaultdict(set)
    for path in parts.values():
        scopes[path[depth]].add("/".join(path[depth + 1 : -1]))
    if not 1 < len(scopes) <= _MOST_NETWORKS or any(len(layers) < 2 for layers in scopes.values()):
        return {}
    outer = {name: name.split("/") for name in variables}
    return {name: path[depth] for name, path in outer.items() if len(path) > depth + 1 and path[depth] in scopes}


def seams(
    index: GraphIndex, membership: dict[str, str], live: set[str], consumers: Callable[[str], Iterable[str]]
) -> dict[str, tuple[str, str]]:
    """Node -> (its network, the network that it goes into), for the live nodes on the border of two networks.

    Args:
      membership: as `networks` gives it.
      live: the nodes that could be outputs.
      consumers: gives the nodes of the forward graph that take a node's values.
    """
    depends: dict[str, set[str]] = defaultdict(set)
    waiting: deque[str] = deque()
    for variable, network in membership.items():
        depends[variable].add(network)
        waiting.append(variable)
    while waiting:
        name = waiting.popleft()
        for consumer in consumers(name):
            if not depends[name] <= depends[consumer]:
                depends[consumer] |= depends[name]
                waiting.append(consumer)
    found = {}
    for name in sorted(live):
        if len(depends[name]) != 1:
            continue
        (own,) = depends[name]
        further = sorted(set().union(*(depends[consumer] for consumer in consumers(name))) - {own})
        if further and not _goes_on(index, membership, own, name, consumers):
            found[name] = (own, further[0])
    return found


def _goes_on(
    index: GraphIndex, membership: dict[str, str], own: str, name: str, consumers: Callable[[str], Iterable[str]]
) -> bool:
    """Whether the network `own` goes on after its node `name`: whether weights of its own are used there."""
    after, waiting = {name}, deque([name])
    while waiting:
        for consumer in consumers(waiting.popleft()):
            if consumer not in after:
                after.add(consumer)
                waiting.append(consumer)
    beside = {source for taker in after - {name} for source, _ in index.inputs[taker]} - after
    return any(membership.get(variable) == own for variable in _weights_only(index, beside))


def _weights_only(index: GraphIndex, names: set[str]) -> set[str]:
    """Those of `names` that hand on a weight as it is: a read of it, or the weight itself."""
    found = set()
    for name in names:
        node = index.nodes.get(name)
        while node is not None and node.op in ("Identity", "ReadVariableOp", "Enter") and index.inputs_of(node):
            node = index.nodes.get(index.inputs_of(node)[0][0])
        if node is not None and node.op in VARIABLE_OPS:
            found.add(node.name)
    return found
