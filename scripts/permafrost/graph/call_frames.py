"""What calls run: the nodes of their functions, with what each call gives for the arguments.

A TensorFlow 2 SavedModel restores its variables, and fills its tables, in functions that get their handles as
arguments; which variable or table a node of such a function means, the call says.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from permafrost.graph.calls import called_functions, needed_functions
from permafrost.graph.protos import FunctionDef, FunctionDefLibrary, NodeDef
from permafrost.outcome import Problem

# They run their function once, and whole.
_PLAIN_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_MOST = 20_000  # frames: a few functions that each call the next one twice would be any number


class Frame:
    """The nodes of a function as one call runs them; or those of a graph, which nothing calls.

    nodes: by name. arguments: the names of the function's arguments. function: its name, "" of a graph. call: the name
    of the graph's node from which the function is called, by way of others too; "" of a graph.
    """

    def __init__(self, nodes: Iterable[NodeDef], function: str = "", call: str = ""):
        self.nodes = {node.name: node for node in nodes}
        self.function, self.call = function, call
        self.arguments: list[str] = []
        self._arguments: dict[str, tuple[Frame, str]] = {}

    @classmethod
    def of_call(cls, caller: "Frame", node: NodeDef, function: FunctionDef) -> "Frame":
        """The frame of `function` where the NodeDef `node` of the frame `caller` calls it."""
        frame = cls(function.node_def, function.signature.name, caller.call or node.name)
        texts = [text for text in node.input if not text.startswith("^")]
        frame.arguments = [argument.name for argument in function.signature.input_arg]
        frame._arguments = {name: (caller, text) for name, text in zip(frame.arguments, texts, strict=False)}
        return frame

    def source(self, text: str, through: tuple[str, ...] = ("Identity",)) -> tuple["Frame", Any, int]:
        """Where an input comes from: the frame, the NodeDef there, and which of its outputs.

        The walk goes on from an argument to what the call gives for it, and through ops of the types `through` to their
        first input. The NodeDef is None where an argument is not given, or a graph lacks the node; of an op with
        several named outputs, the number is that within the one that is named.
        """
        frame = self
        for _ in range(sum(len(each.nodes) + len(each._arguments) for each in self._callers()) + 1):
            name, _, number = text.partition(":")
            if name in frame._arguments:
                frame, text = frame._arguments[name]
                continue
            node = frame.nodes.get(name)
            if node is None or node.op not in through or not node.input or node.input[0].startswith("^"):
                number = number.rpartition(":")[2]
                return frame, node, int(number) if number.isdigit() and number.isascii() else 0
            text = node.input[0]
        return frame, None, 0

    def _callers(self) -> Iterator["Frame"]:
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = next((caller for caller, _ in frame._arguments.values()), None)


class Frames:
    """All frames of the functions that some nodes of a graph run.

    Args:
      graph: the nodes of the graph.
      names: the nodes that run.
    Raises Problem (bad_meta_graph) for functions that call each other without an end, or too often.
    """

    def __init__(self, graph: Iterable[NodeDef], library: FunctionDefLibrary, names: Iterable[str]):
        self.graph = Frame(graph)
        self._functions = {function.signature.name: function for function in library.function}
        self.frames: list[Frame] = []
        self._of: dict[str, list[Frame]] = {}
        otherwise: list[NodeDef] = []
        waiting: list[tuple[Frame, NodeDef, tuple[str, ...]]] = []
        waiting += [(self.graph, node, ()) for node in map(self.graph.nodes.get, names) if node and self._calls(node)]
        while waiting:
            frame, node, above = waiting.pop()
            op, *called = called_functions(node)
            if op not in _PLAIN_CALLS or len(called) != 1 or called[0] not in self._functions:
                otherwise.append(node)
                continue
            name = called[0]
            if name in above or len(self.frames) >= _MOST:
                raise Problem("bad_meta_graph", f"node {node.name!r} calls function {name!r} again and again")
            inner = Frame.of_call(frame, node, self._functions[name])
            self.frames.append(inner)
            self._of.setdefault(name, []).append(inner)
            waiting += [(inner, each, (*above, name)) for each in inner.nodes.values() if self._calls(each)]
        self._hidden = {function.signature.name for function in needed_functions(otherwise, library)}

    def _calls(self, node: NodeDef) -> bool:
        return any(name in self._functions for name in called_functions(node))

    def of(self, function: str) -> list[Frame]:
        """All frames of a function; none where it may also run in another way than by a call of it alone."""
        return [] if function in self._hidden else self._of.get(function, [])
