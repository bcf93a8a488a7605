"""What discovery makes of directories, good and bad, made up and real."""

import csv
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import crc32c
import pandas as pd
import pytest

import discover
from conftest import SAMPLE_ZOO, sparse
from permafrost.checkpoint import reader
from permafrost.graph.protos import tensor_bundle_pb2
from permafrost.outcome import ZOO_COLUMNS, Problem
from permafrost.zoo import discovery, files, state_file

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 136513620\n"
LONG_AGO = 1_500_000_000


def block(*entries: tuple[bytes, bytes]) -> bytes:
    """A table's block with short keys and values, its restart point, compression type and masked CRC32C."""
    body = b"".join(bytes([0, len(key), len(value)]) + key + value for key, value in entries)
    body += struct.pack("<II", 0, 1) + b"\0"
    crc = crc32c.crc32c(body)
    return body + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def handle(offset: int, size: int) -> bytes:
    assert offset < 128 and size < 128
    return bytes([offset, size])


def footer(*handles: int) -> bytes:
    """A table's footer: offsets and sizes of its metaindex and index blocks, and the magic number."""
    return b"".join(map(varint, handles)).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def varint(number: int) -> bytes:
    return bytes([number & 127 | 128]) + varint(number >> 7) if number > 127 else bytes([number])


def table(*entries: tuple[bytes, bytes]) -> bytes:
    """A small table as TensorFlow's TableBuilder writes it: data, metaindex and index blocks, and the footer."""
    data, meta = block(*entries), block()
    index = block((b"~", handle(0, len(data) - 5)))
    handles = handle(len(data), len(meta) - 5) + handle(len(data) + len(meta), len(index) - 5)
    return data + meta + index + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def index(shards: int = 1, object_based: bool = False) -> bytes:
    header = tensor_bundle_pb2.BundleHeaderProto(num_shards=shards)
    header.version.producer = 1
    entry = tensor_bundle_pb2.BundleEntryProto(dtype=7, size=0).SerializeToString()
    tensors = [(b"_CHECKPOINTABLE_OBJECT_GRAPH", entry)] if object_based else []
    return table((b"", header.SerializeToString()), *tensors)


V1 = table((b"", b"\n\0"))


