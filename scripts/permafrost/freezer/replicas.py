"""What a graph for a TPU has for one replica, as the ops that do the same anywhere else.

A TPU's compiler gives each of several replicas an input of its own, and takes an output of each. Of one replica there
is one of each, and nothing is left to do. No kernel of TensorFlow runs these ops: they are there for that compiler.
"""

from typing import Any

from permafrost.flow.body import Body, controls
from permafrost.graph.protos import GraphDef, NodeDef
from permafrost.records import Repair

# Op -> the attribute that counts the replicas.
REPLICATED = {"TPUReplicatedInput": "N", "TPUReplicatedOutput": "num_replicas"}
_WAITED_FOR = ("TPUReplicateMetadata", "TPUCompilationResult")


def resolve(graph_def: GraphDef) -> list[Repair]:
    """Makes such ops, in place, an Identity, or a NoOp where others only wait for them; returns the repairs.

    What stands for several replicas, or gives a value that only the compiler knows, stays as it is.
    """
    if not any(_concerns(node) for node in graph_def.node) and not graph_def.library.function:
        return []
    bodies = [Body(graph_def.node)]
    bodies += [Body(f.node_def, f) for f in graph_def.library.function if any(map(_concerns, f.node_def))]
    return [repair for body in bodies for node in body.container if (repair := _resolved(body, node))]


def _concerns(node: NodeDef) -> bool:
    return node.op in REPLICATED or node.op in _WAITED_FOR


def _resolved(body: Body, node: Any) -> Repair | None:
    before = node.op
    if before in REPLICATED and replicas(node) == 1:
        kept = node.attr["T"].type
        body.rename_output(node.name, "outputs", "output")
        body.rewrite(node, "Identity", list(node.input), ("_class", "_output_shapes"))
        node.attr["T"].type = kept
    elif before in _WAITED_FOR and not body.consumers[node.name]:
        body.rewrite(node, "NoOp", controls(node))
    else:
        return None
    return Repair(f"{before} -> {node.op}", body.place(node))


def replicas(node: NodeDef) -> int:
    """How many replicas a node of one of REPLICATED stands for; 0 where it does not tell."""
    packed = "is_packed" in node.attr and node.attr["is_packed"].b
    key = REPLICATED[node.op]
    data = [text for text in node.input if not text.startswith("^")]
    return 0 if packed or key not in node.attr or len(data) < 1 else int(node.attr[key].i)
