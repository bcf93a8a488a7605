"""The devices of a graph's nodes: those that a frozen graph is to have, and none where it is run here."""

from typing import Any

from permafrost.graph.protos import GraphDef, NodeDef
from permafrost.outcome import Problem


def clear(graph_def: GraphDef) -> None:
    """Takes the devices from all nodes, in functions too, in place.

    A session places nodes elsewhere that ask for a device which the machine lacks, if it is told to, but not those that
    ask for another machine.
    """
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        for node in nodes:
            node.device = ""


def check(nodes: dict[str, NodeDef], frozen: Any, are_cleared: bool) -> None:
    """Compares the devices of a frozen GraphDef's nodes with those of the meta graph's; functions keep theirs.

    Args:
      nodes: name -> NodeDef of the meta graph, its inputs cut. What has another op there may have lost its device:
        TensorFlow's own conversion of variables takes it.
      are_cleared: whether the frozen graph is to have no devices.
    Raises Problem (structure_differs) naming the first node that is on another device.
    """
    for node in frozen.node:
        before = nodes.get(node.name)
        wanted = "" if are_cleared or before is None else before.device
        if node.device != wanted and (node.device or (before is not None and before.op == node.op)):
            raise Problem(
                "structure_differs",
                f"node {node.name!r} ({node.op}) of the frozen graph is on the device {node.device!r} instead of "
                f"{wanted!r}",
            )
