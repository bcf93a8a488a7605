"""Choices between two tensors by a condition that is the same for all elements."""

from permafrost.exporter.preparation.conditions import View, data
from permafrost.exporter.preparation.draft import Draft
from permafrost.exporter.preparation.parts import rewrite
from permafrost.graph.protos import NodeDef


def take_known_choices(draft: Draft) -> bool:
    """Makes identities of Selects whose condition is known; tells whether there was one.

    Of Select both sides have the shape of the result; SelectV2 broadcasts, so that the other side, and the condition,
    have to be scalars.
    """
    count = 0
    for part in draft.parts:
        view = View(part)
        for node in part.graph_def.node:
            chosen = _chosen(view, node) if node.op in ("Select", "SelectV2") else ""
            if chosen:
                rewrite(node, "Identity", [chosen], T=node.attr["T"].type)
                count += 1
    draft.count("choice that is always the same", count)
    return bool(count)


def _chosen(view: View, node: NodeDef) -> str:
    condition, yes, no = data(node)
    known = view.known(condition)
    if known is None or known.value is None or known.is_drawn:
        return ""
    chosen, other = (yes, no) if known.value else (no, yes)
    if node.op == "SelectV2":
        beside = view.known(other)
        if not known.is_scalar or beside is None or not beside.is_scalar:
            return ""
    return chosen if view.comes_with([condition, other], chosen) else ""
