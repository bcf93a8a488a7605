"""An ONNX file under onnxruntime, as people run it: its own optimisations on, one thread, a fresh session each time."""

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.export_records import Endpoint, Signature
from permafrost.graph.dtypes import numpy_dtype
from permafrost.judge.exports.declared_shapes import Declared, Sizes
from permafrost.judge.exports.onnx_structure import initializers
from permafrost.judge.exports.runtimes import Array, Weight
from permafrost.judge.sessions import RunFailed
from permafrost.outcome import Problem

_QUIET = 4  # fatal errors alone; what fails is raised
_FOLDER = "session.model_external_initializers_file_folder_path"


class OnnxRuntime:
    """An ONNX file; what is hidden in it is asked of a copy in memory, which has it as outputs.

    model: the file's ModelProto, without its large weights.
    """

    def __init__(self, path: str, signature: Signature):
        """Reads the file without its large weights.

        Raises Problem (structure_differs) where it is no ONNX file, or its inputs and outputs are not the signature's.
        """
        self.path, self.signature = Path(path), signature
        self.model = _read(self.path)
        self._given: dict[str, Array] = {}  # large weights that are others than in the file
        self._is_changed = False
        _check_interface(self.model, signature, self.path.name)

    def run(self, feed: dict[str, Array]) -> list[Array]:
        """The values of the outputs, then of what is hidden. Raises RunFailed, and Problem (memory)."""
        fed = {end.name: _fed(end, feed) for end in self.signature.inputs}
        outputs, hidden = self.signature.outputs, self.signature.hidden
        values = self._run(None if not self._is_changed else self.model, outputs, fed)
        if hidden:
            values += self._run(self._showing(hidden), hidden, fed)
        return values

    def declared(self) -> Declared:
        """See Runtime."""
        graph, signature = self.model.graph, self.signature
        return Declared(_shapes(graph.input, signature.inputs), _shapes(graph.output, signature.outputs))

    def weights(self) -> Iterator[Weight]:
        """The initializers, those of floats first, then those that are few nodes before an output, then large ones.

        Those of bodies are among them; of several with the same name the first, which is the one that is changed.
        """
        distances = _distances(self.model.graph)
        named = {tensor.name: tensor for tensor in reversed([*initializers(self.model.graph)])}
        tensors = [tensor for tensor in named.values() if tensor.name in distances and _size(tensor)]
        tensors = [tensor for tensor in tensors if _numpy(tensor).kind in "fiub"]
        for tensor in sorted(tensors, key=lambda each: _rank(each, distances[each.name])):
            yield Weight(tensor.name, _numpy(tensor).name, list(tensor.dims), _size(tensor))

    def value(self, weight: str) -> Array:
        """The value of an initializer. Raises KeyError for a name that is none, and OSError."""
        from onnx import numpy_helper

        if weight in self._given:
            return self._given[weight]
        return np.asarray(numpy_helper.to_array(self._initializer(weight), base_dir=str(self.path.parent)))

    def changed(self, weight: str, value: Array) -> "OnnxRuntime":
        """The same file with another value of an initializer, of the same shape and dtype."""
        from onnx import TensorProto

        other = OnnxRuntime.__new__(OnnxRuntime)
        other.path, other.signature, other._is_changed = self.path, self.signature, True
        other._given, other.model = dict(self._given), type(self.model)()
        other.model.CopyFrom(self.model)
        tensor = other._initializer(weight)
        if tensor.data_location == TensorProto.EXTERNAL:
            other._given[weight] = np.ascontiguousarray(value)
        else:
            _overwrite(tensor, value)
        return other

    def _initializer(self, name: str) -> Any:
        for tensor in initializers(self.model.graph):
            if tensor.name == name:
                return tensor
        raise KeyError(name)

    def _showing(self, ends: list[Endpoint]) -> Any:
        """A copy of the model that has hidden tensors as outputs."""
        from onnx import helper

        model = type(self.model)()
        model.CopyFrom(self.model)
        there = {value.name for value in model.graph.output}
        for end in ends:
            if end.name not in there:
                model.graph.output.append(helper.make_tensor_value_info(end.name, _element_type(end), None))
        return model

    def _run(self, model: Any, ends: list[Endpoint], feed: dict[str, Any]) -> list[Array]:
        """The values of tensors in a fresh session of a model, or of the file itself where it is None."""
        with _failing_as_runs():
            session = self._session(model)
            values = session.run([end.name for end in ends], feed)
        return [_array(value) for value in values]

    def _session(self, model: Any) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        if model is None:
            return onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        options.add_session_config_entry(_FOLDER, str(self.path.parent.resolve()))
        if self._given:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in self._given.values()]
            options.add_external_initializers(list(self._given), values)
        content = model.SerializeToString()
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _read(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise Problem("structure_differs", f"{path.name} is no ONNX file: {error}") from error
    if not model.HasField("graph"):
        raise Problem("structure_differs", f"{path.name} is no ONNX file: it has no graph")
    return model


def _check_interface(model: Any, signature: Signature, name: str) -> None:
    for what, values, ends in (
        ("input", model.graph.input, signature.inputs),
        ("output", model.graph.output, signature.outputs),
    ):
        found, wanted = [value.name for value in values], [end.name for end in ends]
        if found != wanted:
            raise Problem("structure_differs", f"{name} has the {what}s {found}, and not {wanted}")
        for value, end in zip(values, ends, strict=True):
            _check_end(value.type.tensor_type, end, f"{what} {end.name!r} of {name}", has_shape=what == "input")


def _check_end(tensor: Any, end: Endpoint, what: str, has_shape: bool) -> None:
    if tensor.elem_type != _element_type(end):
        raise Problem("structure_differs", f"the {what} is no {end.dtype}")
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    shape = sizes if tensor.HasField("shape") else None
    if has_shape and shape != end.shape:
        raise Problem("structure_differs", f"the {what} is of shape {shape}, and not {end.shape}")


def _shapes(values: Any, ends: list[Endpoint]) -> dict[str, Sizes | None]:
    """The declared shapes, by the keys of the ends, which are in the same order."""
    found: dict[str, Sizes | None] = {}
    for value, end in zip(values, ends, strict=True):
        tensor = value.type.tensor_type
        sizes = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim]
        found[end.key] = sizes if tensor.HasField("shape") else None
    return found