def put(directory: Path, **files: bytes) -> None:
    """Writes files with an mtime long past; keyword names are file names."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = os.path.join(directory, name)
        Path(path).write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))


def put_v2(directory: Path, name: str, meta: bytes | None = b"\n\0graph", shards: int = 1, **index_options) -> None:
    put(directory, **{f"{name}.index": index(shards, **index_options)})
    for number in range(shards):
        put(directory, **{f"{name}.data-{number:05d}-of-{shards:05d}": b"weights" * 200})
    if meta is not None:
        put(directory, **{f"{name}.meta": meta})


def says(directory: Path, *paths: str) -> None:
    text = f'model_checkpoint_path: "{paths[0]}"\n' + "".join(f'all_model_checkpoint_paths: "{p}"\n' for p in paths)
    put(directory, checkpoint=text.encode())


def latest(series: str, zoo: str) -> str:
    return "latest"


def scan(zoo: Path, cache: dict | None = None) -> list[discovery.Candidate]:
    return discovery.scan([str(zoo)], [], {} if cache is None else cache)


def models(zoo: Path, rule="latest") -> dict[str, dict]:
    found = discovery.select(scan(zoo), lambda series, zoo: rule)
    assert len({model.id for model in found}) == len(found)
    return {model.id: model for model in found}


def only(zoo: Path) -> discovery.Candidate:
    (candidate,) = scan(zoo)
    return candidate


def cause(candidate: discovery.Candidate) -> str:
    return candidate.problem.cause if candidate.problem else ""


def test_a_v2_checkpoint(tmp_path):
    put_v2(tmp_path / "a" / "b", "model.ckpt-7", shards=2)
    found = only(tmp_path)
    assert (found.series, found.stem, found.step, found.format) == ("a/b/model.ckpt", "model.ckpt", 7, "V2")
    assert (found.shards, found.bytes, found.problem) == (2, 2800 + len(index(2)), None)
    assert found.prefix == f"{tmp_path}/a/b/model.ckpt-7" and found.meta == found.prefix + ".meta"
    assert [os.path.basename(path) for path in found.files] == [
        "model.ckpt-7.index", "model.ckpt-7.data-00000-of-00002", "model.ckpt-7.data-00001-of-00002",
        "model.ckpt-7.meta",
    ]  # fmt: skip


def test_a_shard_may_be_empty(tmp_path):
    put_v2(tmp_path, "m", shards=2)
    put(tmp_path, **{"m.data-00000-of-00002": b""})
    found = only(tmp_path)
    assert (found.shards, found.bytes, found.problem) == (2, 1400 + len(index(2)), None)
    assert change(tmp_path, "m.data-00000-of-00002", b"weights")


def test_a_v1_checkpoint_of_any_name(tmp_path):
    put(tmp_path, weights=V1, **{"weights.meta": b"\n\0"}, readme=b"text")
    found = only(tmp_path)
    assert (found.name, found.format, found.shards, found.bytes, cause(found)) == ("weights", "V1", 1, len(V1), "")


def test_a_v1_checkpoint_in_shards_is_one(tmp_path):
    put(tmp_path, **{"m-3-00000-of-00002": V1, "m-3-00001-of-00002": V1, "m-3.meta": b"\n\0"})
    found = only(tmp_path)
    assert (found.series, found.step, found.shards, cause(found)) == ("m", 3, 2, "")
    assert found.prefix == f"{tmp_path}/m-3-?????-of-00002"
    (tmp_path / "m-3-00001-of-00002").unlink()
    assert cause(only(tmp_path)) == "missing_shard"


def test_v2_goes_before_what_has_the_same_name(tmp_path):
    for name, beside in (("v1", V1), ("pointer", LFS)):
        put_v2(tmp_path / name, "model.ckpt")
        put(tmp_path / name, **{"model.ckpt": beside})
        found = only(tmp_path / name)
        assert (found.format, found.problem) == ("V2", None)
        assert found.findings == ["model.ckpt of the same name is not used: V2 goes before V1"]


@pytest.mark.parametrize(
    ("files", "expected", "named"),
    [
        ({"m.ckpt": b"\x80\x02pickled"}, "not_a_checkpoint", "m.ckpt"),
        ({"m.ckpt": b"PK\3\4zipped"}, "not_a_checkpoint", "m.ckpt"),
        ({"m.ckpt": b"whatever"}, "not_a_checkpoint", "m.ckpt"),
        ({"m.ckpt": LFS}, "lfs_pointer", "m.ckpt"),
        ({"m.ckpt": b""}, "truncated", "m.ckpt"),
        ({"m.ckpt": V1[:60], "m.ckpt.meta": b"\n\0"}, "truncated", "m.ckpt"),
        ({"m": b"whatever", "m.meta": b"\n\0"}, "not_a_checkpoint", "m"),
        ({"m.ckpt": V1}, "no_meta_graph", "m.ckpt.meta"),
        ({"m.ckpt": V1, "m.ckpt.meta": LFS}, "lfs_pointer", "m.ckpt.meta"),
        ({"m.data-00000-of-00001": b"x", "m.meta": b"\n\0"}, "no_index", "m.index"),
        ({"m.meta": b"\n\0"}, "missing_checkpoint", "m"),
        ({"m.index": index(), "m.data-00000-of-00001": b"x" * 2000}, "no_meta_graph", "m.meta"),
        ({"m.index": index(), "m.meta": b"\n\0"}, "missing_shard", "m.data-00000-of-00001"),
        ({"m.index": index()}, "missing_shard", "m.data-00000-of-00001"),
        ({"m.index": index(2), "m.data-00000-of-00002": b"x"}, "missing_shard", "m.data-00001-of-00002"),
        ({"m.index": index(), "m.data-00000-of-00001": LFS, "m.meta": b"\n\0"}, "lfs_pointer", "m.data-00000-of-00001"),
        ({"m-00000-of-00002": V1, "m-00001-of-00002": b"", "m.meta": b"\n\0"}, "truncated", "m-00001-of-00002"),
        ({"m.index": index(), "m.data-00000-of-00001": b"x", "m.meta": b""}, "truncated", "m.meta"),
        ({"m.index": index(), "m.data-00000-of-00001": b"x", "m.meta": LFS}, "lfs_pointer", "m.meta"),
        ({"m.index": LFS, "m.data-00000-of-00001": LFS, "m.meta": LFS}, "lfs_pointer", "m.index"),
        ({"m.index": b"", "m.meta": b"\n\0"}, "truncated", "m.index"),
        ({"saved_model.pb": b"x"}, "saved_model", "saved_model.pb"),
        ({"saved_model.pbtxt": b"x"}, "saved_model", "saved_model.pbtxt"),
    ],
)
def test_what_cannot_be_used_is_a_row_with_its_cause(tmp_path, files, expected, named):
    put(tmp_path, **files)
    found = only(tmp_path)
    assert cause(found) == expected
    assert f"{tmp_path}/{named} " in found.problem.message + " "
    assert found.problem.hint


def test_a_damaged_index_is_a_row(tmp_path):
    put_v2(tmp_path / "cut", "m")
    put(tmp_path / "cut", **{"m.index": index()[:40]})
    put_v2(tmp_path / "text", "m")
    put(tmp_path / "text", **{"m.index": b"a list of words\n" * 20})
    causes = {candidate.series: cause(candidate) for candidate in scan(tmp_path)}
    assert causes["cut/m"] in ("truncated", "corrupt", "not_a_checkpoint")
    assert causes["text/m"] in ("not_a_checkpoint", "truncated")


def test_object_based_checkpoints(tmp_path):
    put_v2(tmp_path / "tf2", "ckpt-1", meta=None, shards=2, object_based=True)
    put_v2(tmp_path / "with_meta", "ckpt-1", object_based=True)
    assert {c.series: cause(c) for c in scan(tmp_path)} == {"tf2/ckpt": "tf2_checkpoint", "with_meta/ckpt": ""}


def test_a_saved_model_owns_its_variables(tmp_path):
    put(tmp_path / "export", **{"saved_model.pb": b"x"})
    put_v2(tmp_path / "export" / "variables", "variables", meta=None)
    put_v2(tmp_path / "variables", "variables")
    assert [(c.series, cause(c)) for c in scan(tmp_path)] == [
        ("export/saved_model", ""), ("variables/variables", ""),
    ]  # fmt: skip


def test_unity_assets_are_no_checkpoints(tmp_path):
    put(tmp_path, **{"a.png": b"x", "a.png.meta": b"fileFormatVersion: 2\n", "Models.meta": b"fileFormatVersion: 2\n"})
    assert scan(tmp_path) == []


@pytest.mark.parametrize(
    ("metas", "chosen"),
    [
        (("m-20.meta", "m-10.meta", "m-30.meta"), "m-20.meta"),
        (("m-20.meta.pbtxt", "m-10.meta"), "m-20.meta.pbtxt"),
        (("m-20.meta.txt", "m-20.meta.pbtxt"), "m-20.meta.pbtxt"),
        (("m-5.meta", "m-10.meta", "m-30.meta", "m.meta"), "m-10.meta"),
        (("m-40.meta", "m-30.meta", "m.meta"), "m-30.meta"),
        (("m.meta", "other-20.meta"), "m.meta"),
    ],
)
def test_the_meta_graph_of_a_step(tmp_path, metas, chosen):
    put_v2(tmp_path, "m-20", meta=None)
    put(tmp_path, **dict.fromkeys(metas, b"\n\0"))
    found = next(c for c in scan(tmp_path) if c.name == "m-20")
    assert found.meta == f"{tmp_path}/{chosen}"
    assert bool(found.findings) == (not chosen.startswith("m-20"))


@pytest.mark.parametrize(
    "path", ["m-2", "/data/someone/run/m-2", r"C:\\Users\\run\\m-2", r"C:\\\\Users\\\\run\\\\m-2", "../elsewhere/m-2"]
)
def test_the_newest_is_what_checkpoint_names(tmp_path, path):
    for step in (1, 2, 10):
        put_v2(tmp_path, f"m-{step}")
    says(tmp_path, path)
    model = models(tmp_path)["m"]
    assert model.step == 2 and model.prefix == f"{tmp_path}/m-2"
    assert "m-10 is there too" in model.findings[0]


def test_the_newest_without_a_checkpoint_file(tmp_path):
    for name in ("m", "m-9", "m-10"):
        put_v2(tmp_path, name)
    model = models(tmp_path)["m"]
    assert model.step == 10 and "this is the highest" in model.findings[0]


def test_the_newest_where_the_named_step_is_gone(tmp_path):
    put_v2(tmp_path, "m-1")
    put_v2(tmp_path, "m-2")
    says(tmp_path, "m-3")
    model = models(tmp_path)["m"]
    assert model.step == 2 and "m-3, which is not there" in model.findings[0]


@pytest.mark.parametrize(
    ("left", "expected"),
    [("m-3.index", "missing_shard"), ("m-3.data-00000-of-00001", "no_index"), ("m-3.meta", "missing_checkpoint")],
)
def test_a_named_but_broken_step_is_not_replaced(tmp_path, left, expected):
    put_v2(tmp_path, "m-2")
    put(tmp_path, **{left: index()})
    says(tmp_path, "m-3", "m-2")
    model = models(tmp_path)["m"]
    assert model.step == 3 and model.problem.cause == expected


def test_a_series_of_which_nothing_is_left_is_one_row(tmp_path):
    put_v2(tmp_path, "here")
    says(tmp_path, "/x/gone-3", "/x/gone-1", "/x/gone-2", "../here")
    found = models(tmp_path)
    assert set(found) == {"here", "gone"}
    assert found["gone"].step == 3 and found["gone"].problem.cause == "missing_checkpoint"


@pytest.mark.parametrize(
    "content", [b"", b"\xff\0garbage", LFS, b'model_checkpoint_path: ""', b'model_checkpoint_path: "/"']
)
def test_a_checkpoint_file_of_garbage_hides_nothing(tmp_path, content):
    put_v2(tmp_path, "m-1")
    put(tmp_path, checkpoint=content)
    assert models(tmp_path)["m"].problem is None
    (tmp_path / "m-1.index").unlink()
    assert models(tmp_path)["m"].problem.cause == "no_index"


@pytest.mark.parametrize("size", [300 << 20, 10**12])
def test_an_index_with_a_huge_block_is_a_row_and_takes_no_memory(tmp_path, size):
    put_v2(tmp_path, "m")
    put_v2(tmp_path, "good")
    sparse(tmp_path / "m.index", size, footer(0, 8, 0, size - 53))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = models(tmp_path)
    assert found["good"].problem is None and found["m"].problem.cause == "corrupt"
    assert "m.index is corrupt: the block at byte 0 claims" in found["m"].problem.message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def test_an_index_that_is_larger_than_any_is_a_row(tmp_path):
    """Its blocks are small, but there could be any number of them."""
    put_v2(tmp_path, "m")
    size = 300 << 20
    last = block((b"~", handle(0, 8)))
    sparse(tmp_path / "m.index", size, last + footer(0, 8, size - 48 - len(last), len(last) - 5))
    assert cause(only(tmp_path)) == "corrupt" and f"m.index has {size} bytes" in only(tmp_path).problem.message


def test_an_index_for_which_there_is_no_memory_is_a_row_until_there_is(tmp_path, monkeypatch):
    put_v2(tmp_path, "m")
    cache: dict = {}
    with monkeypatch.context() as patch:
        patch.setattr(reader, "read_index_header", lambda path: bytearray(1 << 62))
        (candidate,) = scan(tmp_path, cache)
    assert cause(candidate) == "killed" and "m.index" in candidate.problem.message
    assert scan(tmp_path, cache)[0].problem is None


@pytest.mark.parametrize("name", ["m.meta", "m.meta.pbtxt", "saved_model.pb"])
def test_a_graph_larger_than_any_protocol_buffer_is_a_row_and_is_not_read(tmp_path, name):
    put_v2(tmp_path, "m", meta=None)
    put_v2(tmp_path / "variables", "variables", meta=None)
    sparse(tmp_path / name, 40 * 10**9)
    wrong = [c for c in scan(tmp_path) if c.meta.endswith(name)]
    assert [cause(c) for c in wrong] == ["bad_meta_graph"]
    assert f"{name} is no meta graph: it has {40 * 10**9} bytes" in wrong[0].problem.message


def test_a_huge_v1_checkpoint_is_told_apart_without_reading_it(tmp_path, settled):
    """By its stamp, its first and its last MiB."""
    put(tmp_path, **{"m.meta": b"\n\0graph"})
    cache: dict = {}
    prints = set()
    for end in (V1, V1, b"x" + V1[1:]):
        sparse(tmp_path / "m", 40 * 10**9, end)
        os.utime(tmp_path / "m", (LONG_AGO, LONG_AGO))
        (candidate,) = scan(tmp_path, cache)
        assert (candidate.format, cause(candidate)) == ("V1", "")
        assert candidate.fingerprint == scan(tmp_path, cache)[0].fingerprint == scan(tmp_path)[0].fingerprint
        prints.add(candidate.fingerprint)
    assert len(prints) == 3


@pytest.mark.parametrize("inner", [b"", b"other"])
def test_a_large_file_with_the_same_stamp_and_another_end_is_another(tmp_path, monkeypatch, inner):
    monkeypatch.setattr(files, "_LARGEST_HASHED", 8)
    monkeypatch.setattr(files, "stamp", lambda information: [0, 0, 0, 0])
    put_v2(tmp_path, "m")
    before = only(tmp_path).fingerprint
    put(tmp_path, **{"m.meta": b"\n\0grap" + (inner or b"h")})
    assert (only(tmp_path).fingerprint == before) == (not inner)


def test_names_of_which_nothing_is_there_are_a_few_rows(tmp_path):
    put_v2(tmp_path, "here-1")
    put(tmp_path, **{"alone-5.meta": b"\n\0graph"})
    says(tmp_path, "newest-9", *(f"gone{number}-1" for number in range(20_000)), "here-1")
    lines = (tmp_path / "checkpoint").read_text().splitlines(keepends=True)
    (tmp_path / "checkpoint").write_text("".join(lines[2:] + lines[:1]))  # the newest one's name comes last
    found = models(tmp_path)
    missing = {name: model.problem for name, model in found.items() if model.problem}
    assert {problem.cause for problem in missing.values()} == {"missing_checkpoint"}
    assert len(missing) == 21 and {"newest", "alone"} < set(missing) and found["here"].problem is None
    said = [problem.message for problem in missing.values() if "more models" in problem.message]
    assert len(said) == 1 and said[0].endswith("and 19981 more models of which nothing is there")


def test_as_many_names_as_become_rows_are_rows_and_no_more_is_said(tmp_path):
    put(tmp_path, checkpoint=b"".join(b'all_model_checkpoint_paths: "gone%d-1"\n' % number for number in range(20)))
    found = models(tmp_path)
    assert len(found) == 20 and not any("more" in model.problem.message for model in found.values())


def test_a_name_that_no_file_can_have_is_left_out(tmp_path):
    put_v2(tmp_path, "model.ckpt")
    put(tmp_path, checkpoint=f'model_checkpoint_path: "{"x" * 200_000}"'.encode())
    assert [c.series for c in scan(tmp_path)] == ["model.ckpt"]


def test_names_that_strangers_give(tmp_path):
    names = [
        "",
        "my model",
        "a.b.c",
        'it\'s "m"',
        "new\nline",
        "tab\t",
        "😀",
        os.fsdecode(b"caf\xe9"),
        "{x}",
        "-m",
        "~",
    ]
    for name in names:
        put_v2(tmp_path, name)
        put_v2(tmp_path / f"d{name}", name)
    found = scan(tmp_path)
    assert sorted(c.name for c in found) == sorted(names * 2)
    assert [cause(c) for c in found] == [""] * 2 * len(names)
    assert len({c.series for c in found}) == 2 * len(names)
    assert {"%", "d/%", "new%0Aline", "caf%E9", "%7Bx%7D"} <= {c.series for c in found}


def test_all_steps_and_listed_steps(tmp_path):
    for name in ("m-1", "m-20", "m-007", "m", "lone"):
        put_v2(tmp_path, name)
    assert set(models(tmp_path, "all")) == {"m", "m-1", "m-20", "m-007", "lone"}
    (tmp_path / "lone.index").unlink()
    assert set(models(tmp_path, [1, 20])) == {"m-1", "m-20", "lone"}
    with pytest.raises(Problem, match="step 18 for m; the nearest that it has is 20") as caught:
        models(tmp_path, [1, 18])
    assert caught.value.cause == "bad_setting"


def test_a_rule_of_its_own_for_each_series(tmp_path):
    for name in ("a-1", "a-2", "b-1", "b-2"):
        put_v2(tmp_path, name)
    found = discovery.select(scan(tmp_path), {"a": "all", "b": "latest"}.get)
    assert [model.id for model in found] == ["a-1", "a-2", "b"]


def test_a_step_and_a_series_of_the_same_spelling(tmp_path):
    for name in ("m-5", "m-5-7"):
        put_v2(tmp_path, name)
    assert set(models(tmp_path, "all")) == {"m-5", "m%2D5-7"}


def test_two_zoos_with_the_same_id(tmp_path):
    put_v2(tmp_path / "one", "m")
    put_v2(tmp_path / "two", "m")
    found = discovery.scan([f"{tmp_path}/one", f"{tmp_path}/two"], [], {})
    with pytest.raises(Problem, match="one and .*two both have a model with the id m"):
        discovery.select(found, lambda series, zoo: "latest")


def test_the_same_directory_twice_is_one(tmp_path):
    put_v2(tmp_path / "a", "m")
    assert len(discovery.scan([str(tmp_path), f"{tmp_path}/", f"{tmp_path}/a"], [], {})) == 1


def test_symbolic_links(tmp_path):
    zoo, outside = tmp_path / "zoo", tmp_path / "outside"
    put_v2(zoo / "real", "m")
    put_v2(outside, "m")
    (zoo / "a_loop").symlink_to(zoo)
    (zoo / "real" / "up").symlink_to("..")
    (zoo / "itself").symlink_to("itself")
    (zoo / "alias").symlink_to("real")
    (zoo / "other").symlink_to(outside)
    found = discovery.scan([str(zoo)], [], {}, follow_links=True)
    assert [c.series for c in found] == ["other/m", "real/m"]
    unfollowed, model = scan(zoo)
    assert model.series == "real/m" and unfollowed.prefix == f"{zoo}/other" and cause(unfollowed) == "outside_zoo"
    assert f"{zoo}/other leads out of the zoo, to {outside}" in unfollowed.problem.message
    assert "`follow_links: true`" in unfollowed.problem.hint and "`zoo:`" in unfollowed.problem.hint
    assert set(models(zoo)) == {"real/m"}, "a link is no model"


def test_a_link_into_another_zoo_or_into_what_a_zoo_is_a_link_to_is_no_link_out(tmp_path):
    one, two, real = (tmp_path / name for name in ("one", "two", "real"))
    put_v2(real / "a", "m")
    put_v2(two / "b", "m")
    put_v2(tmp_path / "two and more", "m")
    one.symlink_to(real)
    for name, target in (("up", one), ("other", two / "b"), ("longer", tmp_path / "two and more")):
        (real / name).symlink_to(target)
    found = discovery.scan([str(one), str(two)], [], {})
    assert [(c.series, c.name) for c in found] == [("", "longer"), ("a/m", "m"), ("b/m", "m")]


def test_nothing_outside_of_the_zoo_is_listed_or_opened(tmp_path, monkeypatch):
    put_v2(tmp_path / "zoo" / "a", "m")
    put(tmp_path / "outside" / "deep", weights=V1)
    for name, target in (("all", "/"), ("out", tmp_path / "outside"), ("file", tmp_path / "outside/deep/weights")):
        (tmp_path / "zoo" / name).symlink_to(target)
    real_scandir, real_open = os.scandir, Path.open

    def within(path) -> bool:
        return os.path.realpath(path).startswith(f"{tmp_path}/zoo")

    monkeypatch.setattr(os, "scandir", lambda path: real_scandir(path) if within(path) else pytest.fail(str(path)))
    monkeypatch.setattr(Path, "open", lambda path, *a: real_open(path, *a) if within(path) else pytest.fail(str(path)))
    assert sorted((c.series, c.name, cause(c)) for c in scan(tmp_path / "zoo")) == [
        ("", "all", "outside_zoo"), ("", "file", "outside_zoo"), ("", "out", "outside_zoo"), ("a/m", "m", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("linked", ["m.index", "m.data-00000-of-00001", "m.meta", "v1.ckpt", "v1.ckpt.meta"])
def test_a_file_of_a_checkpoint_in_a_store_outside_is_a_row_that_says_so(tmp_path, linked):
    zoo, store = tmp_path / "zoo", tmp_path / "store"
    if linked.startswith("v1"):
        put(zoo, **{"v1.ckpt": V1, "v1.ckpt.meta": b"\n\0"})
    else:
        put_v2(zoo, "m")
    store.mkdir()
    (zoo / linked).rename(store / "object")
    (zoo / linked).symlink_to("../store/object")
    found = only(zoo)
    assert cause(found) == "outside_zoo" and found.series in ("m", "v1.ckpt")
    assert f"{zoo}/{linked} is a link that leads out of the zoo, to {store}/object" == found.problem.message
    assert found.meta == ("" if linked.endswith("meta") else f"{zoo}/{found.name}.meta"), "it is not read later either"
    (followed,) = discovery.scan([str(zoo)], [], {}, follow_links=True)
    assert followed.problem is None and followed.fingerprint != found.fingerprint
    named = discovery.scan([str(zoo), str(store)], [], {})
    assert [c.problem for c in named if c.directory == str(zoo)] == [None], "the user's `zoo` names where it leads"


def test_links_to_files_that_are_no_models_are_one_row_of_their_directory(tmp_path):
    zoo = tmp_path / "zoo"
    put(tmp_path / "outside", **{f"{number}.png": b"x" for number in range(20)})
    put_v2(zoo / "a", "m")
    for path in (tmp_path / "outside").iterdir():
        (zoo / "a" / path.name).symlink_to(path)
    unfollowed, model = scan(zoo)
    assert model.problem is None and unfollowed.series == ""
    assert "a/0.png leads out" in unfollowed.problem.message and "19 more links" in unfollowed.problem.message


def test_the_variables_of_a_saved_model_may_be_a_link(tmp_path):
    zoo = tmp_path / "zoo"
    put(zoo / "export", **{"saved_model.pb": b"x"})
    put_v2(tmp_path / "store", "variables", meta=None)
    (zoo / "export" / "variables").symlink_to(tmp_path / "store")
    assert (only(zoo).series, cause(only(zoo))) == ("export/saved_model", "outside_zoo")
    (followed,) = discovery.scan([str(zoo)], [], {}, follow_links=True)
    assert followed.problem is None and followed.shards == 1


def test_links_to_nothing_are_said(tmp_path):
    put_v2(tmp_path, "m")
    (tmp_path / "m.data-00000-of-00001").unlink()
    (tmp_path / "m.data-00000-of-00001").symlink_to("annex/object")
    assert cause(only(tmp_path)) == "missing_shard"
    (tmp_path / "m.index").unlink()
    (tmp_path / "m.index").symlink_to("annex/object")
    assert cause(only(tmp_path)) == "unreadable"


def test_what_is_not_a_regular_file_is_not_opened(tmp_path):
    put_v2(tmp_path, "m")
    os.mkfifo(tmp_path / "pipe.ckpt")
    (tmp_path / "checkpoint").mkdir()
    assert only(tmp_path).name == "m"


@pytest.fixture
def close(monkeypatch):
    """Takes away the right to read the directories of a name."""
    real = os.scandir

    def close(name: str) -> None:
        def scandir(path):
            if os.path.basename(path) == name:
                raise PermissionError(13, "Permission denied", path)
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return close


def test_an_unreadable_directory_is_a_row(tmp_path, close):
    put_v2(tmp_path / "a", "m")
    put_v2(tmp_path / "a" / "closed-5", "m")
    close("closed-5")
    closed, open_ = scan(tmp_path)
    assert (closed.series, closed.prefix, cause(closed)) == ("a/closed%2D5", f"{tmp_path}/a/closed-5", "unreadable")
    assert "Permission denied" in closed.problem.message and open_.series == "a/m"


def test_what_can_be_read_goes_before_an_unreadable_directory_of_its_name(tmp_path, close):
    put_v2(tmp_path, "m")
    put_v2(tmp_path / "m", "below")
    close("m")
    assert sorted(cause(c) for c in scan(tmp_path)) == ["", "unreadable"]
    for rule in ("latest", "all"):
        assert models(tmp_path, rule)["m"].problem is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_the_right_to_read_them(tmp_path):
    put_v2(tmp_path, "m")
    (tmp_path / "m.index").chmod(0)
    assert cause(only(tmp_path)) == "unreadable"


def test_an_unreadable_file_is_a_row(tmp_path, monkeypatch):
    put_v2(tmp_path, "m")
    real = Path.open

    def refuse(path, *args, **kwargs):
        if path.name == "m.meta":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    cache = {}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert cause(scan(tmp_path, cache)[0]) == "unreadable"
    assert cause(scan(tmp_path, cache)[0]) == ""


def test_own_outputs_and_repositories_are_not_entered(tmp_path):
    for name in ("a", "frozen", ".git/x", ".snakemake", ".hidden"):
        put_v2(tmp_path / name, "m")
    found = discovery.scan([str(tmp_path)], [f"{tmp_path}/frozen", f"{tmp_path}/absent"], {})
    assert [c.series for c in found] == ["%2Ehidden/m", "a/m"]


@pytest.mark.parametrize("made", [False, True])
def test_a_zoo_that_is_no_directory(tmp_path, made):
    if made:
        (tmp_path / "zoo").write_text("a file")
    with pytest.raises(Problem, match="zoo is not a directory") as caught:
        scan(tmp_path / "zoo")
    assert caught.value.cause == "bad_setting"


def test_a_zoo_that_is_also_an_output(tmp_path):
    with pytest.raises(Problem, match="a directory for outputs"):
        discovery.scan([str(tmp_path)], [f"{tmp_path}/"], {})


def test_an_empty_zoo(tmp_path):
    assert scan(tmp_path) == [] and models(tmp_path) == {}


def test_relative_paths_stay_relative(tmp_path, monkeypatch):
    put_v2(tmp_path / "my zoo", "m")
    monkeypatch.chdir(tmp_path)
    for zoo, prefix in (
        ("my zoo", "my zoo/m"),
        ("./my zoo/", "my zoo/m"),
        (".", "my zoo/m"),
        ("my zoo/.", "my zoo/./m"),
    ):
        assert discovery.scan([zoo], [], {})[0].prefix == prefix


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled at once, since a test cannot put back the time at which they were written."""
    monkeypatch.setattr(files, "_SETTLED_NS", -1_000_000_000)


