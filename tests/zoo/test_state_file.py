"""The state file, and zoo.csv that is made of it."""

import csv
import os

import pandas as pd
import pytest

import discover
from made_checkpoints import (
    LFS,
    LONG_AGO,
    latest,
    put,
    put_v2,
)
from permafrost.outcome import Problem
from permafrost.report.tables.zoo import ZOO
from permafrost.zoo import state_file


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
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 99999,
        b'{"version": 0}',
        b'{"version": 1}',
        b'{"version": 2, "candidates": []}',
        b"\xff",
    ],
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
    assert tuple(rows.columns) == ZOO.header
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
    assert (tmp_path / "zoo.csv").read_text() == ",".join(ZOO.header) + "\n"


def test_discover_without_a_state_file(tmp_path, capsys):
    assert (
        discover.main(["--state", f"{tmp_path}/none.json", "--keep", f"{tmp_path}/k.json", f"{tmp_path}/zoo.csv"]) == 1
    )
    assert "none.json" in capsys.readouterr().err and not (tmp_path / "zoo.csv").exists()
