"""Which inputs are baked, with which values; wrong names and values are refused."""

import numpy as np
import pytest

from permafrost import recording
from permafrost.exporter.preparation.baking import chosen
from permafrost.input_kinds import Default, Integers, State, Strings, Uniform, Value, Words
from permafrost.records import ImportRecord
from stages import problem_of


def record() -> ImportRecord:
    made = recording.begun(ImportRecord, "m")
    made.inputs = {
        "x:0": Uniform("float32", [None, 3], "", low=0, high=1),
        "keep:0": Value("float32", [], "", value=1),
        "training:0": Value("bool", None, "", value=False),
        "half:0": Value("bfloat16", [], "", value=0.1),
        "ones:0": Value("float32", [2], "", value=1.0),
        "list:0": Value("float32", None, "", value=[1.0, 2.0]),
        "word:0": Value("string", [], "", value="a"),
        "state:0": State("float32", [1, 4], "", open=[0]),
        "length:0": Integers("int32", [], "", low=1, high=4),
        "rate:0": Default("float32", [], ""),
        "words:0": Strings("string", [None], "", content=Words()),
    }
    return made


def test_none() -> None:
    assert chosen(record(), False) == {}
    assert chosen(record(), {}) == {}


def test_scalars_that_are_always_the_same() -> None:
    found = chosen(record(), True)
    assert list(found) == ["keep:0", "training:0", "half:0"]
    assert [value.dtype.name for value in found.values()] == ["float32", "bool", "bfloat16"]
    assert all(value.shape == () for value in found.values())
    assert (found["keep:0"], found["training:0"]) == (1, False)


def test_values_of_the_settings() -> None:
    given = {"keep": 0.5, "state:0": [[1, 2, 3, 4]], "learning_rate": 3, "length": 2.9, "words:0": ["a", "b"]}
    found = chosen(record(), given, {"learning_rate": "rate:0"})
    assert {name: value.tolist() for name, value in found.items()} == {
        "keep:0": 0.5,
        "state:0": [[1.0, 2.0, 3.0, 4.0]],
        "rate:0": 3.0,
        "length:0": 2,  # as a session casts what it is fed
        "words:0": [b"a", b"b"],
    }
    assert found["state:0"].dtype == np.float32
    assert found["length:0"].dtype == np.int32


def test_several_rows_where_their_number_is_open() -> None:
    assert chosen(record(), {"state": [[0] * 4, [1] * 4]})["state:0"].shape == (2, 4)


@pytest.mark.parametrize(
    "bake, word",
    [
        ({"kepp": 1.0}, "kepp"),
        ({"keep:1": 1.0}, "keep:1"),
        ({"keep": "much"}, "keep:0"),
        ({"keep": [1.0]}, "keep:0"),
        ({"state": [[1, 2]]}, "state:0"),
        ({"state": 0}, "state:0"),
        ({"length": 2**40}, "length:0"),
        ({"x": None}, "x:0"),
    ],
)
def test_what_does_not_fit(bake, word) -> None:
    problem = problem_of(chosen, record(), bake)
    assert problem.cause == "bad_setting"
    assert word in problem.message


def test_a_name_that_is_close() -> None:
    assert "keep" in problem_of(chosen, record(), {"kepp": 1.0}).hint
