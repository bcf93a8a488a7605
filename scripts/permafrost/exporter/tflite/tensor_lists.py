"""TensorArrays become lists, which TensorFlow Lite's converter knows how to do without.

What an array's ops do to a resource, a list's ops do to a value that takes the way of the flow
(tensorflow/core/kernels/tensor_array_ops.cc and list_kernels.cc). Nodes keep their names. What is read, written or
gathered has the same bits.
"""

import copy
from collections.abc import Iterator

from tensorflow.python.framework import tensor_util

from permafrost.exporter.tflite import arrays, growth
from permafrost.exporter.tflite.arrays import Array, kind_of
from permafrost.exporter.tflite.element_shapes import Dimension, Elements, ElementShapes
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.protos import GraphDef, NodeDef, types_pb2

_ROUNDS = 4  # what goes round a loop may tell a shape only after what is read in it has one


def with_lists(graph_def: GraphDef) -> tuple[GraphDef, int]:
    """A graph in which lists stand for TensorArrays, and for how many; the graph itself where they stand for none.

    Arrays in functions stay, those that grow otherwise than by one element a round, and those of which anything else is
    asked than to be written, read, gathered, counted and filled from the first element on.
    """
    found = growth.replaceable(GraphIndex(graph_def))
    if not found:
        return graph_def, 0
    shapes, before = ElementShapes({}), None
    for _ in range(_ROUNDS):
        rewritten = _Rewriting(graph_def, shapes).graph_def
        if shapes == before:
            break
        before, shapes = shapes, ElementShapes.of(graph_def, rewritten, found)
    return rewritten, len(found)


