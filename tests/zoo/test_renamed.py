"""Files of checkpoints under other names, packed or unfinished: what the row says of the checkpoint that lacks one."""

import gzip
import io
import os
import tarfile
import zipfile

import pytest

from made_checkpoints import V1, block, cause, footer, index, models, only, put, put_v2, scan
from permafrost.graph.protos import tensor_bundle_pb2

DATA = ".data-00000-of-00001"
WEIGHTS = bytes(range(1, 201)) * 2


def asks_for(size: int, shards: int = 1) -> bytes:
    """An index with one tensor of bytes, in the last shard."""
    header = tensor_bundle_pb2.BundleHeaderProto(num_shards=shards)
    entry = tensor_bundle_pb2.BundleEntryProto(dtype=4, size=size, shard_id=shards - 1)
    entry.shape.dim.add(size=size)
    data, meta = block((b"", header.SerializeToString()), (b"w", entry.SerializeToString())), block()
    last = block((b"~", bytes([0, len(data) - 5])))
    return data + meta + last + footer(len(data), len(meta) - 5, len(data) + len(meta), len(last) - 5)


def put_whole(directory, name: str) -> None:
    put(directory, **{f"{name}.index": asks_for(400), f"{name}{DATA}": WEIGHTS, f"{name}.meta": b"\n\0graph"})


@pytest.mark.parametrize(
    "name",
    [
        "m.ckpt-1{}.txt",
        "m.ckpt-1{} (1)",
        "m.ckpt-1{}.bin",
        "m.ckpt-1",
        "other.ckpt-9{}",
        "weights",
        "m (1){}",
        "m.ckpt-1{}.part",
    ],
)
def test_a_shard_under_another_name_is_named_by_its_size(tmp_path, name):
    put_whole(tmp_path, "m.ckpt-1")
    other = name.format(DATA)
    os.rename(tmp_path / f"m.ckpt-1{DATA}", tmp_path / other)
    put(
        tmp_path,
        **{
            "vocabulary.txt": b"a\nb\n" * 100,
            "of_other_size": bytes(399),
            "m.ckpt-1.data-00000-of-00001.md5": b"abc  m\n",
        },
    )
    found = only(tmp_path)
    assert (found.name, cause(found)) == ("m.ckpt-1", "missing_shard")
    assert f"{other} beside it has the size that the index asks for" in found.problem.message
    assert found.problem.hint == f"rename {other} to m.ckpt-1{DATA} if it belongs to this checkpoint"
    os.rename(tmp_path / other, tmp_path / f"m.ckpt-1{DATA}")
    assert only(tmp_path).problem is None, "what the hint says helps"


def test_a_shard_of_several_is_named(tmp_path):
    put(tmp_path, **{"m.index": asks_for(400, shards=2), "m.data-00000-of-00002": b"", "m.meta": b"\n\0graph"})
    put(tmp_path, **{"m.data-00001-of-00002.download": WEIGHTS})
    assert "m.data-00001-of-00002.download beside it has the size" in only(tmp_path).problem.message


def test_shards_of_a_whole_checkpoint_are_no_other_ones_though_they_have_the_size(tmp_path):
    put_whole(tmp_path, "whole")
    put(tmp_path, **{"m.index": asks_for(400), "m.meta": b"\n\0graph"})
    found = {candidate.name: candidate for candidate in scan(tmp_path)}
    assert found["whole"].problem is None and "beside it" not in found["m"].problem.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (WEIGHTS[:100], "has 100 bytes; the index asks for 400"),
        (gzip.compress(WEIGHTS), "is a file that is compressed with gzip"),
        (b"<!DOCTYPE html><html>", "is an HTML page"),
        (b"outs:\n- md5: 0123\n  size: 400\n  path: m\n", "is a DVC pointer"),
    ],
)
def test_what_has_the_name_of_a_shard_and_an_ending_is_told(tmp_path, content, said):
    put(tmp_path, **{"m.index": asks_for(400), "m.meta": b"\n\0graph", f"m{DATA}.x": content})
    found = only(tmp_path)
    assert cause(found) == "missing_shard" and f"m{DATA}.x beside it {said}" in found.problem.message


def test_a_download_that_has_not_ended_is_told(tmp_path):
    put(tmp_path, **{"m.index": asks_for(400), "m.meta": b"\n\0graph", f"m{DATA}.crdownload": WEIGHTS[:99]})
    found = only(tmp_path)
    assert "is a download that has not ended" in found.problem.message and "to its end" in found.problem.hint


@pytest.mark.parametrize("name", ["m.ckpt.index.txt", "m.ckpt (1).index", "m.ckpt.index (1)", "m.ckpt", "my_index"])
def test_an_index_under_another_name_is_named(tmp_path, name):
    put_whole(tmp_path, "m.ckpt")
    os.rename(tmp_path / "m.ckpt.index", tmp_path / name)
    found = only(tmp_path)
    assert (found.name, cause(found)) == ("m.ckpt", "no_index")
    assert f"{name} beside it is the index of a checkpoint" in found.problem.message
    assert f"rename {name} to m.ckpt.index" in found.problem.hint


