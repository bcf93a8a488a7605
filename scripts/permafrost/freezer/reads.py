"""Who takes a variable's value: straight from the variable, or later, out of a tensor that shares its memory."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from permafrost.flow.body import Body
from permafrost.flow.branches import Conditions
from permafrost.flow.sharing import shares
from permafrost.freezer.readers import READERS
from permafrost.graph.calls import CALLS
from permafrost.graph.ops.variables import RESOURCE_WRITES
from permafrost.graph.protos import NodeDef
from permafrost.outcome import Problem

_MOST_WAYS = 100_000
_REFERENCES = ("Variable", "VariableV2")
_NO_READERS = ("VarIsInitializedOp", "IsVariableInitialized")  # They look at whether a variable has a value.
# They keep a tensor, to give it back to whoever asks later.
_STORES = (
    "Accumulator", "AssignVariable", "Barrier", "GetSession", "MakeIterator", "Map", "OrderedMap", "Queue", "Stack",
    "Stage", "TensorArray", "TensorDataset", "TensorSliceDataset",
)  # fmt: skip


@dataclass(frozen=True)
class Read:
    """A node, and the position of its input at which a variable's value arrives.

    is_taken: whether it takes the value there; an Assign is only given the place to write to.
    is_direct: whether another value can be put in the place of the variable there.
    """

    node: Any
    position: int
    is_taken: bool = True
    is_direct: bool = True


_Sharing = tuple[NodeDef, int, str | None, Conditions]  # a node, its input, the write that it holds, and when


class Reads:
    """The reads of the variables of one body, as they are when it is made."""

    def __init__(self, body: Body):
        self._body = body
        self._of_handles: dict[str, list[Read]] = defaultdict(list)
        for node in body.nodes.values():
            if node.op in READERS or node.op in RESOURCE_WRITES or node.op in CALLS:
                self._add(node)

    def _add(self, node: NodeDef) -> None:
        if node.op in CALLS:
            for position, text in enumerate(node.input):
                if not text.startswith("^"):
                    self._of_handles[self._body.origin(text)].append(Read(node, position, is_direct=False))
        elif node.input and node.op not in _NO_READERS:
            taken = node.op != "AssignVariableOp"
            self._of_handles[self._body.origin(node.input[0])].append(Read(node, 0, is_taken=taken))

    def is_reference(self, variable: str) -> bool:
        """Whether a variable is one whose memory its readers share."""
        return variable in self._body.nodes and self._body.nodes[variable].op in _REFERENCES

    def direct(self, variable: str) -> list[Read]:
        """The reads that take the variable itself, or its handle, in the order of the body."""
        if not self.is_reference(variable):
            return self._of_handles[variable]
        return [
            Read(node, position, is_taken=not (node.op == "Assign" and position == 0))
            for node, position in self._body.consumers[variable]
            if node.op not in _NO_READERS
        ]

    def sharing(
        self,
        variable: str,
        written: dict[str, str],
        seen: Callable[[Read], str | None],
        conditions: Callable[[str], Conditions],
    ) -> Iterator[tuple[Read, str | None, Conditions]]:
        """Each read of a tensor that shares the variable's memory: with the write whose value it is taken to hold, and
        the conditions under which it has come there.

        Args:
          written: name of each write -> its variable.
          seen: gives the write whose value a direct read sees, None for what was restored.
          conditions: gives those that an input brings with it, as far as they matter.
        Raises Problem (unsupported_op) where there are too many ways to follow.
        """
        waiting: list[_Sharing] = []
        for read in self.direct(variable):
            brought = conditions(read.node.input[read.position])
            waiting += self._next_reads(variable, written, read.node, read.position, seen(read), brought)
        done = set()
        while waiting:
            node, position, write, before = waiting.pop()
            brought = before | conditions(node.input[position])
            if (node.name, position, write, brought) in done:
                continue
            done.add((node.name, position, write, brought))
            if len(done) > _MOST_WAYS:
                raise Problem("unsupported_op", f"the memory of variable {variable!r} is shared in too many ways")
            yield Read(node, position, not (node.op == "Assign" and position == 0), is_direct=False), write, brought
            waiting += self._next_reads(variable, written, node, position, write, brought)

    def _next_reads(
        self,
        variable: str,
        written: dict[str, str],
        node: NodeDef,
        position: int,
        write: str | None,
        brought: Conditions,
    ) -> list[_Sharing]:
        """What takes the outputs of a node, if they share its input's memory."""
        is_write = position == 0 and written.get(node.name) == variable
        if not is_write and not shares(node, position):
            return []
        hold = node.name if is_write else write
        return [(consumer, at, hold, brought) for consumer, at in self._body.consumers[node.name]]


def keeps_tensors(op: str) -> bool:
    """Whether an op may keep a tensor that it takes, to be asked for by way of a handle."""
    return op.startswith(_STORES) or op.endswith("Dataset")
