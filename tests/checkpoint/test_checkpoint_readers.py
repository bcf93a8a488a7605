"""The checkpoint readers against TensorFlow: checkpoints that it writes are read to the bytes that it reads."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from conftest import HOME
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.encoding import TABLE_MAGIC
from permafrost.outcome import Problem
from saved_checkpoints import as_bytes, cause_of, compare_all, restored, save, values

IN_V1 = [
    "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool", "complex64", "complex128",
    "half", "qint8", "quint8", "qint32", "string",
]  # fmt: skip
IN_V2 = [*IN_V1, "uint32", "uint64", "bfloat16", "qint16", "quint16"]
SHAPES = [(), (0,), (1,), (5, 3), (2, 0, 4), (2, 3, 4)]


@pytest.mark.parametrize(
    ("dtype", "version"), [*((dtype, "V1") for dtype in IN_V1), *((dtype, "V2") for dtype in IN_V2)]
)
def test_every_dtype_and_shape(dtype, version, tmp_path):
    tensors = {f"scope/t{i}": values(dtype, shape, i) for i, shape in enumerate(SHAPES)}
    prefix = save(str(tmp_path / "model.ckpt"), tensors, version=version)
    assert compare_all(prefix) == len(SHAPES)
    with open_checkpoint(prefix) as checkpoint:
        assert (checkpoint.format, checkpoint.shards) == (version, 1)
        for name, tensor in tensors.items():
            if dtype != "string":
                assert checkpoint.read(name) == as_bytes(tensor.numpy())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("sharded", [False, True])
def test_savers_with_partitions_and_shards(version, sharded, tmp_path):
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        for number, device in enumerate(("/cpu:0", "/cpu:1")):
            with tf.device(device):
                v1.get_variable(f"plain{number}", [7, 3], initializer=v1.random_normal_initializer())
                v1.get_variable(f"step{number}", [], tf.int64, initializer=v1.constant_initializer(2**40 + number))
        for axis in (0, 1):
            partitioner = v1.fixed_size_partitioner(3, axis)
            with tf.device("/cpu:1"):
                v1.get_variable(
                    f"parts{axis}", [10, 9], initializer=v1.random_normal_initializer(), partitioner=partitioner
                )
        saver = v1.train.Saver(write_version=version, sharded=sharded)
        with v1.Session(config=v1.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(v1.global_variables_initializer())
            saver.save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)
            variables = v1.global_variables()
            parts = {axis: session.run([v for v in variables if f"parts{axis}" in v.name]) for axis in (0, 1)}
            plain = session.run([v for v in variables if v.name == "plain1:0"][0])
    with open_checkpoint(str(tmp_path / "model.ckpt")) as checkpoint:
        assert checkpoint.format == f"V{version}"
        assert checkpoint.shards == (2 if sharded else 1)
        assert set(checkpoint.tensors) == {"plain0", "plain1", "step0", "step1", "parts0", "parts1"}
        assert checkpoint.read("plain1") == as_bytes(plain)
        for axis in (0, 1):
            tensor = checkpoint.tensors[f"parts{axis}"]
            assert (tensor.shape, tensor.nbytes, len(tensor.slices)) == ((10, 9), 360, 3)
            whole = np.concatenate(parts[axis], axis)
            assert checkpoint.read(tensor.name) == as_bytes(whole)
            for stored in tensor.slices:
                box = tuple(slice(a, a + n) for a, n in zip(stored.start, stored.extent, strict=True))
                assert checkpoint.read(tensor.name, stored.start, stored.extent) == as_bytes(whole[box])
            for start, extent in (((2, 0), (5, 9)), ((0, 4), (10, 4)), ((3, 2), (4, 6)), ((9, 8), (1, 1))):
                box = tuple(slice(a, a + n) for a, n in zip(start, extent, strict=True))
                assert checkpoint.read(tensor.name, start, extent) == as_bytes(whole[box])
                spec = f"10 9 {start[0]},{extent[0]}:{start[1]},{extent[1]}"
                assert checkpoint.read(tensor.name, start, extent) == as_bytes(
                    restored(shard_pattern(checkpoint), tensor.name, tf.float32, spec)
                )


def shard_pattern(checkpoint):
    in_shards = checkpoint.format == "V1" and checkpoint.shards > 1
    return f"{checkpoint.prefix}-?????-of-?????" if in_shards else checkpoint.prefix


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_slices_with_large_numbers_and_odd_names(version, tmp_path):
    """Starts on both sides of each length of the ordered code (64, 8192, 2**20), and of the rank's."""
    start = {"a\x01b": 63, "ä/ö": 64, "c": 8191, "d": 8192, "e": 1 << 20, "f": (1 << 40) + 1}
    tensors = {name: values("int16", (3, 2), i) for i, name in enumerate(start)}
    specs = [f"{first + 3} 2 {first},3:-" for first in start.values()]
    prefix = save(str(tmp_path / "m"), tensors, specs, version)
    with open_checkpoint(prefix) as checkpoint:
        for name, first in start.items():
            assert checkpoint.read(name, (first, 0), (3, 2)) == as_bytes(tensors[name].numpy())
            assert checkpoint.read(name, (first + 1, 1), (2, 1)) == as_bytes(tensors[name].numpy()[1:, 1:])
            assert cause_of(checkpoint.read, name, (first - 1, 0), (3, 2)) == "corrupt"


