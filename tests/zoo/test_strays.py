"""Files that lie beside checkpoints and only look like some: notes, and no models."""

import os

import pytest

from made_checkpoints import LFS, V1, cause, index, models, only, put, put_v2, says, scan
from permafrost.zoo.other_names import originals

APPLE = bytes.fromhex("00051607000200004d6163204f5320580000") + bytes(100)
BESIDE = (
    "m.ckpt-7.md5", "m.ckpt-7.sha256", "m.ckpt-7.log", "m.ckpt-7.png", "m.ckpt-7.json", "m.ckpt-7.pbtxt",
    "m.ckpt-7.data-00000-of-00001.md5", "m.ckpt-7.data-00000-of-00001.dvc", "m.ckpt-7.data-00000-of-00001.aria2",
    "m.ckpt-7.index~", "m.ckpt-7.index.bak", "m.ckpt-7.meta.bak", "m.ckpt-7.zip.001", "m.ckpt-7 (1).txt",
    "README.ckpt.md", "convert.ckpt.py", "m.ckpt-best_score.txt", ".m.ckpt-7.index.swp",
    "m.ckpt-8.data-00000-of-00001.tempstate123", "m.ckpt-9.crdownload", "m.ckpt-9.index.part",
    "m.ckpt-7.data-00000-of-00001.baiduyun.p.downloading",
)  # fmt: skip


@pytest.mark.parametrize("content", [b"0123abc  m.ckpt-7\n", b"\x89PNG\r\n\x1a\n", b"\1\2\3" * 100, b"", LFS])
def test_files_beside_a_checkpoint_are_notes_on_it(tmp_path, content):
    put_v2(tmp_path, "m.ckpt-7")
    put(tmp_path, **dict.fromkeys(BESIDE, content))
    found = only(tmp_path)
    assert found.problem is None and found.series == "m.ckpt"
    noted = "; ".join(found.findings)
    assert all(name in noted for name in BESIDE), noted
    assert "left by a save that was interrupted" in noted and "downloads that have not ended" in noted


def test_copies_of_tables_beside_what_they_are_copies_of_are_notes(tmp_path):
    put_v2(tmp_path / "v2", "m.ckpt")
    copies = {"m.ckpt.index.bak": index(), "m.ckpt.index~": index(), "m.ckpt (1).index": index()}
    put(tmp_path / "v2", **copies)
    put(tmp_path / "v1", **{"w.ckpt": V1, "w.ckpt.meta": b"\n\0", "w.ckpt.bak": V1, "w.ckpt (2)": V1, "w.ckpt~": V1})
    found = {candidate.series: candidate for candidate in scan(tmp_path)}
    assert set(found) == {"v2/m.ckpt", "v1/w.ckpt"} and not any(map(cause, found.values()))
    assert all(name in str(found["v2/m.ckpt"].findings) for name in copies)
    assert all(name in str(found["v1/w.ckpt"].findings) for name in ("w.ckpt.bak", "w.ckpt (2)", "w.ckpt~"))


def test_what_macos_keeps_beside_files_is_a_note(tmp_path):
    put_v2(tmp_path, "m.ckpt")
    names = ("._m.ckpt.index", "._m.ckpt.data-00000-of-00001", "._m.ckpt.meta", "._m.ckpt", "._checkpoint")
    for directory in (tmp_path, tmp_path / "__MACOSX"):
        put(directory, **dict.fromkeys(names, APPLE))
    beside, model = scan(tmp_path)
    assert model.problem is None and "._m.ckpt.index" in model.findings[0] and "macOS" in model.findings[0]
    assert (beside.series, beside.problem, beside.directory) == ("", None, f"{tmp_path}/__MACOSX")
    assert "._m.ckpt.data-00000-of-00001" in beside.findings[0]
    assert set(models(tmp_path)) == {"m.ckpt"}


def test_a_checkpoint_whose_name_begins_as_such_files_do_is_one(tmp_path):
    put_v2(tmp_path, "._m")
    put(tmp_path, **{"._v1.ckpt": V1, "._v1.ckpt.meta": b"\n\0"})
    assert sorted(candidate.name for candidate in scan(tmp_path)) == ["._m", "._v1.ckpt"]


def test_a_directory_of_such_files_alone_is_a_row_and_no_model(tmp_path):
    put(tmp_path / "docs", **{"README.ckpt.md": b"# how to\n", "notes.txt": b"x"})
    found = only(tmp_path)
    assert (found.series, found.problem) == ("", None) and "README.ckpt.md" in found.findings[0]
    assert "notes.txt" not in found.findings[0] and models(tmp_path) == {}


