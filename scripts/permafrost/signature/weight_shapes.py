"""The shape of the weight that an op takes, which fixes the dimensions of what else it takes."""

from collections.abc import Mapping

from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import NodeDef
from permafrost.graph.static import constant, output_shape

SHAPE_KEEPING = {"Identity", "Cast", "CheckNumerics", "StopGradient", "Enter", "RefEnter", "Snapshot"}
_READS = {*SHAPE_KEEPING, "ReadVariableOp", "Switch", "RefSwitch"}


def weight_shape(index: GraphIndex, node: NodeDef | None, variable_shapes: Mapping[str, list[int]]) -> list[int] | None:
    """The shape of the variable or constant that a node is or reads, seen through the ops that read it.

    Args:
      variable_shapes: variable node -> shape.
    Returns what another node declares of its output, or None where nothing tells.
    """
    for _ in range(8):
        if node is None:
            return None
        if node.name in variable_shapes:
            return list(variable_shapes[node.name])
        if (value := constant(node)) is not None:
            return list(value.shape)
        if node.op not in _READS:
            declared = output_shape(node)
            return list(declared) if declared else None
        node = index.source_of(node, 0)
    return None
