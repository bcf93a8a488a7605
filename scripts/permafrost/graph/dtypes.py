"""TensorFlow's DataTypes: one table of their names, sizes, kinds, and where a TensorProto holds their values.

From tensorflow/core/framework/types.proto and tensor.proto, and tensorflow/python/framework/dtypes.py.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from permafrost.graph.protos import types_pb2

if TYPE_CHECKING:
    import numpy as np

REFERENCE = 100  # what the number of a dtype of references has more than that of what they refer to

FLOAT, SIGNED, UNSIGNED, QUANTIZED, COMPLEX = "float", "signed", "unsigned", "quantized", "complex"
BOOL, STRING, HANDLE = "bool", "string", "handle"


@dataclass(frozen=True)
class DType:
    """A DataType.

    enum: its name in types.proto, without DT_.
    name: as numpy spells it where it has it: `float32`, `int64`, `bool`, but `half`, `string`, `qint8`.
    kind: FLOAT, SIGNED, UNSIGNED, QUANTIZED, COMPLEX, BOOL, STRING or HANDLE.
    size: bytes of an element in memory; 0 where elements have no fixed width.
    numpy: the name of the numpy dtype of its arrays, empty where there is none.
    field, layout: the field of a TensorProto that holds its values one by one, and how memory is cut into these, as
      in the struct module; a complex number is two of them. Empty where there is no such field.
    """

    enum: str
    name: str
    kind: str
    size: int
    numpy: str
    field: str = ""
    layout: str = ""

    @property
    def number(self) -> int:
        """Its number in types.proto."""
        return int(types_pb2.DataType.Value(f"DT_{self.enum}"))


_ALL = (
    DType("FLOAT", "float32", FLOAT, 4, "float32", "float_val", "f"),
    DType("DOUBLE", "float64", FLOAT, 8, "float64", "double_val", "d"),
    DType("HALF", "half", FLOAT, 2, "float16", "half_val", "H"),
    DType("BFLOAT16", "bfloat16", FLOAT, 2, "bfloat16", "half_val", "H"),
    DType("FLOAT8_E5M2", "float8_e5m2", FLOAT, 1, "float8_e5m2"),
    DType("FLOAT8_E4M3FN", "float8_e4m3fn", FLOAT, 1, "float8_e4m3fn"),
    DType("FLOAT8_E4M3FNUZ", "float8_e4m3fnuz", FLOAT, 1, "float8_e4m3fnuz"),
    DType("FLOAT8_E4M3B11FNUZ", "float8_e4m3b11fnuz", FLOAT, 1, "float8_e4m3b11fnuz"),
    DType("FLOAT8_E5M2FNUZ", "float8_e5m2fnuz", FLOAT, 1, "float8_e5m2fnuz"),
    DType("FLOAT4_E2M1FN", "float4_e2m1fn", FLOAT, 1, "float4_e2m1fn"),
    DType("INT2", "int2", SIGNED, 1, "int2"),
    DType("INT4", "int4", SIGNED, 1, "int4"),
    DType("INT8", "int8", SIGNED, 1, "int8", "int_val", "b"),
    DType("INT16", "int16", SIGNED, 2, "int16", "int_val", "h"),
    DType("INT32", "int32", SIGNED, 4, "int32", "int_val", "i"),
    DType("INT64", "int64", SIGNED, 8, "int64", "int64_val", "q"),
    DType("UINT2", "uint2", UNSIGNED, 1, "uint2"),
    DType("UINT4", "uint4", UNSIGNED, 1, "uint4"),
    DType("UINT8", "uint8", UNSIGNED, 1, "uint8", "int_val", "B"),
    DType("UINT16", "uint16", UNSIGNED, 2, "uint16", "int_val", "H"),
    DType("UINT32", "uint32", UNSIGNED, 4, "uint32", "uint32_val", "I"),
    DType("UINT64", "uint64", UNSIGNED, 8, "uint64", "uint64_val", "Q"),
    DType("QINT8", "qint8", QUANTIZED, 1, "int8", "int_val", "b"),
    DType("QUINT8", "quint8", QUANTIZED, 1, "uint8", "int_val", "B"),
    DType("QINT16", "qint16", QUANTIZED, 2, "int16", "int_val", "h"),
    DType("QUINT16", "quint16", QUANTIZED, 2, "uint16", "int_val", "H"),
    DType("QINT32", "qint32", QUANTIZED, 4, "int32", "int_val", "i"),
    DType("COMPLEX64", "complex64", COMPLEX, 8, "complex64", "scomplex_val", "f"),
    DType("COMPLEX128", "complex128", COMPLEX, 16, "complex128", "dcomplex_val", "d"),
    DType("BOOL", "bool", BOOL, 1, "bool", "bool_val", "?"),
    DType("STRING", "string", STRING, 0, "object"),
    DType("RESOURCE", "resource", HANDLE, 0, ""),
    DType("VARIANT", "variant", HANDLE, 0, ""),
)

DTYPES = {dtype.number: dtype for dtype in _ALL}
_NAMED = {dtype.name: dtype for dtype in _ALL}
# Several elements of these may share a byte where they are stored.
_NARROW = {"float4_e2m1fn", "int2", "int4", "uint2", "uint4"}

# DataType -> bytes of an element, for the dtypes whose bytes lie in a checkpoint as they do in memory.
ITEM_SIZES = {number: dtype.size for number, dtype in DTYPES.items() if dtype.size and dtype.name not in _NARROW}
KNOWN = frozenset(types_pb2.DataType.values()) - {types_pb2.DT_INVALID}


def dtype_of(number: int) -> DType | None:
    """The DataType of a number, of references too; None where there is none."""
    return DTYPES.get(number - REFERENCE if number > REFERENCE else number)


def has_field(number: int) -> bool:
    """Whether a TensorProto has a field for the values of a DataType, one by one."""
    return number in DTYPES and bool(DTYPES[number].field)


# Floats narrower than float32 that a cast knows.
_HALVES = ("half", "bfloat16")
_WHOLE = (SIGNED, UNSIGNED, BOOL)


def castable(before: int, after: int) -> bool:
    """Whether freezer.casts does to values of one DataType what TensorFlow's Cast to another does."""
    from_, to = DTYPES.get(before), DTYPES.get(after)
    if from_ is None or to is None or {before, after} - ITEM_SIZES.keys():
        return False
    known = [d.kind in _WHOLE or d.name in ("float32", "float64", *_HALVES) for d in (from_, to)]
    return all(known) or (from_.kind == to.kind == COMPLEX)


def dtype_name(number: int) -> str:
    """The name of a DataType as DType has it, of what it refers to where it is one of references.

    What is no DataType has its number for a name.
    """
    found = dtype_of(number)
    return found.name if found else enum_name(number).removeprefix("DT_").lower()


def enum_name(number: int) -> str:
    """The name of a DataType in types.proto, `DT_FLOAT` for instance; `DT_<number>` for what is none."""
    return types_pb2.DataType.Name(number) if number in types_pb2.DataType.values() else f"DT_{number}"


def named(name: str) -> DType:
    """The DataType of a name as DType has it. Raises KeyError for none of these."""
    return _NAMED[name]


def numpy_dtype(name: str) -> "np.dtype[Any]":
    """The numpy dtype of a name of a DType, or of numpy's own. Raises TypeError for one that numpy cannot hold."""
    import ml_dtypes  # noqa: F401 - tells numpy the names of narrow floats
    import numpy as np  # Only here, since it takes a third of the time in which freezing starts.

    found = _NAMED.get(name)
    return np.dtype(found.numpy or name if found else name)