def test_an_index_alone_under_another_name_is_no_v1_checkpoint(tmp_path):
    put(tmp_path, weights=asks_for(400), v1=V1)
    found = {candidate.name: candidate for candidate in scan(tmp_path)}
    assert cause(found["weights"]) == "no_index" and "index of a V2 checkpoint" in found["weights"].problem.message
    assert (found["v1"].format, cause(found["v1"])) == ("V1", "no_meta_graph")


def test_a_meta_graph_under_another_name_is_named(tmp_path):
    put_whole(tmp_path, "m")
    os.rename(tmp_path / "m.meta", tmp_path / "m.meta (1)")
    found = only(tmp_path)
    assert cause(found) == "no_meta_graph" and "m.meta (1) beside it" in found.problem.message
    assert "rename it to m.meta" in found.problem.hint


@pytest.mark.parametrize("name", ["w.ckpt.txt", "w.ckpt (1)", "w.ckpt.bin", "w.ckpt - Copy"])
def test_the_meta_graph_of_a_v1_checkpoint_under_another_name_is_found(tmp_path, name):
    put(tmp_path, **{name: V1, "w.ckpt.meta": b"\n\0graph"})
    found = next(candidate for candidate in scan(tmp_path) if candidate.series)
    assert (found.name, cause(found)) == (name, "")
    assert found.graphs.own == [str(tmp_path / "w.ckpt.meta")]


def tarred(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("m"), io.BytesIO(content))
    return file.getvalue()


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m", content)
    return file.getvalue()


def test_files_that_were_compressed_one_by_one_are_one_row(tmp_path):
    put_whole(tmp_path, "m.ckpt-1")
    for path in list(tmp_path.iterdir()):
        put(tmp_path, **{f"{path.name}.gz": gzip.compress(path.read_bytes())})
        path.unlink()
    put(tmp_path, checkpoint=b'model_checkpoint_path: "m.ckpt-1"\n')
    found = only(tmp_path)
    assert (found.name, found.step, cause(found)) == ("m.ckpt-1", 1, "missing_checkpoint")
    assert "compressed with gzip" in found.problem.message and "unpack" in found.problem.hint
    assert "2 more files" in found.problem.message


@pytest.mark.parametrize(("pack", "said"), [(gzip.compress, "gzip"), (tarred, "tar archive"), (zipped, "zip archive")])
@pytest.mark.parametrize("name", ["m.ckpt", "m.ckpt.packed", "m.ckpt-3.tar.gz", "m-3.data-00000-of-00001.gz"])
def test_an_archive_is_named(tmp_path, name, pack, said):
    put(tmp_path, **{name: pack(WEIGHTS)})
    found = only(tmp_path)
    assert cause(found) in ("not_a_checkpoint", "missing_checkpoint")
    assert said in found.problem.message and name in found.problem.message and "unpack" in found.problem.hint


def test_packed_files_that_are_no_checkpoint_s_are_not_rows(tmp_path):
    put(tmp_path, **dict.fromkeys(("corpus.index.gz", "train.meta.zip", "model.data.tar.gz"), gzip.compress(b"x")))
    assert scan(tmp_path) == []


def test_what_is_packed_beside_a_whole_step_of_its_series_is_a_note(tmp_path):
    put_whole(tmp_path, "m.ckpt-1")
    put(tmp_path, **{"m.ckpt-1.index.gz": gzip.compress(b"x"), "m.ckpt-2.index.gz": gzip.compress(b"x")})
    found = models(tmp_path)["m.ckpt"]
    assert (
        found.problem is None
        and "m.ckpt-1.index.gz" in str(found.findings)
        and "m.ckpt-2.index.gz" in str(found.findings)
    )


def test_a_checkpoint_file_in_utf_16_is_read_and_noted(tmp_path):
    for step in (1, 2):
        put_v2(tmp_path, f"m-{step}")
    text = 'model_checkpoint_path: "m-1"\r\n'
    for content, said in ((text.encode("utf-16"), "UTF-16"), (b"\xef\xbb\xbf" + text.encode(), "byte order mark")):
        put(tmp_path, checkpoint=content)
        found = models(tmp_path)["m"]
        assert found.step == 1 and any(said in finding for finding in found.findings), found.findings


def test_a_page_in_the_place_of_a_checkpoint_file_is_noted(tmp_path):
    put_v2(tmp_path, "m-1")
    put(tmp_path, checkpoint=b"<!DOCTYPE html><html><body>Sign in</body></html>")
    assert "is an HTML page" in models(tmp_path)["m"].findings[0]


def test_a_link_to_nothing_is_told_from_a_file_that_is_missing(tmp_path):
    put_whole(tmp_path, "m")
    (tmp_path / f"m{DATA}").unlink()
    (tmp_path / f"m{DATA}").symlink_to("annex/object")
    found = only(tmp_path)
    assert cause(found) == "missing_shard" and "is a link to a file that is not there" in found.problem.message


def test_an_index_that_lies_about_its_shards_is_a_row(tmp_path):
    put(tmp_path, **{"m.index": index(2_000_000_000), "m.meta": b"\n\0graph", "m.data-00000-of-00001": b"x"})
    assert "missing_shard" in {cause(candidate) for candidate in scan(tmp_path)}