class _Rewriting:
    """A copy of a graph in which lists of elements of known shapes stand for arrays."""

    def __init__(self, graph_def: GraphDef, shapes: ElementShapes):
        self.graph_def = copy.deepcopy(graph_def)
        self._index = GraphIndex(self.graph_def)
        self._taken = set(self._index.nodes)
        self._made: list[NodeDef] = []
        found = growth.replaceable(self._index)
        gone = {node.name for array in found for node in array.handles}
        for array in found:
            self._replace(array, shapes.of_array(array))
        self._drop(gone)
        self.graph_def.node.extend(self._made)

    def _replace(self, array: Array, elements: Elements) -> None:
        for node in array.passing:
            node.attr["T"].type = types_pb2.DT_VARIANT
        for node, position in arrays.uses_of(self._index, array.flow[:1]):
            _set_input(node, position, array.node.name)
        # Before any op is another one.
        grows, has_parts = arrays.may_grow(array), bool(array.of_kind(arrays.SCATTER))
        whole = {node.name for node in array.of_kind(arrays.GATHER) if growth.asks_for_all(self._index, array, node)}
        gathers, sizes = array.of_kind(arrays.GATHER), array.of_kind(arrays.SIZE)
        for member in array.members:
            self._replace_member(array, elements, member)
        for node in gathers:
            is_whole = node.name in whole and (not has_parts or "Pack" in node.op)
            self._gather(array, elements, node, is_whole, grows)
        for node in sizes:
            self._count(node, grows)
        self._reserve(array, elements, grows)

    def _replace_member(self, array: Array, elements: Elements, node: NodeDef) -> None:
        inputs, kind = _data(node), kind_of(node)
        flow = inputs[arrays.flow_position(node)] if kind != arrays.CLOSE else ""
        match kind:
            case arrays.READ:
                shape = self._constant(node, "element_shape", elements.known, inputs[1])
                _become(node, "TensorListGetItem", [flow, inputs[1], shape], array.dtype)
            case arrays.WRITE if arrays.may_grow(array):
                _become(node, "TensorListPushBack", [flow, inputs[2]], array.dtype)
            case arrays.WRITE:
                _become(node, "TensorListSetItem", [flow, inputs[1], inputs[2]], array.dtype)
            case arrays.SCATTER:
                value = inputs[1 if "Unpack" in node.op else 2]
                shape = self._constant(node, "element_shape", elements.known, value)
                _become(node, "TensorListFromTensor", [value, shape], array.dtype, shape_type="shape_type")
            case arrays.CLOSE:
                _become(node, "NoOp", [])

    def _gather(self, array: Array, elements: Elements, node: NodeDef, is_whole: bool, grows: bool) -> None:
        """All elements where all are asked for, which a list has as many of as the array; else the chosen ones."""
        flow, indices = _data(node)[arrays.flow_position(node)], _data(node)[1]
        shape = self._constant(node, "element_shape", elements.known, flow)
        if is_whole and not grows:
            _become(node, "TensorListStack", [flow, shape], array.dtype)
            node.attr["num_elements"].i = -1
            return
        stack = self._add(node, "stack", "TensorListStack", [flow, shape], array.dtype)
        stack.attr["num_elements"].i = -1
        if grows:
            self._leave_out_first(node, stack.name, array.dtype, flow)
            return
        axis = self._constant(node, "axis", 0, indices)
        _become(node, "GatherV2", [stack.name, indices, axis])
        node.attr["Tparams"].type, node.attr["Taxis"].type = array.dtype, types_pb2.DT_INT32
        node.attr["Tindices"].type = types_pb2.DT_INT32

    def _leave_out_first(self, node: NodeDef, stack: str, dtype: int, near: str) -> None:
        bounds = [self._constant(node, word, [k], near) for word, k in (("from", 1), ("to", 0), ("step", 1))]
        _become(node, "StridedSlice", [stack, *bounds])
        node.attr["T"].type, node.attr["Index"].type = dtype, types_pb2.DT_INT32
        node.attr["end_mask"].i = 1

    def _count(self, node: NodeDef, grows: bool) -> None:
        flow = _data(node)[arrays.flow_position(node)]
        if not grows:
            _become(node, "TensorListLength", [flow])
            return
        length = self._add(node, "length", "TensorListLength", [flow], 0)
        _become(node, "Sub", [length.name, self._constant(node, "one", 1, flow)])
        node.attr["T"].type = types_pb2.DT_INT32

    def _reserve(self, array: Array, elements: Elements, grows: bool) -> None:
        node = array.node
        size = _data(node)[0]
        length = self._one(node, size) if grows else size
        _become(node, "TensorListReserve", [self._shape(node, elements, size), length], array.dtype, "shape_type")

    def _one(self, node: NodeDef, near: str) -> str:
        """The name of a tensor that is 1 whatever is fed, and that no converter knows to be so."""
        name = growth.counted(self._index)
        equal = self._add(node, "equal", "Equal", [name, name], 0)
        equal.attr["T"].type = self._index.nodes[name].attr["dtype"].type
        where = self._add(node, "where", "Where", [equal.name], 0)
        where.attr["T"].type = types_pb2.DT_BOOL
        many = self._size(node, (where.name, 0, 0), types_pb2.DT_INT64, "where", near)
        none = self._add(node, "none", "Minimum", [many, self._constant(node, "zero", 0, near)], 0)
        one = self._add(node, "first", "AddV2", [none.name, self._constant(node, "one", 1, near)], 0)
        none.attr["T"].type = one.attr["T"].type = types_pb2.DT_INT32
        return str(one.name)

    def _shape(self, node: NodeDef, elements: Elements, near: str) -> str:
        """The name of the tensor that has the shape of the elements, as far as the graph can tell before it runs."""
        if not elements.has_sources:
            return self._constant(node, "element_shape", elements.known, near)
        pack = self._add(node, "element_shape", "Pack", [], 0)
        pack.input.extend(self._dimension(node, k, each, near) for k, each in enumerate(elements.dimensions or ()))
        pack.attr["N"].i, pack.attr["T"].type = len(pack.input), types_pb2.DT_INT32
        return str(pack.name)

    def _dimension(self, node: NodeDef, position: int, dimension: Dimension, near: str) -> str:
        if dimension.source is None:
            return self._constant(node, f"size_{position}", -1 if dimension.size is None else dimension.size, near)
        return self._size(node, dimension.source, dimension.dtype, str(position), near)

    def _size(self, node: NodeDef, source: tuple[str, int, int], dtype: int, word: str, near: str) -> str:
        """The name of the tensor that has the size of a tensor along an axis: source is (node, output, axis)."""
        name, output, axis = source
        shape = self._add(node, f"shape_{word}", "Shape", [f"{name}:{output}"], 0)
        shape.attr["T"].type, shape.attr["out_type"].type = dtype, types_pb2.DT_INT32
        bounds = [self._constant(node, f"{end}_{word}", [k], near) for end, k in (("from", axis), ("to", axis + 1))]
        step = self._constant(node, f"step_{word}", [1], near)
        part = self._add(node, f"size_{word}", "StridedSlice", [shape.name, *bounds, step], 0)
        part.attr["T"].type = part.attr["Index"].type = types_pb2.DT_INT32
        part.attr["shrink_axis_mask"].i = 1
        return str(part.name)

    def _constant(self, node: NodeDef, what: str, value: int | list[int], near: str) -> str:
        """The name of a new constant of integers, in the frame of the loop in which `near` is."""
        constant = self._add(node, what, "Const", [f"^{tensor_name(near)[0]}"], 0)
        constant.attr["dtype"].type = types_pb2.DT_INT32
        constant.attr["value"].tensor.CopyFrom(tensor_util.make_tensor_proto(value, types_pb2.DT_INT32))
        return str(constant.name)

    def _add(self, node: NodeDef, what: str, op: str, inputs: list[str], dtype: int) -> NodeDef:
        name = next(name for name in _names(f"{node.name}/{what}") if name not in self._taken)
        self._taken.add(name)
        made = NodeDef(name=name, op=op, input=inputs)
        if dtype:
            made.attr["element_dtype"].type = dtype
        self._made.append(made)
        return made

    def _drop(self, gone: set[str]) -> None:
        """Takes out the nodes that handed on the handles of arrays; what waits for one waits for what that took."""
        nodes = self._index.nodes
        for node in self.graph_def.node:
            waits = [text for text in node.input if text[:1] == "^" and text[1:] in gone]
            for text in waits:
                node.input.remove(text)
            if waits and node.name not in gone:
                before = [name for text in waits for name in _before(nodes, text[1:], gone)]
                node.input.extend(f"^{name}" for name in dict.fromkeys(before) if f"^{name}" not in node.input)
        kept = [node for node in self.graph_def.node if node.name not in gone]
        del self.graph_def.node[:]
        self.graph_def.node.extend(kept)


def _before(nodes: dict[str, NodeDef], name: str, gone: set[str]) -> list[str]:
    """What a node that goes waits for, without what goes too."""
    while name in gone:
        name = tensor_name(nodes[name].input[0])[0]
    return [name]


def _names(wanted: str) -> Iterator[str]:
    yield wanted
    number = 0
    while True:
        number += 1
        yield f"{wanted}_{number}"


def _data(node: NodeDef) -> list[str]:
    return [text for text in node.input if text[:1] != "^"]


def _set_input(node: NodeDef, position: int, name: str) -> None:
    places = [k for k, text in enumerate(node.input) if text[:1] != "^"]
    node.input[places[position]] = name


def _become(node: NodeDef, op: str, inputs: list[str], dtype: int = 0, shape_type: str = "") -> None:
    """Makes a node another op that takes `inputs`, with the control inputs that it has."""
    controls = [text for text in node.input if text[:1] == "^"]
    node.ClearField("attr")
    node.op = op
    del node.input[:]
    node.input.extend([*inputs, *controls])
    if dtype:
        node.attr["element_dtype"].type = dtype
    if shape_type:
        node.attr[shape_type].type = types_pb2.DT_INT32
