"""A graph or a library function as a body of nodes, for what rewrites both alike.

In a graph an input is `node` or `node:1`; in a function it is an argument's name or `node:output:0`, with the name
that the op's definition gives the output (see NodeDef in tensorflow/core/framework/function.proto).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any

from permafrost.graph.index import Use
from permafrost.graph.ops.variables import REF_WRITES
from permafrost.graph.protos import FunctionDef, NodeDef, types_pb2

# Ops that hand on their first input, a variable's handle or value.
PASSING = ("Enter", "Exit", "Identity", "NextIteration", "Switch", "_SwitchN")
_REF_PASSING = ("RefEnter", "RefExit", "RefIdentity", "RefNextIteration", "RefSwitch", *REF_WRITES)


class Body:
    """The nodes of a GraphDef, or of a FunctionDef whose arguments count as sources beside the nodes.

    Inputs may be changed; `consumers`, `dependents` and `origin` are as they were when they were first asked for.
    """

    def __init__(
        self,
        container: Any,
        function: FunctionDef | None = None,
        fetched: Iterable[str] = (),
        taken: Collection[str] = (),
    ):
        """
        Args:
          container: the repeated field of NodeDefs.
          function: the FunctionDef that it belongs to, if any.
          fetched: the tensors of a graph that are asked for, as a function's results are.
          taken: names that no new node may have, beside those of the nodes and arguments.
        """
        self.container = container
        self.fetched = {self.source(text) for text in (fetched if function is None else function.ret.values())}
        self.function = function
        self.nodes = {node.name: node for node in container}
        signature = function.signature.input_arg if function is not None else ()
        self._origins: dict[str, str] = {}
        self.arguments = {argument.name: index for index, argument in enumerate(signature)}
        self._taken = taken

    @staticmethod
    def source(text: str) -> str:
        """The node or argument that an input names."""
        return text.removeprefix("^").partition(":")[0]

    @cached_property
    def consumers(self) -> dict[str, list[Use]]:
        """Source -> (NodeDef, position among its inputs) of each data input that takes one of its outputs."""
        found = defaultdict(list)
        for node in self.container:
            for position, text in enumerate(node.input):
                if not text.startswith("^"):
                    found[self.source(text)].append((node, position))
        return found

    @cached_property
    def dependents(self) -> dict[str, list[NodeDef]]:
        """Source -> the NodeDefs that wait for it, for data or by control inputs."""
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for node in self.container:
            for text in node.input:
                found[self.source(text)][node.name] = node
        return {source: list(nodes.values()) for source, nodes in found.items()}

    def origin(self, text: str) -> str:
        """The variable node or the argument whose handle or value arrives at an input, or the last node before it."""
        name, passed = self.source(text), []
        for _ in range(len(self.nodes)):
            node = self.nodes.get(name)
            if name in self._origins or node is None:
                break
            if node.op in PASSING + _REF_PASSING and node.input:
                passed.append(name)
                text = node.input[0]
            elif (handle := _of_loop(node, text)) is not None:
                text = handle
            else:
                break
            name = self.source(text)
        name = self._origins.get(name, name)
        self._origins.update(dict.fromkeys(passed, name))
        return name

    def data_above(self, name: str) -> set[str]:
        """A node and all sources before it whose data may reach it."""
        found, waiting = set(), [name]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                texts = self.nodes[name].input if name in self.nodes else ()
                waiting += [self.source(text) for text in texts if not text.startswith("^")]
        return found

    def unused(self, name: str) -> str:
        """`name`, or the first of `name_1`, `name_2` and so on, that no node or argument has, and that is not taken."""
        candidate, number = name, 0
        while candidate in self.nodes or candidate in self.arguments or candidate in self._taken:
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def place(self, node: NodeDef) -> str:
        """How records name a node: with its function before it, where it is in one."""
        return node.name if self.function is None else f"{self.function.signature.name}/{node.name}"

    def reference(self, name: str, output: str) -> str:
        """How an input names the first tensor of a node's output `output`."""
        return name if self.function is None else f"{name}:{output}:0"

    def rename_output(self, name: str, before: str, after: str) -> None:
        """Follows a change of a node's op in all that names the output `before` by its name; graphs have no such."""
        if self.function is None:
            return
        old, new = f"{name}:{before}:", f"{name}:{after}:"
        for node, position in self.consumers[name]:
            if node.input[position].startswith(old):
                node.input[position] = new + node.input[position][len(old) :]
        for result, text in self.function.ret.items():
            if text.startswith(old):
                self.function.ret[result] = new + text[len(old) :]

    def rewrite(self, node: NodeDef, op: str, inputs: list[str], kept: tuple[str, ...] = ()) -> None:
        """Gives a node another op, inputs, and of its attributes only `kept`; its name and device stay."""
        attributes = {name: node.attr[name].SerializeToString() for name in kept if name in node.attr}
        name, device = node.name, node.device
        node.Clear()
        node.name, node.op, node.device = name, op, device
        node.input.extend(inputs)
        for key, value in attributes.items():
            node.attr[key].ParseFromString(value)


def _of_loop(node: NodeDef, text: str) -> str | None:
    """The input that a loop of functions hands on as its output `text`; None unless it is a handle, which stays."""
    number = text.rpartition(":")[2]
    position = int(number) if number.isdigit() else 0
    types = node.attr["T"].list.type if node.op in ("While", "StatelessWhile") else ()
    return node.input[position] if position < len(types) and types[position] == types_pb2.DT_RESOURCE else None


def controls(node: NodeDef) -> list[str]:
    """A node's control inputs, as they stand."""
    return [text for text in node.input if text.startswith("^")]
