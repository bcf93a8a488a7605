"""Writes to variables on the way to the outputs: replaced by the values that they write.

A constant cannot be written. What is right, for the first run after a restore, which is what a frozen graph stands
for: a write that nobody looks at is nothing, and whoever takes the variable's value after a write, by the graph's own
order, takes the value written. Where the order is left open, reads come first, and the row says so. Where the value
depends on a cond, a loop or a called function, there is no right answer without new nodes, and it is refused.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from permafrost.flow.body import PASSING, Body, controls
from permafrost.flow.branches import Branches, Conditions
from permafrost.flow.orders import Order, first_in_cycle
from permafrost.flow.sharing import COPYING
from permafrost.freezer import scatters
from permafrost.freezer.readers import READERS, convert_reader, keeps_controls
from permafrost.freezer.reads import Read, Reads, keeps_tensors
from permafrost.freezer.scatters import SCATTERS
from permafrost.graph.dtypes import DTYPES, QUANTIZED
from permafrost.graph.index import TensorName
from permafrost.graph.ops.variables import REF_WRITES, RESOURCE_WRITES, VARIABLE_OPS, Resource, resource_name
from permafrost.graph.protos import NodeDef
from permafrost.outcome import Problem
from permafrost.records import Repair

_TWINS = REF_WRITES | RESOURCE_WRITES
_OUTPUTS = {"Add": "z", "AddV2": "z", "Sub": "z"}  # Those of the others are called output.
# Add is not there for these, which AddV2 computes with (math_ops.cc in tensorflow/core/ops); nothing for the others.
_UNSIGNED = ("uint16", "uint32", "uint64")


def settle(
    body: Body,
    variables: set[str],
    written_by_call: Callable[[Any], set[int]],
    acts: Callable[[Any], bool],
    fetched: Iterable[str] = (),
) -> list[Repair]:
    """Replaces, in place, the writes to `variables` and what reads them afterwards; returns the repairs made.

    Args:
      variables: the variable nodes, or the arguments, that become constants.
      written_by_call: gives the inputs by which a node that calls functions writes variables.
      acts: tells which nodes do something beside what they give.
      fetched: the tensors that a run of the body gives; none of a function, whose variables are handles.
    Raises Problem (unsupported_op) naming the node where the value read depends on more than the order of the graph.
    """
    writes = {node.name: body.origin(node.input[0]) for node in body.nodes.values() if node.op in _TWINS and node.input}
    writes = {name: variable for name, variable in writes.items() if variable in variables}
    calls = {
        node.name: {body.origin(node.input[position]) for position in positions}
        for node in body.nodes.values()
        if (positions := written_by_call(node))
    }
    calls = {name: written & variables for name, written in calls.items() if written & variables}
    if not writes and not calls:
        return []
    written = dict.fromkeys([*writes.values(), *(variable for of in calls.values() for variable in of)])
    _refuse_twins(body, written)
    settling = _Settling(body, writes, calls, acts)
    for variable in written:
        settling.follow(variable, fetched)
    settling.refuse_impossible()
    return settling.replace()


def _refuse_twins(body: Body, written: Iterable[str]) -> None:
    """Raises Problem (unsupported_op) where another node stands for the memory of a variable that is written to."""
    names: dict[Resource, list[str]] = defaultdict(list)
    for node in body.nodes.values():
        if node.op in VARIABLE_OPS:
            names[resource_name(node)].append(node.name)
    for variable in written:
        twins = names[resource_name(body.nodes[variable])] if variable in body.nodes else []
        if len(twins) > 1:
            raise Problem(
                "unsupported_op",
                f"nodes {twins[0]!r} and {twins[1]!r} are one variable by their shared_name, and it is written to",
            )


class _Settling:
    """What is found of the reads and writes of one body, and then done.

    Args:
      writes: name of each write -> its variable; calls: name of each call that writes -> its variables.
    """

    def __init__(self, body: Body, writes: dict[str, str], calls: dict[str, set[str]], acts: Callable[[NodeDef], bool]):
        self._body, self._writes, self._calls = body, writes, calls
        self._reads, self._branches = Reads(body), Branches(body, acts)
        self._order = Order(body, [*writes, *calls])
        self._looping = self._order.set_of(name for name in (*writes, *calls) if name in self._order.looping)
        self._of: dict[str, int] = defaultdict(int)  # variable -> what writes it
        for name, variable in writes.items():
            self._of[variable] |= self._bit(name)
        for name, variables in calls.items():
            for variable in variables:
                self._of[variable] |= self._bit(name)
        self._redirected: list[tuple[Read, str]] = []
        self._unordered: dict[str, int] = {}  # read -> the writes that it neither precedes nor follows

    def follow(self, variable: str, fetched: Iterable[str]) -> None:
        """Finds what each read of a variable sees. Raises Problem (unsupported_op) where that is not certain."""
        seen: dict[TensorName, str | None] = {}
        for read in self._reads.direct(variable):
            last = self._last(read.node, variable, self._branches.of(read.node.name)) if read.is_taken else None
            seen[read.node.name, read.position] = last
            if last is not None:
                self._redirect(read, last)
            if read.is_taken:
                self._note_unordered(read.node, variable)
        if not self._reads.is_reference(variable):
            return
        held: dict[str, set[str | None]] = defaultdict(set, {variable: {None}})
        for read in self._reads.direct(variable):
            held[read.node.name].add(self._held(read, variable, seen[read.node.name, read.position]))
        sides = {side[:3] for name in self._order.names(self._of[variable]) for side in self._branches.of(name)}

        def relevant(text: str) -> Conditions:
            return frozenset(side for side in self._branches.of(text) if side[:3] in sides)

        for read, write, conditions in self._reads.sharing(
            variable, self._writes, lambda read: seen[read.node.name, read.position], relevant
        ):
            held[read.node.name].add(self._held(read, variable, write))
            if read.is_taken:
                self._check_alias(variable, read, write, conditions)
        for text in fetched:
            self._check_fetch(variable, text, held)

    def _held(self, read: Read, variable: str, write: str | None) -> str | None:
        is_write = read.position == 0 and self._writes.get(read.node.name) == variable
        return read.node.name if is_write else write

    def _last(self, node: NodeDef, variable: str, conditions: Conditions) -> str | None:
        """The write whose value `node` finds under conditions, None where it finds what was restored."""
        order = self._order
        every = self._apart_from(self._of[variable] & ~self._bit(node.name), conditions)
        before = order.possible[node.name] & every
        if looping := (every if node.name in order.looping else before) & self._looping:
            self._refuse(node, looping, "writes in a loop")
        if doubtful := before & ~order.certain[node.name]:
            self._refuse(node, doubtful, "writes on one side of a cond alone, or before a default alone")
        if not before:
            return None
        last = order.last(before)
        if last in self._calls:
            self._refuse(node, self._bit(last), "writes in a function")
        if loose := before & ~self._bit(last) & ~order.possible[last]:
            self._refuse(node, loose | self._bit(last), "write, in no certain order")
        return last

    def _apart_from(self, found: int, conditions: Conditions) -> int:
        """A set of writes without those that do not run under the conditions."""
        excluded = self._branches.excluding(self._order.names(found), conditions) if conditions else []
        return found & ~self._order.set_of(excluded)

    def _bit(self, name: str) -> int:
        return self._order.set_of([name])

    def _refuse(self, node: NodeDef, found: int, how: str) -> None:
        names = " and ".join(repr(name) for name in list(self._order.names(found))[:2])
        raise Problem("unsupported_op", f"node {node.name!r} ({node.op}) reads what {names} {how}")

    def _redirect(self, read: Read, last: str) -> None:
        """Notes that a read takes what a write writes. Raises Problem where it would then run where it did not."""
        node, text = read.node, read.node.input[read.position]
        own = controls(node) if keeps_controls(self._body, self._branches, node) else []
        loops = {each for each in self._branches.of(text) if each[0] == "loop"}
        runs = self._branches.of(text) <= self._branches.of(last, *own) and loops <= self._branches.of(last)
        if not read.is_direct or not runs:
            self._refuse(node, self._bit(last), "writes, by way of a cond, a loop or a function")
        self._redirected.append((read, last))

    def _note_unordered(self, node: NodeDef, variable: str) -> None:
        order = self._order
        loose = self._of[variable] & ~order.possible[node.name] & ~order.following[node.name] & ~self._bit(node.name)
        loose = self._apart_from(loose, self._branches.of(node.name))
        if loose and node.op not in PASSING:
            self._unordered[node.name] = self._unordered.get(node.name, 0) | loose

    def _check_alias(self, variable: str, read: Read, write: str | None, conditions: Conditions) -> None:
        """Raises Problem (unsupported_op) where the memory holds another value by the time that it is looked at."""
        node, every = read.node, self._of[variable]
        later = every & ~self._order.possible[node.name] if keeps_tensors(node.op) else 0
        if self._last(node, variable, conditions | self._branches.of(node.name)) != write or later:
            raise Problem(
                "unsupported_op",
                f"node {node.name!r} ({node.op}) takes {node.input[read.position]!r}, which shares the memory of "
                f"variable {variable!r}, and another value has been or may be written to that",
            )
        self._note_unordered(node, variable)

    def _check_fetch(self, variable: str, text: str, held: dict[str, set[str | None]]) -> None:
        """Raises Problem (unsupported_op) for an output whose memory the last write of the run writes to."""
        name = text.partition(":")[0]
        if name not in held or (name in self._body.nodes and self._body.nodes[name].op in COPYING):
            return
        last = self._order.last(self._of[variable])
        others = self._of[variable] & ~self._bit(last)
        certain = self._order.certain.get(name, 0) | self._bit(name)
        if held[name] != {last} or others & ~self._order.possible[last] or not certain & self._bit(last):
            raise Problem(
                "unsupported_op",
                f"the output {text!r} shares the memory of variable {variable!r}, to which {last!r} writes in the "
                "same run",
            )

    def refuse_impossible(self) -> None:
        """Raises Problem (unsupported_op) where no run can have all reads before the writes that they do not follow."""
        if cycle := first_in_cycle(self._body, self._order, self._unordered):
            node = self._body.nodes[cycle]
            raise Problem(
                "unsupported_op",
                f"node {node.name!r} ({node.op}) reads a variable that is written in no certain order, and no order of "
                "the graph has all such reads before the writes",
            )

    def replace(self) -> list[Repair]:
        """Does what was found, and returns the repairs."""
        repairs = []
        observed = {last for _, last in self._redirected}
        made = {name: self._twin(name, name in observed) for name in self._writes}
        for read, last in self._redirected:
            node = read.node
            if node.op in READERS:
                convert_reader(self._body, self._branches, node, _dtype(self._body.nodes[last]))
            node.input[read.position] = self._body.reference(last, _OUTPUTS.get(made[last], "output"))
            repairs.append(Repair(f"reads what {last} writes", self._body.place(node)))
        for name, loose in self._unordered.items():
            names = list(self._order.names(loose))
            which = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
            place = self._body.place(self._body.nodes[name])
            repairs.append(Repair(f"reads before {which} writes, in no order of the graph", place))
        for name, twin in made.items():
            node, before = self._body.nodes[name], self._body.nodes[name].op
            _replace(self._body, node, twin)
            repairs.append(Repair(f"{before} -> {node.op}", self._body.place(node)))
        return repairs

    def _twin(self, name: str, is_observed: bool) -> str:
        """What a write becomes: the plainest op that gives a value that is taken, and runs where the write ran."""
        node, branches = self._body.nodes[name], self._branches
        own = controls(node)
        if node.op in SCATTERS:
            in_loop = any(each.kind == "loop" for each in branches.of(*node.input))
            scatters.refuse(self._body, node, self._writes[name], in_loop)
            return SCATTERS[node.op]
        variable, value = node.input[:2]
        if node.op in RESOURCE_WRITES and not is_observed:
            if branches.of(variable, value) <= branches.of(*own) and not branches.brings_effects(value):
                return "NoOp"
        elif _TWINS[node.op] != "Identity":
            return _computing(node)
        return "Identity" if branches.of(variable) <= branches.of(value, *own) else "IdentityN"


def _computing(write: NodeDef) -> str:
    """The op that computes what a write adds up or subtracts. Raises Problem (unsupported_op) where there is none."""
    dtype, op = DTYPES.get(_dtype(write)), _TWINS[write.op]
    if dtype and dtype.kind == QUANTIZED:
        raise Problem("unsupported_op", f"node {write.name!r} ({write.op}) computes with {dtype.name}, as {op} cannot")
    return "AddV2" if op == "Add" and dtype and dtype.name in _UNSIGNED else op


def _dtype(write: NodeDef) -> int:
    if write.op in SCATTERS:
        return scatters.dtype_of_write(write)
    return int(write.attr["T" if write.op in REF_WRITES else "dtype"].type)


def _replace(body: Body, node: NodeDef, twin: str) -> None:
    if node.op in SCATTERS:
        scatters.convert(body, node)
        return
    dtype, (variable, value) = _dtype(node), node.input[:2]
    inputs = {"NoOp": [], "Identity": [value], "IdentityN": [value, variable]}.get(twin, [variable, value])
    body.rewrite(node, twin, [*inputs, *controls(node)])
    if twin == "IdentityN":
        node.attr["T"].list.type.extend([dtype, dtype])
    elif twin != "NoOp":
        node.attr["T"].type = dtype
