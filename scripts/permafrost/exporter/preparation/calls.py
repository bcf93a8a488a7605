"""Calls whose function is known are replaced by the function's nodes, and Ifs whose side is known by calls of it."""

from collections.abc import Callable
from typing import Any

from permafrost.exporter.preparation.conditions import View, data
from permafrost.exporter.preparation.draft import Draft
from permafrost.exporter.preparation.parts import ARGUMENT, Part, canonical, spelled
from permafrost.graph.calls import CALLS, called_functions
from permafrost.graph.index import tensor_name
from permafrost.graph.protos import FunctionDef, GraphDef, NodeDef
from permafrost.graph.pruning import QUEUES, TABLES

_PLAIN = ("PartitionedCall", "StatefulPartitionedCall")
_BY_INDEX = {
    "If": "StatefulPartitionedCall", "StatelessIf": "PartitionedCall",
    "Case": "StatefulPartitionedCall", "StatelessCase": "PartitionedCall",
}  # fmt: skip
_MOST = 100_000  # nodes: functions that each call the next one twice would be any number


def take_known_branches(draft: Draft) -> bool:
    """Makes a call of the branch that is taken of each If and Case whose index is known; tells whether there was one.

    What `If` takes for true is said in tensorflow/core/kernels/functional_ops.cc (ToBool); beside scalars of numbers,
    which are looked at here, that goes by how many elements there are. Case takes its last branch where the index is
    that of none.
    """
    count = 0
    for part in draft.parts:
        view = View(part)
        for node in part.graph_def.node:
            if node.op in _BY_INDEX and _take_branch(view, node):
                count += 1
    draft.count("branch that is always taken, in place of an If", count)
    return bool(count)


def _take_branch(view: View, node: NodeDef) -> bool:
    index, *arguments = data(node)
    known = view.known(index)
    if known is None or known.value is None or not known.is_scalar:
        return False
    if not view.comes_with([index], *arguments):
        return False
    branches = [each.SerializeToString() for each in _branches(node)]
    value = known.value
    position = int(not value) if "If" in node.op else int(value) if 0 <= int(value) < len(branches) else -1
    controls = [text for text in node.input if text.startswith("^")]
    types = {name: list(node.attr[name].list.type) for name in ("Tin", "Tout")}
    node.op = _BY_INDEX[node.op]
    node.ClearField("attr")
    node.input[:] = [*arguments, *controls]
    for name, dtypes in types.items():
        node.attr[name].list.SetInParent()
        node.attr[name].list.type.extend(dtypes)
    node.attr["f"].func.ParseFromString(branches[position])
    return True


def _branches(node: NodeDef) -> list[Any]:
    names = CALLS[node.op][2]
    return list(node.attr[names[0]].list.func) if len(names) == 1 else [node.attr[name].func for name in names]


def inline_calls(draft: Draft) -> bool:
    """Puts the nodes of functions in the place of plain calls of them; tells whether there was one.

    Source: tensorflow/core/common_runtime/inline_function_utils.cc, whose rules for what runs when are kept.
    """
    count = 0
    for part in draft.parts:
        view = View(part, draft.acts)
        # All of it is looked at before anything is changed.
        calls = [
            (node, body, view.is_steady(node))
            for node in part.graph_def.node
            if (body := _callee(draft, part, node)) is not None
        ]
        gone = set()
        for node, body, is_steady in calls:
            if len(part.graph_def.node) < _MOST:
                _Inlining(draft.acts, part, node, body, is_steady).apply()
                gone.add(node.name)
        part.drop(gone)
        count += len(gone)
    draft.count("call replaced by what it calls", count)
    return bool(count)


def _callee(draft: Draft, part: Part, node: NodeDef) -> Part | None:
    """The function that a node calls, where its nodes may stand in the node's place.

    A node that is to be run by its name stays, and so does a function with a table or a queue, which is one for all its
    calls.
    """
    name = node.attr["f"].func.name if node.op in _PLAIN else node.op
    body = draft.functions.get(name)
    if body is None or body is part or node.name in part.lasting:
        return None
    return None if any(each.op in (*TABLES, *QUEUES) for each in body.graph_def.node) else body