def test_nothing_is_opened_when_nothing_changed(tmp_path, monkeypatch, settled):
    for number in range(20):
        put_v2(tmp_path / str(number), "m", meta=b"\n\0" * 900)
        put(tmp_path / str(number), **{"v1.ckpt": V1, "notes.txt": b"x"})
        says(tmp_path / str(number), "m")
    cache = {}
    first = scan(tmp_path, cache)
    cache = json.loads(json.dumps(cache))
    monkeypatch.setattr(Path, "open", lambda path, *rest: pytest.fail(f"{path} was opened"))
    assert scan(tmp_path, cache) == first


def test_the_cache_forgets_what_is_gone(tmp_path):
    put_v2(tmp_path, "m")
    put_v2(tmp_path, "n")
    cache = {}
    scan(tmp_path, cache)
    assert f"{tmp_path}/n.index" in cache
    (tmp_path / "n.index").unlink()
    scan(tmp_path, cache)
    assert f"{tmp_path}/n.index" not in cache and f"{tmp_path}/m.index" in cache


def test_a_file_that_was_just_written_is_read_again(tmp_path):
    put(tmp_path, **{"m.ckpt": b"\x80\x02one"})
    cache = {}
    scan(tmp_path, cache)
    assert [facts for _, facts in cache.values()] == [{}]


