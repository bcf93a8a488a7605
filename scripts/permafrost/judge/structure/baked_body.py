"""The judge's own word on one body, a graph or a function, of which some tensors are known: what of it ever runs.

Each node is written anew, in the order of the data, with its inputs as they are named by then.
"""

import itertools
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any

from permafrost.flow.body import Body
from permafrost.flow.branches import Branches
from permafrost.flow.orders import is_default, topological
from permafrost.graph.protos import NodeDef, node_def_pb2
from permafrost.judge.structure import baked_masks, permitted
from permafrost.judge.structure.baked_ranges import Range, of_node
from permafrost.outcome import Problem

_SIDES = {"Switch": "Identity", "RefSwitch": "RefIdentity"}
_JOINS = {"Merge": "Identity", "RefMerge": "RefIdentity"}
_ROUNDS = ("NextIteration", "RefNextIteration")
_SOURCES = ("Placeholder", "PlaceholderV2")
_RANGED = {
    "Const", "Identity", "StopGradient", "Enter", "Switch", "Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Inv",
    "Reciprocal", "Floor", "Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual", "LogicalNot",
    "LogicalAnd", "LogicalOr", "Cast", "RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2",
}  # fmt: skip
_BRANCHES = {"If": ("then_branch", "else_branch"), "StatelessIf": ("then_branch", "else_branch")}
_CHOOSING = ("If", "StatelessIf", "Case", "StatelessCase")
_CALLED = {**_BRANCHES, "PartitionedCall": ("f",), "StatefulPartitionedCall": ("f",)}

Acts = Callable[[Any], bool]


