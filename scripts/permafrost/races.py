"""Graphs that read and write a variable in no order: reads come first, in the checkpoint's graph as in the frozen one.

A batch normalisation written by hand often updates its averages in every run, beside a cond that reads them. TensorFlow
then gives what its threads make of it, maybe another value from run to run. Any order is allowed; this one is what the
program meant, and always gives the same. A reference variable is left as it is where any read of its memory follows a
write: a copy would hide what the graph itself does there. Reads by a handle are copies in any case.
"""

from permafrost.bodies import Body
from permafrost.orders import Order, first_in_cycle
from permafrost.protos import types_pb2
from permafrost.sharing import COPYING, REF_WRITES, shares
from permafrost.written_reads import find_takers, find_writers

_PASSING_REFERENCES = ("RefEnter", "RefExit", "RefIdentity", "RefMerge", "RefNextIteration", "RefSwitch")
# Those that DeepCopy has a kernel for, see inplace_ops.cc in tensorflow/core/kernels.
_COPIED = {types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_HALF, types_pb2.DT_INT32, types_pb2.DT_INT64}


def reads_first(graph_def, running: set[str]) -> list[str]:
    """Has each read of a variable that the same run writes, in no order with it, come before the write.

    Args:
      graph_def: changed in place.
      running: the nodes that a run executes.
    Returns the names of the reads that now come before a write, sorted; empty where nothing was changed.
    """
    body = Body([node for node in graph_def.node if node.name in running])
    writers = find_writers(body, {function.signature.name: function for function in graph_def.library.function})
    writers = {variable: names for variable, names in writers.items() if variable in body.nodes}
    if not writers:
        return []
    order = Order(body, {name for names in writers.values() for name in names})
    takers, copies, later = find_takers(body), set(), {}
    for variable, names in writers.items():
        every = order.set_of(names)
        if body.nodes[variable].op == "VarHandleOp":
            reads = [node for node, _ in takers[variable]]
        elif (reads := _reads_of_memory(body, order, variable, every)) is None:
            continue
        else:
            copies |= {node.name for node in reads if node.op == "Identity"}
        for node in reads:
            loose = every & ~order.possible[node.name] & ~order.following[node.name] & ~order.set_of([node.name])
            if node.name not in order.looping and loose:
                later[node.name] = later.get(node.name, 0) | loose
    if first_in_cycle(body, order, later):
        return []
    return _change(body, order, copies, later)


def _reads_of_memory(body: Body, order: Order, variable: str, every: int) -> list | None:
    """The nodes that take a reference variable itself; None where no copy in their place gives what the graph gives."""
    if body.nodes[variable].attr["dtype"].type not in _COPIED:
        return None
    reads, has_race = [], False
    waiting, seen = list(body.consumers[variable]), set()
    while waiting:
        node, position = waiting.pop()
        if (node.name, position) in seen:
            continue
        seen.add((node.name, position))
        if order.possible[node.name] & every:
            return None
        has_race |= bool(every & ~order.following[node.name] & ~order.set_of([node.name]))
        is_read = body.source(node.input[position]) == variable and node.op not in (*REF_WRITES, *_PASSING_REFERENCES)
        if is_read and node.op != "Identity" and node.op not in COPYING:
            return None
        reads += [node] if is_read else []
        if node.op in REF_WRITES or shares(node, position):
            waiting += body.consumers[node.name]
    return reads if has_race else []


def _change(body: Body, order: Order, copies: set[str], later: dict[str, int]) -> list[str]:
    for name in copies:
        body.nodes[name].op = "DeepCopy"
    for name, writes in later.items():
        for write in order.names(writes):
            body.nodes[write].input.append(f"^{name}")
    return sorted(copies | later.keys())
