"""The TensorArrays of a graph, and which of them lists can stand for.

A TensorArray is a resource that ops change, and a number, its flow, goes from each op that changes it to the next ones,
for them to run in this order (tensorflow/python/ops/tensor_array_ops.py). A list is a value. It can take the flow's
place where the flow passes through nothing but the array's own ops and the ops of conds and loops.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tensorflow.python.framework import tensor_util

from permafrost.graph.index import GraphIndex, TensorName, Use
from permafrost.graph.protos import NodeDef, types_pb2

_PASSING = ("Enter", "Exit", "Identity", "Merge", "NextIteration", "Switch")
_HANDING = ("Enter", "Identity", "RefEnter", "RefIdentity", "RefSwitch", "Switch")
_FAMILY = re.compile(r"TensorArray(Write|Read|Gather|Pack|Scatter|Unpack|Size|Close)(V2|V3)?")
MAKES = ("TensorArray", "TensorArrayV2", "TensorArrayV3")
WRITE, READ, GATHER, SCATTER, SIZE, CLOSE = "Write", "Read", "Gather", "Scatter", "Size", "Close"
_OLDER = {"Pack": GATHER, "Unpack": SCATTER}  # Of the first generation: all elements, without indices.
# Position of the flow among an op's inputs.
_FLOW = {
    "Write": 3, "Read": 2, "Gather": 2, "Pack": 1, "Scatter": 3, "Unpack": 2, "Size": 1,
}  # fmt: skip
_GIVES_FLOW = (WRITE, SCATTER)


@dataclass
class Array:
    """A TensorArray that a list can stand for.

    node: the NodeDef that makes it. members: the NodeDefs of its ops. flow: the tensors that are its flow, the one that
    it begins with first. handles: the NodeDefs that hand on its handle. passing: those that hand on its flow.
    """

    node: NodeDef
    flow: list[TensorName]
    members: list[NodeDef] = field(default_factory=list)
    handles: list[NodeDef] = field(default_factory=list)
    passing: list[NodeDef] = field(default_factory=list)

    @property
    def dtype(self) -> int:
        """The DataType of its elements."""
        return int(self.node.attr["dtype"].type)

    def of_kind(self, kind: str) -> list[NodeDef]:
        """Its ops of a kind."""
        return [member for member in self.members if kind_of(member) == kind]


def kind_of(node: NodeDef) -> str:
    """WRITE, READ, GATHER, SCATTER, SIZE or CLOSE; "" for a node that is no op of a TensorArray, or another one."""
    found = _FAMILY.fullmatch(node.op)
    return _OLDER.get(found[1], found[1]) if found else ""


def flow_position(node: NodeDef) -> int:
    """The position of the flow among the inputs of an array's op."""
    found = _FAMILY.fullmatch(node.op)
    return _FLOW.get(found[1], -1) if found else -1


def of_graph(index: GraphIndex) -> list[Array]:
    """The arrays that lists can stand for, in graph order, if these may grow as the arrays do."""
    return [array for node in index.graph_def.node if node.op in MAKES and (array := _array(index, node)) is not None]


def _array(index: GraphIndex, node: NodeDef) -> Array | None:
    array = Array(node=node, flow=[])
    if not _follow_handle(index, array) or not _has_known_indices(index, array):
        return None
    begin = _beginning(index, array)
    if begin is None or not _follow_flow(index, array, begin):
        return None
    known = set(array.flow)
    taken = [index.inputs_of(member)[flow_position(member)] for member in array.members if kind_of(member) != CLOSE]
    return array if known.issuperset(taken) and _is_fresh(index, array) else None


def _follow_handle(index: GraphIndex, array: Array) -> bool:
    """Finds what takes the array's handle; whether all of it is known."""
    waiting, seen = [(array.node.name, 0)], set[str]()
    while waiting:
        for node, position in index.uses.get(waiting.pop(), ()):
            if kind_of(node) and position == 0:
                array.members.append(node)
            elif node.op not in _HANDING or position:
                return False
            elif node.name not in seen:
                seen.add(node.name)
                array.handles.append(node)
                waiting += _outputs(node)
    return True


def _outputs(node: NodeDef) -> list[TensorName]:
    return [(node.name, 0), (node.name, 1)] if node.op in ("Switch", "RefSwitch") else [(node.name, 0)]


