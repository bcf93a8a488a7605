"""changes.csv: what became other between two finished runs."""

import shutil

import pandas as pd
import pytest
from test_gate import write

import changes
import gate
from permafrost.outcome import STATUSES
from permafrost.report import csv_files
from permafrost.report.tables.changes import CHANGES
from permafrost.report.tables.summary import SUMMARY


def row(model: str, status: str = "verified", **facts) -> dict:
    return {"model": model, "status": status, **facts}


def run(tmp_path, before: list[dict] | None, after: list[dict]) -> list[list[str]]:
    """The rows of changes.csv."""
    kept = tmp_path / "kept.csv"
    if before is not None:
        write(kept, *before)
    arguments = [f"--kept={kept}", str(write(tmp_path / "summary.csv", *after)), str(tmp_path / "changes.csv")]
    assert changes.main(arguments) == 0
    table = pd.read_csv(tmp_path / "changes.csv", dtype=str, keep_default_na=False)
    assert tuple(table.columns) == CHANGES.header
    return table.to_numpy().tolist()


def test_the_worst_comes_first(tmp_path):
    before = [row("a", step=100), row("b"), row("c", "failed", cause="corrupt"), row("d"), row("e", "failed")]
    after = [row("a", step=200), row("f"), row("c"), row("d", "mismatch", cause="outputs_differ"), row("e", "failed")]
    assert run(tmp_path, before, after) == [
        ["d", "worse", "status", "verified", "mismatch"],
        ["f", "new", "status", "", "verified"],
        ["b", "gone", "status", "verified", ""],
        ["c", "better", "status", "failed", "verified"],
        ["a", "changed", "step", "100", "200"],
        ["c", "changed", "cause", "corrupt", ""],
        ["d", "changed", "cause", "", "outputs_differ"],
    ]


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_each_pair_of_statuses(tmp_path, before, after):
    order = ["verified", "unverifiable", "failed", "mismatch"]
    made = run(tmp_path, [row("m", before)], [row("m", after)])
    change = "worse" if order.index(after) > order.index(before) else "better"
    assert made == ([] if before == after else [["m", change, "status", before, after]])


def test_without_a_finished_run_all_is_new(tmp_path):
    assert run(tmp_path, None, [row("b"), row("a")]) == [[m, "new", "status", "", "verified"] for m in "ab"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b'"', b"a,b\n1,2\n"])
def test_a_kept_summary_that_is_none_is_as_if_there_were_none(tmp_path, content, capsys):
    (tmp_path / "kept.csv").write_bytes(content)
    assert run(tmp_path, None, [row("a")]) == [["a", "new", "status", "", "verified"]]
    assert "kept.csv" in capsys.readouterr().err


def test_a_column_that_one_side_lacks_is_no_change(tmp_path):
    write(tmp_path / "kept.csv", row("a", trials=3))
    old = pd.read_csv(tmp_path / "kept.csv", dtype=str, keep_default_na=False)
    old.drop(columns="trials").assign(given_up="x").to_csv(tmp_path / "kept.csv", index=False)
    assert run(tmp_path, None, [row("a", trials=3)]) == []


def test_names_stay_text(tmp_path):
    names = ["NA", "007", "=1+1", "<script>", "a,b", 'q"q', "\u202eabc"]
    assert [made[0] for made in run(tmp_path, [], [row(name) for name in names])] == sorted(names)


def test_the_gate_keeps_what_the_next_run_compares_with(tmp_path, capsys):
    first = write(tmp_path / "summary.csv", row("a"), row("b", "failed", cause="corrupt"))
    kept = tmp_path / "kept.csv"
    content = first.read_bytes()
    assert gate.main([f"--keep={kept}", str(first), str(tmp_path / "gate.txt")]) == 1, "b is not as expected"
    assert kept.read_bytes() == content
    assert run(tmp_path, None, [row("a"), row("b")])[0] == ["b", "better", "status", "failed", "verified"]
    first.write_bytes(b"broken")
    assert gate.main([f"--keep={kept}", str(first), str(tmp_path / "gate.txt")]) == 1
    assert kept.read_bytes() == content, "what is no summary is not kept"


def test_a_table_that_cannot_be_written_is_said(tmp_path, capsys):
    summary = write(tmp_path / "summary.csv", row("a"))
    (tmp_path / "changes.csv").mkdir()
    arguments = [f"--kept={tmp_path / 'kept.csv'}", str(summary), str(tmp_path / "changes.csv")]
    assert changes.main(arguments) == 1 and "changes.csv cannot be written" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "changes.csv")
    summary.unlink()
    assert changes.main(arguments) == 1 and "summary.csv cannot be read" in capsys.readouterr().err


def test_ten_thousand_models_take_seconds(tmp_path):
    rows = [tuple(f"m{n}" if c == "model" else "verified" for c in SUMMARY.header) for n in range(10_000)]
    for name, made in (("kept", rows), ("summary", rows[1:])):
        csv_files.write(tmp_path / f"{name}.csv", SUMMARY.header, made)
    arguments = [f"--kept={tmp_path / 'kept.csv'}", str(tmp_path / "summary.csv"), str(tmp_path / "changes.csv")]
    assert changes.main(arguments) == 0
    assert (tmp_path / "changes.csv").read_text().splitlines()[1:] == ["m0,gone,status,verified,"]
