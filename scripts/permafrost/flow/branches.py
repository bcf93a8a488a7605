"""Under which conditions the nodes of one body run: on which sides of which conds, and in which loops.

A node runs when all that it waits for does, so what is true of an input is true of the node; a Merge runs where one of
its inputs does. See the executor's rules in tensorflow/core/common_runtime/executor.cc and graph_view.h.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from permafrost.flow.body import Body
from permafrost.flow.orders import ENTERS, EXITS, MERGES, is_default, sources, topological
from permafrost.flow.sharing import shares
from permafrost.graph.ops.variables import REF_WRITES
from permafrost.graph.protos import NodeDef

_SWITCHES = ("Switch", "RefSwitch", "_SwitchN")


class Condition(NamedTuple):
    """What has to be so for a node to run.

    kind: `loop`, a round of the while loop whose frame `of` names; `side`, the side `output` of a cond that the tensor
    `of` decides; or `merge`, that something comes to the Merge `of`. depth: how many loops are around it.
    """

    kind: str
    depth: int
    of: str | bytes
    output: str = ""


Conditions = frozenset[Condition]
_Place = tuple[int, Conditions]  # how deep in loops, and under which conditions
_ALWAYS: _Place = (0, frozenset())


class Branches:
    """The conditions under which each node of a body runs, and what is done before it runs.

    Args:
      acts: tells of a NodeDef whether it does something beside what it gives (graph.ops.effects).
    Raises Problem (bad_meta_graph) where there is a cycle.
    """

    def __init__(self, body: Body, acts: Callable[[Any], bool] = lambda node: False):
        self._body = body
        self._after_effects = _following(body, acts)
        self._found: dict[str, _Place] = {}
        self._unsteady: set[str] = set()
        if any(node.op in (*_SWITCHES, *ENTERS) for node in body.nodes.values()):
            self._unsteady = _in_written_memory(body)
            for node in topological(body):
                self._found[node.name] = self._of_node(node)

    def of(self, *texts: str) -> Conditions:
        """The conditions under which all of the inputs `texts` arrive; empty where they always do."""
        return frozenset().union(*(self._of_input(text)[1] for text in texts))

    def brings_effects(self, *texts: str) -> bool:
        """Whether one of the inputs `texts` waits for a node that does something beside what it gives."""
        return any(self._body.source(text) in self._after_effects for text in texts)

    def excluding(self, writes: Iterable[str], conditions: Conditions) -> list[str]:
        """Those of the nodes `writes` that cannot have run where the conditions hold: they are on another side."""
        sides = {each.of: each.output for each in conditions if each.kind == "side" and not each.depth}
        return [
            name
            for name in (writes if sides else ())
            if any(sides.get(each.of, each.output) != each.output for each in self.of(name))
        ]

    def _of_input(self, text: str) -> _Place:
        name = self._body.source(text)
        depth, conditions = self._found.get(name, _ALWAYS)
        node = self._body.nodes.get(name)
        # A control input waits for the Switch alone, which always runs.
        if node is None or node.op not in _SWITCHES or text.startswith("^"):
            return depth, conditions
        return depth, conditions | {Condition("side", depth, self._predicate(node), _output(text))}

    def _predicate(self, switch: NodeDef) -> str:
        """The tensor that decides a Switch, the same for all Switches that it is handed to; or the Switch alone."""
        text = switch.input[1]
        for _ in range(len(self._body.nodes)):
            name = self._body.source(text)
            if name in self._unsteady:
                return f"^{switch.name}"
            node = self._body.nodes.get(name)
            if node is None or node.op != "Identity":
                break
            text = node.input[0]
        return text if ":" in text else f"{text}:0"

    def _of_node(self, node: NodeDef) -> _Place:
        waits_for = set(sources(self._body, node))
        inputs = [text for text in node.input if self._body.source(text) in waits_for]
        if node.op in MERGES:
            merged = [self._of_input(text) for text in inputs if not text.startswith("^")]
            controls = [self._of_input(text) for text in inputs if text.startswith("^")]
            common = _merged(node.name, [found for _, found in merged])
            inputs_found = [*((depth, common) for depth, _ in merged[:1]), *controls]
        else:
            inputs_found = [self._of_input(text) for text in inputs]
        depth = max((depth for depth, _ in inputs_found), default=0)
        sets = {found for _, found in inputs_found if found}
        conditions = next(iter(sets)) if len(sets) == 1 else frozenset().union(*sets)
        if is_default(self._body, node) and any(each.kind != "loop" for each in conditions):
            # Where it is fed it runs, whatever becomes of its default.
            loops = frozenset(each for each in conditions if each.kind == "loop")
            conditions = loops | {Condition("merge", 0, node.name)}
        if node.op in ENTERS:
            return depth + 1, conditions | {Condition("loop", depth + 1, node.attr["frame_name"].s)}
        if node.op in EXITS:
            return max(0, depth - 1), frozenset(each for each in conditions if each.depth < depth)
        return depth, conditions


def _following(body: Body, acts: Callable[[Any], bool]) -> set[str]:
    """The nodes that act, and all that come after one."""
    found = {node.name for node in body.nodes.values() if acts(node)}
    waiting = list(found)
    while waiting:
        for node in body.dependents.get(waiting.pop(), ()):
            if node.name not in found:
                found.add(node.name)
                waiting.append(node.name)
    return found


def _merged(name: str, found: list[Conditions]) -> Conditions:
    """The conditions of a Merge: what all its inputs have, if these are the sides of one cond or the rounds of a loop.

    Else all of them may fail to arrive, and so the Merge has a condition of its own.
    """
    common = frozenset.intersection(*found) if found else frozenset()
    sides = [each - common for each in found]
    if all(not side for side in sides):
        return common
    is_cond = all(len(side) == 1 and next(iter(side)).kind == "side" for side in sides)
    decided = {next(iter(side))[1:3] for side in sides if side}
    outputs = {next(iter(side)).output for side in sides if side and is_cond}
    if is_cond and len(decided) == 1 and outputs == {"0", "1"}:
        return common
    return common | {Condition("merge", 0, name)}


def _output(text: str) -> str:
    """The output of a Switch that an input names, the same in a graph and in a function."""
    tail = text.partition(":")[2]
    return {"": "0", "output_false:0": "0", "output_true:0": "1"}.get(tail, tail)


def _in_written_memory(body: Body) -> set[str]:
    """The nodes whose outputs may lie in the memory of a reference variable that the body writes to."""
    written = {body.origin(node.input[0]) for node in body.nodes.values() if node.op in REF_WRITES and node.input}
    waiting = [name for name in written if name in body.nodes]
    found = set(waiting)
    while waiting:
        for node, position in body.consumers[waiting.pop()]:
            if node.name not in found and (node.op in REF_WRITES or shares(node, position)):
                found.add(node.name)
                waiting.append(node.name)
    return found