@pytest.mark.parametrize("name", ["m.ckpt", "m.ckpt-3", "my.ckpt-best", "m.ckpt_final"])
def test_what_is_named_as_a_checkpoint_and_is_none_stays_a_failed_row(tmp_path, name):
    put_v2(tmp_path, "good")
    put(tmp_path, **{name: b"\x80\x02pickled"})
    found = {candidate.name: cause(candidate) for candidate in scan(tmp_path)}
    assert found == {"good": "", name: "not_a_checkpoint"}


@pytest.mark.parametrize("name", ["m.ckpt-1.5", "m.ckpt.v2"])
def test_a_pointer_to_what_may_be_a_checkpoint_stays_a_failed_row(tmp_path, name):
    put(tmp_path, **{name: LFS})
    assert cause(only(tmp_path)) == "lfs_pointer"


def test_names_in_checkpoint_whose_files_are_gone_are_a_note_where_there_are_others(tmp_path):
    put_v2(tmp_path, "here-1")
    says(tmp_path, "/x/gone-3", "/x/gone-1", "/x/lost", "../here")
    found = only(tmp_path)
    assert found.problem is None
    assert found.findings == ["`checkpoint` names gone-3, lost, of which nothing is there"]
    os.remove(tmp_path / "here-1.data-00000-of-00001")
    assert set(models(tmp_path)) == {"here"}, "one that cannot be used is another as well"


@pytest.mark.parametrize("absolute", [False, True])
def test_a_checkpoint_file_that_names_what_lies_elsewhere_in_the_zoo_is_no_model(tmp_path, absolute):
    put_v2(tmp_path / "train", "m.ckpt-3")
    (tmp_path / "eval").mkdir()
    says(tmp_path / "eval", f"{tmp_path}/train/m.ckpt-3" if absolute else "../train/m.ckpt-3")
    pointer, model = scan(tmp_path)
    assert (pointer.series, pointer.problem, model.problem) == ("", None, None)
    assert "train/m.ckpt-3, which is a checkpoint of its own there" in pointer.findings[0]
    assert set(models(tmp_path)) == {"train/m.ckpt"}
    says(tmp_path / "eval", "../train/m.ckpt-4")
    assert models(tmp_path)["eval/m.ckpt"].problem.cause == "missing_checkpoint"


def test_names_in_checkpoint_beside_a_saved_model_are_a_note(tmp_path):
    put(tmp_path, **{"saved_model.pb": b"x"})
    put_v2(tmp_path / "variables", "variables", meta=None)
    says(tmp_path, "gone-1")
    (found,) = models(tmp_path).values()
    assert found.problem is None and "gone-1, of which nothing is there" in found.findings[0]


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("m.index (1)", "m.index"),
        ("m (1).index", "m.index"),
        ("m.index(12)", "m.index"),
        ("m - Copy.index", "m.index"),
        ("m copy 2.index", "m.index"),
        ("Copy of m.index", "m.index"),
        ("Copy (3) of m.index", "m.index"),
        ("m.index.txt", "m.index"),
        ("m.index.bin.txt", "m.index"),
        ("m.index~", "m.index"),
        ("._m.index", "m.index"),
        (".m.index.x7Ya21", "m.index"),
        ("#m.index#", "m.index"),
        ("m-1.data-00000-of-00001.baiduyun.p.downloading", "m-1.data-00000-of-00001"),
    ],
)
def test_of_which_names_a_name_may_have_been_made(name, original):
    assert original in originals(name)


def test_no_name_takes_long_to_look_at():
    for name in ("." * 255, " (1)" * 60, "copy " * 50, "a." * 120, "._" * 100, "~" * 255):
        assert len(originals(name)) < 100


def test_a_cache_of_downloads_is_no_model_of_its_own(tmp_path):
    """Files under the names of their digests, and links to them under their own names."""
    put_v2(tmp_path / "blobs", "m.ckpt-1")
    put(tmp_path / "blobs", **{"v1.ckpt": V1, "v1.ckpt.meta": b"\n\0"})
    (tmp_path / "snapshots" / "abc").mkdir(parents=True)
    for number, path in enumerate(sorted((tmp_path / "blobs").iterdir())):
        path.rename(tmp_path / "blobs" / f"{number:040x}")
        (tmp_path / "snapshots" / "abc" / path.name).symlink_to(f"../../blobs/{number:040x}")
    assert {id: model.problem for id, model in models(tmp_path).items()} == {
        "snapshots/abc/m.ckpt": None, "snapshots/abc/v1.ckpt": None,
    }  # fmt: skip
    stored = [candidate for candidate in scan(tmp_path) if not candidate.series]
    assert len(stored) == 2 and all("is a link to it" in candidate.findings[0] for candidate in stored)
