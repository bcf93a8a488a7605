"""Damages ONNX files in the ways of a faulty converter, a mixed-up file or a bad disk.

Files are name -> bytes, as layout.EXPORTED names them; each kind of damage gives such files, with None for one that is
gone.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from damaged_weights import Files, WeightDamages, kinds_of

FILE, DATA = "model.onnx", "model.onnx.data"
OPS = {
    "Relu": "Tanh", "Tanh": "Sigmoid", "Sigmoid": "Tanh", "MaxPool": "AveragePool", "AveragePool": "MaxPool",
    "Add": "Sub", "Sub": "Add", "Mul": "Add", "Div": "Mul", "Softmax": "LogSoftmax", "ArgMax": "ArgMin", "Max": "Min",
    "ReduceMean": "ReduceMax", "ReduceSum": "ReduceMean", "Less": "Greater", "Greater": "Less",
}  # fmt: skip


def externalized(files: Files) -> Files:
    """The same model with the values of all its float initializers in a file of their own."""
    model, data = onnx.ModelProto.FromString(files[FILE]), bytearray()
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.data_location != TensorProto.EXTERNAL:
            content = numpy_helper.to_array(tensor).tobytes()
            data += bytes(-len(data) % 4096)
            _refer(tensor, len(data), len(content))
            data += content
    return {FILE: model.SerializeToString(deterministic=True), DATA: bytes(data)} if data else {}


def _refer(tensor: Any, offset: int, length: int, location: str = DATA) -> None:
    for field in ("raw_data", "float_data", "external_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _is_within(tensor: Any) -> bool:
    return tensor.data_location != TensorProto.EXTERNAL and tensor.data_type != TensorProto.STRING


class Damages(WeightDamages):
    """All damages of one file; each method is a kind and gives files. signature: of the export."""

    def __init__(self, files: Files, signature: Any):
        self._files, self._signature = files, signature
        self._model = onnx.ModelProto.FromString(files[FILE])

    def _changed(self, change: Callable[[Any], None]) -> Files:
        model = copy.deepcopy(self._model)
        change(model)
        return {**self._files, FILE: model.SerializeToString(deterministic=True)}

    def _tensors(self, model: Any) -> list[Any]:
        """The values in a model, those in the bodies of loops and branches too."""
        tensors = list(model.graph.initializer)
        for node in _nodes(model.graph):
            tensors += [each.t for each in node.attribute if each.type == onnx.AttributeProto.TENSOR]
            tensors += [each for body in _bodies(node) for each in body.initializer]
        return tensors

    def _with(self, number: int, value: np.ndarray) -> Files:
        def change(model: Any) -> None:
            tensor = self._tensors(model)[number]
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))

        return self._changed(change)

    def _values(self) -> list[tuple[int, np.ndarray]]:
        tensors = enumerate(self._tensors(self._model))
        values = [(number, numpy_helper.to_array(each)) for number, each in tensors if _is_within(each)]
        return [(number, value) for number, value in values if value.size]

    def _swapped(self, first: int, second: int) -> Files:
        def change(model: Any) -> None:
            tensors = [self._tensors(model)[number] for number in (first, second)]
            values = [numpy_helper.to_array(each) for each in tensors]
            for tensor, value in zip(tensors, values[::-1], strict=True):
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))

        return self._changed(change)

    def op_replaced(self) -> Iterator[Files]:
        for number, node in enumerate(_nodes(self._model.graph)):
            if node.op_type in OPS:
                yield self._changed(lambda model, n=number: _replace(list(_nodes(model.graph))[n]))

    def activation_bounded(self) -> Iterator[Files]:
        """A Relu that ends at 6, as a converter that takes one for another would have it."""
        for number, node in enumerate(self._model.graph.node):
            if node.op_type == "Relu":
                yield self._changed(lambda model, n=number: _bound(model.graph, n))

    def attribute_changed(self) -> Iterator[Files]:
        for number, node in enumerate(_nodes(self._model.graph)):
            for place, attribute in enumerate(node.attribute):
                if attribute.type in _CHANGES:

                    def change(model: Any, n: int = number, p: int = place) -> None:
                        own = list(_nodes(model.graph))[n].attribute[p]
                        _CHANGES[own.type](own)

                    if "LabelEncoder" not in node.op_type:
                        yield self._changed(change)

    def node_dropped(self) -> Iterator[Files]:
        for number in range(len(list(_nodes(self._model.graph)))):
            yield self._changed(lambda model, n=number: _drop(list(_nodes(model.graph))[n]))

    def inputs_exchanged(self) -> Iterator[Files]:
        for number, node in enumerate(_nodes(self._model.graph)):
            if len(node.input) > 1 and node.input[0] != node.input[1] and node.op_type not in ("Add", "Mul"):

                def change(model: Any, n: int = number) -> None:
                    inputs = list(_nodes(model.graph))[n].input
                    inputs[0], inputs[1] = inputs[1], inputs[0]

                yield self._changed(change)

    def input_of_another_tensor(self) -> Iterator[Files]:
        """An input that is taken from another tensor, of the same shape."""
        shapes = _shapes(self._model)
        for number, node in enumerate(self._model.graph.node):
            for place, name in enumerate(node.input):
                before = {other for each in self._model.graph.node[:number] for other in each.output}
                before |= {each.name for each in (*self._model.graph.initializer, *self._model.graph.input)}
                for other in sorted(before - {name}):
                    if name in shapes and shapes.get(other) == shapes[name]:
                        yield self._changed(
                            lambda model, n=number, p=place, o=other: model.graph.node[n].input.__setitem__(p, o)
                        )

    def ends_exchanged(self) -> Iterator[Files]:
        """Two inputs or outputs in another order."""
        for field in ("input", "output"):
            if len(getattr(self._model.graph, field)) > 1:
                yield self._changed(lambda model, f=field: _reorder(getattr(model.graph, f)))

    def values_of_outputs_exchanged(self) -> Iterator[Files]:
        """Two outputs that give what the other one should."""
        names = [each.name for each in self._model.graph.output]
        if len(names) > 1:
            yield self._changed(lambda model: _rename(model.graph, {names[0]: names[1], names[1]: names[0]}))

    def end_renamed(self) -> Iterator[Files]:
        for field in ("input", "output"):
            for each in getattr(self._model.graph, field):

                def change(model: Any, f: str = field, name: str = each.name) -> None:
                    _rename(model.graph, {name: f"{name}_renamed"})
                    for value in getattr(model.graph, f):
                        value.name = f"{name}_renamed" if value.name == name else value.name

                yield self._changed(change)

    def output_left_out(self) -> Iterator[Files]:
        for number in range(len(self._model.graph.output)):
            yield self._changed(lambda model, n=number: model.graph.output.pop(n))

    def output_added(self) -> Iterator[Files]:
        if self._model.graph.node:
            name = self._model.graph.node[0].output[0]
            yield self._changed(lambda model: model.graph.output.append(helper.make_empty_tensor_value_info(name)))

    def dtype_of_an_end(self) -> Iterator[Files]:
        for field in ("input", "output"):
            for number in range(len(getattr(self._model.graph, field))):

                def change(model: Any, f: str = field, n: int = number) -> None:
                    tensor = getattr(model.graph, f)[n].type.tensor_type
                    tensor.elem_type = TensorProto.DOUBLE if tensor.elem_type != TensorProto.DOUBLE else 1

                yield self._changed(change)

    def shape_of_an_end(self) -> Iterator[Files]:
        for field in ("input", "output"):
            for number, value in enumerate(getattr(self._model.graph, field)):
                for place in range(len(value.type.tensor_type.shape.dim)):

                    def change(model: Any, f: str = field, n: int = number, p: int = place) -> None:
                        dim = getattr(model.graph, f)[n].type.tensor_type.shape.dim[p]
                        dim.dim_value = dim.dim_value + 1 if dim.HasField("dim_value") else 7

                    yield self._changed(change)

    def hidden_tensor_renamed(self) -> Iterator[Files]:
        ends = {end.name for end in (*self._signature.inputs, *self._signature.outputs)}
        for end in self._signature.hidden:
            if end.name not in ends:
                yield self._changed(lambda model, name=end.name: _rename(model.graph, {name: f"{name}_renamed"}))

    def table_entry_changed(self) -> Iterator[Files]:
        """A value or a key of a table, each alone, or the value for what it lacks; or an entry that is gone."""
        for number, node in enumerate(_nodes(self._model.graph)):
            for place, attribute in enumerate(node.attribute):
                if node.op_type != "LabelEncoder":
                    continue
                held = attribute.strings or attribute.ints or attribute.floats
                for at in range(len(held)) if held else [None]:

                    def change(model: Any, n: int = number, p: int = place, at: int | None = at) -> None:
                        _change_entry(list(_nodes(model.graph))[n].attribute[p], at)

                    yield self._changed(change)

    def opset_or_domain(self) -> Iterator[Files]:
        def older(model: Any) -> None:
            model.opset_import[0].version -= 1

        def foreign(model: Any) -> None:
            model.opset_import.add(domain="com.microsoft", version=1)
            node = model.graph.node[-1]
            name = f"{node.output[0]}_before"
            made = helper.make_node("Gelu", [name], ["unused"], domain="com.microsoft")
            old, node.output[0] = node.output[0], name
            model.graph.node.extend([helper.make_node("Identity", [name], [old]), made])

        yield self._changed(older)
        if self._model.graph.node and self._model.graph.node[-1].output[0] in _floats(self._model):
            yield self._changed(foreign)

    def origin_changed(self) -> Iterator[Files]:
        """What the file says that it was made of."""
        for number in range(len(self._model.metadata_props)):
            yield self._changed(lambda model, n=number: setattr(model.metadata_props[n], "value", "0"))
        yield self._changed(lambda model: model.ClearField("metadata_props"))

    def byte_of_the_file(self) -> Iterator[Files]:
        content = self._files[FILE] or b""
        for at in np.random.default_rng(1).integers(0, len(content), 20):
            yield {**self._files, FILE: _bit(content, int(at), int(at) % 8)}

    def file_cut_off(self) -> Iterator[Files]:
        content = self._files[FILE] or b""
        for share in (0, 0.5, 0.99):
            yield {**self._files, FILE: content[: int(share * len(content))]}

    def external_data(self) -> Iterator[Files]:
        """The file of the weights: a bit, its end, its places, or all of it."""
        content = self._files.get(DATA)
        if not content:
            return
        held = [each for each in self._model.graph.initializer if each.data_location == TensorProto.EXTERNAL]
        for tensor in held:
            at = int(_place(tensor)["offset"])
            for bit in (0, 7):
                yield {**self._files, DATA: _bit(content, at + (3 if bit else 0), bit)}
        for other in (None, b"", content[:-1], content[: len(content) // 2], content + b"\1" * 8):
            yield {**self._files, DATA: other}
        for change in (_swap_places, _before, _elsewhere):
            if len(held) > 1 or change is not _swap_places:
                yield self._changed(change)


KINDS = kinds_of(Damages)


def _bit(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def _bodies(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        yield from (body for body in (attribute.g, *attribute.graphs) if body.node)


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for body in _bodies(node):
            yield from _nodes(body)


def _replace(node: Any) -> None:
    node.op_type = OPS[node.op_type]
    if node.op_type in ("LogSoftmax", "ArgMin"):
        return
    kept = [each for each in node.attribute if each.name in ("kernel_shape", "pads", "strides", "keepdims", "axes")]
    kept += [each for each in node.attribute if each.name in ("auto_pad", "ceil_mode", "noop_with_empty_axes")]
    del node.attribute[:]
    node.attribute.extend(kept)


def _bound(graph: Any, number: int) -> None:
    node = graph.node[number]
    node.op_type = "Clip"
    for name, value in (("bound_low", 0.0), ("bound_high", 6.0)):
        graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
        node.input.append(name)


def _drop(node: Any) -> None:
    """Gives what goes in for what comes out."""
    del node.input[1:], node.output[1:], node.attribute[:]
    node.op_type, node.domain = "Identity", ""


def _reorder(values: Any) -> None:
    own = [copy.deepcopy(each) for each in values]
    del values[:]
    values.extend([own[1], own[0], *own[2:]])


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Renames tensors, and leaves what is declared of the ends."""
    for node in _nodes(graph):
        node.input[:] = [names.get(each, each) for each in node.input]
        node.output[:] = [names.get(each, each) for each in node.output]
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


