"""Writes to variables on the way to the outputs: replaced by the values that they write.

A constant cannot be written. What is right, for the first run after a restore, which is what a frozen graph stands
for: a write that nobody looks at is nothing, and whoever reads the variable after a write, by the graph's own order,
reads the value written. Where the order is left open, or a loop writes, there is no right answer and it is refused.
"""

from collections.abc import Callable

from permafrost.bodies import Body, controls
from permafrost.contract import Problem
from permafrost.readers import READERS

REF_WRITES = {"Assign": "Identity", "AssignAdd": "Add", "AssignSub": "Sub"}
RESOURCE_WRITES = {"AssignVariableOp": "Identity", "AssignAddVariableOp": "Add", "AssignSubVariableOp": "Sub"}
_TWINS = REF_WRITES | RESOURCE_WRITES
_OUTPUTS = {"Identity": "output", "Add": "z", "Sub": "z"}
_STRAIGHT, _CONDITIONAL, _LOOP = 0, 1, 2


def settle(body: Body, variables: set[str], written_by_call: Callable[[object], set[int]]) -> list[dict]:
    """Replaces, in place, the writes to `variables` and what reads them afterwards; returns the repairs made.

    Args:
      variables: the variable nodes, or the arguments, that become constants.
      written_by_call: gives the inputs by which a node that calls functions writes variables.
    Raises Problem (unsupported_op) naming the node where the value read depends on more than the order of the graph.
    """
    writes, calls = [], []
    for node in body.nodes.values():
        if node.op in _TWINS:
            if node.input and body.origin(node.input[0]) in variables:
                writes.append(node)
        else:
            calls += [(node, position) for position in written_by_call(node)]
    if not writes and not calls:
        return []
    reached = {node.name: _reached(body, node) for node in [*writes, *(node for node, _ in calls)]}
    of = {node.name: body.origin(node.input[0]) for node in writes}
    _refuse_reads_after_calls(body, calls, variables, reached)

    observed: dict[str, None] = {}
    redirected = []
    repairs = []
    for node in list(body.nodes.values()):
        for position in _reads(body, node):
            before = [w for w in writes if w is not node and of[w.name] == body.origin(node.input[position])]
            last = _last(node, before, reached, repairs)
            if last is not None and body.source(node.input[position]) != last.name:
                observed[last.name] = None
                redirected.append((node, position, last))
    _refuse_aliases(body, writes, of, reached, {node.name for node, _, _ in redirected})
    for node, position, last in redirected:
        twin = _TWINS[last.op]
        if node.op in READERS:
            READERS[node.op][0](body, node, _dtype(last))
        node.input[position] = body.reference(last.name, _OUTPUTS[twin])
        repairs.append({"repair": f"reads what {last.name} writes", "node": body.place(node)})
    for node in writes:
        before = node.op
        _replace(body, node, node.name in observed)
        repairs.append({"repair": f"{before} -> {node.op}", "node": body.place(node)})
    return repairs


def _dtype(write) -> int:
    return write.attr["T" if write.op in REF_WRITES else "dtype"].type


def _reads(body: Body, node) -> list[int]:
    """The inputs of a node by which it takes a variable's value."""
    if node.op in RESOURCE_WRITES:
        return [0] if node.op != "AssignVariableOp" else []
    if node.op in READERS:
        return [0] if node.op not in ("VariableShape", "VarIsInitializedOp") and node.input else []
    if node.op == "IsVariableInitialized":
        return []
    # Whoever takes a reference reads it; Identity and its like take handles, too, and then read nothing.
    return [
        position
        for position, text in enumerate(node.input)
        if not text.startswith("^")
        and _is_reference(body, body.source(text))
        and not (node.op == "Assign" and position == 0)
    ]


def _is_reference(body: Body, name: str) -> bool:
    return name in body.nodes and body.nodes[name].op in ("Variable", "VariableV2")


