"""A graph as an index: its nodes by name, who takes from whom, and the names of its tensors."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Any

from permafrost.graph.protos import GraphDef, NodeDef

TensorName = tuple[str, int]  # the node's name, and the position of the tensor among its outputs
Use = tuple[NodeDef, int]  # the node that takes a tensor, and the position of the tensor among its data inputs

_MERGES, _NEXT_ITERATIONS = ("Merge", "RefMerge"), ("NextIteration", "RefNextIteration")
_MOST_DIGITS = 9  # TensorFlow counts outputs in 32 bits, and wraps around beyond them


def tensor_name(name: str) -> TensorName:
    """Splits a NodeDef input or a tensor name into node name and output index: `a:1` is (`a`, 1), `a` is (`a`, 0).

    What does not end in a colon and digits, with a name before them, is a name as a whole; so is what ends in more
    digits than the index of an output has. See ParseTensorName in tensorflow/core/graph/tensor_id.cc.
    """
    node, _, index = name.rpartition(":")
    if node and len(index) <= _MOST_DIGITS and index.isascii() and index.isdigit():
        return node, int(index)
    return name, 0


def data_inputs(node: NodeDef) -> list[TensorName]:
    """The data inputs of a NodeDef as (node name, output index), in order."""
    return _data(node.input)


def _data(texts: Iterable[str]) -> list[TensorName]:
    return [tensor_name(text) for text in texts if text[:1] != "^"]


class GraphIndex:
    """A GraphDef's nodes by name, with their producers and consumers. The GraphDef must not change meanwhile.

    What a walk over the graph asks of each node is read once, into Python's own types: protocol buffers are slow.
    """

    def __init__(self, graph_def: GraphDef):
        self.graph_def = graph_def
        self.nodes = {node.name: node for node in graph_def.node}

    def of(self, graph_def: GraphDef) -> "GraphIndex":
        """The index of `graph_def`, which is this one where the GraphDef is its own."""
        return self if graph_def is self.graph_def else GraphIndex(graph_def)

    @cached_property
    def ops(self) -> dict[str, str]:
        """Node name -> op, in graph order."""
        return {name: node.op for name, node in self.nodes.items()}

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        return {name: list(node.input) for name, node in self.nodes.items()}

    @cached_property
    def inputs(self) -> dict[str, list[TensorName]]:
        """Node name -> its data inputs as (node name, output index), in order; not to be changed."""
        return {name: _data(texts) for name, texts in self._texts.items()}

    @cached_property
    def controls(self) -> dict[str, list[str]]:
        """Node name -> the names of the nodes that it has as control inputs; not to be changed."""
        return {name: [text[1:] for text in texts if text[:1] == "^"] for name, texts in self._texts.items()}

    @cached_property
    def sources(self) -> dict[str, list[str]]:
        """Node name -> the names of the nodes that it takes from, by data inputs and then by control inputs."""
        controls = self.controls
        return {name: [source for source, _ in inputs] + controls[name] for name, inputs in self.inputs.items()}

    @cached_property
    def consumers(self) -> dict[str, list[str]]:
        """Node name -> the names of the nodes that take one of its outputs as data, in graph order."""
        consumers = defaultdict(list)
        for name, inputs in self.inputs.items():
            for source in dict.fromkeys([source for source, _ in inputs]):
                consumers[source].append(name)
        return consumers

    @cached_property
    def uses(self) -> dict[TensorName, list[Use]]:
        """Tensor (node name, output index) -> (NodeDef, position) for each data input that takes it, in graph order."""
        uses = defaultdict(list)
        for name, inputs in self.inputs.items():
            for position, tensor in enumerate(inputs):
                uses[tensor].append((self.nodes[name], position))
        return uses

    @cached_property
    def _used(self) -> dict[str, set[int]]:
        used = defaultdict(set)
        for name, output in self.uses:
            used[name].add(output)
        return used

    def inputs_of(self, node: NodeDef) -> list[TensorName]:
        """The data inputs of a NodeDef as (node name, output index), in order; not to be changed."""
        name = node.name
        return self.inputs[name] if self.nodes.get(name) is node else data_inputs(node)

    def source_of(self, node: NodeDef, position: int) -> NodeDef | None:
        """The NodeDef whose output is the data input of `node` at `position`; None where there is none."""
        sources = self.inputs_of(node)
        return self.nodes.get(sources[position][0]) if position < len(sources) else None

    def used_outputs(self, name: str) -> set[int]:
        """The outputs of a node that others take as data."""
        return self._used.get(name, set())

    def upstream(self, point: TensorName, through: Collection[str]) -> tuple[TensorName, list[Any]]:
        """Follows first inputs from a tensor through nodes of the op types `through`, as far as these go.

        Returns the tensor before them, whose node the graph may lack, and the NodeDefs passed, the last one first.
        """
        passed: list[Any] = []
        while len(passed) < len(self.nodes):
            node = self.nodes.get(point[0])
            if node is None or node.op not in through or not self.inputs_of(node):
                break
            passed.append(node)
            point = self.inputs_of(node)[0]
        return point, passed

    def reach(self, names: Iterable[str], also: Callable[[Any], Iterable[str]] | None = None) -> set[str]:
        """The nodes from which one of `names` can be reached over data and control inputs, `names` included.

        `also` gives further nodes that a NodeDef needs. Names that the graph lacks are left out.
        """
        reached, waiting, sources = set(), list(names), self.sources
        while waiting:
            name = waiting.pop()
            if name in reached or name not in sources:
                continue
            reached.add(name)
            waiting += sources[name]
            if also:
                waiting += also(self.nodes[name])
        return reached


def missing_input(index: GraphIndex, names: Iterable[str]) -> tuple[str, str] | None:
    """The first of the nodes `names` that takes from a node which the graph lacks, and the name of that; or None."""
    for name in names:
        for source in index.sources[name]:
            if source not in index.nodes:
                return name, source
    return None


def in_data_order(index: GraphIndex) -> list[str]:
    """The nodes of a graph, each after those that it takes data from; what is on a cycle, or behind one, is left out.

    The way from a NextIteration to a Merge is how a while loop goes round, and does not count; see InitFromEdges in
    tensorflow/core/common_runtime/graph_constructor.cc.
    """
    return _in_order(index, {name: [source for source, _ in inputs] for name, inputs in index.inputs.items()})[0]


def node_in_cycle(index: GraphIndex, names: Iterable[str]) -> str | None:
    """One of the nodes `names` that depends on itself, by way of others of them, as in_data_order has it, or by control
    inputs; None where there is none.
    """
    _, waiting = _in_order(index, {name: index.sources[name] for name in names})
    if not waiting:
        return None
    # What is left is on a cycle or behind one: following the inputs leads into it.
    name, seen = min(waiting), set()
    while name not in seen:
        seen.add(name)
        name = min(waiting[name])
    return name


def _in_order(index: GraphIndex, sources: dict[str, list[str]]) -> tuple[list[str], dict[str, set[str]]]:
    """The nodes in an order in which each follows its sources; and, for those that have none, what they wait for.

    Args:
      sources: node -> the nodes that it takes from; those that are no key are passed over.
    """
    waiting: dict[str, set[str]] = {}
    for name in sources:
        own = sources.keys() & sources[name]
        if index.ops[name] in _MERGES:
            own = {source for source in own if index.ops[source] not in _NEXT_ITERATIONS}
        waiting[name] = own
    return in_order(waiting), waiting


def in_order(waiting: dict[str, set[str]]) -> list[str]:
    """The keys in an order in which each follows what it waits for, which are keys too.

    They are taken out of `waiting`; what is left there is on a cycle, or behind one.
    """
    followers = defaultdict(list)
    for name, before in waiting.items():
        for source in before:
            followers[source].append(name)
    order = [name for name, before in waiting.items() if not before]
    for name in order:
        del waiting[name]
        for follower in followers[name]:
            waiting[follower].discard(name)
            if not waiting[follower]:
                order.append(follower)
    return order