def _change_entry(attribute: Any, at: int | None) -> None:
    if at is None:
        if attribute.type == onnx.AttributeProto.INT:
            attribute.i += 1
        elif attribute.type == onnx.AttributeProto.FLOAT:
            attribute.f += 1
        elif attribute.type == onnx.AttributeProto.STRING:
            attribute.s += b"x"
    elif attribute.strings:
        attribute.strings[at] += b"x"
    elif attribute.ints:
        attribute.ints[at] += 1
    else:
        attribute.floats[at] += 1


def _shapes(model: Any) -> dict[str, tuple]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    found = {each.name: (each.data_type, tuple(each.dims)) for each in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor = value.type.tensor_type
        dims = tuple(dim.dim_value or dim.dim_param for dim in tensor.shape.dim)
        if tensor.HasField("shape"):
            found[value.name] = (tensor.elem_type, dims)
    return found


def _floats(model: Any) -> set[str]:
    return {each.name for each in model.graph.output if each.type.tensor_type.elem_type == TensorProto.FLOAT}


def _place(tensor: Any) -> dict[str, str]:
    return {each.key: each.value for each in tensor.external_data}


def _external(model: Any) -> list[Any]:
    return [each for each in model.graph.initializer if each.data_location == TensorProto.EXTERNAL]


def _swap_places(model: Any) -> None:
    first, second = _external(model)[:2]
    places = [int(_place(each)["offset"]) for each in (first, second)]
    for tensor, offset in zip((first, second), places[::-1], strict=True):
        _refer(tensor, offset, int(_place(tensor)["length"]))


def _before(model: Any) -> None:
    tensor = _external(model)[-1]
    _refer(tensor, int(_place(tensor)["offset"]) + 4, int(_place(tensor)["length"]))


def _elsewhere(model: Any) -> None:
    tensor = _external(model)[0]
    place = _place(tensor)
    _refer(tensor, int(place["offset"]), int(place["length"]), f"../{DATA}")


def _change_int(attribute: Any) -> None:
    attribute.i = 1 - attribute.i if attribute.i in (0, 1) else attribute.i + 1


def _change_string(attribute: Any) -> None:
    attribute.s = {b"NOTSET": b"VALID", b"SAME_UPPER": b"SAME_LOWER"}.get(attribute.s, attribute.s + b"x")


def _change_ints(attribute: Any) -> None:
    if attribute.ints:
        attribute.ints[len(attribute.ints) // 2] += 1


def _change_float(attribute: Any) -> None:
    attribute.f = attribute.f * 1.5 + 0.001


_CHANGES = {
    onnx.AttributeProto.INT: _change_int,
    onnx.AttributeProto.INTS: _change_ints,
    onnx.AttributeProto.FLOAT: _change_float,
    onnx.AttributeProto.STRING: _change_string,
}
