"""A tensor's summary, read part by part, against NumPy over the whole array that TensorFlow wrote."""

import os
from functools import cache

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from permafrost.checkpoint.reader import CHUNK, open_checkpoint
from permafrost.report.weight_summaries import summarize

FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "int64", "bool")
SPECIAL = {"nan": np.nan, "inf": np.inf, "minus_inf": -np.inf}


def drawn(dtype: str, size: int) -> np.ndarray:
    return np.random.default_rng(7).integers(-100, 100, size).astype(tf.as_dtype(dtype).as_numpy_dtype)


@cache
def arrays() -> dict[str, np.ndarray]:
    """Of each dtype one that takes two parts and a half; of floats those with other values in the last part too."""
    found = {"empty": np.zeros([0, 3], np.float32), "minus_zero": np.full([3], -0.0, np.float32)}
    for dtype in FLOATS + INTEGERS:
        item = tf.as_dtype(dtype).size
        found[dtype] = drawn(dtype, 5 * CHUNK // (2 * item)).reshape(5, -1)
        found[f"{dtype}_zero"] = np.zeros_like(found[dtype])
        found[f"{dtype}_one"] = np.zeros_like(found[dtype])
        found[f"{dtype}_one"][-1, -1] = 1
    for dtype in FLOATS:
        for name, value in SPECIAL.items():
            found[f"{dtype}_{name}"] = found[dtype].copy()
            found[f"{dtype}_{name}"][-1, -3:] = value
    return found


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    prefix, values = str(tmp_path_factory.mktemp("of_all_kinds") / "model.ckpt"), arrays()
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=list(values), shape_and_slices=[""] * len(values), tensors=list(values.values())
    )
    with open_checkpoint(prefix) as opened:
        yield opened


@pytest.mark.parametrize("name", arrays())
def test_a_summary_is_what_numpy_says_of_the_whole(checkpoint, name):
    values, summary = arrays()[name], summarize(checkpoint, name)
    assert (summary.dtype, summary.shape, summary.size) == (values.dtype, values.shape, values.size)
    assert summary.is_zero == (not values.any())
    if values.dtype.kind in "fcV":
        assert summary.nans == np.isnan(values).sum()
        assert summary.infinite == np.isinf(values).sum()
    if values.dtype.kind != "c" and values.size:
        with np.errstate(invalid="ignore"):
            np.testing.assert_equal([summary.lowest, summary.highest], [float(values.min()), float(values.max())])


def test_what_cannot_be_read_has_none(tmp_path):
    prefix = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=["text", "w"], shape_and_slices=["", ""], tensors=[[b"a"], np.ones(9, np.float32)]
    )
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-1] + b"\1")
    with open_checkpoint(prefix) as opened:
        assert summarize(opened, "text") is None
        assert summarize(opened, "w") is None
