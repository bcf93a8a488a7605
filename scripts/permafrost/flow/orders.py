"""In what order the nodes of one body run, as far as the graph itself says so.

Chosen nodes are numbered in topological order, and sets of them are integers, of which bit k stands for the k-th: a
graph with ten thousand writes is gone through once, not once for each write.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

from permafrost.flow.body import Body
from permafrost.graph.protos import NodeDef
from permafrost.outcome import Problem

K = TypeVar("K")

MERGES, NEXT_ITERATIONS = ("Merge", "RefMerge"), ("NextIteration", "RefNextIteration")
ENTERS, EXITS = ("Enter", "RefEnter"), ("Exit", "RefExit")


# What is fed takes the place of these: the first never run, the last where nothing is fed (RewriteGraphForExecution in
# tensorflow/core/graph/subgraph.cc). Nothing is fed to a function.
FED = ("Placeholder", "PlaceholderV2")
_DEFAULT = "PlaceholderWithDefault"


def is_default(body: Body, node: NodeDef) -> bool:
    """Whether a node gives what stands before it only where nothing is fed."""
    return node.op == _DEFAULT and body.function is None


def sources(body: Body, node: NodeDef, controls: bool = True) -> Iterator[str]:
    """The nodes and arguments that a node waits for, but for the next round of a loop that it begins.

    A placeholder waits for nothing, and one with a default for what that takes, if nothing is fed.
    """
    for text in node.input if node.op not in FED or body.function is not None else ():
        name = body.source(text)
        if text.startswith("^") and not controls:
            continue
        source = body.nodes.get(name)
        if not (node.op in MERGES and source is not None and source.op in NEXT_ITERATIONS):
            yield name


def topological(body: Body) -> list[NodeDef]:
    """The NodeDefs of a body, each after all that it waits for. Raises Problem (bad_meta_graph) where there is a cycle.

    The way from a NextIteration to a Merge is how a while loop goes round, and no cycle.
    """
    missing = {name: {s for s in sources(body, node) if s in body.nodes} for name, node in body.nodes.items()}
    dependents: dict[str, list[str]] = {}
    for name, waits_for in missing.items():
        for source in waits_for:
            dependents.setdefault(source, []).append(name)
    order = _in_order({name: len(waits_for) for name, waits_for in missing.items()}, dependents)
    if len(order) < len(body.nodes):
        name = min(set(body.nodes) - set(order))
        raise Problem("bad_meta_graph", f"node {name!r} ({body.nodes[name].op}) depends on itself")
    return [body.nodes[name] for name in order]


class Order:
    """How the nodes of a body stand to the `chosen` ones: before, after, or in no order.

    Args:
      chosen: names of nodes of the body.
    Raises Problem (bad_meta_graph) where the body has a cycle.
    """

    def __init__(self, body: Body, chosen: Iterable[str]):
        self._body = body
        self._nodes = topological(body)
        wanted = set(chosen)
        self.chosen: list[str] = [node.name for node in self._nodes if node.name in wanted]
        self._bits = {name: 1 << number for number, name in enumerate(self.chosen)}

    def set_of(self, names: Iterable[str]) -> int:
        """The nodes `names` as a set, without those that are not chosen."""
        found = 0
        for name in names:
            found |= self._bits.get(name, 0)
        return found

    def names(self, found: int) -> Iterator[str]:
        """The names in a set, in topological order."""
        while found:
            lowest = found & -found
            yield self.chosen[lowest.bit_length() - 1]
            found ^= lowest

    def last(self, found: int) -> str:
        """The name in a set that comes last in topological order; the set must not be empty."""
        return self.chosen[found.bit_length() - 1]

    @cached_property
    def possible(self) -> dict[str, int]:
        """Node -> the chosen nodes from which a way leads to it: they come before it wherever they run.

        A way may lead through a default, which is none where something is fed.
        """
        found: dict[str, int] = {}
        for node in self._nodes:
            before = 0
            for source in sources(self._body, node):
                before |= found.get(source, 0) | self._bits.get(source, 0)
            found[node.name] = before
        return found

    @cached_property
    def certain(self) -> dict[str, int]:
        """Node -> the chosen nodes that have run whenever it runs.

        A Merge runs after one of its inputs, not all, and a placeholder with a default after none, where it is fed.
        """
        found: dict[str, int] = {}
        for node in self._nodes:
            if is_default(self._body, node):
                found[node.name] = 0
                continue
            before, merged = 0, None
            for source in sources(self._body, node, controls=False) if node.op in MERGES else ():
                one = found.get(source, 0) | self._bits.get(source, 0)
                merged = one if merged is None else merged & one
            rest = sources(self._body, node) if node.op not in MERGES else _control_sources(self._body, node)
            for source in rest:
                before |= found.get(source, 0) | self._bits.get(source, 0)
            found[node.name] = before | (merged or 0)
        return found

    @cached_property
    def following(self) -> dict[str, int]:
        """Node -> the chosen nodes to which a way leads from it, whatever is fed."""
        found = dict.fromkeys(self._body.nodes, 0)
        for node in reversed(self._nodes):
            own = found[node.name] | self._bits.get(node.name, 0)
            for source in sources(self._body, node) if own and not is_default(self._body, node) else ():
                if source in found:
                    found[source] |= own
        return found

    @cached_property
    def looping(self) -> set[str]:
        """The nodes that are in a while loop, between an Enter and an Exit."""
        depths: dict[str, int] = {}
        for node in self._nodes:
            depth = max((depths.get(source, 0) for source in sources(self._body, node)), default=0)
            depths[node.name] = max(0, depth + (node.op in ENTERS) - (node.op in EXITS))
        return {name for name, depth in depths.items() if depth}


def _control_sources(body: Body, node: NodeDef) -> Iterator[str]:
    return (body.source(text) for text in node.input if text.startswith("^"))


def first_in_cycle(body: Body, order: Order, later: dict[str, int]) -> str | None:
    """A node of `later` that would come before itself, if each of them ran before the chosen nodes given with it.

    Args:
      later: name of a node -> a set of `order`'s chosen nodes, none of which precedes it.
    Returns None where there is no such node.
    """
    following: dict[str | int, list[Any]] = {found: list(order.names(found)) for found in set(later.values())}
    following |= {name: [found] for name, found in later.items()}
    for name, node in body.nodes.items() if later else ():
        for source in sources(body, node):
            if source in body.nodes:
                following.setdefault(source, []).append(name)
    counts = dict.fromkeys([*body.nodes, *set(later.values())], 0)
    for names in following.values():
        for name in names:
            counts[name] += 1
    return min(later.keys() - set(_in_order(counts, following)), default=None)


def _in_order(counts: dict[K, int], following: Mapping[K, Iterable[K]]) -> list[K]:
    """The keys of `counts`, each after all that it follows; those on a cycle, and behind one, are left out.

    Args:
      counts: key -> how many others it follows, as often as `following` has it; it is used up.
      following: key -> those that follow it.
    """
    ready = [key for key, count in counts.items() if not count]
    for key in ready:
        for other in following.get(key, ()):
            counts[other] -= 1
            if not counts[other]:
                ready.append(other)
    return ready
