"""What lies in a TensorFlow Lite file: its signatures, the names of its tensors, and its weights.

Format: tensorflow/compiler/mlir/lite/schema/schema.fbs, a flatbuffer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from permafrost.judge.exports.declared_shapes import Sizes
from permafrost.judge.exports.runtimes import Array, Weight

# TensorType of the schema -> numpy's dtype, for those whose elements lie in a buffer as they do in memory.
_DTYPES = {
    "FLOAT32": "float32", "FLOAT16": "float16", "FLOAT64": "float64", "INT8": "int8", "UINT8": "uint8",
    "INT16": "int16", "UINT16": "uint16", "INT32": "int32", "UINT32": "uint32", "INT64": "int64", "UINT64": "uint64",
    "BOOL": "bool", "COMPLEX64": "complex64", "COMPLEX128": "complex128",
}  # fmt: skip
# Which dtypes are tried first: integers are shapes and axes more often than not.
_ORDER = ("float32", "float16", "float64", "complex64", "int8", "uint8", "int16")


@dataclass
class _Held:
    """A tensor with a value of its own. buffer: the index of the buffer that has it."""

    name: str
    buffer: int
    dtype: str
    shape: list[int]


class Buffers:
    """The content of a file."""

    def __init__(self, content: bytes):
        from ai_edge_litert import schema_py_generated as schema  # Only here: not every run has exports.

        self._content, self._schema = content, schema
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise ValueError("it does not begin as such a file does")
        self._model = schema.Model.GetRootAs(content, 0)
        self._types = {number: word for word, number in vars(schema.TensorType).items() if isinstance(number, int)}

    def signature(self, name: str) -> tuple[dict[str, int], dict[str, int]]:
        """The inputs and the outputs of a signature: key -> index of the tensor in the first subgraph.

        Raises ValueError where the file has no signature of that name for that subgraph.
        """
        for position in range(self._model.SignatureDefsLength()):
            found = self._model.SignatureDefs(position)
            if found.SignatureKey() == name.encode() and found.SubgraphIndex() == 0:
                inputs = [found.Inputs(k) for k in range(found.InputsLength())]
                outputs = [found.Outputs(k) for k in range(found.OutputsLength())]
                return _keyed(inputs), _keyed(outputs)
        raise ValueError(f"it has no signature {name!r}")

    def shape(self, place: int) -> Sizes | None:
        """The shape that a tensor of the first subgraph declares; None for an unknown rank."""
        tensor = self._model.Subgraphs(0).Tensors(place)
        length = tensor.ShapeSignatureLength()
        sizes = [tensor.ShapeSignature(k) for k in range(length)] or [
            tensor.Shape(k) for k in range(tensor.ShapeLength())
        ]
        if not sizes and not tensor.HasRank():
            return None
        return [None if size < 0 else int(size) for size in sizes]

    def places(self, name: str) -> list[int]:
        """The indices of the tensors of a name in the first subgraph."""
        graph = self._model.Subgraphs(0)
        return [k for k in range(graph.TensorsLength()) if graph.Tensors(k).Name() == name.encode()]

    def weights(self) -> Iterator[Weight]:
        """The constants that ops take, floats first, and of these the ones that are nearest to the outputs first."""
        places = {dtype: place for place, dtype in enumerate(_ORDER)}
        held = sorted(self._held.items(), key=lambda item: places.get(item[1].dtype, len(_ORDER)))
        for name, each in held:
            yield Weight(name=name, dtype=each.dtype, shape=each.shape, size=int(np.prod(each.shape, dtype=np.int64)))

    def value(self, weight: str) -> Array:
        """The value of a weight. Raises KeyError."""
        held = self._held[weight]
        data = self._model.Buffers(held.buffer).DataAsNumpy()
        return np.frombuffer(data.tobytes(), held.dtype).reshape(held.shape)

    def with_value(self, weight: str, value: Array) -> bytes:
        """The file with another value of a weight. Raises KeyError, and ValueError where dtype or shape differ."""
        held = self._held[weight]
        if value.dtype != held.dtype or list(value.shape) != held.shape:
            raise ValueError(f"weight {weight!r} is {held.dtype} {held.shape}, not {value.dtype} {list(value.shape)}")
        content = bytearray(self._content)
        view = self._schema.Model.GetRootAs(content, 0).Buffers(held.buffer).DataAsNumpy()
        view[...] = np.frombuffer(np.ascontiguousarray(value).tobytes(), view.dtype)
        return bytes(content)

    @cached_property
    def _held(self) -> dict[str, _Held]:
        """The weights by name, the nearest to the outputs first; a name that others have tells the place too."""
        found: dict[str, _Held] = {}
        seen = set[tuple[int, int]]()
        for number, place in self._taken():
            if (number, place) not in seen:
                seen.add((number, place))
                held = self._constant(number, place)
                if held is not None:
                    name = held.name if held.name not in found else f"{held.name} ({number}, {place})"
                    found[name] = held
        return found

    def _taken(self) -> Iterator[tuple[int, int]]:
        """(subgraph, tensor) of what ops take, the last op first."""
        for number in range(self._model.SubgraphsLength()):
            graph = self._model.Subgraphs(number)
            for position in reversed(range(graph.OperatorsLength())):
                inputs = graph.Operators(position).InputsAsNumpy()
                for place in inputs if isinstance(inputs, np.ndarray) else ():
                    if place >= 0:
                        yield number, int(place)

    def _constant(self, number: int, place: int) -> _Held | None:
        tensor = self._model.Subgraphs(number).Tensors(place)
        dtype = _DTYPES.get(self._types.get(tensor.Type(), ""))
        data = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        if dtype is None or not isinstance(data, np.ndarray):
            return None
        shape = [int(size) for size in np.atleast_1d(tensor.ShapeAsNumpy())] if tensor.ShapeLength() else []
        if data.nbytes != int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize or not data.nbytes:
            return None
        return _Held((tensor.Name() or b"").decode(errors="replace"), tensor.Buffer(), dtype, shape)


def _keyed(mapped: list[Any]) -> dict[str, int]:
    return {each.Name().decode(errors="replace"): int(each.TensorIndex()) for each in mapped}