def _reached(body: Body, start) -> dict[str, int]:
    """Node -> how it comes after `start`: always, only on one side of a cond, or in a loop, maybe in another round."""
    found: dict[str, int] = {}
    conditional, looping = _is_inside(body, start, "Switch", "Merge"), _is_inside(body, start, "Enter", "Exit")
    waiting = [(node, _LOOP if looping else _STRAIGHT) for node in body.dependents.get(start.name, ())]
    while waiting:
        node, how = waiting.pop()
        if conditional and node.op == "Merge":
            how = max(how, _CONDITIONAL)
        if found.get(node.name, _LOOP + 1) <= how:
            continue
        found[node.name] = how
        waiting.extend((dependent, how) for dependent in body.dependents.get(node.name, ()))
    return found


def _is_inside(body: Body, node, begin: str, end: str) -> bool:
    """Whether a node is behind a `begin` and before its `end`: Switch and Merge are a branch, Enter and Exit a loop."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        for text in node.input:
            source = body.nodes.get(body.source(text))
            if source is None or source.name in seen or source.op == end:
                continue
            if source.op == begin:
                return True
            seen.add(source.name)
            waiting.append(source)
    return False


def _last(node, writes: list, reached: dict, repairs: list[dict]):
    """The write whose value `node` finds in the variable, or None where it finds what was restored."""
    for write in writes:
        how = reached[write.name].get(node.name)
        if how == _LOOP:
            raise Problem(
                "unsupported_op",
                f"node {node.name!r} ({node.op}) reads what {write.name!r} writes in a loop",
            )
        if how == _CONDITIONAL:
            repairs.append({"repair": f"does not see what {write.name} may have written", "node": node.name})
    before = [write for write in writes if reached[write.name].get(node.name) == _STRAIGHT]
    last = [w for w in before if not any(reached[w.name].get(other.name) == _STRAIGHT for other in before)]
    if len(last) > 1:
        names = " and ".join(repr(write.name) for write in last[:2])
        raise Problem("unsupported_op", f"node {node.name!r} ({node.op}) reads what {names} write, in no certain order")
    return last[0] if last else None


def _refuse_reads_after_calls(body: Body, calls: list, variables: set[str], reached: dict) -> None:
    for call, position in calls:
        variable = body.origin(call.input[position])
        if variable not in variables:
            continue
        for name in reached[call.name]:
            node = body.nodes[name]
            if any(body.origin(node.input[k]) == variable for k in _reads(body, node)):
                raise Problem(
                    "unsupported_op",
                    f"node {name!r} ({node.op}) reads variable {variable!r} after a function that {call.name!r} calls "
                    "wrote it",
                )


def _refuse_aliases(body: Body, writes: list, of: dict, reached: dict, redirected: set[str]) -> None:
    """An Identity of a reference shares the variable's memory: whoever takes it after a write may see either value."""
    for variable in set(of.values()):
        if not _is_reference(body, variable):
            continue
        aliases = [
            node for node, _ in body.consumers[variable] if node.op == "Identity" and node.name not in redirected
        ]
        for alias in aliases:
            aliases += [node for node, _ in body.consumers[alias.name] if node.op == "Identity"]
            for node, _ in body.consumers[alias.name]:
                for write in writes:
                    if of[write.name] == variable and reached[write.name].get(node.name) == _STRAIGHT:
                        raise Problem(
                            "unsupported_op",
                            f"node {node.name!r} ({node.op}) takes what {alias.name!r} reads, and runs after "
                            f"{write.name!r} wrote to the same memory",
                        )


def _replace(body: Body, node, observed: bool) -> None:
    op, dtype = node.op, _dtype(node)
    if op in RESOURCE_WRITES and not observed:
        body.rewrite(node, "NoOp", controls(node))
        return
    twin = _TWINS[op]
    inputs = [node.input[1]] if twin == "Identity" else list(node.input[:2])
    body.rewrite(node, twin, [*inputs, *controls(node)])
    node.attr["T"].type = dtype
