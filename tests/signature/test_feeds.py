"""Inputs are made from their descriptions: reproducible, of the right dtype and shape, and refused when wrong."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from msgspec.structs import replace

from permafrost.input_kinds import Default, File, Integers, OneHot, State, Strings, Uniform, Value, Words
from permafrost.outcome import Problem
from permafrost.signature import feeds


def spec(kind, dtype="float32", shape=(None, 3), **more):
    return kind(dtype, None if shape is None else list(shape), "", **more)


def one(description, seed=1, batch=4, directory="."):
    return feeds.make({"x:0": description}, seed, batch, directory)["x:0"]


def test_same_seed_same_values_whatever_else_is_fed():
    description = spec(Uniform, low=0.0, high=1.0)
    both = feeds.make({"a:0": spec(Uniform, low=0.0, high=1.0), "x:0": description}, 5, 4, ".")
    np.testing.assert_array_equal(both["x:0"], one(description, seed=5))
    assert not np.array_equal(both["x:0"], both["a:0"])
    assert not np.array_equal(both["x:0"], one(description, seed=6))


@pytest.mark.parametrize("dtype", ["float16", "half", "float32", "float64", "bfloat16", "complex64", "complex128"])
def test_uniform_values_keep_range_and_dtype(dtype):
    array = one(spec(Uniform, dtype, (None, 50), low=-2.0, high=3.0), batch=7)
    assert array.dtype == feeds.numpy_dtype(dtype)
    assert array.shape == (7, 50)
    real = np.real(array).astype(np.float64)
    assert real.min() >= -2.0 and real.max() <= 3.0 and real.std() > 0.5
    if array.dtype.kind == "c":
        assert np.imag(array).std() > 0.5


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"])
def test_integers_stay_below_high(dtype):
    array = one(spec(Integers, dtype, (None, 100), low=0, high=2))
    assert array.dtype == np.dtype(dtype)
    assert set(np.unique(array).tolist()) == {0, 1}


def test_open_integers_end_at_the_batch_size():
    array = one(spec(Integers, "int32", (1000,), low=1, high=None), batch=3)
    assert set(array.tolist()) == {1, 2, 3}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64"])
def test_one_of_each_row_is_1(dtype):
    array = one(spec(OneHot, dtype, (None, 5, 7)), batch=30)
    assert array.shape == (30, 5, 7) and array.dtype == feeds.numpy_dtype(dtype)
    np.testing.assert_array_equal(array.astype(complex).sum(-1), np.ones((30, 5)))
    assert set(np.unique(array.astype(complex)).tolist()) == {0, 1}
    assert array.any(axis=(0, 1)).all()


def test_a_row_without_places_has_no_1():
    with pytest.raises(Problem, match="x:0 cannot be made: no row of shape"):
        one(spec(OneHot, shape=(None, 0)))


def test_a_state_is_zeros_in_every_other_trial():
    first, second, third = (one(spec(State, shape=(None, 50)), seed=seed) for seed in (0, 1, 2))
    assert -1 <= first.min() < -0.5 and 0.5 < first.max() <= 1 and first.dtype == np.float32
    np.testing.assert_array_equal(second, np.zeros((4, 50)))
    assert not np.array_equal(first, third)


def test_scalars_have_no_dimensions():
    for array in (one(spec(Value, shape=None, value=1.0)), one(spec(Uniform, shape=(), low=0, high=1))):
        assert isinstance(array, np.ndarray) and array.shape == () and array.dtype == np.float32


def test_values_are_spread_over_a_shape():
    np.testing.assert_array_equal(one(spec(Value, value=2), batch=2), np.full((2, 3), 2, np.float32))
    np.testing.assert_array_equal(one(spec(Value, "int64", None, value=[[1, 2]])), np.array([[1, 2]], np.int64))
    assert one(spec(Value, "bool", None, value=False)).dtype == np.bool_
    assert one(spec(Value, "bfloat16", None, value=0.5)).dtype == np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize(
    "wrong",
    [
        spec(Value, "uint8", None, value=-1),
        spec(Value, "uint8", None, value=256),
        spec(Value, "bool", None, value=2),
        spec(Value, "float32", None, value="red"),
        spec(Value, "float32", None, value=[[1], [1, 2]]),
        spec(Value, "float32", (2, 3), value=[1, 2]),
        spec(Integers, "int32", low=3, high=3),
        spec(Uniform, "resource", low=0, high=1),
    ],
)
def test_values_that_do_not_fit_are_refused(wrong):
    with pytest.raises(Problem) as caught:
        one(wrong)
    assert caught.value.cause == "bad_feed"
    assert "x:0" in caught.value.message or "resource" in caught.value.message


PLACEHOLDERS = ["float32", "float16", "bfloat16", "float64", "int32", "int64", "uint8", "int8", "bool", "complex64"]
FED = [
    np.linspace(-3, 3, 7),
    np.linspace(-3, 3, 7, dtype=np.float32),
    np.array([1e40, -1e300, np.pi]),
    np.arange(-2, 3, dtype=np.int16),
    np.array([1 << 40, 300, -1]),
    np.array([True, False]),
    np.array(5, np.int64),
    np.array([1 + 2j]),
    [[1.5, 2], [0, -1]],
    [1, 0],
    [300, -1],
    2.75,
    1,
    True,
    16777217,
    -7,
]


@pytest.mark.filterwarnings("ignore:.*cast", "ignore:Casting complex")
@pytest.mark.parametrize("dtype", PLACEHOLDERS)
def test_other_dtypes_are_cast_as_tensorflow_casts_what_it_is_fed(dtype, tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        placeholder = tf.compat.v1.placeholder(dtype)
        echo = tf.identity(placeholder)
        for number, value in enumerate(FED):
            if isinstance(value, np.ndarray):
                np.savez(tmp_path / f"{number}.npz", x=value)
                described = spec(File, dtype, None, file=f"{number}.npz", key=None)
            else:
                described = spec(Value, dtype, None, value=value)
            try:
                expected = session.run(echo, {placeholder: value})
            except TypeError:
                with pytest.raises(Problem, match="does not fit"):
                    one(described, directory=tmp_path)
                continue
            fed = one(described, directory=tmp_path)
            assert fed.dtype == expected.dtype and fed.shape == expected.shape
            assert fed.tobytes() == expected.tobytes(), (dtype, value)


def test_strings_are_objects_of_bytes():
    array = one(spec(Strings, "string", (None, 2), content=Words()))
    assert array.dtype == object and array.shape == (4, 2) and all(isinstance(item, bytes) for item in array.flat)
    scalar = one(spec(Strings, "string", (), content=Words()))
    assert scalar.shape == () and isinstance(scalar.item(), bytes)
    assert one(spec(Value, "string", None, value="word")).item() == b"word"


def test_defaults_are_not_fed():
    assert feeds.make({"x:0": spec(Default)}, 1, 2, ".") == {}


def test_files_are_fed_as_they_are(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.savez(tmp_path / "feeds.npz", x=values, y=values + 1)
    description = spec(File, file="feeds.npz", key=None)
    np.testing.assert_array_equal(one(description, directory=tmp_path), values)
    np.testing.assert_array_equal(one(replace(description, key="y"), directory=tmp_path), values + 1)
    text = np.array([b"red", b"blue"])
    np.savez(tmp_path / "text.npz", text)
    array = one(spec(File, "string", (None,), file="text.npz", key=None), directory=tmp_path)
    assert array.tolist() == [b"red", b"blue"] and array.dtype == object


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"file": "absent.npz"}, "absent.npz"),
        ({"file": "junk.npz"}, "junk.npz"),
        ({"file": "empty.npz"}, "empty.npz"),
        ({"file": "array.npy"}, "array.npy"),
        ({"file": "pickled.npz"}, "pickled.npz"),
        ({"key": "z"}, "'z'"),
        ({"dtype": "string"}, "string"),
        ({"file": "text.npz"}, "<U"),
        ({"file": "bits.npz"}, "|V4"),
        ({"shape": [None, 4]}, "[None, 4]"),
        ({"shape": [6]}, "[6]"),
    ],
)
def test_wrong_files_are_refused(tmp_path, change, says):
    values = np.zeros((2, 3), np.float32)
    np.savez(tmp_path / "feeds.npz", x=values)
    np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    np.savez(tmp_path / "text.npz", x=np.array(["1.5"]))
    np.savez(tmp_path / "bits.npz", x=values.view("V4"))
    np.save(tmp_path / "array.npy", values)
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(Problem) as caught:
        one(replace(spec(File, file="feeds.npz", key=None), **change), directory=tmp_path)
    assert caught.value.cause == "bad_feed" and says in caught.value.message
