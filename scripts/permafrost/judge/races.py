"""Graphs that read and write a variable in no order: reads come first, in the checkpoint's graph as in the frozen one.

A batch normalisation written by hand often updates its averages in every run, beside a cond that reads them. TensorFlow
then gives what its threads make of it, maybe another value from run to run. Any order is allowed; this one is what the
program meant, and always gives the same. A reference variable is left as it is where any read of its memory follows a
write: a copy would hide what the graph itself does there. Reads by a handle are copies in any case.
"""

from dataclasses import dataclass, field

from permafrost.flow.body import PASSING, Body
from permafrost.flow.branches import Branches
from permafrost.flow.orders import FED, Order, first_in_cycle
from permafrost.flow.sharing import COPYING, shares
from permafrost.graph.index import Use
from permafrost.graph.ops.variables import REF_WRITES
from permafrost.graph.protos import GraphDef, NodeDef, types_pb2
from permafrost.judge.structure.written_reads import find_takers, find_writers

_PASSING_REFERENCES = ("RefEnter", "RefExit", "RefIdentity", "RefMerge", "RefNextIteration", "RefSwitch")
_CONDITIONAL_CALLS = ("Case", "If", "StatelessCase", "StatelessIf", "StatelessWhile", "While")
# Those that DeepCopy has a kernel for, see inplace_ops.cc in tensorflow/core/kernels.
_COPIED = {types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_HALF, types_pb2.DT_INT32, types_pb2.DT_INT64}


@dataclass(frozen=True)
class Ordered:
    """What was put in an order that the graph leaves open.

    reads: the names of the reads that now come before a write, sorted. races: (name of a node that looks at a variable,
    name of a node that writes it) for each two without an order of which one may run without the other. is_open:
    whether anything is without an order, whether it could be put into one or not. writes: whether a run writes to a
    variable at all.
    """

    reads: list[str] = field(default_factory=list)
    races: list[tuple[str, str]] = field(default_factory=list)
    is_open: bool = False
    writes: bool = False


def reads_first(graph_def: GraphDef, running: set[str]) -> Ordered:
    """Has each read of a variable that the same run writes, in no order with it, come before the write.

    Args:
      graph_def: changed in place.
      running: the nodes that a run executes.
    """
    body = Body([node for node in graph_def.node if node.name in running])
    writers = find_writers(body, {function.signature.name: function for function in graph_def.library.function})
    writers = {variable: names for variable, names in writers.items() if variable in body.nodes}
    if not writers:
        return Ordered()
    order = Order(body, {name for names in writers.values() for name in names})
    branches, takers, copies = Branches(body), find_takers(body), set()
    later: dict[str, int] = {}
    lookers: dict[str, int] = {}

    def loose_of(name: str, every: int) -> int:
        loose = _loose(order, name, every)
        return loose & ~order.set_of(branches.excluding(order.names(loose), branches.of(name)))

    for variable, names in writers.items():
        every = order.set_of(names)
        is_handle = body.nodes[variable].op == "VarHandleOp"
        memory = [] if is_handle else _memory(body, variable)
        looking = [node for node, _ in (takers[variable] if is_handle else memory)]
        looking = [node for node in looking if node.op not in (*PASSING, *_PASSING_REFERENCES)]
        open_here = {node.name: loose for node in looking if (loose := loose_of(node.name, every))}
        for name, loose in open_here.items():
            lookers[name] = lookers.get(name, 0) | loose
        reads = looking if is_handle else _reads_of_memory(body, order, variable, memory, every)
        copies |= {node.name for node in reads if node.op == "Identity" and open_here}
        for node in reads:
            if node.name not in order.looping and (loose := loose_of(node.name, every)):
                later[node.name] = later.get(node.name, 0) | loose
    races = _one_without_the_other(body, order, branches, lookers)
    if first_in_cycle(body, order, later):
        return Ordered([], races, bool(lookers), True)
    return Ordered(_change(body, order, copies, later), races, bool(lookers), True)


def _loose(order: Order, name: str, every: int) -> int:
    """Those of the writes `every` that a node neither follows nor precedes."""
    return every & ~order.possible[name] & ~order.following[name] & ~order.set_of([name])


def _one_without_the_other(
    body: Body, order: Order, branches: Branches, lookers: dict[str, int]
) -> list[tuple[str, str]]:
    found = []
    for name, loose in lookers.items():
        for write in order.names(loose):
            if branches.of(name, write) or body.nodes[write].op in _CONDITIONAL_CALLS:
                found.append((name, write))
    return found


def _memory(body: Body, variable: str) -> list[Use]:
    """(node, position of its input) of each that takes a reference variable, or what may lie in its memory."""
    waiting, found = list(body.consumers[variable]), {}
    while waiting:
        node, position = waiting.pop()
        if (node.name, position) not in found:
            found[node.name, position] = node, position
            if node.op in REF_WRITES or shares(node, position):
                waiting += body.consumers[node.name]
    return list(found.values())


def _reads_of_memory(body: Body, order: Order, variable: str, memory: list[Use], every: int) -> list[NodeDef]:
    """The nodes that take a reference variable itself; none where no copy in their place gives what the graph gives."""
    direct = [node for node, position in memory if body.source(node.input[position]) == variable]
    reads = [node for node in direct if node.op not in (*REF_WRITES, *_PASSING_REFERENCES)]
    follows = any(order.possible[node.name] & every for node, _ in memory)
    shared = any(node.op != "Identity" and node.op not in COPYING for node in reads)
    return [] if follows or shared or body.nodes[variable].attr["dtype"].type not in _COPIED else reads


def _change(body: Body, order: Order, copies: set[str], later: dict[str, int]) -> list[str]:
    for node in body.nodes.values() if later else ():
        if node.op in FED:
            del node.input[:]  # It is fed and waits for nothing, but might close a cycle now.
    for name in copies:
        body.nodes[name].op = "DeepCopy"
    for name, writes in later.items():
        for write in order.names(writes):
            body.nodes[write].input.append(f"^{name}")
    return sorted(copies | later.keys())
