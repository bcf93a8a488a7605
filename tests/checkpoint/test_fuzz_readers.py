"""Mutated and made-up checkpoints: whatever lies in the files, the readers give right bytes or raise Problem.

PERMAFROST_FUZZ_EXAMPLES is the number of examples of each test (150 if it is not set, and always the same ones then).
"""

import resource
import time
from pathlib import Path

import cramjam
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import EXAMPLES, fuzz
from made_tables import block, entry, handle, read_table, sealed, table
from permafrost.checkpoint.reader import open_checkpoint, read_index_header
from permafrost.encoding import TABLE_MAGIC
from permafrost.graph.dtypes import ITEM_SIZES
from permafrost.graph.protos import saved_tensor_slice_pb2, tensor_bundle_pb2, types_pb2
from permafrost.outcome import CAUSES, Problem
from saved_checkpoints import save, values

SECONDS = 5
MEMORY_KIB = (200 << 10) + 7 * 8 * EXAMPLES  # 8 KiB of each example of the tests below is hypothesis' own


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """For V1 and V2: the prefix, the contents of the files by ending, and what is read from them."""
    directory = tmp_path_factory.mktemp("fuzz")
    tensors = {
        "floats": values("float32", (20, 3)),
        "halves": values("half", (7,)),
        "flags": values("bool", (2, 2)),
        "step": tf.constant(1 << 40, tf.int64),
        "words": values("string", (6,)),
        "rows": values("int16", (4, 3)),
        "columns": values("uint8", (4, 3)),
    }
    specs = ["", "", "", "", "", "9 3 2,4:-", "4 9 -:5,3"]
    found = {}
    for version in ("V1", "V2"):
        prefix = save(str(directory / version), tensors, specs, version)
        files = {str(path)[len(prefix) :]: path.read_bytes() for path in directory.glob(f"{version}*")}
        found[version] = (prefix, files, read_all(prefix))
    return found


@pytest.fixture(autouse=True, scope="module")
def bounded_memory(originals):
    """The peak of all examples of this file, above what TensorFlow and the originals took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_KIB


def read_all(prefix):
    """(name, dtype, shape) -> what is read of the tensor, or the cause why it cannot be."""
    found = {}
    with open_checkpoint(prefix) as checkpoint:
        for name, tensor in checkpoint.tensors.items():
            read = checkpoint.read if tensor.dtype in ITEM_SIZES else checkpoint.read_strings
            inner = (
                tuple(size // 3 for size in tensor.shape),
                tuple(size - 2 * (size // 3) for size in tensor.shape),
            )
            wanted = [(None, None), inner, *((stored.start, stored.extent) for stored in tensor.slices[:3])]
            for start, extent in wanted:
                key = (name, tensor.dtype, tensor.shape, start, extent)
                try:
                    found[key] = read(name, start, extent)
                except Problem as problem:
                    assert problem.cause in CAUSES and problem.message
                    found[key] = problem
        checkpoint.check_unchanged()
    return found


def survives(prefix, files):
    """Writes the files and reads all of them, in little time; gives what was read, and nothing where nothing was."""
    for ending, content in files.items():
        Path(prefix + ending).write_bytes(content)
    began = time.process_time()
    found = {}
    if ".index" in files:
        try:
            read_index_header(prefix + ".index")
        except Problem as problem:
            assert problem.cause in CAUSES
    try:
        found = read_all(prefix)
    except Problem as problem:
        assert problem.cause in CAUSES and problem.message and problem.hint
    assert time.process_time() - began < SECONDS
    return found


@st.composite
def mutations(draw, whole):
    """Some bytes with bits flipped, ranges cut out, put in twice or overwritten."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["flip", "flip", "byte", "end", "cut", "splice", "insert"]))
        position = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.integers(1, 30))
        if kind == "flip" and content:
            content[position] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and content:
            content[position] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == "end":
            del content[position:]
        elif kind == "cut":
            del content[position : position + length]
        elif kind == "splice":
            source = draw(st.integers(0, max(0, len(content) - 1)))
            content[position : position + length] = content[source : source + length]
        else:
            content[position:position] = draw(st.binary(max_size=30))
    return bytes(content)


@fuzz
@given(data=st.data())
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_mutated_files(originals, version, data):
    """Checksums stand against these: what is still read is what was written."""
    prefix, files, right = originals[version]
    ending = data.draw(st.sampled_from(sorted(files)))
    found = survives(prefix, {**files, ending: data.draw(mutations(files[ending]))})
    for key, content in found.items():
        assert isinstance(content, Problem) or content == right[key]


def resealed(data, pairs):
    """A table of such keys and values whose checksums are right, in blocks that may be compressed, or mutated."""
    blocks = []
    while pairs:
        count = data.draw(st.integers(1, len(pairs)))
        entries = [entry(key, value) for key, value in pairs[:count]]
        last, pairs = pairs[count - 1][0], pairs[count:]
        kind = data.draw(st.sampled_from(["plain", "plain", "snappy", "mutated", "mutated snappy"]))
        made = block(entries, compressed="snappy" in kind)
        if "mutated" in kind:
            made = sealed(data.draw(mutations(made[:-5])), made[-5])
        blocks.append((last, made))
    handles = None
    if data.draw(st.integers(0, 9)) == 0:
        handles = [data.draw(mutations(handle(0, made))) for _, made in blocks]
    return table(blocks, handles)


