"""Tables that no TensorFlow would write, made by hand: what they claim is not believed."""

import resource
from pathlib import Path

import tensorflow as tf
from crc32c import crc32c

from made_tables import block, entry, handle, read_table, sealed, table, varint
from permafrost.checkpoint import v2 as bundle_module
from permafrost.checkpoint.reader import open_checkpoint, read_index_header
from permafrost.encoding import masked
from permafrost.graph.protos import saved_tensor_slice_pb2, tensor_bundle_pb2, types_pb2
from saved_checkpoints import cause_of, compare_all, read_everything, save, values


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
