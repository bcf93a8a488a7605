"""The judge's own word on what a meta graph becomes where inputs are constants, derived again from the graph alone.

What the frozen graph may be otherwise is derived in permitted.py and beside it, from what comes out here: a constant
where a placeholder was; the one side of a cond that runs; the branch of an If, and functions in the same way; and
what a dropout masks with ones. All else is as it was. What is decided is not left to the frozen graph, so that one
that has another side, or keeps one that never runs, is not this one.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.flow.body import Body
from permafrost.graph.ops.variables import REF_WRITES, RESOURCE_WRITES
from permafrost.graph.protos import FunctionDef, GraphDef, NodeDef, node_def_pb2, types_pb2
from permafrost.judge.structure import permitted
from permafrost.judge.structure.baked_body import Acts, Decided
from permafrost.judge.structure.baked_ranges import Range
from permafrost.outcome import Problem


def derive(
    graph_def: GraphDef,
    values: dict[str, NDArray[Any]],
    names: Collection[str],
    fed: Collection[str],
    acts: Acts,
) -> GraphDef:
    """What a meta graph, its inputs cut, is where some of them are constants; `graph_def` stays as it is.

    Args:
      values: name of a placeholder -> the value in its place.
      names: the nodes that the frozen graph has, and the outputs: what they need is decided, the rest stays.
      fed: the names of the nodes that are fed.
      acts: tells which nodes do something beside what they give (graph.ops.effects).
    Raises Problem (structure_differs) where nobody can tell what the graph is without its dead sides.
    """
    constants = {name: _constant(name, value, graph_def) for name, value in values.items()}
    nodes = [constants.get(node.name, node) for node in graph_def.node]
    whole = Body(nodes)
    needed = _needed(whole, names)
    functions = _Specialized(graph_def.library.function, acts)
    body = Body([node for node in nodes if node.name in needed])
    decided = Decided(body, {}, fed, acts, functions.of, set(whole.nodes))
    derived = GraphDef(versions=graph_def.versions, library=graph_def.library)
    derived.node.extend(decided.calls.values())
    derived.node.extend(decided.now.get(node.name, node) for node in nodes if node.name not in decided.gone)
    derived.library.function.extend(functions.made)
    return derived


def _needed(body: Body, names: Collection[str]) -> set[str]:
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name in body.nodes and name not in found:
            found.add(name)
            waiting += map(body.source, body.nodes[name].input)
    return found


def _constant(name: str, value: NDArray[Any], graph_def: GraphDef) -> Any:
    """The Const that stands in the place of a placeholder."""
    before = next((node for node in graph_def.node if node.name == name), None)
    if before is None or "dtype" not in before.attr:
        raise Problem("structure_differs", f"input {name!r} is said to be a constant, and the meta graph has none such")
    dtype = before.attr["dtype"].type
    node = node_def_pb2.NodeDef(name=name, op="Const", device=before.device)
    node.attr["dtype"].type = dtype
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype == types_pb2.DT_STRING:
        tensor.string_val.extend(value.ravel().tolist())
    else:
        tensor.tensor_content = np.ascontiguousarray(value).tobytes()
    return node


class _Specialized:
    """The library's functions with known scalars for arguments. made: those that are other than they were."""

    def __init__(self, functions: Any, acts: Acts):
        self._acts = acts
        self._functions = {function.signature.name: function for function in functions}
        self._known: dict[Any, str] = {}
        self.made: list[FunctionDef] = []

    def of(self, name: str, given: dict[int, Range]) -> str:
        """The name of a function in which these arguments are known."""
        if name not in self._functions or not given:
            return name
        bits = tuple(
            (position, str(given[position].low.dtype), given[position].low.tobytes()) for position in sorted(given)
        )
        if (name, bits) not in self._known:
            self._known[name, bits] = name
            self._known[name, bits] = self._with(self._functions[name], given)
        return self._known[name, bits]

    def _with(self, function: FunctionDef, given: dict[int, Range]) -> str:
        arguments = function.signature.input_arg
        ranges = {arguments[position].name: each for position, each in given.items()}
        body = Body(function.node_def, function)
        decided = Decided(body, ranges, (), self._acts, self.of, set())
        if not decided.is_changed:
            return str(function.signature.name)
        results = {name: decided.renamed(text) for name, text in function.ret.items()}
        if any(map(decided.never_comes, (*function.ret.values(), *function.control_ret.values()))):
            raise Problem("structure_differs", f"function {function.signature.name!r} never returns")
        made = FunctionDef()
        made.CopyFrom(function)
        made.signature.name = self._free(f"{function.signature.name}_baked")
        made.ClearField("node_def")
        for node in function.node_def:
            before = [decided.calls[node.name]] if node.name in decided.calls else []
            made.node_def.extend([*before, decided.now[node.name]] if node.name not in decided.gone else [])
        made.ret.update(results)
        self._leave_out(function, made)
        self._functions[made.signature.name] = made
        self.made.append(made)
        return str(made.signature.name)

    def _leave_out(self, before: FunctionDef, made: FunctionDef) -> None:
        """Takes out what was for dead sides alone, unless it does something by itself."""
        used, still = (_used(function) for function in (before, made))
        kept = [node for node in made.node_def if node.name in still or node.name not in used or self._does(node)]
        rest = FunctionDef(node_def=kept)
        del made.node_def[:]
        made.node_def.extend(rest.node_def)

    def _does(self, node: NodeDef) -> bool:
        return self._acts(node) or node.op in (*REF_WRITES, *RESOURCE_WRITES) or node.op in permitted.CALLS

    def _free(self, name: str) -> str:
        candidate, number = name, 0
        while candidate in self._functions:
            number += 1
            candidate = f"{name}_{number}"
        return candidate


def _used(function: FunctionDef) -> set[str]:
    body = Body(function.node_def, function)
    return _needed(body, [body.source(text) for text in (*function.ret.values(), *function.control_ret.values())])
