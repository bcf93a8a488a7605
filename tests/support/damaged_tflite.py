"""Damages TensorFlow Lite files in the ways of a faulty converter, a mixed-up file or a bad disk."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from damaged_weights import Files, WeightDamages, kinds_of

FILE = "model.tflite"
_CODES = schema.BuiltinOperator
_NAMES = {number: name for name, number in vars(_CODES).items() if isinstance(number, int)}
# Op -> the op that stands in its place, and the table of options that this one has.
OPS = {
    "RELU": ("TANH", None), "TANH": ("LOGISTIC", None), "LOGISTIC": ("TANH", None),
    "MAX_POOL_2D": ("AVERAGE_POOL_2D", ""),
    "AVERAGE_POOL_2D": ("MAX_POOL_2D", ""), "ADD": ("SUB", "SubOptions"), "SUB": ("ADD", "AddOptions"),
    "MUL": ("ADD", "AddOptions"), "DIV": ("MUL", "MulOptions"), "SOFTMAX": ("LOG_SOFTMAX", None),
    "ARG_MAX": ("ARG_MIN", "ArgMinOptions"), "MEAN": ("REDUCE_MAX", ""), "SUM": ("MEAN", ""),
    "LESS": ("GREATER", None), "GREATER": ("LESS", None), "MAXIMUM": ("MINIMUM", ""), "MINIMUM": ("MAXIMUM", ""),
}  # fmt: skip
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.BOOL: np.bool_,
}


def _bytes(buffer: Any) -> bytes:
    return b"" if buffer.data is None else bytes(np.asarray(buffer.data, np.uint8))


class Damages(WeightDamages):
    """All damages of one file; each method is a kind and gives files. signature: of the export."""

    def __init__(self, files: Files, signature: Any):
        self._content, self._signature = files[FILE] or b"", signature
        self._model = flatbuffer_utils.convert_bytearray_to_object(bytearray(self._content))

    def _changed(self, change: Callable[[Any], None]) -> Files:
        model = copy.deepcopy(self._model)
        change(model)
        return {FILE: bytes(flatbuffer_utils.convert_object_to_bytearray(model))}

    def _values(self) -> list[tuple[int, np.ndarray]]:
        """(buffer, value) of each constant."""
        found: dict[int, np.ndarray] = {}
        for graph in self._model.subgraphs:
            for tensor in graph.tensors:
                content = _bytes(self._model.buffers[tensor.buffer])
                dtype = _DTYPES.get(tensor.type)
                if content and dtype is not None:
                    shape = [] if tensor.shape is None else list(tensor.shape)
                    value = np.frombuffer(content, dtype)
                    found[tensor.buffer] = value.reshape(shape) if value.size == np.prod(shape) else value
        return list(found.items())

    def _with(self, buffer: int, value: np.ndarray) -> Files:
        def change(model: Any) -> None:
            model.buffers[buffer].data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)

        return self._changed(change)

    def _operators(self, model: Any) -> list[Any]:
        return [each for graph in model.subgraphs for each in graph.operators or ()]

    def _name(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return _NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def _of_operator(self, number: int, change: Callable[[Any], None]) -> Files:
        return self._changed(lambda model: change(self._operators(model)[number]))

    def _swapped(self, first: int, second: int) -> Files:
        def change(model: Any) -> None:
            own = model.buffers
            own[first].data, own[second].data = own[second].data, own[first].data

        return self._changed(change)

    def op_replaced(self) -> Iterator[Files]:
        for number, operator in enumerate(self._operators(self._model)):
            if (name := self._name(operator)) in OPS:
                yield self._changed(lambda model, n=number, o=OPS[name]: self._replace(model, n, *o))

    def _replace(self, model: Any, number: int, name: str, options: str | None) -> None:
        code, operator = schema.OperatorCodeT(), self._operators(model)[number]
        code.builtinCode = getattr(_CODES, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        model.operatorCodes.append(code)
        operator.opcodeIndex = len(model.operatorCodes) - 1
        if options == "":
            return
        made = getattr(schema, f"{options}T")() if options else None
        for field in vars(made) if made is not None else ():
            if (own := getattr(operator.builtinOptions, field, None)) is not None:
                setattr(made, field, own)
        operator.builtinOptions = made
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, options or "NONE")

    def activation_bounded(self) -> Iterator[Files]:
        """A Relu that ends at 6, as a converter that takes one for another would have it."""
        kind = schema.ActivationFunctionType
        for number, operator in enumerate(self._operators(self._model)):
            if getattr(operator.builtinOptions, "fusedActivationFunction", kind.NONE) == kind.RELU:
                yield self._of_operator(
                    number, lambda each: setattr(each.builtinOptions, "fusedActivationFunction", kind.RELU6)
                )

    def option_changed(self) -> Iterator[Files]:
        for number, operator in enumerate(self._operators(self._model)):
            for field, value in vars(operator.builtinOptions).items() if operator.builtinOptions else ():
                if isinstance(value, (bool, int, float)) and "Subgraph" not in field:
                    other = not value if isinstance(value, bool) else value + 1
                    yield self._of_operator(number, lambda each, f=field, o=other: setattr(each.builtinOptions, f, o))

    def operator_dropped(self) -> Iterator[Files]:
        for at, graph in enumerate(self._model.subgraphs):
            for number in range(len(graph.operators or ())):
                yield self._changed(lambda model, a=at, n=number: _drop(model.subgraphs[a], n))

    def inputs_exchanged(self) -> Iterator[Files]:
        for number, operator in enumerate(self._operators(self._model)):
            if operator.inputs is not None and len(operator.inputs) > 1 and self._name(operator) not in ("ADD", "MUL"):
                order = [1, 0, *range(2, len(operator.inputs))]
                yield self._of_operator(
                    number, lambda each, o=order: setattr(each, "inputs", np.asarray(each.inputs)[o])
                )

    def input_of_another_tensor(self) -> Iterator[Files]:
        """An input that is taken from another tensor, of the same shape and dtype."""
        for at, graph in enumerate(self._model.subgraphs):
            for number, operator in enumerate(graph.operators or ()):
                for place, tensor in enumerate(operator.inputs if operator.inputs is not None else ()):
                    for other in _alike(graph, tensor):

                        def change(model: Any, a: int = at, n: int = number, p: int = place, o: int = other) -> None:
                            each = model.subgraphs[a].operators[n]
                            each.inputs = np.array([*each.inputs[:p], o, *each.inputs[p + 1 :]], np.int32)

                        yield self._changed(change)

    def ends_exchanged(self) -> Iterator[Files]:
        """Two inputs or outputs in another order, or under the keys of one another."""
        for field in ("inputs", "outputs"):
            signed = getattr(self._model.signatureDefs[0], field)
            if len(signed) > 1:
                yield self._changed(lambda model, f=field: _exchange(getattr(model.signatureDefs[0], f)))
        if len(self._model.subgraphs[0].outputs) > 1:
            yield self._changed(lambda model: _reorder(model.subgraphs[0], "outputs"))

    def end_renamed(self) -> Iterator[Files]:
        for field in ("inputs", "outputs"):
            for number in range(len(getattr(self._model.signatureDefs[0], field))):

                def change(model: Any, f: str = field, n: int = number) -> None:
                    getattr(model.signatureDefs[0], f)[n].name += b"_renamed"

                yield self._changed(change)
        yield self._changed(lambda model: setattr(model.signatureDefs[0], "signatureKey", b"other"))

    def output_left_out(self) -> Iterator[Files]:
        for number in range(len(self._model.signatureDefs[0].outputs)):
            yield self._changed(lambda model, n=number: model.signatureDefs[0].outputs.pop(n))
            yield self._changed(lambda model, n=number: _delete(model.subgraphs[0], "outputs", n))

    def output_added(self) -> Iterator[Files]:
        operators = self._model.subgraphs[0].operators or ()
        first = next(
            (int(each.outputs[0]) for each in operators if each.outputs is not None and len(each.outputs)), None
        )
        if first is not None and first not in self._model.subgraphs[0].outputs:
            yield self._changed(lambda model: _append(model.subgraphs[0], "outputs", first))

    def dtype_of_an_end(self) -> Iterator[Files]:
        for place in self._ends():

            def change(model: Any, p: int = place) -> None:
                tensor = model.subgraphs[0].tensors[p]
                tensor.type = schema.TensorType.INT32 if tensor.type == 0 else schema.TensorType.FLOAT32

            yield self._changed(change)

    def shape_of_an_end(self) -> Iterator[Files]:
        for place in self._ends():
            tensor = self._model.subgraphs[0].tensors[place]
            for field in ("shape", "shapeSignature"):
                sizes = getattr(tensor, field)
                for axis in range(0 if sizes is None else len(sizes)):

                    def change(model: Any, p: int = place, f: str = field, a: int = axis) -> None:
                        own = np.array(getattr(model.subgraphs[0].tensors[p], f))
                        own[a] = 7 if own[a] < 0 else own[a] + 1
                        setattr(model.subgraphs[0].tensors[p], f, own)

                    yield self._changed(change)

    def _ends(self) -> list[int]:
        return [int(each) for each in (*self._model.subgraphs[0].inputs, *self._model.subgraphs[0].outputs)]

    def hidden_tensor_renamed(self) -> Iterator[Files]:
        ends = {each.key for each in (*self._signature.inputs, *self._signature.outputs)}
        names = [tensor.name for tensor in self._model.subgraphs[0].tensors]
        for end in self._signature.hidden:
            if end.name not in ends and end.name.encode() in names:
                at = names.index(end.name.encode())
                yield self._changed(lambda model, a=at: setattr(model.subgraphs[0].tensors[a], "name", b"renamed"))

    def table_entry_changed(self) -> Iterator[Files]:
        """A byte of what fills a table."""
        for graph in self._model.subgraphs:
            for operator in graph.operators or ():
                if self._name(operator) == "HASHTABLE_IMPORT":
                    for tensor in operator.inputs[1:]:
                        buffer = graph.tensors[tensor].buffer
                        content = _bytes(self._model.buffers[buffer])
                        is_text = graph.tensors[tensor].type == schema.TensorType.STRING
                        for at in range(
                            int.from_bytes(content[4:8], "little") if is_text else 0, len(content), 1 if is_text else 8
                        ):
                            value = bytes([*content[:at], content[at] ^ 1, *content[at + 1 :]])
                            yield self._with(buffer, np.frombuffer(value, np.uint8))

    def buffer_damaged(self) -> Iterator[Files]:
        """A buffer that is too short or empty, or in the place of another one."""
        used = [buffer for buffer, _ in self._values()]
        for buffer, value in self._values():
            yield self._with(buffer, np.frombuffer(value.tobytes()[:-1], np.uint8))
            yield self._changed(lambda model, b=buffer: setattr(model.buffers[b], "data", None))
        for at, graph in enumerate(self._model.subgraphs):
            for number, tensor in enumerate(graph.tensors):
                if tensor.buffer in used and len(used) > 1:
                    other = used[used.index(tensor.buffer) - 1]
                    yield self._changed(
                        lambda model, a=at, n=number, o=other: setattr(model.subgraphs[a].tensors[n], "buffer", o)
                    )

    def byte_of_the_file(self) -> Iterator[Files]:
        for at in np.random.default_rng(1).integers(0, len(self._content), 20):
            at = int(at)
            yield {FILE: self._content[:at] + bytes([self._content[at] ^ 1 << at % 8]) + self._content[at + 1 :]}

    def file_cut_off(self) -> Iterator[Files]:
        for share in (0, 0.5, 0.99):
            yield {FILE: self._content[: int(share * len(self._content))]}


KINDS = kinds_of(Damages)


def _drop(graph: Any, number: int) -> None:
    """Takes an operator out; what took its results takes its first input."""
    operator = graph.operators.pop(number)
    outputs = [int(each) for each in operator.outputs] if operator.outputs is not None else []
    inputs = [int(each) for each in operator.inputs] if operator.inputs is not None else []
    if not outputs or not inputs:
        return
    names = dict.fromkeys(outputs, inputs[0])
    for each in graph.operators:
        if each.inputs is not None:
            each.inputs = np.array([names.get(int(place), int(place)) for place in each.inputs], np.int32)
    # An output cannot be an input of its own, but that is what a lost op leaves.
    graph.outputs = np.array([names.get(int(place), int(place)) for place in graph.outputs], np.int32)


def _alike(graph: Any, tensor: int) -> list[int]:
    if tensor < 0:
        return []
    own = graph.tensors[tensor]
    shape = None if own.shape is None else list(own.shape)
    return [
        number
        for number, each in enumerate(graph.tensors)
        if number != tensor and each.type == own.type and (None if each.shape is None else list(each.shape)) == shape
    ]


def _exchange(maps: list[Any]) -> None:
    maps[0].tensorIndex, maps[1].tensorIndex = maps[1].tensorIndex, maps[0].tensorIndex


def _reorder(graph: Any, field: str) -> None:
    own = [int(each) for each in getattr(graph, field)]
    setattr(graph, field, np.array([own[1], own[0], *own[2:]], np.int32))


def _delete(graph: Any, field: str, number: int) -> None:
    own = [int(each) for each in getattr(graph, field)]
    setattr(graph, field, np.array(own[:number] + own[number + 1 :], np.int32))


def _append(graph: Any, field: str, tensor: int) -> None:
    setattr(graph, field, np.array([*map(int, getattr(graph, field)), int(tensor)], np.int32))
