"""What a checkpoint holds: tensors, and the slices in which they are stored."""

from dataclasses import dataclass
from math import prod

from permafrost.protos import types_pb2

_SIZES = {
    1: "INT8 UINT8 BOOL QINT8 QUINT8 FLOAT8_E5M2 FLOAT8_E4M3FN FLOAT8_E4M3FNUZ FLOAT8_E4M3B11FNUZ FLOAT8_E5M2FNUZ",
    2: "INT16 UINT16 HALF BFLOAT16 QINT16 QUINT16",
    4: "FLOAT INT32 UINT32 QINT32",
    8: "DOUBLE INT64 UINT64 COMPLEX64",
    16: "COMPLEX128",
}
# DataType -> bytes of an element, for the dtypes whose elements are all of one size.
ITEM_SIZES = {
    types_pb2.DataType.Value(f"DT_{name}"): size
    for size, names in _SIZES.items()
    for name in names.split()
    if f"DT_{name}" in types_pb2.DataType.keys()  # noqa: SIM118 - an enum wrapper is no dict
}


@dataclass(frozen=True)
class Slice:
    """A box of a tensor: the first index and the length in each dimension."""

    start: tuple[int, ...]
    extent: tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a checkpoint; `nbytes` is the size of its data (for strings: as stored), in bytes."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    slices: tuple[Slice, ...]
    nbytes: int


def whole(shape: tuple[int, ...]) -> Slice:
    """The slice that is all of a tensor of this shape."""
    return Slice((0,) * len(shape), shape)


def shape_of(proto) -> tuple[int, ...]:
    """The sizes in a TensorShapeProto. Raises ValueError where one is unknown."""
    sizes = tuple(dimension.size for dimension in proto.dim)
    if proto.unknown_rank or min(sizes, default=0) < 0 or prod(sizes) >= 1 << 62:
        raise ValueError("a tensor has no fixed shape")
    return sizes


def slice_of(proto, shape: tuple[int, ...]) -> Slice:
    """The Slice of a TensorSliceProto within a tensor. Raises ValueError where it does not lie within."""
    if not proto.extent:
        return whole(shape)
    if len(proto.extent) != len(shape):
        raise ValueError("a slice has another rank than its tensor")
    start, extent = [], []
    for span, size in zip(proto.extent, shape, strict=True):
        has_length = span.HasField("length")
        start.append(span.start if has_length else 0)
        extent.append(span.length if has_length else size)
        if start[-1] < 0 or extent[-1] < 0 or start[-1] + extent[-1] > size:
            raise ValueError("a slice goes beyond its tensor")
    return Slice(tuple(start), tuple(extent))
