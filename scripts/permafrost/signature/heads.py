"""What goes into the heads of a model: an ArgMax, a Softmax or another op that hides what comes before it."""

from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.signature.forward.marks import HEADS, STRUCTURAL


def before_heads(index: GraphIndex, outputs: list[str], fed: set[str]) -> dict[str, str]:
    """The tensors that heads take -> the output, as far as only reshaping and further heads lie between the two.

    Args:
      outputs: tensors. fed: those that are fed, beyond which nothing is looked for.
    """
    found: dict[str, str] = {}
    waiting = [(name, name) for name in outputs if name not in fed]
    seen = set(outputs)
    while waiting:
        name, output = waiting.pop(0)
        node = index.nodes.get(tensor_name(name)[0])
        if node is None or not (node.op in HEADS or node.op in STRUCTURAL):
            continue
        sources = index.inputs_of(node)
        for source, number in sources[:1] if node.op in HEADS else sources:
            tensor = f"{source}:{number}"
            if source not in index.nodes or tensor in fed or index.nodes[source].op in (*VARIABLE_OPS, "Const"):
                continue
            if node.op in HEADS:
                found.setdefault(tensor, output)
            if tensor not in seen:
                seen.add(tensor)
                waiting.append((tensor, output))
    return found
