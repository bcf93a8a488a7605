"""What discovery makes of the files of checkpoints, good and bad, and which steps of a series it takes."""

import os
import resource

import pytest

from conftest import sparse
from made_checkpoints import (
    LFS,
    V1,
    block,
    cause,
    change,
    footer,
    handle,
    index,
    models,
    only,
    put,
    put_v2,
    says,
    scan,
)
from permafrost.checkpoint import reader
from permafrost.outcome import Problem
from permafrost.zoo import discovery


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
    says(tmp_path, "/x/gone-3", "/x/gone-1", "/x/gone-2", "../lost")
    found = models(tmp_path)
    assert set(found) == {"lost", "gone"}
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


def say_many(directory) -> None:
    """Names of 20,000 models in `checkpoint`, of which that of the newest comes last."""
    says(directory, "newest-9", *(f"gone{number}-1" for number in range(20_000)), "here-1")
    lines = (directory / "checkpoint").read_text().splitlines(keepends=True)
    (directory / "checkpoint").write_text("".join(lines[2:] + lines[:1]))


def test_names_of_which_nothing_is_there_are_a_few_rows(tmp_path):
    say_many(tmp_path)
    found = models(tmp_path)
    assert {model.problem.cause for model in found.values()} == {"missing_checkpoint"}
    assert len(found) == 20 and "newest" in found
    said = [model.problem.message for model in found.values() if "more models" in model.problem.message]
    assert len(said) == 1 and said[0].endswith("and 19982 more models of which nothing is there")


def test_names_of_which_nothing_is_there_are_one_note_beside_others(tmp_path):
    put_v2(tmp_path, "here-1")
    put(tmp_path, **{"alone-5.meta": b"\n\0graph"})
    say_many(tmp_path)
    found = models(tmp_path)
    assert set(found) == {"here", "alone"} and found["alone"].problem.cause == "missing_checkpoint"
    (note,) = found["here"].findings
    assert note.startswith("`checkpoint` names newest-9, gone0-1") and "and 19951 more, of which nothing" in note


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
