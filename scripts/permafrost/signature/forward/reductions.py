"""Single numbers that are made of larger tensors."""

from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import NodeDef
from permafrost.graph.static import constant, element_count, output_shape
from permafrost.signature.forward.marks import REDUCTIONS


def single_numbers(index: GraphIndex) -> set[str]:
    """The single numbers that were made of tensors of more elements, and the single numbers computed from them."""
    scalar: set[str] = set()
    reduced: set[str] = set()
    for name, node in index.nodes.items():
        sources, size = [source for source, _ in index.inputs[name]], _size(node)
        is_whole = size == 1 or (index.ops[name] in REDUCTIONS and _reduces_all(index, node))
        if is_whole or (not size and sources and scalar.issuperset(sources)):
            scalar.add(name)
            if (is_whole and sources and sources[0] not in scalar) or not reduced.isdisjoint(sources):
                reduced.add(name)
    return reduced


def _size(node: NodeDef) -> int | None:
    """The number of elements of a node's first output, also where a constant alone tells it; else None or 0."""
    size = _declared_size(node)
    if node.op != "Const" or size:
        return size
    value = constant(node)
    return value.size if value is not None else None


def _declared_size(node: NodeDef) -> int | None:
    """The number of elements of a node's first output, where the meta graph tells all its dimensions; else None."""
    return element_count(output_shape(node))


def _reduces_all(index: GraphIndex, node: NodeDef) -> bool:
    size, inputs = _declared_size(node), index.inputs_of(node)
    if size is not None:
        return size == 1
    if node.op == "L2Loss":
        return True
    axes = index.nodes.get(inputs[1][0]) if len(inputs) > 1 else None
    if axes is None or axes.op == "Range":
        return axes is not None
    value = constant(axes)
    return value is not None and value.ndim == 1 and value.tolist() == list(range(value.size))
