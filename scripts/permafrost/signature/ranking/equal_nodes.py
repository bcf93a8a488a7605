"""Nodes that have the same value: what hands one on, and what computes it again, as a loop of a program makes it."""

from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.registry import registered
from permafrost.signature.ranking.anatomy import Anatomy

_HANDING_ON = {"Identity", "StopGradient", "CheckNumerics", "ReadVariableOp", "IdentityN"}
_LONGEST_CHAIN = 30
_LARGEST_CONSTANT = 1 << 10  # bytes of one whose value is compared
# Their value is more than what their inputs tell: a loop's comes back to it.
_OF_LOOPS = {"Merge", "RefMerge", "Enter", "RefEnter"}


def value_of(index: GraphIndex, name: str) -> str:
    """The node whose value a node hands on as it is; itself where it hands on none."""
    for _ in range(_LONGEST_CHAIN):
        if index.ops.get(name) not in _HANDING_ON or not index.inputs[name]:
            break
        name = index.inputs[name][0][0]
    return name


def first_equals(anatomy: Anatomy, names: list[str]) -> dict[str, str]:
    """Candidate -> the first that is the same op of the same inputs with the same attributes; itself where it is that.

    Args:
      names: the candidates, in graph order.
    """
    nodes, wanted = anatomy.index.nodes, set(names)
    first: dict[tuple[object, ...], str] = {}
    found = dict(zip(names, names, strict=True))
    for name in anatomy.order:
        definition = registered(anatomy.ops[name]) if name in wanted else None
        if definition is not None and not definition.is_stateful and definition.name not in _OF_LOOPS:
            node = nodes[name]
            inputs = tuple(_input(anatomy, found, source, output) for source, output in anatomy.inputs[name])
            attributes = tuple((key, node.attr[key].SerializeToString()) for key in sorted(node.attr) if key[0] != "_")
            found[name] = first.setdefault((node.op, inputs, attributes), name)
    return found


def _input(anatomy: Anatomy, found: dict[str, str], source: str, output: int) -> object:
    """What tells the value of an input: the content of a small constant, else the first tensor that is equal."""
    node = anatomy.index.nodes.get(source)
    if node is not None and node.op == "Const" and node.ByteSize() <= _LARGEST_CONSTANT:
        return node.attr["value"].SerializeToString()
    value = value_of(anatomy.index, source)
    return found.get(value, value), output
