"""The checkpoint's graph, where it was made for a TPU of one replica: what the judge runs in place of its ops.

TensorFlow has no kernel for TPUReplicatedInput and TPUReplicatedOutput: tpu_rewrite_pass.cc takes them out, and hands
the k-th input to the k-th replica, and the output of that on as the k-th. With one of each that is an identity.
TPUReplicateMetadata, which tells that pass how to go about it, and TPUCompilationResult, which tells whether it could,
are nothing but names to wait for.
"""

from collections.abc import Iterable

from permafrost.graph.protos import MetaGraphDef, NodeDef, node_def_pb2


def stand_in(meta_graph: MetaGraphDef) -> None:
    """Replaces such nodes of a MetaGraphDef, in place, in the graph and in its functions."""
    graph_def = meta_graph.graph_def
    _replace(graph_def.node, [])
    for function in graph_def.library.function:
        returned = list(function.ret.values())
        for name in _replace(function.node_def, returned):
            old, new = f"{name}:outputs:", f"{name}:output:"
            for node in function.node_def:
                node.input[:] = [text.replace(old, new) if text.startswith(old) else text for text in node.input]
            for result, text in function.ret.items():
                function.ret[result] = text.replace(old, new) if text.startswith(old) else text


def _replace(nodes: Iterable[NodeDef], returned: list[str]) -> list[str]:
    """Replaces nodes in place; gives the names of those whose output is called otherwise from now on."""
    nodes = list(nodes)
    if not any(node.op.startswith("TPU") for node in nodes):
        return []
    taken = {text.partition(":")[0] for node in nodes for text in node.input if not text.startswith("^")}
    taken |= {text.partition(":")[0] for text in returned}
    renamed = []
    for node in nodes:
        if node.op == "TPUReplicatedInput" and node.attr["N"].i == 1 and not node.attr["is_packed"].b:
            _become(node, "Identity", list(node.input))
        elif node.op == "TPUReplicatedOutput" and node.attr["num_replicas"].i == 1:
            renamed.append(node.name)
            _become(node, "Identity", list(node.input))
        elif node.op in ("TPUReplicateMetadata", "TPUCompilationResult") and node.name not in taken:
            _become(node, "NoOp", [text for text in node.input if text.startswith("^")])
    return renamed


def _become(node: NodeDef, op: str, inputs: list[str]) -> None:
    other = node_def_pb2.NodeDef(name=node.name, op=op, device=node.device, input=inputs)
    kept = ("T", "_class", "_output_shapes") if op == "Identity" else ()
    for key in kept:
        if key in node.attr:
            other.attr[key].CopyFrom(node.attr[key])
    node.CopyFrom(other)