def rewrite(path: Path, content: bytes) -> None:
    """Writes other content of the same size into a file, and puts its mtime back."""
    before = path.stat()
    assert len(content) == before.st_size and content != path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("settle", [-1_000_000_000, 2_000_000_000])
def test_a_change_within_the_same_size_and_mtime_is_noticed(tmp_path, monkeypatch, settle):
    monkeypatch.setattr(files, "_SETTLED_NS", settle)
    shutil.copytree(SAMPLE_ZOO / "linear", tmp_path / "v2")
    shutil.copytree(SAMPLE_ZOO / "v1_format", tmp_path / "v1")
    changed = sorted(path for path in tmp_path.glob("v?/*") if path.suffix in ("", ".ckpt", ".meta", ".index"))
    changed += sorted(tmp_path.glob("v?/*.data-*"))
    cache = {}
    scan(tmp_path, cache)
    for path in [path for path in changed if path.name != "checkpoint"]:
        time.sleep(0.02)  # A tick of the clock: a shard is not read again for its being new.
        before = {candidate.series: candidate.fingerprint for candidate in scan(tmp_path, cache)}
        content = path.read_bytes()
        rewrite(path, content[:-1] + bytes([content[-1] ^ 1]))
        after = {candidate.series: candidate.fingerprint for candidate in scan(tmp_path, cache)}
        differing = {series for series in after if before[series] != after[series]}
        assert {series.split("/")[0] for series in differing} == {path.parent.name}, path
        time.sleep(0.02)
        rewrite(path, content)
        assert {candidate.series: candidate.fingerprint for candidate in scan(tmp_path, cache)} == before


