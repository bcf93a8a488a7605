"""What the constant of a variable holds: the bytes of the checkpoint, cast where the restore casts them, or a value.

Everything is streamed: no weights are ever held in memory, but for a tensor that the checkpoint keeps in parts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, Any

from permafrost.freezer.casts import cast
from permafrost.graph.dtypes import dtype_name, has_field, numpy_dtype
from permafrost.graph.protos import types_pb2

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What tensor_util.make_tensor_proto writes to typed fields, however many elements there are.
_NOT_CONTENT = (types_pb2.DT_BOOL, types_pb2.DT_UINT16, types_pb2.DT_COMPLEX64, types_pb2.DT_COMPLEX128)
_CHUNK = 1 << 18  # elements


@dataclass(frozen=True)
class Constant:
    """A variable that becomes a Const: node name, DataType number, shape, and where its bytes come from.

    key, start, extent: the tensor of the checkpoint, and the box of it. casts: what its values are cast by, in this
    order, as pairs of DataTypes. value: what is in a variable to which nodes write after the restore, or the initial
    value of one that the checkpoint lacks, in place of these.
    """

    node: str
    dtype: int
    shape: tuple[int, ...]
    nbytes: int
    key: str
    start: tuple[int, ...] | None = None
    extent: tuple[int, ...] | None = None
    casts: tuple[tuple[int, int], ...] = ()
    value: "NDArray[Any] | None" = None

    @property
    def streams(self) -> bool:
        """Whether the tensor is written as it lies in the checkpoint, or in memory."""
        return has_field(self.dtype) and self.dtype not in _NOT_CONTENT and prod(self.shape) > 1


def stream(constant: Constant, checkpoint: Any, write: Callable[[Any], object]) -> None:
    """Hands the bytes of a constant to `write`, little-endian and row-major.

    Args:
      checkpoint: a checkpoint.reader.Checkpoint.
    Raises Problem as Checkpoint.stream does, and as casts.cast does.
    """
    if constant.value is not None:
        for first in range(0, constant.value.size, _CHUNK):
            write(constant.value.flat[first : first + _CHUNK].tobytes())
    elif not constant.casts:
        checkpoint.stream(constant.key, write, constant.start, constant.extent)
    else:
        checkpoint.stream(constant.key, _Casting(constant.casts, write), constant.start, constant.extent)


def read(constant: Constant, checkpoint: Any) -> bytes:
    """The bytes of a constant, as `stream` gives them. Raises as that does."""
    data = BytesIO()
    stream(constant, checkpoint, data.write)
    return data.getvalue()


def strings(constant: Constant, checkpoint: Any) -> list[bytes]:
    """The elements of a constant of strings, in row-major order. Raises Problem as Checkpoint.read_strings does."""
    if constant.value is not None:
        return list(constant.value.flat)
    found: list[bytes] = checkpoint.read_strings(constant.key, constant.start, constant.extent)
    return found


class _Casting:
    """Takes the bytes of a tensor in chunks of any size, and hands them on cast; an element may lie across chunks."""

    def __init__(self, casts: tuple[tuple[int, int], ...], write: Callable[[Any], object]):
        self._casts, self._write, self._rest = casts, write, b""
        self._dtype = numpy_dtype(dtype_name(casts[0][0]))

    def __call__(self, chunk: memoryview) -> None:
        import numpy as np  # Only here, since it takes a third of the time in which freezing starts.

        data = self._rest + bytes(chunk)
        whole = len(data) // self._dtype.itemsize * self._dtype.itemsize
        self._rest = data[whole:]
        values = np.frombuffer(data[:whole], self._dtype)
        for before, after in self._casts:
            values = cast(values, before, after)
        self._write(values.tobytes())
