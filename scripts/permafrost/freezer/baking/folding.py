"""One body, a graph or a function, of which some values are known: what is decided by them, and what never runs.

The body is gone through once, in the order of the data, as the executor does it: what waits for a side of a cond that
is not taken is dead, and a Merge gives what is not (tensorflow/core/common_runtime/executor.cc).
"""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from permafrost.flow.body import Body, controls
from permafrost.flow.branches import Branches
from permafrost.flow.orders import FED, MERGES, NEXT_ITERATIONS, is_default, topological
from permafrost.freezer.baking.values import DRAWING, Known, is_sound, of_node
from permafrost.graph.calls import CALLS
from permafrost.graph.index import tensor_name
from permafrost.graph.protos import NodeDef
from permafrost.outcome import Problem
from permafrost.records import Repair

_SWITCHES = {"Switch": "Identity", "RefSwitch": "RefIdentity"}
_MERGED = {"Merge": "Identity", "RefMerge": "RefIdentity"}
_BY_INDEX = {
    "If": "StatefulPartitionedCall", "StatelessIf": "PartitionedCall",
    "Case": "StatefulPartitionedCall", "StatelessCase": "PartitionedCall",
}  # fmt: skip
# Of others nothing is said, though something might be known: the judge has to find the same by itself.
_FOLLOWED = {
    "Const", "Identity", "StopGradient", "Enter", "Switch", "Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Inv",
    "Reciprocal", "Floor", "Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual", "LogicalNot",
    "LogicalAnd", "LogicalOr", "Cast", *(op for op in DRAWING if "Uniform" in op),
}  # fmt: skip
_SIDES = {"output_false:0": 0, "output_true:0": 1}

Specialize = Callable[[str, dict[int, Known]], str]  # function, known arguments -> the function to call instead


class Taken(NamedTuple):
    """A node that is decided: its op and data inputs from now on, and the control inputs that it gets besides."""

    op: str
    inputs: list[str]
    waits: list[str] = []