class _Inlining:
    """One call, and the function that it calls."""

    def __init__(self, acts: Callable[[Any], bool], part: Part, call: NodeDef, body: Part, is_steady: bool):
        self._acts, self._part, self._call, self._body = acts, part, call, body
        self._barrier: list[str] = []
        self._is_steady = is_steady
        self._given = data(call)
        self._signature: Any = body.function and body.function.signature
        nodes = [node for node in body.graph_def.node if node.op != ARGUMENT]
        self._nodes = nodes
        self._names = {node.name: part.unused(f"{call.name}/{node.name}") for node in nodes}
        self._arguments = {
            node.name: node.attr["index"].i for node in body.graph_def.node if node.op == ARGUMENT
        }  # fmt: skip

    def apply(self) -> None:
        if not self._is_steady:
            self._hold_back()
        for node in self._nodes:
            copy = self._part.graph_def.node.add()
            copy.CopyFrom(node)
            copy.name = self._names[node.name]
            copy.input[:] = list(dict.fromkeys(self._moved(text) for text in node.input if text.startswith("^")))
            if "frame_name" in copy.attr:
                # Of two loops in frames of one name each would run the other's rounds.
                copy.attr["frame_name"].s = self._call.name.encode() + b"/" + copy.attr["frame_name"].s
            moved = [self._moved(text) for text in data(node)]
            copy.input[:] = [*moved, *copy.input, *(self._barrier if not moved else [])]
        self._hand_out()

    def _hold_back(self) -> None:
        """What the call takes has arrived, all of it, before one of its nodes runs."""
        controls = [text for text in self._call.input if text.startswith("^")]
        for position, text in enumerate(self._given):
            argument = self._part.add(f"{self._call.name}/argument_{position}", "Identity", [text])
            argument.attr["T"].type = self._signature.input_arg[position].type
            self._given[position] = argument.name
            controls.append(f"^{argument.name}")
        self._barrier = [f"^{self._part.add(f'{self._call.name}/called', 'NoOp', controls).name}"]

    def _moved(self, text: str) -> str:
        name, output = tensor_name(text.removeprefix("^"))
        if name in self._arguments:
            given = self._given[self._arguments[name]]
            return f"^{tensor_name(given)[0]}" if text.startswith("^") else given
        moved = self._names[name]
        return f"^{moved}" if text.startswith("^") else spelled(moved, output)

    def _hand_out(self) -> None:
        lasting = {*self._body.lasting, *(node.name for node in self._nodes if self._acts(node))}
        waits = [f"^{self._names[name]}" for name in self._names if name in lasting] + self._barrier
        after = {}
        for position, result in enumerate(self._body.results):
            text = self._moved(result)
            if waits:
                head = self._part.add(f"{self._call.name}/result_{position}", "Identity", [text, *waits])
                head.attr["T"].type = self._signature.output_arg[position].type
                text = head.name
            after[spelled(self._call.name, position)] = canonical(text)
        waits += [f"^{tensor_name(text)[0]}" for text in after.values()]
        done = self._part.add(f"{self._call.name}/done", "NoOp", list(dict.fromkeys(waits)))
        after[f"^{self._call.name}"] = f"^{done.name}"
        self._part.redirect(after)


def hand_in_constants(draft: Draft) -> bool:
    """Writes scalar constants that an If, a Case or a While hands in into the functions; tells whether there was one.

    Only into those that draw or choose by something: elsewhere nothing comes of it.
    """
    count = 0
    for part in draft.parts:
        index = part.index
        for node in part.graph_def.node:
            if node.op in CALLS and node.op not in _PLAIN:
                count += _hand_in(draft, node, index)
    draft.count("constant written into the function that is handed it", count)
    return bool(count)


def _hand_in(draft: Draft, node: NodeDef, index: Any) -> int:
    first, count = CALLS[node.op][0], 0
    names = called_functions(node)[1:]
    if any(name not in draft.functions for name in names) or not any(_chooses(draft, name, set()) for name in names):
        return 0
    for position, text in enumerate(data(node)[first:]):
        constant = _scalar(index, text)
        if constant is None or not _is_handed_on(draft, node, position):
            continue
        if any(_is_used(draft.functions[name], position) for name in names):
            for name in called_functions(node)[1:]:
                _write_into(draft, node, name, position, constant)
            count += 1
            names = called_functions(node)[1:]
    return count


_CHOOSING = ("If", "StatelessIf", "Case", "StatelessCase", "Switch", "Select", "SelectV2")


def _chooses(draft: Draft, name: str, seen: set[str]) -> bool:
    if name in seen or name not in draft.functions:
        return False
    seen.add(name)
    nodes = draft.functions[name].graph_def.node
    if any(node.op in _CHOOSING or "seed" in node.attr or node.op.startswith("StatelessRandom") for node in nodes):
        return True
    return any(_chooses(draft, called, seen) for node in nodes for called in called_functions(node))


def _scalar(index: Any, text: str) -> NodeDef | None:
    (name, _), _ = index.upstream(tensor_name(text), ("Identity",))
    node = index.nodes.get(name)
    if node is None or node.op != "Const" or not 0 < len(node.attr["value"].tensor.SerializeToString()) < 64:
        return None
    return node if not node.attr["value"].tensor.tensor_shape.dim else None


def _is_handed_on(draft: Draft, node: NodeDef, position: int) -> bool:
    """Whether each call of the functions is handed the same: a While hands on what its body gives for it."""
    if "While" not in node.op:
        return True
    body = draft.functions[node.attr["body"].func.name]
    (name, _), _ = body.index.upstream(tensor_name(body.results[position]), ("Identity",))
    return bool(name == body.graph_def.node[position].name)


def _is_used(body: Part, position: int) -> bool:
    argument = body.graph_def.node[position].name
    return any(tensor_name(text)[0] == argument for node in body.graph_def.node for text in data(node))


def _write_into(draft: Draft, node: NodeDef, name: str, position: int, constant: NodeDef) -> None:
    if len(draft.called().get(name, ())) > 1 or _uses(node, name) > 1:
        name = _own_copy(draft, node, name)
    body = draft.functions[name]
    argument = body.graph_def.node[position].name
    results = list(body.results)
    value = body.add(f"{argument}/value", "Const", [])
    for key in ("dtype", "value"):
        value.attr[key].CopyFrom(constant.attr[key])
    body.redirect({argument: value.name})
    body.results = results if "While" in node.op else body.results


def _uses(node: NodeDef, name: str) -> int:
    return called_functions(node)[1:].count(name)


def _own_copy(draft: Draft, node: NodeDef, name: str) -> str:
    """A copy of a function for one of the node's attributes that name it."""
    part, copy = draft.functions[name], draft.new_name(name)
    function = FunctionDef()
    function.CopyFrom(part.function)
    function.signature.name = copy
    graph_def = GraphDef()
    graph_def.CopyFrom(part.graph_def)
    draft.functions[copy] = Part(graph_def, list(part.results), list(part.lasting), function)
    for value in node.attr.values():
        for func in [value.func] if value.HasField("func") else value.list.func:
            if func.name == name:
                func.name = copy
                return copy
    return copy