def test_a_damaged_shard_is_a_row_until_it_is_mended(tmp_path):
    shutil.copytree(SAMPLE_ZOO / "two_shards", tmp_path / "m")
    shards, cache = sorted((tmp_path / "m").glob("*.data-*")), {}
    scan(tmp_path, cache)
    for shard in shards:
        time.sleep(0.02)
        content = shard.read_bytes()
        rewrite(shard, bytes([content[0] ^ 1]) + content[1:])
        for _ in range(2):
            (found,) = scan(tmp_path, cache)
            assert cause(found) == "corrupt" and shard.name in found.problem.message
        time.sleep(0.02)
        rewrite(shard, content)
        assert cause(scan(tmp_path, cache)[0]) == ""


def test_a_shard_that_is_damaged_when_it_is_first_seen_is_not_read_until_it_changes(tmp_path):
    shutil.copytree(SAMPLE_ZOO / "linear", tmp_path / "m")
    shard, cache = next((tmp_path / "m").glob("*.data-*")), {}
    content = shard.read_bytes()
    shard.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    first = scan(tmp_path, cache)
    assert cause(first[0]) == "" and scan(tmp_path, cache) == first, "the freezer says so, and says so once"


@pytest.mark.parametrize("name", ["two_shards", "broken_truncated", "broken_missing_shard"])
def test_what_has_the_same_content_has_the_same_fingerprint(tmp_path, settled, name):
    shutil.copytree(SAMPLE_ZOO / name, tmp_path / "zoo")
    cache = {}
    before = scan(tmp_path / "zoo", cache)
    for path in (tmp_path / "zoo").iterdir():
        path.chmod(0o600)
        os.link(path, tmp_path / path.name)
    assert scan(tmp_path / "zoo", cache) == before
    shutil.copytree(tmp_path / "zoo", tmp_path / "restored")
    shutil.rmtree(tmp_path / "zoo")
    (tmp_path / "restored").rename(tmp_path / "zoo")
    assert scan(tmp_path / "zoo", cache) == before