class Folding:
    """What is decided in a body; nothing of it is changed before `apply`.

    branches: where its nodes run. acts: as it was given. known: tensor -> what is known of it. dead: the nodes that
    never run. taken: node -> what it becomes. calls: node -> function that it calls -> the one that it calls from now
    on. sides: Switch -> the output that is taken. added: node -> one that belongs before it, once `apply` was called.
    """

    def __init__(
        self,
        body: Body,
        given: dict[str, Known],
        fed: Collection[str],
        acts: Callable[[Any], bool],
        specialize: Specialize,
        names: Collection[str],
    ):
        """
        Args:
          body: of which only those nodes are looked at that are to run. names: of all nodes that there are beside them.
          given: argument of a function -> what is known of it. fed: the nodes that are fed, or may be.
          acts: as graph.ops.effects.acting gives it.
        Raises Problem (unsupported_op) for what cannot be told of a graph of which one side is gone.
        """
        self._body, self._fed, self._specialize = body, fed, specialize
        self.branches = Branches(body, acts)
        self.acts = acts
        self.known = dict(given)
        self.dead: set[str] = set()
        self.taken: dict[str, Taken] = {}
        self.sides: dict[str, int] = {}
        self.calls: dict[str, dict[str, str]] = {}
        self.added: dict[str, NodeDef] = {}
        self._names = [*names, *body.nodes, *body.arguments]
        self._merged: dict[str, list[str]] = {}
        for node in topological(body):
            self._look_at(node)
        self._refuse_unclear()

    def _look_at(self, node: NodeDef) -> None:
        if node.op in MERGES:
            self._merge(node)
        elif self._is_dead(node):
            self.dead.add(node.name)
        elif node.op in _SWITCHES:
            self._switch(node)
        elif node.op in _BY_INDEX and (index := self._scalar(data(node)[0])) is not None:
            self._take_branch(node, index)
        elif node.op in CALLS and "While" not in node.op:
            self._call(node, CALLS[node.op][0])
        if node.name not in self.dead:
            self._learn(node)

    def key(self, text: str) -> str:
        """A tensor by the one name that it has here."""
        if self._body.function is not None:
            return text
        name, output = tensor_name(text)
        return f"{name}:{output}" if output else name

    def is_dead_text(self, text: str) -> bool:
        """Whether what an input names never comes."""
        name = self._body.source(text)
        return name in self.dead or (
            not text.startswith("^") and name in self.sides and self._side(text) != self.sides[name]
        )

    def _side(self, text: str) -> int:
        tail = text.partition(":")[2]
        return _SIDES.get(tail, 0) if self._body.function is not None else tensor_name(text)[1]

    def _is_dead(self, node: NodeDef) -> bool:
        if node.op in FED and self._body.function is None:
            return False
        dead = any(map(self.is_dead_text, node.input))
        if dead and (node.op == "ControlTrigger" or (is_default(self._body, node) and node.name in self._fed)):
            raise self._unclear(node, "runs though what it waits for never comes")
        return dead

    def _merge(self, node: NodeDef) -> None:
        live = [text for text in data(node) if not self.is_dead_text(text)]
        if any(map(self.is_dead_text, controls(node))):
            raise self._unclear(node, "waits for what never comes")
        if not any(not self._comes_round(text) for text in live):
            self.dead.add(node.name)
        elif len(live) < len(data(node)):
            if len(live) > 1:
                raise self._unclear(node, "gives one of several that are left")
            self._merged[node.name] = live
            self.taken[node.name] = Taken(_MERGED[node.op], live)

    def _comes_round(self, text: str) -> bool:
        source = self._body.nodes.get(self._body.source(text))
        return source is not None and source.op in NEXT_ITERATIONS

    def _scalar(self, text: str) -> Any:
        """The value of a scalar that is known; else None."""
        known = self.known.get(self.key(text))
        return known.value if known is not None and known.is_scalar and not known.is_drawn else None

    def _switch(self, node: NodeDef) -> None:
        value, predicate = data(node)
        known = self._scalar(predicate)
        if known is not None:
            self.sides[node.name] = int(bool(known))
            self.taken[node.name] = Taken(_SWITCHES[node.op], [value], self._waits(predicate, [value]))

    def _waits(self, decided: str, others: list[str]) -> list[str]:
        """The control input for what decides, where that comes elsewhere or later than the data."""
        is_bound = not self.branches.of(decided) <= self.branches.of(*others)
        return [f"^{self._body.source(decided)}"] if is_bound or self.branches.brings_effects(decided) else []

    def _take_branch(self, node: NodeDef, index: Any) -> None:
        decided, *arguments = data(node)
        branches = called(node)
        if "If" in node.op:
            position = int(not index)
        else:
            position = int(index) if 0 <= int(index) < len(branches) else len(branches) - 1
        name = branches[position].name
        self.calls[node.name] = {name: self._specialize(name, self._known_of(arguments))}
        self.taken[node.name] = Taken(_BY_INDEX[node.op], arguments, self._waits(decided, arguments))

    def _call(self, node: NodeDef, first: int) -> None:
        known = self._known_of(data(node)[first:])
        names = dict.fromkeys(function.name for function in called(node)) if known else {}
        found = {name: self._specialize(name, known) for name in names}
        if any(name != other for name, other in found.items()):
            self.calls[node.name] = found

    def _known_of(self, texts: list[str]) -> dict[int, Known]:
        """Position among some inputs -> the scalar that is known of it."""
        keys = {position: self.key(text) for position, text in enumerate(texts) if self._scalar(text) is not None}
        return {position: self.known[key] for position, key in keys.items()}

    def _learn(self, node: NodeDef) -> None:
        if node.op in _MERGED and node.name in self.taken:
            found = self.known.get(self.key(self.taken[node.name].inputs[0]))
        elif node.op in _FOLLOWED:
            inputs = [self.known.get(self.key(text)) for text in data(node)]
            if None in inputs and node.op not in DRAWING and node.op != "Switch":
                return
            with np.errstate(all="ignore"):
                found = of_node(node, inputs)
        else:
            return
        if found is not None and is_sound(found):
            for text in self._outputs(node):
                self.known[text] = found

    def _outputs(self, node: NodeDef) -> list[str]:
        """What the outputs are called in the body that hold what a node gives."""
        is_switch, name = node.op in _SWITCHES, node.name
        if self._body.function is None:
            return [name, f"{name}:1"] if is_switch else [name]
        ends = _SIDES if is_switch else [_RESULT.get(node.op, "output") + ":0"]
        return [f"{name}:{end}" for end in ends]

    def _refuse_unclear(self) -> None:
        for name, live in self._merged.items():
            node = self._body.nodes[name]
            users = self._body.consumers.get(name, ()) if name not in self.dead else ()
            if any(
                is_value_index(text) for user, at in users if user.name not in self.dead for text in [user.input[at]]
            ):
                raise self._unclear(node, "tells which side came")
            if any(self._comes_round(text) for text in data(node) if text not in live):
                raise self._unclear(node, "begins a loop that never goes round")

    def _unclear(self, node: NodeDef, what: str) -> Problem:
        return Problem("unsupported_op", f"node {self._body.place(node)!r} ({node.op}) {what}, once inputs are baked")

    def repairs(self) -> list[Repair]:
        """What `apply` does, in the order of the body."""
        found = []
        for node in self._body.container:
            if node.name in self.taken and node.name not in self.dead:
                after = self.taken[node.name].op
                found.append(Repair(f"{node.op} -> {after}, by a baked input", self._body.place(node)))
            elif node.name in self.calls:
                found.append(Repair("call of a function in which a baked input decides", self._body.place(node)))
        return found

    def apply(self) -> None:
        """Rewrites the nodes that are decided, in place; the dead ones stay for the caller to drop."""
        for name, taken in self.taken.items():
            if name not in self.dead:
                self._rewrite(self._body.nodes[name], taken)
        for name in self.calls.keys() - self.taken.keys():
            for function in called(self._body.nodes[name]):
                function.name = self.calls[name][function.name]
        after = Body([*self._body.container, *self.added.values()], self._body.function)
        for name, side in self.sides.items():
            _hand_on(after, name, side)
        for name in self.taken.keys() - self.sides.keys() - self.dead:
            after.rename_output(name, "z", "output")  # of a product

    def _rewrite(self, node: NodeDef, taken: Taken) -> None:
        inputs = [*taken.inputs, *controls(node), *(text for text in taken.waits if text not in controls(node))]
        if node.op in CALLS:
            self._call_branch(node, taken.op, inputs)
        else:
            self._body.rewrite(node, taken.op, inputs, ("T",))

    def _call_branch(self, node: NodeDef, op: str, inputs: list[str]) -> None:
        """Puts a call before a node, which hands its results on.

        The call has a name of its own: TensorFlow, where it inlines it, gives its nodes names that begin with that, and
        there may be a `cond/Identity` already beside a `cond`.
        """
        call = NodeDef(name=self._free(f"{node.name}/taken"), op=op, device=node.device, input=inputs)
        ((name, function),) = self.calls[node.name].items()
        call.attr["f"].func.CopyFrom(next(each for each in called(node) if each.name == name))
        call.attr["f"].func.name = function
        for attribute in ("Tin", "Tout"):
            call.attr[attribute].list.SetInParent()
            call.attr[attribute].list.type.extend(node.attr[attribute].list.type)
        self.added[node.name] = call
        self._hand_out(node, call)

    def _hand_out(self, node: NodeDef, call: NodeDef) -> None:
        types = list(call.attr["Tout"].list.type)
        results = [self._result(call.name, position) for position in range(len(types))]
        op = "NoOp" if not types else "Identity" if len(types) == 1 else "IdentityN"
        self._body.rewrite(node, op, [*results, f"^{call.name}"])
        if len(types) == 1:
            node.attr["T"].type = types[0]
        elif types:
            node.attr["T"].list.type.extend(types)

    def _result(self, name: str, position: int) -> str:
        return f"{name}:output:{position}" if self._body.function is not None else self.key(f"{name}:{position}")

    @cached_property
    def _taken_names(self) -> set[str]:
        """The names of all nodes, and their beginnings up to each slash."""
        parts = (name.split("/") for name in self._names)
        return {"/".join(each[: end + 1]) for each in parts for end in range(len(each))}

    def _free(self, name: str) -> str:
        """`name`, or one like it, that no node has, nor the beginning of a name up to a slash."""
        candidate, number = name, 0
        while candidate in self._taken_names:
            number += 1
            candidate = f"{name}_{number}"
        self._taken_names.add(candidate)
        return candidate


