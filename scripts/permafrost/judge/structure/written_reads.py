"""The judge's own word on what each read of a written variable must take: derived again, from the meta graph alone.

A node that runs after a write, by the graph's own order, finds what was written; whoever holds a tensor in a reference
variable's memory finds it there, too. What a node finds only on one side of a cond, in some round of a loop, or after a
function that writes, no node of a frozen graph can give.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Literal

from permafrost.flow.body import PASSING, Body
from permafrost.flow.branches import Conditions
from permafrost.flow.orders import Order
from permafrost.flow.sharing import COPYING
from permafrost.graph.calls import called_functions
from permafrost.graph.protos import FunctionDef, NodeDef
from permafrost.judge.structure import permitted, scattered
from permafrost.outcome import Problem

REFERENCE_WRITES = ("Assign", "AssignAdd", "AssignSub", *scattered.REFERENCE_SCATTERS)
HANDLE_WRITES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", *scattered.HANDLE_SCATTERS)
_OVERWRITES = ("Assign", "AssignVariableOp")
_MOST_WAYS = 100_000
_HANDLE_READERS = (
    "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "AssignAddVariableOp",
    "AssignSubVariableOp", *scattered.HANDLE_SCATTERS,
)  # fmt: skip
_LOOKS_AT_NO_VALUE = ("IsVariableInitialized", "VarIsInitializedOp")
_KEEPS_TENSORS = (
    "Queue", "Stack", "Stage", "Map", "OrderedMap", "Barrier", "GetSession", "AssignVariable", "TensorArray",
    "MakeIterator", "TensorDataset", "TensorSliceDataset", "Accumulator",
)  # fmt: skip

Taker = tuple[NodeDef, str]  # a node, and its input that takes a value


def find_writers(body: Body, functions: dict[str, FunctionDef]) -> dict[str, set[str]]:
    """Variable or argument -> the nodes of a body that write it, by themselves or by a function that they call.

    Args:
      functions: the library's FunctionDefs by name.
    """
    found: dict[str, set[str]] = defaultdict(set)
    known: dict[str, set[int]] = {}
    for node in body.nodes.values():
        for text in _written(node, functions, known):
            found[body.origin(text)].add(node.name)
    return found


def _written(node: NodeDef, functions: dict[str, FunctionDef], known: dict[str, set[int]]) -> list[str]:
    """The inputs by which a node writes variables; `known` has the arguments that functions write, by their names."""
    data = [text for text in node.input if not text.startswith("^")]
    if node.op in (*REFERENCE_WRITES, *HANDLE_WRITES):
        return data[:1]
    if node.op not in permitted.CALLS:
        return []
    first, _ = permitted.CALLS[node.op]
    inner = [_written_arguments(name, functions, known) for name in called_functions(node)]
    return [text for index, text in enumerate(data) if index - first in set().union(*inner)]


def _written_arguments(name: str, functions: dict[str, FunctionDef], known: dict[str, set[int]]) -> set[int]:
    function = functions.get(name)
    if function is None or name in known:
        return known.get(name, set())
    known[name] = set()  # A function that calls itself, which TensorFlow does not run, adds nothing.
    body = Body(function.node_def, function)
    written = [text for node in function.node_def for text in _written(node, functions, known)]
    known[name] = {body.arguments[origin] for text in written if (origin := body.origin(text)) in body.arguments}
    return known[name]


def find_takers(body: Body) -> dict[str, list[Taker]]:
    """Variable or argument -> each that takes its value by its handle."""
    found = defaultdict(list)
    for node in body.nodes.values():
        data = [text for text in node.input if not text.startswith("^")]
        if node.op in _HANDLE_READERS:
            data = data[:1]
        elif node.op not in permitted.CALLS:
            data = []
        for text in data:
            found[body.origin(text)].append((node, text))
    return found


class WrittenReads:
    """What the reads in one body must take.

    expected: (node, input before) -> the input after, where that is another. observed: the writes whose value is
    taken. written: the variables that something writes to.
    Args:
      before: the meta graph's body, with the nodes alone that run.
      variables: the variables, or arguments, that are values now, or that are only overwritten.
      references: those of the meta graph's variables that have memory which is shared.
      place: of the body, for the conditions under which its nodes run.
      functions: the library's functions by name.
      fetched: names of the output nodes or tensors.
    Raises Problem (structure_differs) where the value that a node finds cannot be told.
    """

    def __init__(
        self,
        before: Body,
        variables: Collection[str],
        references: Collection[str],
        place: permitted.Place,
        functions: dict[str, FunctionDef],
        fetched: list[str],
    ):
        self._body, self._place = before, place
        self.expected: dict[tuple[str, str], str] = {}
        self.observed: set[str] = set()
        found = find_writers(before, functions)
        self._writers = {variable: writers for variable, writers in found.items() if variable in variables}
        self.written = set(self._writers)
        if not self._writers:
            return
        self._order = Order(before, {name for writers in self._writers.values() for name in writers})
        self._in_rounds = self._order.set_of(self._order.looping)
        takers = find_takers(before)
        for variable, writers in self._writers.items():
            every = self._order.set_of(writers)
            if variable in references:
                self._check_reference(variable, writers, every, fetched)
            else:
                self._check_handle(takers[variable], every)

    def _finds(self, node: NodeDef, every: int, came_by: Conditions = frozenset()) -> str | None:
        """The one of the writes `every` that a node finds in the variable, None where it finds what was restored.

        Args:
          came_by: the conditions under which what it looks at has come to it.
        """
        order, branches = self._order, self._place.branches
        conditions = came_by | branches.of(node.name)
        elsewhere = branches.excluding(order.names(every), conditions) if conditions else []
        others = every & ~order.set_of([node.name, *elsewhere])
        before = order.possible[node.name] & others
        in_doubt = before & ~order.certain[node.name] | before & self._in_rounds
        in_doubt |= others & self._in_rounds if node.name in order.looping else 0
        if in_doubt:
            raise self._differs(node, f"may find what {next(order.names(in_doubt))!r} writes, or not")
        if not before:
            return None
        last = order.last(before)
        if before & ~order.set_of([last]) & ~order.possible[last]:
            raise self._differs(node, "finds what one of several writes left, in no certain order")
        if self._body.nodes[last].op in permitted.CALLS:
            raise self._differs(node, f"finds what a function that {last!r} calls writes")
        return last

    def _differs(self, node: NodeDef, how: str) -> Problem:
        return Problem("structure_differs", f"node {self._body.place(node)!r} ({node.op}) {how}")

    def _expect(self, node: NodeDef, text: str, write: str) -> None:
        rest = [t for t in node.input if t != text]
        if node.op.startswith("Re") and node.op not in HANDLE_WRITES and not self._place.needs_controls(node):
            rest = [t for t in rest if not t.startswith("^")]
        is_elsewhere = self._place.loops_of(text) != self._place.loops_of(write)
        if node.op in permitted.CALLS or is_elsewhere or not self._place.runs_by([text, *rest], [write, *rest]):
            raise self._differs(node, f"finds what {write!r} writes, by way of a cond, a loop or a function")
        op = {"AssignAdd": "z", "AssignSub": "z"}.get(self._body.nodes[write].op.removesuffix("VariableOp"), "output")
        self.expected[node.name, text] = self._body.reference(write, op)
        self.observed.add(write)

    def _check_handle(self, takers: list[Taker], every: int) -> None:
        for node, text in takers:
            write = self._finds(node, every)
            if write is not None:
                self._expect(node, text, write)

    def _check_reference(self, variable: str, writers: set[str], every: int, fetched: list[str]) -> None:
        """Follows the variable's memory through all that may share it; who looks at it must find what it holds."""
        branches = self._place.branches
        predicates = {side.of for name in writers for side in branches.of(name)}
        waiting: list[tuple[NodeDef, int, str | None, Conditions]] = []
        for node, position in self._body.consumers[variable]:
            is_place = position == 0 and node.op in REFERENCE_WRITES
            write = None
            if node.op not in _LOOKS_AT_NO_VALUE and not (is_place and node.op in _OVERWRITES):
                write = self._finds(node, every)
            if write is not None:
                self._expect(node, node.input[position], write)
            waiting.append((node, position, write, self._sides(node.input[position], predicates)))
        holds: dict[str, set[str | None]] = defaultdict(set, {variable: {None}})
        done = set()
        while waiting:
            node, position, held, came_by = waiting.pop()
            after = self._held_after(node, position, held, writers)
            if after is False or (node.name, after, came_by) in done:
                continue
            done.add((node.name, after, came_by))
            if len(done) > _MOST_WAYS:
                raise self._differs(node, "is one of too many that share a variable's memory")
            holds[node.name].add(after)
            for consumer, at in self._body.consumers[node.name]:
                sides = came_by | self._sides(consumer.input[at], predicates)
                self._check_holder(consumer, at, after, every, sides)
                waiting.append((consumer, at, after, sides))
        for name in {text.partition(":")[0] for text in fetched} & holds.keys():
            self._check_output(name, holds[name], every)

    def _sides(self, text: str, predicates: set[str | bytes]) -> Conditions:
        """The conditions that an input brings with it and that tell which of the writers can have run."""
        return frozenset(side for side in self._place.branches.of(text) if side.of in predicates)

    @staticmethod
    def _held_after(node: NodeDef, position: int, held: str | None, writers: set[str]) -> str | None | Literal[False]:
        """The write whose value the node's outputs hold, in the variable's memory; False where they lie elsewhere."""
        if position == 0 and node.name in writers:
            return str(node.name)
        if node.op in COPYING or (position and node.op in (*REFERENCE_WRITES, *PASSING, "RefSwitch")):
            return False
        return held

    def _check_holder(self, node: NodeDef, position: int, held: str | None, every: int, came_by: Conditions) -> None:
        if position == 0 and node.op == "Assign":
            return
        late = node.op.startswith(_KEEPS_TENSORS) and every & ~self._order.possible[node.name]
        if late or self._finds(node, every, came_by) != held:
            raise self._differs(node, "shares a variable's memory, in which it finds another value than the graph says")

    def _check_output(self, name: str, holds: set[str | None], every: int) -> None:
        """An output in a variable's memory shows what the last write of the run leaves there."""
        order = self._order
        last = order.last(every)
        ran = order.certain.get(name, 0) | order.set_of([name])
        if holds != {last} or every & ~order.set_of([last]) & ~order.possible[last] or not ran & order.set_of([last]):
            raise Problem(
                "structure_differs", f"output {name!r} shares a variable's memory, to which the same run writes later"
            )
