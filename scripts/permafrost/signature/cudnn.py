"""Which tensors of a checkpoint hold the weights of a CudnnRNN, that runs on a GPU alone.

The op takes all its weights as one vector, in an order that cuDNN alone knows. The saver of CudnnLSTM and its kin
(tensorflow/contrib/cudnn_rnn) keeps them cell by cell, and Keras's layers have them so in their variables.
"""

from collections.abc import Collection

from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.variables import REF_WRITES, RESOURCE_WRITES
from permafrost.graph.protos import NodeDef

OPS = ("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3")
_PARAMS = 3  # the input that is the vector
_SHOWN = 4
_Point = tuple[str, int]


def told(index: GraphIndex, keys: dict[str, str], saved: Collection[str]) -> dict[str, str]:
    """How a message about each CudnnRNN node begins -> what else to say in it.

    Args:
      keys: variable -> its key in the checkpoint, where it has one.
      saved: the keys of the checkpoint.
    Nodes whose weights the checkpoint does not hold one by one are left out.
    """
    found = {}
    for node in index.graph_def.node:
        if node.op in OPS and (held := _held(index, node, keys, saved)):
            shown = ", ".join(repr(key) for key in held[:_SHOWN])
            more = f" and {len(held) - _SHOWN} more" if held[_SHOWN:] else ""
            found[f"node {node.name!r} has op {node.op},"] = (
                f"; the checkpoint holds its weights cell by cell ({shown}{more}), for a graph with cells that run "
                "on a CPU, such as CudnnCompatibleLSTMCell"
            )
    return found


def _held(index: GraphIndex, node: NodeDef, keys: dict[str, str], saved: Collection[str]) -> list[str]:
    points = index.inputs_of(node)[_PARAMS : _PARAMS + 1]
    above = _above(index, points)
    variables = [name for name, _ in above if name in index.ops and name in keys]
    found = [keys[name] for name in variables if keys[name] in saved]
    opaque = {name for name in variables if not keys[name]}
    for write in index.graph_def.node if opaque else ():
        inputs = index.inputs_of(write) if write.op in (*REF_WRITES, *RESOURCE_WRITES) else []
        if len(inputs) > 1 and inputs[0][0] in opaque:
            found += [key for point in _above(index, inputs[1:2]) if (key := _restored(index, point)) in saved]
    return list(dict.fromkeys(found)) if opaque or len(found) > 1 else []


def _above(index: GraphIndex, points: list[_Point]) -> list[_Point]:
    """The tensors that some tensors are computed from, and themselves."""
    found, waiting = dict.fromkeys(points), list(points)
    while waiting:
        name, _ = waiting.pop()
        for point in index.inputs.get(name, ()):
            if point not in found:
                found[point] = None
                waiting.append(point)
    return list(found)


def _restored(index: GraphIndex, point: _Point) -> str:
    """The key that a RestoreV2 gives as one of its outputs; "" where it is no such tensor."""
    name, output = point
    node = index.nodes.get(name)
    names = index.source_of(node, 1) if node is not None and node.op == "RestoreV2" else None
    values = names.attr["value"].tensor.string_val if names is not None and names.op == "Const" else ()
    return values[output].decode("utf-8", "replace") if output < len(values) else ""
