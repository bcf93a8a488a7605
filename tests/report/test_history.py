"""history.csv: a row for each run that made a summary, none for one that did not, and nothing lost that was there."""

import os
from dataclasses import dataclass

import pytest
from test_run_file import run_of

import gate
from permafrost.outcome import Problem
from permafrost.report import csv_files, history, run_file
from permafrost.report.tables.history import HISTORY
from permafrost.report.tables.summary import SUMMARY


@dataclass
class Ended:
    status: str
    is_as_expected: bool


MODELS = [Ended("verified", True), Ended("verified", False), Ended("failed", True)]


def summary_at(path, seconds: int):
    path.write_text("x")
    os.utime(path, (seconds, seconds))
    return path


def test_a_row_counts_the_models_and_knows_when_and_how_long(tmp_path):
    run = run_of()
    run.began = "2026-11-27T19:00:00Z"
    row = history.row(MODELS, summary_at(tmp_path / "summary.csv", 1795806245), run)
    assert row == {
        "date": "2026-11-27T19:04:05Z", "seconds": 245, "version": "1", "models": 3, "verified": 2, "mismatch": 0,
        "unverifiable": 0, "failed": 1, "not_as_expected": 1,
    }  # fmt: skip


@pytest.mark.parametrize("began", ["2026-11-27T20:00:00Z", "yesterday", ""])
def test_a_run_that_began_later_or_at_an_unknown_time_took_nobody_knows_how_long(tmp_path, began):
    run = run_of()
    run.began = began
    assert history.row(MODELS, summary_at(tmp_path / "s", 1795806245), run)["seconds"] is None


def test_a_run_that_made_nothing_anew_is_no_row(tmp_path):
    path = tmp_path / "history.csv"
    for seconds in (1000, 1000, 2000, 2000):
        history.append(path, history.row(MODELS, summary_at(tmp_path / "s", seconds), None))
    assert [row["date"] for row in history.read(path)] == ["1970-01-01T00:16:40Z", "1970-01-01T00:33:20Z"]


def test_what_is_no_history_stays_as_it_is(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("mine\n")
    with pytest.raises(Problem):
        history.append(path, history.row(MODELS, summary_at(tmp_path / "s", 1), None))
    assert path.read_text() == "mine\n" and csv_files.read_rows_or_none(path, HISTORY.header) == []


@pytest.mark.parametrize(("status", "code"), [("verified", 0), ("failed", 1)])
def test_the_gate_adds_a_row_whether_it_passes_or_not(tmp_path, status, code):
    summary = tmp_path / "summary.csv"
    row = dict.fromkeys(SUMMARY.header, "") | {"model": "a", "status": status, "expect": "verified"}
    text = ",".join(SUMMARY.header) + "\n" + ",".join(row.values()) + "\n"
    summary.write_text(text)
    run_file.write(run_of(), tmp_path / "run.json")
    told = [f"--history={tmp_path / 'history.csv'}", f"--run={tmp_path / 'run.json'}"]
    for _ in range(2):
        assert gate.main([*told, str(summary), str(tmp_path / "gate.txt")]) == code
    (found,) = history.read(tmp_path / "history.csv")
    assert (found[status], found["models"], found["version"]) == ("1", "1", "1")