# What the first output of an op is called, in functions; `output` otherwise.
_RESULT = {
    "Add": "z", "AddV2": "z", "Sub": "z", "Mul": "z", "RealDiv": "z", "Div": "z", "Less": "z", "LessEqual": "z",
    "Greater": "z", "GreaterEqual": "z", "Equal": "z", "NotEqual": "z", "LogicalAnd": "z", "LogicalOr": "z",
    "LogicalNot": "y", "Floor": "y", "Cast": "y", "Inv": "y", "Reciprocal": "y",
}  # fmt: skip


def data(node: NodeDef) -> list[str]:
    """The data inputs of a node, as they stand."""
    return [text for text in node.input if not text.startswith("^")]


def called(node: NodeDef) -> list[Any]:
    """The functions that a NodeDef of graph.calls.CALLS calls, each a NameAttrList, in the order of its branches."""
    names = CALLS[node.op][2]
    return list(node.attr[names[0]].list.func) if names == ("branches",) else [node.attr[name].func for name in names]


def is_value_index(text: str) -> bool:
    """Whether an input takes what a Merge says of which input came."""
    return text.partition(":")[2] in ("1", "value_index:0")


def _hand_on(body: Body, switch: str, side: int) -> None:
    """Has who takes the side that is taken take the one output that is left."""
    if body.function is not None:
        body.rename_output(switch, ("output_false", "output_true")[side], "output")
    for node, position in body.consumers.get(switch, ()) if body.function is None else ():
        if tensor_name(node.input[position]) == (switch, 1):
            node.input[position] = switch
