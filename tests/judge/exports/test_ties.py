"""Near ties: only where every choice that differs lies between scores within the tolerance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from permafrost.judge.exports import ties


def near(scores, axis, expected, actual, share=1e-5):
    arrays = (np.asarray(scores, np.float32), axis, np.asarray(expected), np.asarray(actual))
    return ties.are_near(*arrays, share)


def test_two_scores_within_the_tolerance_are_a_tie():
    assert near([[1.0, 1.000001, 0.0]], -1, [1], [0]) == pytest.approx((1.000001, 1.0))


def test_the_tolerance_is_a_share_of_the_largest_score():
    assert near([[1.0, 1.001, 1000.0]], 1, [1], [0])
    assert near([[1.0, 1.001, 2.0]], 1, [1], [0]) is None


def test_one_choice_that_is_no_tie_is_enough():
    assert near([[1.0, 1.0], [0.0, 1.0]], 1, [0, 1], [1, 0]) is None


@pytest.mark.parametrize(
    ("expected", "actual"),
    [([0], [0]), ([0, 1], [1]), ([0], [5]), ([-1], [0])],
    ids=["same", "more", "beyond", "below"],
)
def test_what_is_no_other_choice_is_no_tie(expected, actual):
    assert near([[1.0, 1.0]], 1, expected, actual) is None


def test_scores_that_are_no_numbers_are_no_tie():
    assert near([[np.nan, 1.0]], 1, [0], [1]) is None


@given(st.integers(0, 2), st.integers(0, 1000))
def test_the_axis_is_the_one_that_was_chosen_along(axis, seed):
    scores = np.random.default_rng(seed).random((2, 3, 4)).astype(np.float32)
    first = np.argmax(scores, axis)
    order = np.argsort(scores, axis)
    second = np.take(order, -2, axis)
    assert near(scores, axis, first, second, share=2.0)
    gaps = np.max(scores, axis) - np.take(np.sort(scores, axis), -2, axis)
    assert near(scores, axis, first, second, share=float(gaps.max()) / float(scores.max()) * 0.99) is None
