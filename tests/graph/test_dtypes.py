"""The table of DataTypes is TensorFlow's."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import tensor_util

from permafrost.freezer import contents
from permafrost.graph import dtypes
from permafrost.graph.dtypes import DTYPES

PLAIN = sorted(number for number in types_pb2.DataType.values() if 0 < number < dtypes.REFERENCE)
KINDS = {
    dtypes.FLOAT: "is_floating",
    dtypes.QUANTIZED: "is_quantized",
    dtypes.COMPLEX: "is_complex",
    dtypes.BOOL: "is_bool",
}
HELD = [number for number in PLAIN if DTYPES[number].field]


def test_no_data_type_is_missing():
    assert sorted(DTYPES) == PLAIN
    assert {*PLAIN, *(number + dtypes.REFERENCE for number in PLAIN)} == dtypes.KNOWN


@pytest.mark.parametrize("number", PLAIN)
def test_names_sizes_and_kinds(number):
    ours, theirs = DTYPES[number], tf.dtypes.as_dtype(number)
    assert dtypes.enum_name(number) == f"DT_{ours.enum}" == types_pb2.DataType.Name(number)
    assert ours.name == {"float16": "half"}.get(theirs.name, theirs.name) and ours.size == theirs.size
    for kind, asked in KINDS.items():
        assert (ours.kind == kind) == getattr(theirs, asked)
    assert (ours.kind in (dtypes.SIGNED, dtypes.UNSIGNED)) == theirs.is_integer
    assert (ours.kind == dtypes.UNSIGNED) == theirs.is_unsigned
    assert (ours.kind == dtypes.STRING, ours.kind == dtypes.HANDLE) == (
        theirs == tf.string,
        theirs in (tf.resource, tf.variant),
    )


@pytest.mark.parametrize("number", PLAIN)
def test_numpy_dtypes(number):
    if DTYPES[number].kind == dtypes.HANDLE:
        with pytest.raises(TypeError):
            dtypes.numpy_dtype(DTYPES[number].name)
        return
    theirs = np.dtype(tf.dtypes.as_dtype(number).as_numpy_dtype)
    # A quantized number is a field of that name.
    theirs = theirs[0] if theirs.fields else theirs
    assert dtypes.numpy_dtype(DTYPES[number].name) == theirs


@pytest.mark.parametrize("number", PLAIN)
def test_references(number):
    reference = number + dtypes.REFERENCE
    assert tf.dtypes.as_dtype(reference).base_dtype == tf.dtypes.as_dtype(number)
    assert dtypes.dtype_of(reference) is DTYPES[number] and dtypes.dtype_name(reference) == DTYPES[number].name


@pytest.mark.parametrize(("number", "name"), [(0, "invalid"), (99, "99"), (100, "100"), (199, "199"), (-1, "-1")])
def test_numbers_that_are_no_data_type(number, name):
    assert dtypes.dtype_of(number) is None and dtypes.dtype_name(number) == name and number not in dtypes.KNOWN


def test_elements_without_bytes_of_their_own_have_no_item_size():
    narrow = {number for number, dtype in DTYPES.items() if dtype.size and _bits(dtype) < 8}
    assert {n: d.size for n, d in DTYPES.items() if d.size and n not in narrow} == dtypes.ITEM_SIZES


def _bits(dtype) -> int:
    if dtype.kind in (dtypes.SIGNED, dtypes.UNSIGNED):
        return ml_dtypes.iinfo(dtypes.numpy_dtype(dtype.name)).bits
    return ml_dtypes.finfo(dtypes.numpy_dtype(dtype.name)).bits if dtype.kind == dtypes.FLOAT else 8 * dtype.size


@pytest.mark.parametrize("number", HELD)
def test_fields_of_a_tensor(number):
    dtype = DTYPES[number]
    array = np.array([1]).astype(dtypes.numpy_dtype(dtype.name))
    given = array.view(np.dtype(tf.dtypes.as_dtype(number).as_numpy_dtype)) if dtype.kind == "quantized" else array
    proto = tensor_util.make_tensor_proto(given, number)
    (field,) = {descriptor.name for descriptor, _ in proto.ListFields()} - {"dtype", "tensor_shape"}
    values = getattr(proto, field)
    assert (field, list(values)) == (dtype.field, memoryview(array.tobytes()).cast(dtype.layout).tolist())


def test_what_is_content():
    content = {tf.dtypes.as_dtype(dtype).as_datatype_enum for dtype in tensor_util._TENSOR_CONTENT_TYPES}
    assert {number for number in HELD if number not in contents._NOT_CONTENT} == content & set(HELD)
