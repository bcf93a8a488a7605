"""Names of nodes that are unique among a graph and its functions.

tf2onnx makes bodies of loops and branches out of functions, and leaves the names as they are; a body whose tensor has
the name of one outside is no valid ONNX.
"""

from typing import Any

from permafrost.graph.protos import FunctionDef, GraphDef


def make_unique(graph_def: GraphDef) -> None:
    """Puts a prefix before the names of nodes and arguments of each function that are taken already, in place."""
    taken = {node.name for node in graph_def.node}
    for number, function in enumerate(graph_def.library.function):
        own = [each.name for each in (*function.signature.input_arg, *function.node_def)]
        renamed = {name: _free(f"body_{number}_{name}", taken) for name in own if name in taken}
        taken |= {renamed.get(name, name) for name in own}
        if renamed:
            _rename(function, renamed)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _rename(function: FunctionDef, renamed: dict[str, str]) -> None:
    for argument in function.signature.input_arg:
        argument.name = renamed.get(argument.name, argument.name)
    for node in function.node_def:
        node.name = renamed.get(node.name, node.name)
        for position, text in enumerate(node.input):
            node.input[position] = _reference(text, renamed)
    for returned in (function.ret, function.control_ret):
        _rename_values(returned, renamed)


def _reference(text: str, renamed: dict[str, str]) -> str:
    """`^node`, `argument` or `node:output:0`, by the new name."""
    mark = "^" if text.startswith("^") else ""
    name, colon, rest = text[len(mark) :].partition(":")
    return f"{mark}{renamed.get(name, name)}{colon}{rest}"


def _rename_values(returned: Any, renamed: dict[str, str]) -> None:
    for key, value in list(returned.items()):
        returned[key] = _reference(value, renamed)
