"""Where a mismatch begins: the first tensor, in the order of the data, that differs between the two sides.

The verdict does not depend on it; it may take long, or fail, in a process of its own.
"""

import tensorflow as tf

from permafrost.graph.index import GraphIndex
from permafrost.graph.ops.unsafe import executed
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import NodeDef
from permafrost.judge import comparison
from permafrost.judge.graphs import Graphs
from permafrost.judge.pair import Pair
from permafrost.judge.sessions import RunFailed
from permafrost.records import ImportRecord, Provenance

_FIRST_GROUP = 32
_LARGEST_GROUP_BYTES = 64 << 20
_ENTRANCES = ("Switch", "RefSwitch", "Enter", "RefEnter")
_EXITS = ("Exit", "RefExit")
_MERGES = ("Merge", "RefMerge")


def find(
    imported: ImportRecord,
    provenance: Provenance,
    frozen_graph: str,
    directory: str,
    seed: int,
    batch: int,
    allow_ops: list[str],
) -> str:
    """The first tensor that differs in the trial of `seed` and `batch`: name, op and a value of each side; `` for none.

    Tensors are fetched in groups, each in fresh sessions, since a second run may see what the first has written.
    Args:
      imported, provenance, frozen_graph, directory: as for judge.judging.judge, which has to have found the
        model safe to run.
      allow_ops: op types that may run though they are unsafe.
    Raises Problem where the two sides cannot be loaded.
    """
    pair = Pair(Graphs(imported, provenance, frozen_graph), set(allow_ops))
    pair.give_kept()
    feed = pair.graphs.feed(seed, batch, directory)
    tensors = _candidates(pair)
    position, size = 0, _FIRST_GROUP
    while position < len(tensors):
        group = tensors[position : position + size]
        try:
            expected, actual = pair.run_original(group, feed), pair.run_frozen(group, feed)
        except RunFailed:
            # One of them cannot be fetched, such as one inside a loop.
            position += len(group) == 1
            size = max(1, len(group) // 2)
            continue
        for name, a, b in zip(group, expected, actual, strict=True):
            if comparison.match(a, b):
                continue
            # Alone, since a read of a variable shows what another tensor of the group writes into its buffer.
            (a,), (b,) = pair.run_original([name], feed), pair.run_frozen([name], feed)
            if not comparison.match(a, b):
                op = pair.original.graph.get_tensor_by_name(name).op.type
                return f"{name} ({op}), {comparison.said(comparison.first_unequal(a, b))}"
        position += len(group)
        size = max(1, min(2 * size, size * _LARGEST_GROUP_BYTES // max(1, sum(array.nbytes for array in expected))))
    return ""


def _candidates(pair: Pair) -> list[str]:
    """The tensors to compare, in the order of the data: on both sides of one dtype, and computed by a run."""
    index = pair.graphs.frozen.index
    running = executed(index, pair.graphs.fetched, pair.graphs.fed) & executed(
        pair.graphs.index, pair.graphs.fetched, pair.graphs.fed
    )
    tensors, inside = [], set[str]()
    for name in _in_data_order(index, running):
        node = index.nodes[name]
        if _is_inside(index, node, inside):
            inside.add(name)
            continue
        original = pair.original.graph.get_operation_by_name(name)
        if original.type in VARIABLE_OPS:
            continue  # A handle, or what the comparison of the weights has compared.
        for a, b in zip(original.outputs, pair.frozen.graph.get_operation_by_name(name).outputs, strict=False):
            dtype = a.dtype.base_dtype
            if dtype == b.dtype.base_dtype and dtype not in (tf.resource, tf.variant) and a.name not in pair.graphs.fed:
                tensors.append(a.name)
    return tensors


def _is_inside(index: GraphIndex, node: NodeDef, inside: set[str]) -> bool:
    """Whether a node is on one side of a cond or in a loop, where it cannot be fetched."""
    sources = [source for source, _ in index.inputs_of(node)]
    if node.op in _MERGES:
        return any("NextIteration" in index.nodes[source].op for source in sources if source in index.nodes)
    return node.op in _ENTRANCES or (node.op not in _EXITS and any(source in inside for source in sources))


def _in_data_order(index: GraphIndex, names: set[str]) -> list[str]:
    order, done = [], set()
    for start in sorted(names):
        stack = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                order.append(name)
            elif name not in done and name in names:
                done.add(name)
                stack.append((name, True))
                stack.extend((source, False) for source, _ in index.inputs_of(index.nodes[name]))
    return order
