"""Writes an ONNX file, and its large weights into a file of their own beside it.

A protocol buffer holds no more than 2 GiB, and a weight in one is copied by whoever reads or writes it; so each large
one is raw bytes of another file, which goes from memory to the disk as it is. Format: TensorProto.external_data of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and docs/ExternalData.md there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from permafrost.exporter.prepared import Refused
from permafrost.whole_files import written_whole

LARGE = 1 << 20  # bytes
_ALIGNMENT = 4096  # A runtime can map a weight into memory where it begins with a page.
_MOST = (1 << 31) - 1  # bytes of a protocol buffer
SUFFIX = ".data"


def write(model: Any, weights: dict[str, NDArray[Any]], path: str | Path) -> list[Path]:
    """Writes a ModelProto to `path`, and what is large beside it, under the same name with `.data` behind it.

    Args:
      weights: initializer that the model lacks -> its value; together with its own initializers of 1 MiB or more they
        go into the file beside it, those in the model first. The model refers to them afterwards.
    Returns the files. Raises OSError, and Refused (too_large) for a model that has 2 GiB without them.
    """
    path = Path(path)
    beside = path.with_name(path.name + SUFFIX)
    large = list(_take_out(model, weights))
    if not large:
        beside.unlink(missing_ok=True)
        _write_model(model, path)
        return [path]
    with written_whole(beside) as temporary:
        with open(temporary, "wb") as file:
            for tensor, content in large:
                _refer(tensor, beside.name, *_append(file, content))
        _write_model(model, path)
    return [path, beside]


def _take_out(model: Any, weights: dict[str, NDArray[Any]]) -> Iterator[tuple[Any, memoryview]]:
    """The TensorProtos of large initializers, and the bytes of each; new ones for `weights`."""
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= LARGE:
            yield tensor, memoryview(tensor.raw_data)
    for name, value in weights.items():
        yield _declared(model, name, value), np.ascontiguousarray(value).reshape(-1).view(np.uint8).data


def _declared(model: Any, name: str, value: NDArray[Any]) -> Any:
    from onnx import helper

    dtype = helper.np_dtype_to_tensor_dtype(value.dtype)
    return model.graph.initializer.add(name=name, data_type=dtype, dims=value.shape)


def _append(file: BinaryIO, content: memoryview) -> tuple[int, int]:
    """Writes at the next page of the file; returns where, and how many bytes."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    offset = file.tell()
    file.write(content)
    return offset, content.nbytes


def _refer(tensor: Any, location: str, offset: int, length: int) -> None:
    from onnx import TensorProto

    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _write_model(model: Any, path: Path) -> None:
    if model.ByteSize() > _MOST:
        raise Refused("too_large", f"{path.name} would have {model.ByteSize()} bytes without its weights, beyond 2 GiB")
    with written_whole(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