def _beginning(index: GraphIndex, array: Array) -> TensorName | None:
    """The tensor that the flow begins with: the array's own, or the constant that it has in earlier generations."""
    if array.node.op == "TensorArrayV3":
        return array.node.name, 1
    roots = set[TensorName]()
    for member in array.members:
        if kind_of(member) != CLOSE:
            roots |= _roots(index, index.inputs_of(member)[flow_position(member)])
    (root, *others) = roots or {("", 0)}
    node = index.nodes.get(root[0])
    return root if not others and node is not None and node.op == "Const" else None


def _roots(index: GraphIndex, tensor: TensorName) -> set[TensorName]:
    waiting, seen, roots = [tensor], set[TensorName](), set[TensorName]()
    while waiting:
        tensor = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        node = index.nodes.get(tensor[0])
        if node is not None and node.op in _PASSING:
            waiting += index.inputs_of(node) if node.op == "Merge" else index.inputs_of(node)[:1]
        elif node is not None and kind_of(node) in _GIVES_FLOW:
            waiting.append(index.inputs_of(node)[flow_position(node)])
        else:
            roots.add(tensor)
    return roots


def _follow_flow(index: GraphIndex, array: Array, begin: TensorName) -> bool:
    """Finds what the flow passes through; whether all of it is the array's, or of conds and loops."""
    members = {member.name for member in array.members}
    waiting, passed = [begin], dict[str, NodeDef]()
    while waiting:
        tensor = waiting.pop()
        if tensor in array.flow:
            continue
        array.flow.append(tensor)
        for node, position in index.uses.get(tensor, ()):
            if not _takes_flow(node, position, members):
                return False
            if node.op in _PASSING:
                passed[node.name] = node
                waiting += _outputs(node)
            elif kind_of(node) in _GIVES_FLOW:
                waiting.append((node.name, 0))
    array.passing = list(passed.values())
    return _merge_alone(index, array)


def _takes_flow(node: NodeDef, position: int, members: set[str]) -> bool:
    if node.name in members:
        return position == flow_position(node)
    return node.op in _PASSING and (position == 0 or node.op == "Merge")


def _merge_alone(index: GraphIndex, array: Array) -> bool:
    """Whether what merges with the flow is the flow."""
    flow = set(array.flow)
    return all(flow.issuperset(index.inputs_of(node)) for node in array.passing if node.op == "Merge")


def may_grow(array: Array) -> bool:
    """Whether what is written one by one may make the array longer."""
    return bool(array.node.attr["dynamic_size"].b and array.of_kind(WRITE))


def _has_known_indices(index: GraphIndex, array: Array) -> bool:
    """Whether all at once is written from the first element on, one after another, as a list has it."""
    filled = array.of_kind(SCATTER)
    if filled and array.of_kind(SIZE):
        return False  # A list has as many elements as it is filled with, an array may have more.
    written = [node for node in filled if "Unpack" not in node.op]
    return all(is_counting(index, index.inputs_of(node)[1]) for node in written)


def _is_fresh(index: GraphIndex, array: Array) -> bool:
    """Whether what is written all at once is written into an array of which nothing has been written."""
    begun = array.flow[0]
    scattered = array.of_kind(SCATTER)
    return all(_roots_straight(index, node) == begun for node in scattered)


def _roots_straight(index: GraphIndex, node: NodeDef) -> TensorName:
    return index.upstream(index.inputs_of(node)[flow_position(node)], ("Identity", "Switch"))[0]


def is_counting(index: GraphIndex, tensor: TensorName) -> bool:
    """Whether a tensor is 0, 1, 2, and so on."""
    node = index.nodes.get(index.upstream(tensor, ("Identity",))[0][0])
    if node is None:
        return False
    if node.op == "Const":
        return _is_a_count(value(node))
    if node.op != "Range":
        return False
    start, _, delta = (index.nodes.get(name) for name, _ in index.inputs_of(node))
    return value(start) == [0] and value(delta) == [1]


def value(node: NodeDef | None) -> list[int] | None:
    """The numbers of a constant of integers; None for another node."""
    if node is None or node.op != "Const" or node.attr["dtype"].type not in (types_pb2.DT_INT32, types_pb2.DT_INT64):
        return None
    return [int(number) for number in tensor_util.MakeNdarray(node.attr["value"].tensor).reshape(-1)]


def _is_a_count(numbers: list[int] | None) -> bool:
    return numbers == list(range(len(numbers))) if numbers is not None else False


def uses_of(index: GraphIndex, tensors: Iterable[TensorName]) -> list[Use]:
    """The uses of some tensors."""
    return [use for tensor in tensors for use in index.uses.get(tensor, ())]
