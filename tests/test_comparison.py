"""The comparison of two arrays, against numpy's own words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from permafrost import comparison

DTYPES = st.sampled_from([np.float32, np.float64, np.float16, np.int32, np.uint8, np.bool_, np.complex64])


@given(DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0))))
def test_an_array_matches_itself(array):
    assert comparison.match(array, array.copy()) == "bitwise"
    assert comparison.measure(array, array.copy())["unequal"] == 0


@given(arrays.arrays(np.float32, (4,), elements=st.floats(width=32)), st.integers(0, 15), st.integers(0, 7))
def test_one_flipped_bit_never_matches(array, byte, bit):
    other = array.copy()
    other.view(np.uint8)[byte] ^= 1 << bit
    both_nan = np.isnan(array) & np.isnan(other)
    if not both_nan[byte // 4]:
        assert comparison.match(array, other) == ""
        assert comparison.measure(array, other)["unequal"] == 1


@pytest.mark.parametrize("tolerance", [None, {"rtol": 1.0, "atol": 1e9}])
def test_nan_never_matches_a_number(tolerance):
    assert comparison.match(np.array([np.nan], "f4"), np.array([0], "f4"), tolerance) == ""
    assert comparison.match(np.array([np.inf], "f4"), np.array([0], "f4"), tolerance) == ""
    assert comparison.match(np.array([np.inf], "f4"), np.array([-np.inf], "f4"), tolerance) == ""


def test_shape_and_dtype_count():
    assert comparison.match(np.zeros((2, 3)), np.zeros((3, 2)), {"atol": 1}) == ""
    assert comparison.match(np.zeros(2, "f4"), np.zeros(2, "f8"), {"atol": 1}) == ""
    assert comparison.match(np.array([0.0]), np.array([-0.0])) == ""


def test_tolerance_is_relative_to_the_checkpoint():
    a, b = np.array([100.0, 0.0]), np.array([100.5, 0.0])
    assert comparison.match(a, b) == ""
    assert comparison.match(a, b, {"rtol": 0.01}) == "tolerance"
    assert comparison.match(a, b, {"rtol": 0.001}) == ""
    assert comparison.match(a, b, {"atol": 0.5}) == "tolerance"


@given(st.sampled_from([np.float16, np.float32, np.float64]), st.data())
def test_units_in_the_last_place_are_steps_of_nextafter(dtype, data):
    width = np.dtype(dtype).itemsize * 8
    a = np.array(data.draw(st.floats(width=width, allow_nan=False, allow_infinity=False)), dtype)
    steps = data.draw(st.integers(0, 5))
    b = a
    with np.errstate(over="ignore"):
        for _ in range(steps):
            b = np.nextafter(b, dtype(np.inf))
    if np.isfinite(b):
        assert comparison.measure(a, b)["max_ulp_diff"] == steps
        assert comparison.match(a, b, {"ulp": steps})
        if steps:
            assert comparison.match(a, b, {"ulp": steps - 1}) == ""


@given(st.sampled_from([np.int8, np.int64, np.uint64, np.bool_]), st.data())
def test_units_in_the_last_place_of_whole_numbers_are_their_difference(dtype, data):
    a, b = (data.draw(arrays.from_dtype(np.dtype(dtype))) for _ in range(2))
    assert comparison.measure(np.array(a), np.array(b))["max_ulp_diff"] == abs(int(a) - int(b))


def test_nan_is_far_from_every_number():
    nan, one = np.array([np.nan, 1], "f4"), np.array([1, 1], "f4")
    assert comparison.measure(nan, one)["max_ulp_diff"] == 2**64 - 1
    assert comparison.match(nan, one, {"ulp": 2**64}) == ""


def test_strings_are_compared_whole():
    a = np.array([b"ice", b"snow"], dtype=object)
    assert comparison.match(a, a.copy()) == "bitwise"
    assert comparison.match(a, np.array([b"ice", b"snow\x00"], dtype=object)) == ""
    assert comparison.measure(a, np.array([b"ice", b"fog"], dtype=object))["unequal"] == 1
