"""Which nodes call which library functions, and with what."""

from collections.abc import Iterable
from typing import Any

from permafrost.graph.index import in_order
from permafrost.graph.protos import FunctionDef, FunctionDefLibrary, NodeDef

# Op that calls functions -> (first input that is an argument, attribute of the arguments' dtypes, of the functions).
CALLS = {
    "If": (1, "Tin", ("then_branch", "else_branch")),
    "StatelessIf": (1, "Tin", ("then_branch", "else_branch")),
    "Case": (1, "Tin", ("branches",)),
    "StatelessCase": (1, "Tin", ("branches",)),
    "PartitionedCall": (0, "Tin", ("f",)),
    "StatefulPartitionedCall": (0, "Tin", ("f",)),
    "While": (0, "T", ("body", "cond")),
    "StatelessWhile": (0, "T", ("body", "cond")),
}


def called_functions(node: NodeDef) -> list[str]:
    """The names by which a NodeDef may call functions: in its attributes, however deep, or as its op."""
    return [node.op, *(name for attribute in node.attr.values() for name in functions_in(attribute))]


def functions_in(value: Any) -> list[str]:
    """Names of the functions in an AttrValue, those that are arguments of other functions included."""
    waiting = [value.func] if value.HasField("func") else list(value.list.func)
    names = []
    while waiting:
        function = waiting.pop()
        names.append(function.name)
        for argument in function.attr.values():
            waiting.extend([argument.func] if argument.HasField("func") else argument.list.func)
    return names


def implied_functions(function: FunctionDef, gradients: dict[str, str]) -> list[str]:
    """Names of the functions that a FunctionDef may call though no node of it names them.

    These are the defaults of its attributes, which nodes may call, and its gradient.
    Args:
      gradients: function -> its gradient, as the library has it.
    """
    defaults = [name for attribute in function.signature.attr for name in functions_in(attribute.default_value)]
    return [*defaults, *filter(None, [gradients.get(function.signature.name, "")])]


def needed_functions(nodes: Iterable[NodeDef], library: FunctionDefLibrary) -> list[FunctionDef]:
    """The FunctionDefs of `library` that the NodeDefs `nodes` call, one by way of another too, in library order."""
    functions = {function.signature.name: function for function in library.function}
    gradients = {gradient.function_name: gradient.gradient_func for gradient in library.gradient}
    needed: set[str] = set()
    waiting = [name for node in nodes for name in called_functions(node)] if functions else []
    while waiting:
        name = waiting.pop()
        if name in functions and name not in needed:
            needed.add(name)
            waiting += implied_functions(functions[name], gradients)
            waiting += [called for node in functions[name].node_def for called in called_functions(node)]
    return [function for name, function in functions.items() if name in needed]


def recursive_function(functions: list[FunctionDef]) -> str | None:
    """The name of one of the FunctionDefs that calls itself, by way of others of them; None where there is none.

    TensorFlow has no recursion, and dies of it.
    """
    names = {function.signature.name for function in functions}
    waiting = {
        function.signature.name: names.intersection(
            name for node in function.node_def for name in called_functions(node)
        )
        for function in functions
    }
    in_order(waiting)
    return min(waiting, default=None)