@fuzz
@given(data=st.data())
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_mutated_tables_with_right_checksums(originals, version, data):
    prefix, files, _ = originals[version]
    ending = ".index" if version == "V2" else ""
    Path(prefix + ending).write_bytes(files[ending])
    pairs = read_table(prefix + ending)
    for _ in range(data.draw(st.integers(0, 3))):
        number = data.draw(st.integers(0, len(pairs) - 1))
        kind = data.draw(st.sampled_from(["key", "value", "value", "swap", "drop", "double"]))
        key, value = pairs[number]
        if kind == "key":
            pairs[number] = (data.draw(mutations(key)), value)
        elif kind == "value":
            pairs[number] = (key, data.draw(mutations(value)))
        elif kind == "swap":
            other = data.draw(st.integers(0, len(pairs) - 1))
            pairs[number], pairs[other] = (key, pairs[other][1]), (pairs[other][0], value)
        elif kind == "double":
            pairs.insert(number, (key, value))
        elif len(pairs) > 1:
            del pairs[number]
    if data.draw(st.booleans()):
        pairs = sorted(dict(pairs).items())
    survives(prefix, {**files, ending: resealed(data, pairs)})


small = st.sampled_from([0, 1, 2, 3, 5, 60, 180, 1 << 20, 1 << 31, 1 << 62, -1, -(1 << 62)])
shapes = st.lists(small, max_size=4)
dtypes = st.sampled_from([*types_pb2.DataType.values(), 9999])
extents = st.lists(st.tuples(small, st.none() | small), max_size=4)


def slice_of(pairs):
    return {"extent": [{"start": a} if n is None else {"start": a, "length": n} for a, n in pairs]}


@fuzz
@given(data=st.data())
def test_made_up_bundles(originals, data):
    """Entries whose fields are right protocol buffers, but say anything."""
    prefix, files, _ = originals["V2"]
    header = tensor_bundle_pb2.BundleHeaderProto(num_shards=data.draw(st.sampled_from([1, 1, 1, 2, 0, -1, 1 << 30])))
    header.endianness = data.draw(st.sampled_from([0, 0, 0, 0, 1]))
    pairs = {b"": header.SerializeToString()}
    for name in data.draw(st.lists(st.binary(max_size=4), max_size=5)):
        made = tensor_bundle_pb2.BundleEntryProto(
            dtype=data.draw(dtypes),
            shape={"dim": [{"size": size} for size in data.draw(shapes)]},
            shard_id=data.draw(st.sampled_from([0, 0, 0, 1, -1])),
            offset=data.draw(small),
            size=data.draw(small),
            crc32c=data.draw(st.integers(0, 2**32 - 1)),
            slices=[slice_of(pairs) for pairs in data.draw(st.lists(extents, max_size=3))],
        )
        pairs[name or b"x"] = made.SerializeToString()
    survives(prefix, {**files, ".index": resealed(data, sorted(pairs.items()))})


@fuzz
@given(data=st.data())
def test_made_up_v1_checkpoints(originals, data):
    """Lists of tensors that say anything about what is stored."""
    prefix, files, _ = originals["V1"]
    Path(prefix).write_bytes(files[""])
    pairs = dict(read_table(prefix))
    saved = saved_tensor_slice_pb2.SavedTensorSlices.FromString(pairs[b""])
    for tensor in saved.meta.tensor:
        kind = data.draw(st.sampled_from(["right", "right", "dtype", "shape", "slices", "double"]))
        if kind == "dtype":
            tensor.type = data.draw(dtypes)
        elif kind == "shape":
            tensor.shape.CopyFrom(type(tensor.shape)(dim=[{"size": size} for size in data.draw(shapes)]))
        elif kind == "slices":
            proto = type(tensor)(slice=[slice_of(pairs) for pairs in data.draw(st.lists(extents, max_size=3))])
            tensor.slice.MergeFrom(proto.slice)
        elif kind == "double":
            tensor.slice.MergeFrom(type(tensor).FromString(tensor.SerializeToString()).slice)
    pairs[b""] = saved.SerializeToString()
    survives(prefix, {"": resealed(data, sorted(pairs.items()))})


@fuzz
@given(
    content=st.binary(max_size=400),
    end=st.sampled_from([b"", TABLE_MAGIC, bytes(40) + TABLE_MAGIC]),
    compressed=st.booleans(),
)
def test_random_bytes(originals, content, end, compressed):
    body = bytes(cramjam.snappy.compress_raw(content)) if compressed else content
    prefix, files, _ = originals["V2"]
    survives(prefix, {**files, ".index": content + end})
    survives(prefix, {**files, ".index": table([(b"\xff", sealed(body, compressed))])})
    prefix, _, _ = originals["V1"]
    survives(prefix, {"": content + end})
    survives(prefix, {"": table([(b"\xff", sealed(body, compressed))])})
