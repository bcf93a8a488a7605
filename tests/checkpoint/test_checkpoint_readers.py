"""The checkpoint readers against TensorFlow: checkpoints that it writes are read to the bytes that it reads."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import cramjam
import numpy as np
import pytest
import tensorflow as tf
from crc32c import crc32c

from conftest import HOME
from permafrost.checkpoint import v2 as bundle_module
from permafrost.checkpoint.reader import open_checkpoint, read_index_header
from permafrost.checkpoint.sstable import StoredFile, Table
from permafrost.encoding import TABLE_MAGIC, masked
from permafrost.graph.protos import saved_tensor_slice_pb2, tensor_bundle_pb2, types_pb2
from permafrost.outcome import Problem

IN_V1 = [
    "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool", "complex64", "complex128",
    "half", "qint8", "quint8", "qint32", "string",
]  # fmt: skip
IN_V2 = [*IN_V1, "uint32", "uint64", "bfloat16", "qint16", "quint16"]
SHAPES = [(), (0,), (1,), (5, 3), (2, 0, 4), (2, 3, 4)]


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


# Files that are not as they should be.


@pytest.fixture
def bundle(tmp_path):
    """The prefix of a V2 checkpoint with a float tensor and a string tensor."""
    return save(str(tmp_path / "m.ckpt"), {"weights": values("float32", (50, 4)), "words": values("string", (30,))})


def index_of(prefix):
    return Path(prefix + ".index")


def data_of(prefix):
    return Path(prefix + ".data-00000-of-00001")


def flip(path, position, bit=1):
    content = bytearray(path.read_bytes())
    content[position] ^= bit
    path.write_bytes(content)


def read_everything(prefix):
    with open_checkpoint(prefix) as checkpoint:
        return {
            name: checkpoint.read_strings(name) if tensor.dtype == types_pb2.DT_STRING else checkpoint.read(name)
            for name, tensor in checkpoint.tensors.items()
        }


def test_flipped_bits_of_the_data_are_found(bundle):
    for position in range(0, data_of(bundle).stat().st_size, 7):
        flip(data_of(bundle), position, 1 << position % 8)
        assert cause_of(read_everything, bundle) == "corrupt", position
        flip(data_of(bundle), position, 1 << position % 8)
    read_everything(bundle)


def test_a_wrong_checksum_names_tensor_and_file(bundle):
    flip(data_of(bundle), 3)
    with pytest.raises(Problem) as caught, open_checkpoint(bundle) as checkpoint:
        checkpoint.read("weights")
    assert "'weights'" in caught.value.message and str(data_of(bundle)) in caught.value.message


def test_flipped_bits_of_the_index_never_give_a_wrong_answer(bundle):
    """What nobody reads may change: the empty metaindex block (13 bytes), its handle and the footer's padding."""
    right, harmless = read_everything(bundle), []
    for position in range(index_of(bundle).stat().st_size):
        flip(index_of(bundle), position)
        try:
            assert read_everything(bundle) == right
            harmless.append(position)
        except Problem as problem:
            assert problem.cause in ("corrupt", "truncated", "not_a_checkpoint"), position
        flip(index_of(bundle), position)
    assert len(harmless) <= 13 + 40


def test_cut_files(bundle):
    whole = index_of(bundle).read_bytes()
    for length in (0, *range(2, len(whole))):
        index_of(bundle).write_bytes(whole[:length])
        assert cause_of(open_checkpoint, bundle) == "truncated", length
        assert cause_of(read_index_header, str(index_of(bundle))) == "truncated", length
    index_of(bundle).write_bytes(whole)
    assert read_index_header(str(index_of(bundle))) == (1, False)
    for length in (0, 10, data_of(bundle).stat().st_size - 1):
        os.truncate(data_of(bundle), length)
        assert cause_of(open_checkpoint, bundle) == "truncated"


def test_missing_files(bundle, tmp_path):
    assert cause_of(open_checkpoint, str(tmp_path / "none")) == "missing_checkpoint"
    assert cause_of(open_checkpoint, str(tmp_path / "no" / "none")) == "missing_checkpoint"
    assert cause_of(open_checkpoint, "a\0b") == "missing_checkpoint"
    assert cause_of(open_checkpoint, str(tmp_path)) == "missing_checkpoint"
    assert cause_of(open_checkpoint, str(tmp_path / ("n" * 300))) == "unreadable"
    index = index_of(bundle).read_bytes()
    index_of(bundle).unlink()
    assert cause_of(open_checkpoint, bundle) == "no_index"
    index_of(bundle).write_bytes(index)
    data_of(bundle).unlink()
    with pytest.raises(Problem) as caught:
        open_checkpoint(bundle)
    assert caught.value.cause == "missing_shard" and "m.ckpt.data-00000-of-00001" in caught.value.message


