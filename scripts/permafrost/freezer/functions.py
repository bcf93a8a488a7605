"""Copies of library functions that take variables' values where they took the variables.

TensorFlow converts a function once, for all that call it, and gives it a new name; so does this, and where callers
differ in what they pass, each gets its own copy.
"""

import copy
from collections.abc import Callable
from typing import Any

from permafrost.flow.body import Body
from permafrost.freezer.propagation import Propagation, Value
from permafrost.freezer.writes import settle
from permafrost.graph.calls import CALLS, called_functions, needed_functions
from permafrost.graph.ops.variables import RESOURCE_WRITES, VARIABLE_OPS
from permafrost.graph.protos import FunctionDef, FunctionDefLibrary, GraphDef, NodeDef, types_pb2
from permafrost.outcome import Problem
from permafrost.records import Repair


class Functions:
    """The functions of a graph's library, and the copies made of them.

    Args:
      repairs: gets each change that TensorFlow does not make.
      acts: tells which nodes do something beside what they give (graph.ops.effects).
    """

    def __init__(self, library: FunctionDefLibrary, repairs: list[Repair], acts: Callable[[Any], bool]):
        self._acts = acts
        self._originals = {function.signature.name: function for function in library.function}
        self._names = _new_names(list(self._originals))
        self._repairs = repairs
        self._names_made: dict[tuple[Any, ...], str] = {}
        self._copies: dict[str, list[FunctionDef]] = {}

    def converted(self, name: str, values: dict[int, Value], is_loop: bool) -> str:
        """The name of the copy of function `name` whose arguments `values` are values of variables.

        Args:
          values: index of an argument -> Value.
          is_loop: whether it is the body of a loop, whose results are its next arguments.
        Raises Problem: bad_meta_graph for a function that the library lacks, or unsupported_op.
        """
        if name not in self._originals:
            raise Problem("bad_meta_graph", f"the graph lacks the function {name!r}, which one of its nodes calls")
        shapes_matter = self._has_loop(name, set())
        arguments = tuple(
            (index, value.dtype, value.handle, value.shape if shapes_matter else None)
            for index, value in sorted(values.items())
        )
        key = (name, arguments, is_loop)
        if key not in self._names_made:
            copies = self._copies.setdefault(name, [])
            suffix = f"_{len(copies)}" if copies else ""
            self._names_made[key] = self._names[name] + suffix
            function = copy.deepcopy(self._originals[name])
            function.signature.name = self._names_made[key]
            copies.append(function)
            self._convert(function, values, is_loop)
        return self._names_made[key]

    def _has_loop(self, name: str, seen: set[str]) -> bool:
        if name in seen or name not in self._originals:
            return False
        seen.add(name)
        nodes = self._originals[name].node_def
        return any(node.op in ("While", "StatelessWhile") for node in nodes) or any(
            self._has_loop(called, seen) for node in nodes for called in called_functions(node)
        )

    def _convert(self, function: FunctionDef, values: dict[int, Value], is_loop: bool) -> None:
        body = Body(function.node_def, function)
        signature = function.signature
        handles = {signature.input_arg[index].name for index, value in values.items() if value.handle}
        written = settle(body, handles, self.written_by_call, self._acts)
        if written and is_loop:
            raise Problem("unsupported_op", f"node {written[0].node!r} in function {signature.name!r} writes in a loop")
        self._repairs.extend(written)
        body = Body(function.node_def, function)
        propagation = Propagation(body, self, self._repairs, self._acts)
        for index, value in sorted(values.items()):
            argument = signature.input_arg[index]
            propagation.follow(argument.name, value)
            argument.type = value.dtype
            if "_input_shapes" in function.attr:
                _forget(function.attr["_input_shapes"].list.shape, index)
            attributes = function.arg_attr[index].attr
            if "_output_shapes" in attributes:
                _forget(attributes["_output_shapes"].list.shape, 0)
            if is_loop:
                signature.output_arg[index].type = value.dtype
        propagation.finish()
        for output in signature.output_arg:
            returned = body.origin(function.ret[output.name])
            if output.type == types_pb2.DT_RESOURCE and returned in handles:
                raise Problem("unsupported_op", f"function {signature.name!r} returns the handle of a variable")

    def written_by_call(self, node: NodeDef) -> set[int]:
        """The inputs of a node by which the functions that it calls write variables."""
        if node.op not in CALLS:
            return set()
        first = CALLS[node.op][0]
        return {
            index + first
            for name in called_functions(node)
            for index in range(len(node.input) - first)
            if self._writes_argument(name, index, set())
        }

    def _writes_argument(self, name: str, index: int, seen: set[tuple[str, int]]) -> bool:
        function = self._originals.get(name)
        if function is None or (name, index) in seen or index >= len(function.signature.input_arg):
            return False
        seen.add((name, index))
        body = Body(function.node_def, function)
        argument = function.signature.input_arg[index].name
        for node in body.nodes.values():
            for position, text in enumerate(node.input):
                if text.startswith("^") or body.origin(text) != argument:
                    continue
                if position == 0 and node.op in RESOURCE_WRITES:
                    return True
                if node.op in CALLS:
                    inner = position - CALLS[node.op][0]
                    called = called_functions(node)
                    if inner >= 0 and any(self._writes_argument(name, inner, seen) for name in called):
                        return True
        return False

    def write_library(self, graph_def: GraphDef) -> None:
        """Puts the copies into the graph's library, where their originals stood; these stay where they are needed.

        Raises Problem (missing_variable) where a function that the graph needs has a variable of its own.
        """
        if not self._copies:
            _refuse_variables(needed_functions(graph_def.node, graph_def.library))
            return
        functions = []
        for name, original in self._originals.items():
            functions.extend(self._copies.get(name, []))
            functions.append(original)
        library = type(graph_def.library)(function=functions, gradient=graph_def.library.gradient)
        needed = {function.signature.name for function in needed_functions(graph_def.node, library)}
        graph_def.library.ClearField("function")
        graph_def.library.function.extend(
            function
            for function in functions
            if function.signature.name not in self._copies or function.signature.name in needed
        )
        _refuse_variables(needed_functions(graph_def.node, graph_def.library))


def _forget(shapes: Any, index: int) -> None:
    if index < len(shapes):
        shapes[index].unknown_rank = True
        del shapes[index].dim[:]


def _refuse_variables(functions: Any) -> None:
    for function in functions:
        for node in function.node_def:
            if node.op in VARIABLE_OPS:
                raise Problem(
                    "missing_variable",
                    f"variable {node.name!r} lives inside function {function.signature.name!r}, where no saver reaches",
                )


def _new_names(names: list[str]) -> dict[str, str]:
    """Function -> the name of its copy: what TensorFlow gives it, were its counter at 0.

    Source: _GraphDef.converted_function_names in tensorflow/python/framework/convert_to_constants.py.
    """
    parsed = []
    for name in names:
        base, _, number = name.rpartition("_")
        parsed.append((int(number), base, name) if base and number.isnumeric() else (-1, name, name))
    return {name: f"{base}_frozen_{count}" for count, (_, base, name) in enumerate(sorted(parsed))}
