"""The comparison of two arrays, against numpy's own words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from permafrost.judge import comparison

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


def test_opposite_directions_have_the_cosine_minus_one():
    a = np.array([1.0, 2.0, -3.0])
    assert comparison.measure(a, -a)["cosine"] == pytest.approx(-1)
    assert comparison.measure(a, a)["cosine"] == pytest.approx(1)


@given(st.sampled_from([np.int64, np.uint64, np.int32]), st.data())
def test_whole_numbers_are_compared_as_such(dtype, data):
    a, b = (np.array(data.draw(arrays.from_dtype(np.dtype(dtype)))) for _ in range(2))
    apart = abs(int(a) - int(b))
    assert comparison.measure(a, b)["max_abs_diff"] == float(apart)
    if 0 < apart < 2**50:
        assert comparison.match(a, b, {"atol": apart}) == "tolerance"
        assert comparison.match(a, b, {"atol": apart - 0.5}) == ""


def test_neighbours_beyond_the_float64_are_not_the_same():
    a, b = np.array([2**53], np.int64), np.array([2**53 + 1], np.int64)
    assert comparison.measure(a, b)["max_abs_diff"] == 1
    assert comparison.match(a, b, {"atol": 0.5}) == "" and comparison.match(a, b, {"rtol": 0.0}) == ""
    largest = np.array([2**64 - 1], np.uint64)
    assert comparison.match(largest, np.zeros(1, np.uint64), {"atol": 1e30}) == ""


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_the_parts_of_complex_numbers_are_compared(dtype):
    nan = np.nan
    one, two = (np.array([complex(nan, part)], dtype) for part in (1, 2))
    assert comparison.match(one, one.copy()) == "bitwise"
    assert comparison.match(one, two) == "" and comparison.match(one, two, {"atol": 0.5}) == ""
    assert comparison.match(one, two, {"atol": 1}) == "tolerance"
    assert comparison.measure(one, two)["max_abs_diff"] == 1
    assert comparison.match(one, np.array([complex(1, nan)], dtype), {"atol": 9}) == ""


def test_the_bytes_of_weights_are_compared():
    nan, other = np.array([0x7FC00000], "u4").view("f4"), np.array([0x7FC00001], "u4").view("f4")
    assert comparison.same_bytes(nan, nan.copy()) and not comparison.same_bytes(nan, other)
    assert not comparison.same_bytes(np.zeros(2, "f4"), np.zeros(2, "i4"))
    text = np.array([b"ice", b"".join([b"sn", b"ow"])], dtype=object)
    assert comparison.same_bytes(text, np.array([b"".join([b"i", b"ce"]), b"snow"], dtype=object))
    assert not comparison.same_bytes(text, np.array([b"ice", b"fog"], dtype=object))


def test_the_first_difference_is_told_with_both_values():
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.5, 5.0]])
    found = comparison.first_unequal(a, b)
    assert found == comparison.Unequal(where="[1, 0]", checkpoint_value="3.0", frozen_value="3.5")
    assert comparison.said(found) == "at [1, 0] 3.0 and 3.5"
    assert comparison.said(comparison.first_unequal(a, a[0])) == "float64 [2, 2] and float64 [2]"
    assert comparison.said(comparison.first_unequal(a, a)) == "the same bits"


tolerances = st.one_of(
    st.fixed_dictionaries({"ulp": st.integers(0, 1 << 40)}),
    st.fixed_dictionaries({"rtol": st.floats(0, 2), "atol": st.floats(0, 1e6)}),
)


@given(DTYPES, arrays.array_shapes(min_dims=0, max_dims=2, min_side=0), st.data(), tolerances)
def test_a_tolerance_is_used_up_to_one_where_it_suffices(dtype, shape, data, tolerance):
    a, b = (data.draw(arrays.arrays(dtype, shape)) for _ in range(2))
    used, match = comparison.tolerance_used(a, b, tolerance), comparison.match(a, b, tolerance)
    if match == "bitwise":
        assert used is None or used == 0
    elif used is not None:
        assert (match == "tolerance") == (used <= 1), (used, match)
    else:
        assert match == ""


def test_how_much_of_a_tolerance_was_used():
    a = np.array([1.0, 2.0, np.nan], np.float32)
    b = a + np.array([0.0, 0.25, 0.0], np.float32)
    assert comparison.tolerance_used(a, b, {"atol": 0.5}) == 0.5
    assert comparison.tolerance_used(a, b, {"rtol": 0.0625}) == 2
    assert comparison.tolerance_used(a, a, {"rtol": 0.0625}) == 0
    assert comparison.tolerance_used(a, np.nextafter(a, np.float32(9)), {"ulp": 4}) == 0.25
    assert comparison.tolerance_used(a, b[:2], {"atol": 0.5}) is None and comparison.tolerance_used(a, b, None) is None
    assert comparison.tolerance_used(a, np.array([1, 2, 3], np.float32), {"atol": 9.0}) == np.inf
