"""Arrays that grow by one element in each round of a loop, as decoders have them, and lists that do.

TensorFlow Lite's loops take no tensor without elements, and its converter wants a list that grows to have a length that
it does not know. So a list begins with one element that nobody sees, and the graph counts how many that is.
"""

from permafrost.exporter.tflite import arrays
from permafrost.exporter.tflite.arrays import Array, flow_position
from permafrost.exporter.tflite.frames import in_loops
from permafrost.graph.index import GraphIndex, TensorName
from permafrost.graph.protos import NodeDef, types_pb2

_COUNTABLE = (types_pb2.DT_FLOAT, types_pb2.DT_INT32, types_pb2.DT_INT64)


def replaceable(index: GraphIndex) -> list[Array]:
    """The arrays that lists can stand for, in graph order: those that do not grow, and those that are appended to."""
    found = arrays.of_graph(index)
    return [array for array in found if not arrays.may_grow(array) or is_appended_to(index, array)]


def counted(index: GraphIndex) -> str:
    """An input of the graph of at least one dimension, of which a run can count the elements; "" for none."""
    for name, node in index.nodes.items():
        is_open = node.op == "Placeholder" and node.attr["dtype"].type in _COUNTABLE
        if is_open and not node.attr["shape"].shape.unknown_rank and node.attr["shape"].shape.dim:
            return str(name)
    return ""


def is_appended_to(index: GraphIndex, array: Array) -> bool:
    """Whether an array that may grow begins without elements outside of loops, gets one at its end in each round of one
    loop, and is asked for all of them, or for how many there are.
    """
    writes = array.of_kind(arrays.WRITE)
    size = index.nodes.get(index.upstream(index.inputs[array.node.name][0], ("Identity",))[0][0])
    others = array.of_kind(arrays.SCATTER) + array.of_kind(arrays.READ)
    if arrays.value(size) != [0] or len(writes) != 1 or others or not counted(index):
        return False
    gathers = array.of_kind(arrays.GATHER)
    return (
        array.node.name not in in_loops(index)
        and all(asks_for_all(index, array, node) for node in gathers)
        and _is_at_the_end(index, array, writes[0])
    )


def asks_for_all(index: GraphIndex, array: Array, gather: NodeDef) -> bool:
    """Whether what is gathered are all elements of an array, in order."""
    if "Pack" in gather.op:
        return True
    indices, _ = index.upstream(index.inputs_of(gather)[1], ("Identity",))
    if not arrays.is_counting(index, indices) or index.nodes[indices[0]].op != "Range":
        return False
    limit, _ = index.upstream(index.inputs[indices[0]][1], ("Identity",))
    size, _ = index.upstream(index.inputs[array.node.name][0], ("Identity",))
    sizes = {member.name for member in array.of_kind(arrays.SIZE)}
    return limit[0] in sizes or (limit == size and not arrays.may_grow(array))


def _is_at_the_end(index: GraphIndex, array: Array, write: NodeDef) -> bool:
    merge, counter = (_round(index, index.inputs_of(write)[position]) for position in (flow_position(write), 1))
    if merge is None or counter is None or _frame(index, merge) != _frame(index, counter):
        return False
    begin, following = _sides(index, merge)
    return (
        index.upstream(begin, ("Enter", "Identity"))[0] == array.flow[0]
        and index.upstream(following, ("NextIteration", "Identity"))[0] == (write.name, 0)
        and _counts_rounds(index, counter)
    )


def _round(index: GraphIndex, tensor: TensorName) -> NodeDef | None:
    """The Merge from which a round of a loop gets a value that it has from the beginning of the round."""
    (name, _), _ = index.upstream(tensor, ("Identity", "Switch"))
    node = index.nodes.get(name)
    return node if node is not None and node.op == "Merge" and len(index.inputs_of(node)) == 2 else None


def _sides(index: GraphIndex, merge: NodeDef) -> tuple[TensorName, TensorName]:
    """What a loop's Merge takes in the first round, and in the others."""
    one, other = index.inputs_of(merge)
    return (other, one) if index.ops.get(one[0]) == "NextIteration" else (one, other)


def _frame(index: GraphIndex, merge: NodeDef) -> bytes:
    enter = index.nodes.get(_sides(index, merge)[0][0])
    return bytes(enter.attr["frame_name"].s) if enter is not None and enter.op == "Enter" else merge.name.encode()


def _counts_rounds(index: GraphIndex, merge: NodeDef) -> bool:
    """Whether a loop's Merge gives 0 in the first round, 1 in the second, and so on."""
    begin, following = _sides(index, merge)
    first = index.nodes.get(index.upstream(begin, ("Enter", "Identity"))[0][0])
    added = index.nodes.get(index.upstream(following, ("NextIteration", "Identity"))[0][0])
    if arrays.value(first) != [0] or added is None or added.op not in ("Add", "AddV2"):
        return False
    operands = index.inputs_of(added)
    ones = [
        arrays.value(index.nodes.get(index.upstream(each, ("Enter", "Identity"))[0][0])) == [1] for each in operands
    ]
    counters = [_round(index, each) is merge for each in operands]
    return (ones[0] and counters[1]) or (ones[1] and counters[0])