def _element_type(end: Endpoint) -> int:
    import onnx

    try:
        return int(onnx.helper.np_dtype_to_tensor_dtype(numpy_dtype(end.dtype)))
    except (KeyError, TypeError, ValueError) as error:
        raise Problem("structure_differs", f"{end.key!r} is {end.dtype}, which ONNX lacks") from error


def _fed(end: Endpoint, feed: dict[str, Array]) -> Any:
    """An input as onnxruntime takes it: its strings are text. Raises RunFailed for bytes that are no UTF-8."""
    if end.key not in feed:
        raise RunFailed("bad_feed", f"nothing is fed to {end.key!r}")
    value = np.asarray(feed[end.key])
    if end.dtype != "string":
        return np.ascontiguousarray(value).reshape(value.shape)
    try:
        texts = [each.decode() if isinstance(each, bytes) else str(each) for each in value.reshape(-1)]
    except UnicodeDecodeError as error:
        text = f"the strings of {end.key!r} are no UTF-8, and onnxruntime takes no others"
        raise RunFailed("string_input", text) from error
    return np.array(texts, object).reshape(value.shape)


def _array(value: Any) -> NDArray[Any]:
    """What onnxruntime gives, strings as bytes. Raises RunFailed for a sequence, or an optional without a value."""
    if isinstance(value, (list, dict)) or value is None:
        raise RunFailed("run_failed", "an output is no tensor")
    array = np.asarray(value)
    if array.dtype.kind not in "OUS":
        return array
    texts = [each if isinstance(each, bytes) else str(each).encode() for each in array.reshape(-1)]
    strings = np.empty(len(texts), object)
    strings[:] = texts
    return strings.reshape(array.shape)


@contextlib.contextmanager
def _failing_as_runs() -> Iterator[None]:
    """Turns onnxruntime's errors into RunFailed, or Problem (memory)."""
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    failures: list[type[Exception]] = [RuntimeError, ValueError, TypeError]
    failures += [kind for kind in vars(states).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    try:
        yield
    except MemoryError:
        raise
    except tuple(failures) as error:
        said = " ".join(str(error).split())[:400]
        if "Failed to allocate memory" in said or "bad_alloc" in said:
            raise Problem("memory", f"onnxruntime ran out of memory: {said}") from error
        raise RunFailed("run_failed", f"onnxruntime: {said}") from error


def _distances(graph: Any) -> dict[str, int]:
    """Tensor -> how many nodes lie between it and the nearest output."""
    makers = {name: node for node in graph.node for name in node.output}
    found = {value.name: 0 for value in graph.output}
    waiting = deque(found)
    while waiting:
        name = waiting.popleft()
        for source in _sources(makers[name]) if name in makers else ():
            if source not in found:
                found[source] = found[name] + 1
                waiting.append(source)
    return found


def _sources(node: Any) -> Iterator[str]:
    """What a node takes, by itself or in a body of it; names that a body gives itself may be among them."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            yield from (value.name for value in body.output)
            for inner in body.node:
                yield from _sources(inner)


def _size(tensor: Any) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64))


def _numpy(tensor: Any) -> np.dtype[Any]:
    import onnx

    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))


def _rank(tensor: Any, distance: int) -> tuple[bool, int, int, str]:
    is_number = tensor.data_type in _floats()
    return not is_number, distance, -_size(tensor), str(tensor.name)


def _floats() -> set[int]:
    from onnx import TensorProto

    return {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16}


def _overwrite(tensor: Any, value: Array) -> None:
    from onnx import numpy_helper

    name = tensor.name
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value).reshape(list(tensor.dims)), name))