def test_a_file_that_is_deleted_while_the_zoo_is_looked_at_is_tried_again(tmp_path, monkeypatch):
    put_v2(tmp_path, "m")
    real = Path.open

    def delete(path, *args, **kwargs):
        path.unlink(missing_ok=True)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", delete)
    assert cause(only(tmp_path)) == "changed"


def test_nothing_heavy_is_loaded_when_nothing_changed(tmp_path, settled):
    put_v2(tmp_path / "zoo", "m")
    state = tmp_path / "state.json"
    state_file.keep(state_file.handed(state_file.scan([f"{tmp_path}/zoo"], [], state, latest)), state)
    code = (
        "import sys; from permafrost.zoo import state_file\n"
        "state = state_file.scan([sys.argv[1]], [], sys.argv[2], lambda series, zoo: 'latest')\n"
        "heavy = {'tensorflow', 'pandas', 'numpy', 'snakemake', 'google.protobuf', 'permafrost.checkpoint.reader'}\n"
        "print(len(state.models), sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{tmp_path}/zoo", state],
        env={**os.environ, "PYTHONPATH": os.path.dirname(discover.__file__)},
        capture_output=True,
    )
    assert (done.stdout, done.returncode) == (b"1 []\n", 0), done.stderr.decode()


def change(zoo: Path, name: str, content: bytes) -> bool:
    """Whether the fingerprint of the only model changes with a file's content."""
    cache = {}
    before = scan(zoo, cache)[0].fingerprint
    (zoo / name).write_bytes(content)
    return scan(zoo, cache)[0].fingerprint != before


