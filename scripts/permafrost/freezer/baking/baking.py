"""Makes constants of inputs that always have the same value, and takes away what these switch off.

The constant stands in the place of the placeholder. A Switch whose predicate it decides is an Identity, and so is a
Merge to which one side alone comes; an If or a Case of which the branch is known calls that; a function to which the
value is handed is replaced by a copy in which the same was done; and a dropout that keeps all gives what it is given.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from permafrost.flow.body import Body
from permafrost.freezer.baking.constants import make_constant
from permafrost.freezer.baking.dropout import Dropouts
from permafrost.freezer.baking.folding import Folding, is_value_index
from permafrost.freezer.baking.values import Known
from permafrost.graph.calls import CALLS
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.variables import REF_WRITES, RESOURCE_WRITES
from permafrost.graph.protos import FunctionDef, GraphDef, NodeDef
from permafrost.outcome import Problem
from permafrost.records import Repair

_WRITES = (*REF_WRITES, *RESOURCE_WRITES)


def bake(
    graph_def: GraphDef,
    values: Mapping[str, NDArray[Any]],
    fetched: list[str],
    initializers: list[str],
    fed: Collection[str],
    acts: Callable[[Any], bool],
) -> tuple[GraphDef, list[Repair]]:
    """A copy of a graph in which some placeholders are constants, and what that says of the copy.

    Args:
      values: name of a placeholder -> the value that it always has, of its dtype.
      fetched: the names of the tensors that are the outputs. initializers: the nodes that fill tables.
      fed: the names of the nodes that are fed. acts: as graph.ops.effects.acting gives it.
    Raises Problem (unsupported_op) where an output is on a side that is never taken, and as Folding does.
    """
    baked = GraphDef()
    baked.CopyFrom(graph_def)
    for node in baked.node:
        if node.name in values:
            make_constant(node, values[node.name])
    kept = GraphIndex(baked).reach([*(tensor_name(text)[0] for text in fetched), *initializers])
    body = Body([node for node in baked.node if node.name in kept])
    functions = _Functions(baked, acts)
    folding = Folding(body, {}, fed, acts, functions.specialize, [node.name for node in baked.node])
    Dropouts(body, folding).leave_out()
    _refuse_dead(folding, fetched)
    repairs = [*(Repair("baked input", name) for name in values), *folding.repairs(), *functions.repairs]
    folding.apply()
    rest = GraphDef(node=_with_added(baked.node, folding, folding.dead))
    del baked.node[:]
    baked.node.extend(rest.node)
    baked.library.function.extend(functions.made)
    return baked, repairs


def _refuse_dead(folding: Folding, fetched: list[str]) -> None:
    for text in fetched:
        name = tensor_name(text)[0]
        if folding.is_dead_text(text) or name in folding.sides or (name in folding.taken and is_value_index(text)):
            raise Problem(
                "unsupported_op",
                f"output {text!r} is one side of a cond that a baked input decides; bake another value, or name an "
                "output behind the cond",
            )


class _Functions:
    """The functions of a graph, and copies of them to which values are handed.

    made: the copies. repairs: what was done in them.
    """

    def __init__(self, graph_def: GraphDef, acts: Callable[[Any], bool]):
        self._acts = acts
        self._functions = {function.signature.name: function for function in graph_def.library.function}
        self._found: dict[tuple[Any, ...], str] = {}
        self.made: list[FunctionDef] = []
        self.repairs: list[Repair] = []

    def specialize(self, name: str, known: dict[int, Known]) -> str:
        """The function to call in place of another one, some of whose arguments are known scalars.

        It is the function itself where they decide nothing in it.
        """
        function = self._functions.get(name)
        if function is None or not known:
            return name
        values = sorted((position, each.value.dtype.str, each.value.tobytes()) for position, each in known.items())
        key = (name, *values)
        if key not in self._found:
            self._found[key] = name  # A function that calls itself, which TensorFlow does not run, decides nothing.
            self._found[key] = self._copied(function, known)
        return self._found[key]

    def _copied(self, function: FunctionDef, known: dict[int, Known]) -> str:
        copy = FunctionDef()
        copy.CopyFrom(function)
        body = Body(copy.node_def, copy)
        given = {copy.signature.input_arg[position].name: each for position, each in known.items()}
        folding = Folding(body, given, (), self._acts, self.specialize, ())
        Dropouts(body, folding).leave_out()
        if not folding.taken and not folding.calls:
            return str(function.signature.name)
        for text in (*copy.ret.values(), *copy.control_ret.values()):
            if folding.is_dead_text(text) or is_value_index(text) and body.source(text) in folding.taken:
                place = f"{copy.signature.name}/{text}"
                raise Problem("unsupported_op", f"result {place!r} never comes, once inputs are baked")
        copy.signature.name = self._unused(f"{function.signature.name}_baked")
        self.repairs += folding.repairs()
        needed = _needed(copy)
        folding.apply()
        nodes = _with_added(copy.node_def, folding, folding.dead)
        still = _needed(FunctionDef(node_def=nodes, ret=copy.ret, control_ret=copy.control_ret))
        gone = {name for name in needed - still if name not in folding.dead and self._may_go(body, name)}
        rest = FunctionDef(node_def=[node for node in nodes if node.name not in gone])
        del copy.node_def[:]
        copy.node_def.extend(rest.node_def)
        self._functions[copy.signature.name] = copy
        self.made.append(copy)
        return str(copy.signature.name)

    def _unused(self, name: str) -> str:
        candidate, number = name, 0
        while candidate in self._functions:
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def _may_go(self, body: Body, name: str) -> bool:
        """Whether nobody misses a node whose value nobody takes any more."""
        node = body.nodes[name]
        return not self._acts(node) and node.op not in _WRITES and node.op not in CALLS


def _needed(function: FunctionDef) -> set[str]:
    """The nodes of a function that what it returns depends on."""
    body = Body(function.node_def, function)
    found: set[str] = set()
    waiting = [body.source(text) for text in (*function.ret.values(), *function.control_ret.values())]
    while waiting:
        name = waiting.pop()
        if name in body.nodes and name not in found:
            found.add(name)
            waiting += map(body.source, body.nodes[name].input)
    return found


def _with_added(nodes: Iterable[NodeDef], folding: Folding, gone: Collection[str]) -> list[NodeDef]:
    """The nodes that are left, each behind what was added for it."""
    found = []
    for node in nodes:
        if node.name not in gone:
            found += [folding.added[node.name], node] if node.name in folding.added else [node]
    return found