def test_odd_files(bundle, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 9\n"
    for path in (data_of(bundle), index_of(bundle)):
        path.write_bytes(pointer)
        assert cause_of(open_checkpoint, bundle) == "lfs_pointer"
    for content, word in ((b"PK\x03\x04...", "zip"), (b"\x80\x02}q\0.", "pickle"), (b"\x89HDF\r\n\x1a\n", "HDF5")):
        (tmp_path / "other").write_bytes(content * 20)
        with pytest.raises(Problem) as caught:
            open_checkpoint(str(tmp_path / "other"))
        assert caught.value.cause == "not_a_checkpoint" and word in caught.value.message
    (tmp_path / "other").write_bytes(b"hello " * 100)
    assert cause_of(open_checkpoint, str(tmp_path / "other")) == "not_a_checkpoint"
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.index")
    assert cause_of(open_checkpoint, str(tmp_path / "pipe")) == "unreadable"
    (tmp_path / "link").symlink_to(tmp_path / "link")
    assert cause_of(open_checkpoint, str(tmp_path / "link")) == "unreadable"


def test_object_based_checkpoint(tmp_path):
    prefix = tf.train.Checkpoint(v=tf.Variable(1.0)).save(str(tmp_path / "tf2"))
    assert cause_of(open_checkpoint, prefix) == "tf2_checkpoint"
    assert read_index_header(prefix + ".index") == (1, True)


def test_data_of_another_model(tmp_path):
    first, second = (save(str(tmp_path / name), {"t": values("float32", (9,), ord(name))}) for name in "ab")
    shutil.copy(data_of(second), data_of(first))
    assert cause_of(read_everything, first) == "corrupt"


@pytest.mark.parametrize("change", ["touch", "append", "replace", "delete"])
def test_a_checkpoint_that_changes_while_it_is_read(bundle, change):
    with open_checkpoint(bundle) as checkpoint:
        checkpoint.check_unchanged()
        path = data_of(bundle)
        if change == "touch":
            os.utime(path, (1, 1))
        elif change == "append":
            path.write_bytes(path.read_bytes() + b"x")
        elif change == "replace":
            shutil.copy2(path, path.with_name("new"))
            os.replace(path.with_name("new"), path)
        else:
            path.unlink()
        assert cause_of(checkpoint.read, "weights") == "changed"
        assert cause_of(checkpoint.read_strings, "words") == "changed"
        assert cause_of(checkpoint.check_unchanged) == "changed"


def test_what_write_raises_passes_through(bundle):
    def full(_):
        raise OSError(28, "No space left on device")

    with open_checkpoint(bundle) as checkpoint, pytest.raises(OSError, match="No space"):
        checkpoint.stream("weights", full)


def test_files_are_closed_whatever_happens(bundle):
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    before = open_files()
    read_everything(bundle)
    flip(data_of(bundle), 0)
    cause_of(read_everything, bundle)
    os.truncate(data_of(bundle), 5)
    cause_of(open_checkpoint, bundle)
    assert open_files() == before


# Tables that no TensorFlow would write, made by hand.


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def entry(key, value, shared=0):
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def block(entries, compressed=False):
    content = b"".join(entries) + b"\0\0\0\0\1\0\0\0"
    if compressed:
        content = bytes(cramjam.snappy.compress_raw(content))
    return sealed(content, int(compressed))


def sealed(content, compression=0):
    content += bytes([compression])
    return content + masked(crc32c(content)).to_bytes(4, "little")


def handle(offset, block_bytes):
    return varint(offset) + varint(len(block_bytes) - 5)


def table(data_blocks, handles=None):
    """A table of data blocks, each (last key, bytes)."""
    content, entries = b"", []
    for number, (last, data) in enumerate(data_blocks):
        entries.append(entry(last, handles[number] if handles else handle(len(content), data)))
        content += data
    meta, index = block([]), block(entries)
    footer = handle(len(content), meta) + handle(len(content + meta), index)
    return content + meta + index + footer.ljust(40, b"\0") + TABLE_MAGIC


def bundle_of(tmp_path, entries, data, **header):
    """A V2 checkpoint from (key, BundleEntryProto) pairs and the bytes of its shard."""
    first = tensor_bundle_pb2.BundleHeaderProto(**{"num_shards": 1, **header}).SerializeToString()
    pairs = [(b"", first), *((key, proto.SerializeToString()) for key, proto in entries)]
    content = block([entry(key, value) for key, value in pairs])
    (tmp_path / "made.index").write_bytes(table([(pairs[-1][0] + b"\xff", content)]))
    (tmp_path / "made.data-00000-of-00001").write_bytes(data)
    return str(tmp_path / "made")


def tensor_entry(shape, data, offset=0, **fields):
    proto = tensor_bundle_pb2.BundleEntryProto(
        dtype=types_pb2.DT_UINT8, offset=offset, size=len(data), crc32c=masked(crc32c(data)), **fields
    )
    for size in shape:
        proto.shape.dim.add(size=size)
    return proto


def read_table(path):
    file = StoredFile(str(path))
    try:
        return [(key, bytes(value)) for key, value in Table(file)]
    finally:
        file.close()


def test_snappy_blocks(tmp_path):
    pairs = [(b"", b"\x08\1" * 500), (b"k", b"v" * 300)]
    (tmp_path / "t").write_bytes(table([(b"l", block([entry(*pair) for pair in pairs], compressed=True))]))
    assert read_table(tmp_path / "t") == pairs


def test_v1_with_snappy_blocks(tmp_path):
    prefix = save(str(tmp_path / "m"), {"t": values("float32", (50, 50)), "u": tf.constant(7)}, version="V1")
    pairs = read_table(prefix)
    blocks = [(key, block([entry(key, value)], compressed=True)) for key, value in pairs]
    Path(prefix).write_bytes(table(blocks))
    assert compare_all(prefix) == 2


def test_a_snappy_block_that_claims_too_much(tmp_path):
    for content in (varint(1 << 31) + b"\0x", varint(1 << 40) + b"\0x", b"", b"\xff" * 12, varint(5) + b"\xfe\0\0"):
        (tmp_path / "t").write_bytes(table([(b"l", sealed(content, 1))]))
        assert cause_of(read_table, tmp_path / "t") == "corrupt"


def test_an_index_that_is_small_only_because_it_is_compressed(tmp_path, monkeypatch):
    """One block that is too large when it is decompressed, and many that are not, but hold too much together."""
    monkeypatch.setattr(bundle_module, "LARGEST_INDEX", 100_000)
    header = entry(b"", tensor_bundle_pb2.BundleHeaderProto(num_shards=1).SerializeToString())
    for name, sizes in {"one": [200_000], "many": [60_000] * 2, "none": [60_000]}.items():
        blocks = [(b"a", block([header]))]
        for number, size in enumerate(sizes):
            # Length-delimited field 99, which BundleEntryProto does not have.
            value = b"\x9a\x06" + varint(size) + bytes(size)
            blocks.append((b"b%d" % number, block([entry(b"b%d" % number, value)], compressed=True)))
        (tmp_path / "m.index").write_bytes(table(blocks))
        assert (tmp_path / "m.index").stat().st_size < 100_000
        if name == "none":
            assert read_index_header(str(tmp_path / "m.index")) == (1, False)
        else:
            assert cause_of(read_index_header, str(tmp_path / "m.index")) == "corrupt", name


def test_tables_that_lie(tmp_path):
    good = block([entry(b"", b"\x081"), entry(b"k", b"v")])
    for name, content in {
        "unknown compression": table([(b"l", sealed(b"\0\0\0\0\1\0\0\0", 7))]),
        "same block twice": table([(b"l", good), (b"m", good)], [handle(0, good)] * 2),
        "block behind the end": table([(b"l", good)], [varint(0) + varint(1 << 40)]),
        "huge offset": table([(b"l", good)], [varint((1 << 64) - 1) + varint(8)]),
        "no handle": table([(b"l", good)], [b""]),
        "keys not in order": table([(b"l", block([entry(b"k", b""), entry(b"a", b"")]))]),
        "blocks not in order": table([(b"l", block([entry(b"z", b"")])), (b"m", block([entry(b"a", b"")]))]),
        "shares more than there is": table([(b"l", block([entry(b"k", b"v", shared=9)]))]),
        "value too long": table([(b"l", block([b"\0\1\x7fk"]))]),
        "endless number": table([(b"l", block([b"\xff" * 11]))]),
        "too many restarts": table([(b"l", sealed(b"\xff\xff\xff\xff"))]),
        "no restarts at all": table([(b"l", sealed(b""))]),
        "keys that repeat": table(
            [(b"\xff", block([entry(b"k" * 60000, b""), *(entry(b"a", b"", shared=60000 + i) for i in range(60000))]))]
        ),
    }.items():
        (tmp_path / "t").write_bytes(content)
        assert cause_of(read_table, tmp_path / "t") == "corrupt", name


def test_bundles_that_lie(tmp_path):
    data = bytes(range(12))
    good = tensor_entry((3, 4), data)
    for name, entries, header in (
        ("big-endian", [(b"t", good)], {"endianness": tensor_bundle_pb2.BundleHeaderProto.BIG}),
        ("no shards", [(b"t", good)], {"num_shards": -1}),
        ("newer format", [(b"t", good)], {"version": {"min_consumer": 9}}),
        ("size", [(b"t", tensor_entry((3, 5), data))], {}),
        ("shard", [(b"t", tensor_entry((3, 4), data, shard_id=1))], {}),
        ("negative dimension", [(b"t", tensor_entry((-3, -4), data))], {}),
        ("same bytes twice", [(b"t", good), (b"u", good)], {}),
        ("negative offset", [(b"t", tensor_entry((3, 4), data, offset=-1))], {}),
        ("name", [(b"\xff", good)], {}),
        ("slice is not there", [(b"t", tensor_entry((3, 4), b"", slices=[slice_proto((0, 1), (0, 4))]))], {}),
        ("slice of another rank", [(b"t", tensor_entry((3, 4), b"", slices=[slice_proto((0, 1))]))], {}),
        ("slice is too long", [(b"t", tensor_entry((3, 4), b"", slices=[slice_proto((2, 2), (0, 4))]))], {}),
    ):
        assert cause_of(open_checkpoint, bundle_of(tmp_path, entries, data, **header)) == "corrupt", name
    read_everything(bundle_of(tmp_path, [(b"t", good)], data))
    missing = bundle_of(tmp_path, [(b"t", good)], data, num_shards=2**31 - 1)
    assert cause_of(open_checkpoint, missing) == "missing_shard"


def slice_proto(*pairs):
    return {"extent": [{"start": start, "length": length} for start, length in pairs]}


def test_string_tensors_that_lie(tmp_path):
    for data, count in ((b"\1\1", 2), (b"\xff" * 30, 3), (varint(1 << 60) + b"\0\0\0\0", 1)):
        proto = tensor_entry((count,), data)
        proto.dtype = types_pb2.DT_STRING
        entries = [(b"s", proto)]
        assert cause_of(read_everything, bundle_of(tmp_path, entries, data)) == "corrupt"


def test_v1_values_that_do_not_fill_the_shape(tmp_path):
    prefix = save(str(tmp_path / "m"), {"t": values("float32", (5,))}, version="V1")
    (_, meta), (key, value) = read_table(prefix)
    saved = saved_tensor_slice_pb2.SavedTensorSlices.FromString(value)
    del saved.data.data.float_val[-1]
    for content in (saved.SerializeToString(), value[:-1], b"", b"\x12\x02\x1a\x00"):
        Path(prefix).write_bytes(table([(b"\xff", block([entry(b"", meta), entry(key, content)]))]))
        assert cause_of(read_everything, prefix) == "corrupt"
    Path(prefix).write_bytes(table([(b"\xff", block([entry(b"", meta)]))]))
    assert cause_of(read_everything, prefix) == "corrupt"


def test_a_lie_about_the_shape_takes_no_memory(tmp_path):
    """A file of some kilobytes that claims a tensor of petabytes, in V1 and in V2."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    prefix = save(str(tmp_path / "m"), {"t": values("float32", (5,))}, version="V1")
    (_, meta), *rest = read_table(prefix)
    slices = saved_tensor_slice_pb2.SavedTensorSlices.FromString(meta)
    slices.meta.tensor[0].shape.dim[0].size = 1 << 50
    pairs = [(b"", slices.SerializeToString()), *rest]
    Path(prefix).write_bytes(table([(b"\xff", block([entry(*pair) for pair in pairs]))]))
    assert cause_of(read_everything, prefix) == "corrupt"
    huge = tensor_entry((1 << 50,), b"x")
    huge.size = 1 << 50
    assert cause_of(open_checkpoint, bundle_of(tmp_path, [(b"t", huge)], b"x")) == "truncated"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


# Checkpoints that strangers trained.


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
