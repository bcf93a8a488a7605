"""Checkpoints that TensorFlow saves, and whether the readers read of them what it restores."""

import os

import numpy as np
import pytest
import tensorflow as tf

from permafrost.checkpoint.reader import open_checkpoint
from permafrost.graph.protos import types_pb2
from permafrost.outcome import Problem


def values(dtype, shape, seed=0):
    """A tensor with all sorts of bit patterns (for floats: NaN, infinities and denormals among them)."""
    random = np.random.default_rng(seed)
    if dtype == "string":
        pool = [b"", b"a", b"\0\xff\n", b"x" * 200, "\u00e4".encode()]
        flat = [pool[i] for i in random.integers(0, len(pool), int(np.prod(shape)))]
        return tf.constant(np.array(flat, object).reshape(shape), tf.string)
    if dtype == "bool":
        return tf.constant(random.integers(0, 2, shape).astype(bool))
    kind = tf.as_dtype(dtype)
    raw = random.integers(0, 256, (*shape, kind.size), dtype=np.uint8)
    if dtype.startswith("complex"):
        part = tf.float32 if dtype == "complex64" else tf.float64
        halves = tf.bitcast(tf.constant(raw.reshape(*shape, 2, kind.size // 2)), part)
        return tf.complex(halves[..., 0], halves[..., 1])
    return tf.bitcast(tf.constant(raw[..., 0] if kind.size == 1 else raw), kind)


def as_bytes(array):
    return np.ascontiguousarray(array).tobytes()


def save(prefix, tensors, specs=None, version="V2"):
    names = list(tensors)
    specs = specs or [""] * len(names)
    if version == "V2":
        tf.raw_ops.SaveV2(
            prefix=prefix, tensor_names=names, shape_and_slices=specs, tensors=[tensors[name] for name in names]
        )
    else:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            feeds = {tf.compat.v1.placeholder(tensors[name].dtype): tensors[name].numpy() for name in names}
            session.run(
                tf.raw_ops.SaveSlices(filename=prefix, tensor_names=names, shapes_and_slices=specs, data=list(feeds)),
                feeds,
            )
    return prefix


def restored(prefix, name, dtype, spec=""):
    return tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=[name], shape_and_slices=[spec], dtypes=[dtype])[0].numpy()


def cause_of(work, *args, **kwargs):
    with pytest.raises(Problem) as caught:
        work(*args, **kwargs)
    return caught.value.cause


def compare_all(prefix):
    """Compares each tensor with what TensorFlow reads; gives the number of tensors."""
    reader = tf.train.load_checkpoint(prefix)
    with open_checkpoint(prefix) as checkpoint:
        shapes = reader.get_variable_to_shape_map()
        assert set(checkpoint.tensors) == set(shapes)
        for name, tensor in checkpoint.tensors.items():
            assert list(tensor.shape) == shapes[name]
            assert tensor.dtype == reader.get_variable_to_dtype_map()[name].as_datatype_enum
            expected = restored(prefix, name, tf.as_dtype(tensor.dtype))
            if tensor.dtype == types_pb2.DT_STRING:
                assert checkpoint.read_strings(name) == np.array(expected, object).reshape(-1).tolist()
            else:
                assert checkpoint.read(name) == as_bytes(expected), name
                assert tensor.nbytes == expected.nbytes
        checkpoint.check_unchanged()
        assert checkpoint.bytes == sum(os.path.getsize(path) for path in checkpoint.files)
    return len(shapes)


def read_everything(prefix):
    with open_checkpoint(prefix) as checkpoint:
        return {
            name: checkpoint.read_strings(name) if tensor.dtype == types_pb2.DT_STRING else checkpoint.read(name)
            for name, tensor in checkpoint.tensors.items()
        }