def test_strings_by_boxes(tmp_path):
    whole = values("string", (4, 3))
    prefix = save(str(tmp_path / "m"), {"s": whole})
    with open_checkpoint(prefix) as checkpoint:
        for start, extent in (((0, 0), (4, 3)), ((1, 0), (2, 3)), ((1, 1), (3, 2))):
            box = tuple(slice(a, a + n) for a, n in zip(start, extent, strict=True))
            assert checkpoint.read_strings("s", start, extent) == list(whole.numpy()[box].reshape(-1))
        assert cause_of(checkpoint.read, "s") == "unsupported_op"


def test_wrong_requests(tmp_path):
    prefix = save(str(tmp_path / "m"), {"t": values("int32", (4, 3))})
    with open_checkpoint(prefix) as checkpoint:
        assert cause_of(checkpoint.read, "other") == "missing_variable"
        assert cause_of(checkpoint.read_strings, "t") == "shape_mismatch"
        for start, extent in (((0,), (4,)), ((2, 0), (3, 3)), ((-1, 0), (1, 1)), ((0, 0), (-1, 3))):
            assert cause_of(checkpoint.read, "t", start, extent) == "shape_mismatch"
        assert checkpoint.read("t", (1, 1), (0, 2)) == b""


def test_v2_wins_over_v1_of_the_same_name(tmp_path):
    prefix = str(tmp_path / "m")
    save(prefix, {"t": tf.constant(1)}, version="V1")
    save(prefix, {"t": tf.constant(2)})
    with open_checkpoint(prefix) as checkpoint:
        assert (checkpoint.format, checkpoint.read("t")) == ("V2", b"\2\0\0\0")
    os.unlink(prefix + ".index")
    with open_checkpoint(prefix) as checkpoint:
        assert (checkpoint.format, checkpoint.read("t")) == ("V1", b"\1\0\0\0")


def test_v1_shards(tmp_path):
    for number in range(2):
        save(str(tmp_path / f"m-{number:05d}-of-00002"), {f"t{number}": tf.constant(number)}, version="V1")
    for prefix in ("m", "m-?????-of-00002", "m-?????-of-?????"):
        with open_checkpoint(str(tmp_path / prefix)) as checkpoint:
            assert (sorted(checkpoint.tensors), checkpoint.shards) == (["t0", "t1"], 2)
    save(str(tmp_path / "m-00000-of-00003"), {"t0": tf.constant(0)}, version="V1")
    assert cause_of(open_checkpoint, str(tmp_path / "m")) == "corrupt"
    os.unlink(tmp_path / "m-00000-of-00002")
    assert cause_of(open_checkpoint, str(tmp_path / "m-?????-of-00002")) == "missing_shard"
    # Both shards with the same tensor: which of them is right, nobody knows.
    shutil.copy(tmp_path / "m-00001-of-00002", tmp_path / "m-00000-of-00002")
    assert cause_of(open_checkpoint, str(tmp_path / "m-?????-of-00002")) == "corrupt"


def test_large_tensors_are_streamed_in_constant_memory(tmp_path):
    size = 40 << 20
    tensors = {"big": tf.zeros([size // 4]), "rows/part": tf.zeros([size // 8, 2])}
    prefix = save(str(tmp_path / "m"), tensors, ["", f"{size // 8 + 5} 2 0,{size // 8}:0,2"])
    program = (
        "import resource; from permafrost.checkpoint.reader import open_checkpoint\n"
        f"with open_checkpoint({prefix!r}) as c:\n"
        "    sizes = []\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    c.stream('big', lambda view: sizes.append(len(view)))\n"
        f"    c.stream('rows/part', lambda view: sizes.append(len(view)), (7, 0), ({size // 8} - 7, 2))\n"
        "    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(sum(sizes), max(sizes), grown)"
    )
    environment = {**os.environ, "PYTHONPATH": str(HOME / "scripts")}
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    total, largest, grown_kib = map(int, out.stdout.split())
    assert (total, largest) == (2 * size - 7 * 8, 1 << 20)
    assert grown_kib < 6 << 10


def test_tensorflow_is_not_imported():
    program = "import sys, permafrost.checkpoint.reader; sys.exit('tensorflow' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(HOME / "scripts")}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0


def test_real_checkpoints(real_zoo):
    compared = 0
    for path in sorted(real_zoo.rglob("*")):
        prefix = str(path.with_suffix("")) if path.suffix == ".index" else str(path)
        if path.suffix != ".index" and not (path.is_file() and path.read_bytes()[-8:] == TABLE_MAGIC):
            continue
        try:
            open_checkpoint(prefix).close()
        except Problem as problem:
            assert problem.cause in ("missing_shard", "tf2_checkpoint", "lfs_pointer"), problem.message
            continue
        compared += compare_all(prefix) > 0
    assert compared >= 20