class Decided:
    """A body in which some tensors are known.

    now: node -> what it is, of those that ever run. gone: the others. calls: If or Case -> the call of its branch,
    whose results it hands on. ranges: tensor -> its range, by all of its names.
    """

    def __init__(
        self,
        body: Body,
        given: dict[str, Range],
        fed: Collection[str],
        acts: Acts,
        specialized: Callable[..., str],
        names: set[str],
    ):
        self._names = names | body.nodes.keys() | body.arguments.keys()
        self.calls: dict[str, Any] = {}
        self.body, self.ranges = body, dict(given)
        self.branches, self._acts = Branches(body, acts), acts
        self.now: dict[str, Any] = {}
        self.gone: set[str] = set()
        self.is_changed = False
        self._fed, self._specialized = fed, specialized
        self._side: dict[str, str] = {}  # Switch -> the output that runs, as the body names it
        self._joined: dict[str, str] = {}  # Merge -> the only input that runs
        for node in topological(body):
            self._decide(node)
        self._check_rounds()

    def _decide(self, node: NodeDef) -> None:
        if self._never_runs(node):
            self.gone.add(node.name)
            return
        self._note_range(node)
        make = {**dict.fromkeys(_SIDES, self._side_of), **dict.fromkeys(_CHOOSING, self._branch_of)}.get(node.op)
        after = make(node) if make else self._join_of(node) if node.op in _JOINS else self._dropout_of(node)
        self.is_changed |= after is not None
        self.now[node.name] = after if after is not None else self._same(node)

    def _never_runs(self, node: NodeDef) -> bool:
        if node.op in _SOURCES and self.body.function is None:
            return False
        missing = [text for text in node.input if self.never_comes(text)]
        if missing and (node.op == "ControlTrigger" or (is_default(self.body, node) and node.name in self._fed)):
            raise self._unclear(node)
        if node.op not in _JOINS:
            return bool(missing)
        if any(text.startswith("^") for text in missing):
            raise self._unclear(node)
        left = [text for text in data(node) if text not in missing]
        return all(self._is_round(text) for text in left)

    def never_comes(self, text: str) -> bool:
        """Whether what an input names is on a side that never runs."""
        name = self.body.source(text)
        if name in self.gone:
            return True
        return name in self._side and not text.startswith("^") and self._output(text) != self._side[name]

    @staticmethod
    def _output(text: str) -> str:
        tail = text.partition(":")[2]
        return {"": "0", "output_false:0": "0", "output_true:0": "1"}.get(tail, tail)

    def _is_round(self, text: str) -> bool:
        source = self.body.nodes.get(self.body.source(text))
        return source is not None and source.op in _ROUNDS

    def range(self, text: str) -> Range | None:
        """What is known of the tensor that an input names."""
        return self.ranges.get(text if self.body.function is not None else text.removesuffix(":0"))

    def scalar(self, text: str) -> Any:
        """The value of a tensor that is known to be a scalar; else None."""
        found = self.range(text)
        return found.only if found is not None and found.is_scalar else None

    def _note_range(self, node: NodeDef) -> None:
        if node.op in _RANGED:
            found = of_node(node, [self.range(text) for text in data(node)])
        elif node.op in _JOINS and len(left := [text for text in data(node) if not self.never_comes(text)]) == 1:
            found = self.range(left[0]) if len(data(node)) > 1 else None
        else:
            return
        if found is not None:
            self.ranges.update(dict.fromkeys(self._named(node), found))

    def _named(self, node: NodeDef) -> list[str]:
        """The names of the outputs that have the range of a node."""
        is_switch = node.op in _SIDES
        if self.body.function is None:
            return [node.name, f"{node.name}:1"] if is_switch else [node.name]
        results = ("output_false", "output_true") if is_switch else ("output", "z", "y")
        return [f"{node.name}:{result}:0" for result in results]

    def _same(self, node: NodeDef) -> Any:
        """The node as it is, with its inputs as they are named now, and the functions that it calls from now on."""
        copy = node_def_pb2.NodeDef()
        copy.CopyFrom(node)
        copy.input[:] = map(self.renamed, node.input)
        first, _ = permitted.CALLS.get(node.op, (0, ""))
        if node.op in permitted.CALLS and "While" not in node.op:
            for function in functions_of(copy):
                name = self._specialized(function.name, self._handed(data(node)[first:]))
                self.is_changed |= name != function.name
                function.name = name
        return copy

    def renamed(self, text: str) -> str:
        """How an input is named now that a Switch has one output, and what a dropout gives another name."""
        name = self.body.source(text)
        if text.startswith("^") or name not in self.now:
            return text
        before, after = self.body.nodes[name], self.now[name]
        if before.op == after.op or after.op not in ("Identity", "RefIdentity"):
            return text
        if self.body.function is not None:
            return f"{name}:output:0"
        return name if name in self._side and self._side[name] == "1" else text

    def _handed(self, texts: list[str]) -> dict[int, Range]:
        found = {position: self.range(text) for position, text in enumerate(texts) if self.scalar(text) is not None}
        return {position: each for position, each in found.items() if each is not None}

    def _side_of(self, node: NodeDef) -> Any:
        value, predicate = data(node)
        known = self.scalar(predicate)
        if known is None:
            return None
        self._side[node.name] = "1" if known else "0"
        return self._made(node, _SIDES[node.op], [value], predicate, T=node.attr["T"])

    def _join_of(self, node: NodeDef) -> Any:
        left = [text for text in data(node) if not self.never_comes(text)]
        if len(left) == len(data(node)):
            return None
        if len(left) > 1:
            raise self._unclear(node)
        self._joined[node.name] = left[0]
        return self._made(node, _JOINS[node.op], left, "", T=node.attr["T"])

    def _is_asked_which(self, merge: str) -> bool:
        """Whether anybody who runs takes what a Merge says of which input came."""
        users = self.body.consumers.get(merge, ())
        return any(
            self._output(user.input[at]) in ("1", "value_index:0") for user, at in users if user.name in self.now
        )

    def _branch_of(self, node: NodeDef) -> Any:
        index, *arguments = data(node)
        known = self.scalar(index)
        if known is None:
            return None
        branches = functions_of(node)
        if node.op in _BRANCHES:
            chosen = branches[0 if known else 1]
        else:
            chosen = branches[int(known)] if 0 <= int(known) < len(branches) else branches[-1]
        op = "PartitionedCall" if node.op.startswith("Stateless") else "StatefulPartitionedCall"
        made = self._made(node, op, arguments, index, Tin=node.attr["Tin"], Tout=node.attr["Tout"])
        made.name = self._name_of_call(node.name)
        made.attr["f"].func.CopyFrom(chosen)
        made.attr["f"].func.name = self._specialized(chosen.name, self._handed(arguments))
        self.calls[node.name] = made
        return self._handing_on(node, made.name)

    @cached_property
    def _above(self) -> set[str]:
        """All names, and what stands before a slash in one."""
        before = {name[:at] for name in self._names for at, letter in enumerate(name) if letter == "/"}
        return before | self._names

    def _name_of_call(self, name: str) -> str:
        """The name of a call before an If, under which there is nothing yet: TensorFlow names what it inlines so."""
        names = itertools.chain([f"{name}/taken"], (f"{name}/taken_{number}" for number in itertools.count(1)))
        found = next(each for each in names if each not in self._above)
        self._above.add(found)
        return found

    def _handing_on(self, node: NodeDef, call: str) -> Any:
        types = node.attr["Tout"].list.type
        made = node_def_pb2.NodeDef(
            name=node.name, op=("NoOp", "Identity")[len(types)] if len(types) < 2 else "IdentityN"
        )
        made.device = node.device
        for position in range(len(types)):
            text = f"{call}:output:{position}" if self.body.function is not None else f"{call}:{position}"
            made.input.append(text if self.body.function is not None or position else call)
        made.input.append(f"^{call}")
        if len(types) == 1:
            made.attr["T"].type = types[0]
        elif types:
            made.attr["T"].list.type.extend(types)
        return made

    def _dropout_of(self, node: NodeDef) -> Any:
        if node.op not in baked_masks.MASKING:
            return None
        masked = baked_masks.kept(node, self.body, self.branches, self.range, self._acts)
        return self._made(node, "Identity", [masked], "", T=node.attr["T"]) if masked else None

    def _made(self, node: NodeDef, op: str, inputs: list[str], decided: str, **attributes: Any) -> Any:
        """The node as another op, which waits for what decides where that would come later or elsewhere."""
        waits = [text for text in node.input if text.startswith("^")]
        if decided:
            is_late = self.branches.brings_effects(decided)
            is_elsewhere = self.branches.of(decided) - self.branches.of(*inputs)
            waits += [f"^{self.body.source(decided)}"] if is_late or is_elsewhere else []
        made = node_def_pb2.NodeDef(name=node.name, op=op, device=node.device)
        made.input.extend([*map(self.renamed, inputs), *dict.fromkeys(waits)])
        for name, value in attributes.items():
            made.attr[name].CopyFrom(value)
        return made

    def _check_rounds(self) -> None:
        for name in self._joined:
            lost = [text for text in data(self.body.nodes[name]) if self.never_comes(text)]
            if any(map(self._is_round, lost)) or self._is_asked_which(name):
                raise self._unclear(self.body.nodes[name])
        for name in self.now:
            node = self.body.nodes[name]
            if node.op in _JOINS and name not in self._joined and any(map(self.never_comes, data(node))):
                raise self._unclear(node)

    def _unclear(self, node: NodeDef) -> Problem:
        said = f"node {self.body.place(node)!r} ({node.op}) cannot be told without the sides that a baked input ends"
        return Problem("structure_differs", said)


def data(node: NodeDef) -> list[str]:
    """A node's data inputs."""
    return [text for text in node.input if not text.startswith("^")]


def functions_of(node: NodeDef) -> list[Any]:
    """The functions that a call names, in the order of its branches; each a NameAttrList of the node's own."""
    if node.op in _CALLED:
        return [node.attr[name].func for name in _CALLED[node.op]]
    return list(node.attr["branches"].list.func)
