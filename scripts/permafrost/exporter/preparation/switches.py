"""Conds of TensorFlow 1 whose predicate is known: the side that is taken stands alone."""

from collections import defaultdict

import numpy as np

from permafrost.exporter.preparation.conditions import View, data
from permafrost.exporter.preparation.draft import Draft
from permafrost.exporter.preparation.parts import Part, canonical, rewrite, spelled
from permafrost.freezer.baking.constants import hold
from permafrost.graph.index import tensor_name
from permafrost.graph.protos import NodeDef, types_pb2

_SWITCH, _MERGE = "Switch", "Merge"
_NEXT_ITERATION = "NextIteration"


def take_known_sides(draft: Draft) -> bool:
    """Makes identities of the Switches whose predicate is known, and of the Merges to which one side alone comes.

    What is on the other side is dead, as the executor has it, and goes. Tells whether there was one.
    """
    count = 0
    for part in draft.parts:
        taken = _taken(part)
        if taken and _Folding(part, taken).apply():
            count += len(taken)
    draft.count("Switch whose predicate is always the same", count)
    return bool(count)


def _taken(part: Part) -> dict[str, int]:
    """Switch -> the output that is always taken."""
    found: dict[str, int] = {}
    if not any(node.op == _SWITCH for node in part.graph_def.node):
        return found
    view = View(part)
    for node in part.graph_def.node:
        known = view.known(node.input[1]) if node.op == _SWITCH else None
        # A predicate that may be dead where the data is not would kill it.
        if known is not None and known.value is not None and view.comes_with([node.input[1]], node.input[0]):
            found[node.name] = int(bool(known.value))
    return found


class _Folding:
    """The Switches of a part that are decided, and what is dead by that."""

    def __init__(self, part: Part, taken: dict[str, int]):
        self._part, self._taken = part, taken
        self._index = part.index
        self._dead: set[str] = set()  # nodes
        self._live: dict[str, list[str]] = {}  # Merge -> its inputs that are not dead
        self._find_dead()

    def apply(self) -> bool:
        """Rewrites the part, unless a result of it would be dead, or nobody could tell which input a Merge took."""
        fetched = [tensor_name(text) for text in self._part.results]
        lost = any(self._is_dead(spelled(*tensor)) for tensor in fetched) or not self._dead.isdisjoint(
            self._part.lasting
        )
        folded = {name: live for name, live in self._live.items() if len(live) < len(data(self._index.nodes[name]))}
        unclear = [name for name, live in folded.items() if len(live) > 1 and 1 in self._index.used_outputs(name)]
        if lost or unclear or any(self._index.ops[name] == _NEXT_ITERATION for name in self._lost_rounds()):
            return False
        for name, live in folded.items():
            self._fold_merge(self._index.nodes[name], live)
        for name in self._taken.keys() - self._dead:
            node = self._index.nodes[name]
            rewrite(node, "Identity", data(node)[:1], T=node.attr["T"].type)
        self._part.redirect({f"{name}:1": name for name, output in self._taken.items() if output})
        self._part.drop(self._dead)
        return True

    def _lost_rounds(self) -> list[str]:
        """Dead nodes that would go on with a loop which is entered all the same."""
        return [
            name for name in self._dead if any(user not in self._dead for user in self._index.consumers.get(name, ()))
        ]

    def _find_dead(self) -> None:
        users: dict[str, list[NodeDef]] = defaultdict(list)
        for node in self._part.graph_def.node:
            for text in node.input:
                users[tensor_name(text.removeprefix("^"))[0]].append(node)
        waiting = list(self._taken)
        while waiting:
            for node in users[waiting.pop()]:
                if node.name not in self._dead and self._dies(node):
                    self._dead.add(node.name)
                    waiting.append(node.name)

    def _dies(self, node: NodeDef) -> bool:
        dead = [self._is_dead(text) for text in node.input]
        if node.op != _MERGE:
            return any(dead)
        values = data(node)
        live = [text for text, gone in zip(values, dead, strict=False) if not gone]
        self._live[node.name] = live
        # What goes round in a loop comes after what enters it.
        entering = [text for text in live if self._index.ops[tensor_name(text)[0]] != _NEXT_ITERATION]
        return not entering or any(dead[len(values) :])

    def _is_dead(self, text: str) -> bool:
        name, output = tensor_name(text.removeprefix("^"))
        if name in self._dead:
            return True
        return not text.startswith("^") and name in self._taken and output != self._taken[name]

    def _fold_merge(self, node: NodeDef, live: list[str]) -> None:
        if node.name in self._dead:
            return
        if len(live) > 1:
            controls = [text for text in node.input if text.startswith("^")]
            node.input[:] = [*live, *controls]
            node.attr["N"].i = len(live)
            return
        chosen = [canonical(text) for text in data(node)].index(canonical(live[0]))
        dtype = node.attr["T"].type
        if 1 in self._index.used_outputs(node.name) or f"{node.name}:1" in self._part.results:
            index = self._part.add(f"{node.name}/value_index", "Const", [])
            hold(index, np.array(chosen, np.int32), types_pb2.DT_INT32)
            index.input.append(f"^{node.name}")
            self._part.redirect({f"{node.name}:1": index.name})
        rewrite(node, "Identity", live, T=dtype)
