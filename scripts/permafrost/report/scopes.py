"""The graph and the functions that it calls, each with its nodes by name, and under what its nodes run.

A function of a frozen graph runs where a node calls it; the branches of an If or a Case run on one side of it alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from permafrost.flow.body import Body
from permafrost.graph.calls import CALLS, called_functions, needed_functions
from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import FunctionDef, GraphDef, NodeDef, graph_pb2

SIDES = ("Switch", "RefSwitch", "Merge", "RefMerge")
_BRANCHING = ("If", "StatelessIf", "Case", "StatelessCase")
_HOPS = 4  # from a random op or a mean to where it takes effect
_SIDE = "where its side of a cond runs"


@dataclass
class Scope:
    """The nodes of a graph, or of a function.

    function: its name; "" for the graph. index: its nodes, whose inputs go by the names of nodes and arguments alone in
    a function. arguments: name of each argument -> its position. calls: (scope, node) of each that calls it.
    """

    function: str
    index: GraphIndex
    arguments: dict[str, int] = field(default_factory=dict)
    calls: "list[tuple[Scope, NodeDef]]" = field(default_factory=list)
    _condition: dict[frozenset[str], str] = field(default_factory=dict)

    @property
    def nodes(self) -> Iterator[NodeDef]:
        """The NodeDefs, in their order."""
        yield from self.index.graph_def.node

    def place(self, name: str) -> str:
        """How a finding names a node: with its function before it."""
        return f"{self.function}/{name}" if self.function else name

    def condition(self, node: NodeDef, switches: set[str]) -> str:
        """What may switch a node off: a clause with its conjunction, or "" where it always runs.

        Args:
          switches: the tensors of the graph that are fed one value, or have a default.
        """
        near = _near(self.index, node.name)
        for points in _above(self.index, near):
            if switch := self._switch(points, switches):
                return f"unless {switch} is fed what switches it off"
        if any(self.index.nodes[name].op in SIDES for name in near) or any("switch_" in text for text in node.input):
            return _SIDE
        return self._of_calls(switches)

    def _switch(self, points: set[str], switches: set[str]) -> str:
        """The first of the switches among tensors of the graph, or among what it gives for arguments of a function."""
        if not self.function:
            return min(switches & points, default="")
        for scope, call in self.calls if switches else ():
            for name, position in self.arguments.items():
                text = _argument(call, position) if f"{name}:0" in points and not scope.function else ""
                for above in ({_tensor(text)}, *_above(scope.index, {Body.source(text)})) if text else ():
                    if found := switches & above:
                        return min(found)
        return ""

    def _of_calls(self, switches: set[str]) -> str:
        """What may switch all calls of a function off."""
        key = frozenset(switches)
        if key not in self._condition:
            self._condition[key] = ""  # A function that calls itself, which TensorFlow does not run, adds nothing.
            found = [_SIDE if call.op in _BRANCHING else scope.condition(call, switches) for scope, call in self.calls]
            self._condition[key] = found[0] if all(found) and found else ""
        return self._condition[key]


def scopes(graph_def: GraphDef) -> list[Scope]:
    """The graph, and the functions that its nodes call, one by way of another too."""
    functions = needed_functions(graph_def.node, graph_def.library)
    graph = Scope("", GraphIndex(graph_def))
    found = {function.signature.name: _of_function(function) for function in functions}
    for scope in (graph, *found.values()):
        for node in scope.nodes if found else ():
            for name in dict.fromkeys(called_functions(node)):
                if name in found:
                    found[name].calls.append((scope, node))
    return [graph, *found.values()]


def _of_function(function: FunctionDef) -> Scope:
    """The scope of a function, in which inputs lose the names of outputs, and with them which output it is."""
    graph_def = graph_pb2.GraphDef(node=function.node_def)
    for node in graph_def.node:
        node.input[:] = [text if text.startswith("^") else Body.source(text) for text in node.input]
    arguments = {argument.name: position for position, argument in enumerate(function.signature.input_arg)}
    return Scope(function.signature.name, GraphIndex(graph_def), arguments)


def _near(index: GraphIndex, name: str) -> set[str]:
    near, waiting = {name}, [name]
    for _ in range(_HOPS):
        waiting = [consumer for name in waiting for consumer in index.consumers.get(name, ())]
        near.update(waiting)
    return near


def _above(index: GraphIndex, near: set[str]) -> Iterator[set[str]]:
    """The tensors from which one step, then two and so on lead to one of some nodes."""
    before = {name for name in near if name in index.nodes}
    for _ in range(_HOPS):
        points = {point for name in before for point in index.inputs[name]}
        yield {"{}:{}".format(*point) for point in points}
        before |= {source for source, _ in points if source in index.nodes}


def _tensor(text: str) -> str:
    return text if ":" in text else f"{text}:0"


def _argument(call: NodeDef, position: int) -> str:
    """The input of a call that a function gets as an argument; "" where the call is of another kind."""
    first = CALLS[call.op][0] if call.op in CALLS else 0
    data = [text for text in call.input if not text.startswith("^")]
    return data[first + position] if first + position < len(data) else ""
