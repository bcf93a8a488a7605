"""What a file declares of its inputs and outputs has to be what they are in a trial."""

import numpy as np
import pytest

from permafrost.judge.exports.declared_shapes import Declared, contradicted

FED, GIVEN = {"x": np.zeros((2, 5))}, {"y": np.zeros((2, 3))}


@pytest.mark.parametrize(
    ("x", "y"),
    [([None, 5], [None, 3]), (["n", 5], ["n", 3]), (None, None), ([2, "length"], [2, "width"])],
)
def test_what_fits(x, y):
    assert not contradicted(Declared({"x": x}, {"y": y}), FED, GIVEN)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([None, 5], [None, 4], "output 'y'"),
        ([None, 5], [None, 3, 1], "output 'y'"),
        ([None, 5], [], "output 'y'"),
        ([3, 5], [None, 3], "input 'x'"),
        (["n", 5], [None, "n"], "'n': 2"),
        (["n", "n"], None, "input 'x'"),
    ],
)
def test_what_does_not(x, y, words):
    assert words in contradicted(Declared({"x": x}, {"y": y}), FED, GIVEN)
