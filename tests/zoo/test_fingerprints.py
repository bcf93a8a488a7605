"""What discovery opens and reads again, and whether what it knows of a file follows the file."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import discover
from conftest import SAMPLE_ZOO, sparse
from made_checkpoints import (
    LFS,
    LONG_AGO,
    V1,
    cause,
    change,
    index,
    latest,
    only,
    put,
    put_v2,
    says,
    scan,
    table,
)
from permafrost.zoo import files, state_file


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
