"""The graph and the bodies of its functions in one form, for passes that rewrite both alike.

A function's body is written as a graph, as TensorFlow's own runtime does it: each argument is a node, and an input is
`node` or `node:1` in place of `node:output:0` (see NodeDef in tensorflow/core/framework/function.proto).
"""

from collections.abc import Callable, Collection
from typing import Any

from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.argument_types import argument_types
from permafrost.graph.protos import FunctionDef, GraphDef, NodeDef, OpDef

ARGUMENT = "_Arg"
Definitions = Callable[[str], OpDef | None]  # op type, or the name of a function -> its OpDef; None where unknown


class Unclear(Exception):
    """A function that leaves dtypes to its callers, or has ops that nobody knows; it stays as it is."""


class Part:
    """A graph, or the body of a function written as one.

    graph_def: its nodes; library and versions are not looked at. results: the tensors that it gives, in order.
    lasting: the nodes that run whatever is asked for. function: the FunctionDef, without nodes; None of a graph.
    """

    def __init__(
        self, graph_def: GraphDef, results: list[str], lasting: list[str], function: FunctionDef | None = None
    ):
        self.graph_def, self.results, self.lasting, self.function = graph_def, results, lasting, function
        self._names = {node.name for node in graph_def.node}

    @property
    def index(self) -> GraphIndex:
        """The nodes as they are now; asked for anew after each change."""
        return GraphIndex(self.graph_def)

    def add(self, name: str, op: str, inputs: list[str]) -> Any:
        """A new NodeDef of this name, or of one like it that nothing has."""
        return self.graph_def.node.add(name=self.unused(name), op=op, input=inputs)

    def unused(self, name: str) -> str:
        """`name`, or the first of `name_1`, `name_2` and so on that no node has or had; it counts as taken."""
        candidate, number = name, 0
        while candidate in self._names:
            number += 1
            candidate = f"{name}_{number}"
        self._names.add(candidate)
        return candidate

    def redirect(self, after: dict[str, str]) -> None:
        """Has all that take the tensors of the keys, spelled as `spelled` does, take those of the values."""
        for node in self.graph_def.node if after else ():
            for position, text in enumerate(node.input):
                found = after.get(text if text.startswith("^") else canonical(text))
                if found is not None:
                    node.input[position] = found
        self.results = [after.get(canonical(text), text) for text in self.results] if after else self.results

    def prune(self) -> None:
        """Drops what neither the results nor what lasts need; arguments stay."""
        index = self.index
        kept = index.reach([*(tensor_name(text)[0] for text in self.results), *self.lasting])
        self.drop({node.name for node in self.graph_def.node if node.name not in kept and node.op != ARGUMENT})

    def drop(self, names: Collection[str]) -> None:
        """Takes nodes out."""
        if names:
            rest = GraphDef(node=[node for node in self.graph_def.node if node.name not in names])
            del self.graph_def.node[:]
            self.graph_def.node.extend(rest.node)


def spelled(name: str, output: int) -> str:
    """How an input of a graph names a tensor."""
    return f"{name}:{output}" if output else name


def canonical(text: str) -> str:
    """A tensor's name as `spelled` gives it: without `:0`."""
    return spelled(*tensor_name(text))


def rewrite(node: NodeDef, op: str, inputs: list[str], **types: int) -> None:
    """Gives a node another op, data inputs and attributes, which are DataTypes; its control inputs stay."""
    controls = [text for text in node.input if text.startswith("^")]
    node.op = op
    node.ClearField("attr")
    node.ClearField("input")
    node.input.extend([*inputs, *controls])
    for name, dtype in types.items():
        node.attr[name].type = dtype


def of_function(function: FunctionDef, definitions: Definitions) -> Part:
    """The body of a function as a graph, of copies. Raises Unclear."""
    graph_def = GraphDef()
    for position, argument in enumerate(function.signature.input_arg):
        if not argument.type or argument.number_attr:
            raise Unclear(argument.name)
        node = graph_def.node.add(name=argument.name, op=ARGUMENT)
        node.attr["T"].type = argument.type
        node.attr["index"].i = position
    graph_def.node.extend(function.node_def)
    arguments = len(function.signature.input_arg)
    outputs = {node.name: outputs_of(node, definitions) for node in list(graph_def.node)[arguments:]}
    for node in graph_def.node:
        node.input[:] = [_in_graph(text, outputs) for text in node.input]
    results = [_in_graph(function.ret[result.name], outputs) for result in function.signature.output_arg]
    shell = FunctionDef()
    shell.CopyFrom(function)
    shell.ClearField("node_def")
    return Part(graph_def, results, list(function.control_ret.values()), shell)


def to_function(part: Part, definitions: Definitions) -> FunctionDef:
    """The FunctionDef of a part that was made of one. Raises Unclear for an op that nobody knows."""
    function = FunctionDef()
    function.CopyFrom(part.function)
    own = [node for node in part.graph_def.node if node.op != ARGUMENT]
    function.node_def.extend(own)
    outputs = {node.name: outputs_of(node, definitions) for node in own}
    for node in function.node_def:
        node.input[:] = [_in_function(text, outputs) for text in node.input]
    for result, text in zip(function.signature.output_arg, part.results, strict=True):
        function.ret[result.name] = _in_function(text, outputs)
    return function


def outputs_of(node: NodeDef, definitions: Definitions) -> list[tuple[str, int]]:
    """For each output of a node the name that its op's definition gives it, and the number within that name.

    Raises Unclear.
    """
    definition = definitions(node.op)
    if definition is None or any(value.placeholder for value in node.attr.values()):
        raise Unclear(node.name)
    found: list[tuple[str, int]] = []
    for argument in definition.output_arg:
        types = argument_types(node, definition, [argument])
        if types is None:
            raise Unclear(node.name)
        found += [(argument.name, number) for number in range(len(types))]
    return found


def _in_graph(text: str, outputs: dict[str, list[tuple[str, int]]]) -> str:
    name, _, tail = text.partition(":")
    if text.startswith("^") or not tail:
        return text
    output, _, number = tail.partition(":")
    try:
        return spelled(name, outputs[name].index((output, int(number or 0))))
    except (KeyError, ValueError) as error:
        raise Unclear(text) from error


def _in_function(text: str, outputs: dict[str, list[tuple[str, int]]]) -> str:
    name, number = tensor_name(text)
    if text.startswith("^") or name not in outputs:
        return text
    if number >= len(outputs[name]):
        raise Unclear(text)
    return f"{name}:{outputs[name][number][0]}:{outputs[name][number][1]}"