def test_the_fingerprint_follows_the_content(tmp_path):
    put_v2(tmp_path, "m")
    put(tmp_path, **{"m.data-00000-of-00001": LFS})
    assert change(tmp_path, "m.data-00000-of-00001", b"weights")
    assert change(tmp_path, "m.data-00000-of-00001", b"weight")
    assert change(tmp_path, "m.meta", b"\n\1graph")
    assert change(tmp_path, "m.index", index() + b"\0")
    assert not change(tmp_path, "m.meta", b"\n\1graph")
    before = scan(tmp_path)[0].fingerprint
    os.utime(tmp_path / "m.index")
    assert scan(tmp_path)[0].fingerprint == before
    (tmp_path / "m.meta").unlink()
    assert scan(tmp_path)[0].fingerprint != before


def test_the_fingerprint_of_a_v1_file(tmp_path):
    put(tmp_path, **{"m": V1, "m.meta": b"\n\0"})
    assert change(tmp_path, "m", table((b"", b"\n\1")))


def test_the_state_file(tmp_path):
    zoo, path = tmp_path / "zoo", tmp_path / "reports" / "zoo.json"
    put_v2(zoo, os.fsdecode(b"caf\xe9-1"))
    put_v2(zoo, os.fsdecode(b"caf\xe9-2"))
    state = state_file.scan([str(zoo)], [], path, latest)
    assert [(c.model, c.selected) for c in state.candidates] == [("caf%E9", False), ("caf%E9", True)]
    state_file.keep(state_file.handed(state), path)
    assert state_file.read(path) == state_file.read(state_file.handed(state)) == state
    assert state_file.scan([str(zoo)], [], path, latest) == state
    assert os.listdir(path.parent) == ["zoo.json"]


def test_a_touched_file_changes_the_cache_alone(tmp_path):
    zoo, path = tmp_path / "zoo", tmp_path / "zoo.json"
    put_v2(zoo, "m")
    state = state_file.scan([str(zoo)], [], path, latest)
    os.utime(zoo / "m.meta", (LONG_AGO + 9, LONG_AGO + 9))
    touched = state_file.scan([str(zoo)], [], path, latest)
    assert touched.cache != state.cache
    (found, seen), (found_now, seen_now) = state_file.digests(state), state_file.digests(touched)
    assert found_now == found and seen_now != seen
    put_v2(zoo, "n")
    assert state_file.digests(state_file.scan([str(zoo)], [], path, latest))[0] != found


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[" * 99999, b'{"version": 0}', b'{"version": 1, "candidates": []}', b"\xff"]
)
def test_a_damaged_state_file(tmp_path, content):
    put_v2(tmp_path / "zoo", "m")
    put(tmp_path, **{"zoo.json": content})
    with pytest.raises(Problem, match="zoo.json"):
        state_file.read(tmp_path / "zoo.json")
    assert len(state_file.scan([f"{tmp_path}/zoo"], [], tmp_path / "zoo.json", latest).models) == 1


def test_zoo_csv(tmp_path):
    zoo, path, table_file = tmp_path / "zoo", tmp_path / "zoo.json", tmp_path / "zoo.csv"
    put_v2(zoo, 'a "b", c-1')
    put_v2(zoo, 'a "b", c-2')
    put(zoo, **{os.fsdecode(b"\xff\n.ckpt"): LFS})
    state_file.keep(state_file.handed(state_file.scan([str(zoo)], [], path, latest)), path)
    assert discover.main(["--state", str(path), "--keep", str(tmp_path / "kept.json"), str(table_file)]) == 0
    assert state_file.read(tmp_path / "kept.json") == state_file.read(path)
    rows = pd.read_csv(table_file, dtype=str, keep_default_na=False)
    assert tuple(rows.columns) == ZOO_COLUMNS
    assert list(rows.model) == ["%FF%0A.ckpt", "a %22b%22%2C c", "a %22b%22%2C c"]
    assert list(rows.step) == ["", "1", "2"] and list(rows.selected) == ["yes", "no", "yes"]
    assert list(rows.cause) == ["lfs_pointer", "", ""]
    assert "highest" in rows.findings[2] and rows.prefix[0] == f"{zoo}/%FF%0A.ckpt"
    with table_file.open(newline="", encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == 4


def test_zoo_csv_of_an_empty_zoo(tmp_path):
    (tmp_path / "zoo").mkdir()
    state_file.keep(
        state_file.handed(state_file.scan([f"{tmp_path}/zoo"], [], tmp_path / "s.json", latest)), tmp_path / "s.json"
    )
    assert discover.main(["--state", f"{tmp_path}/s.json", "--keep", f"{tmp_path}/k.json", f"{tmp_path}/zoo.csv"]) == 0
    assert (tmp_path / "zoo.csv").read_text() == ",".join(ZOO_COLUMNS) + "\n"


def test_discover_without_a_state_file(tmp_path, capsys):
    assert (
        discover.main(["--state", f"{tmp_path}/none.json", "--keep", f"{tmp_path}/k.json", f"{tmp_path}/zoo.csv"]) == 1
    )
    assert "none.json" in capsys.readouterr().err and not (tmp_path / "zoo.csv").exists()


def test_the_real_zoo_gives_what_its_manifest_says(real_zoo):
    with (real_zoo / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        manifest = {row["name"]: row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    candidates = scan(real_zoo)
    selected = discovery.select(candidates, latest)
    assert {os.path.basename(c.directory) for c in candidates} == set(manifest)
    for name, row in manifest.items():
        found = {c.name: c for c in candidates if os.path.basename(c.directory) == name}
        on_disk = {c.name: c for c in found.values() if cause(c) != "missing_checkpoint"}
        listed = dict(re.fullmatch(r"(.*)\[(.*)\]", item).groups() for item in row["prefixes"].split(" | "))
        assert set(on_disk) == set(listed), name
        for prefix, kinds in listed.items():
            assert (on_disk[prefix].format, cause(on_disk[prefix])) == expectation(row, kinds), (name, prefix)
        newest = {os.path.basename(m.prefix) for m in selected if os.path.basename(m.directory) == name}
        used = row["prefix_used"]
        # Of this one the manifest's author took another step than the one that `checkpoint` names.
        assert used in newest or name == "index_only_vae_compression__xyp8023", name


def expectation(row: dict, kinds: str) -> tuple[str, str]:
    kinds = set(kinds.split("+"))
    if row["checkpoint_format"] == "not-a-checkpoint":
        return "", "not_a_checkpoint"
    if row["checkpoint_format"].startswith("TF2"):
        return "V2", "tf2_checkpoint"
    if "index" not in kinds:
        return "V1", "" if "meta" in kinds else "no_meta_graph"
    if "data" not in kinds:
        return "V2", "missing_shard"
    if "LFS pointer" in row["odd"]:
        return "V2", "lfs_pointer"
    return "V2", "" if "meta" in kinds else "no_meta_graph"


def test_the_real_zoo_in_detail(real_zoo):
    found = {model.id: model for model in discovery.select(scan(real_zoo), latest)}
    assert len([identity for identity in found if identity.startswith("handson_dnn_models__0HOON/")]) == 6
    assert found["dist_mnist__haiy/model.ckpt"].step == 29
    assert found["convnet_bn_v1__hardmaru/model.ckpt"].step == 0
    assert found["mtcnn_pnet__AITTSMD/PNet"].step == 18
    assert "PNet-30" in found["mtcnn_pnet__AITTSMD/PNet"].findings[0]
    assert found["wide_deep_sharded__taiguangxing/model.ckpt"].shards == 2
    assert found["tf2_sharded_wireless__Lmy0217/model4n.ckpt"].problem.cause == "missing_checkpoint"
    assert found["siamese_v1_and_v2__ardiya/model.ckpt"].format == "V2"
