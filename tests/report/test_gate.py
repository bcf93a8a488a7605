"""The gate: the table on the terminal, gate.txt, and the exit status."""

import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

import gate
from permafrost.outcome import STATUSES
from permafrost.report import csv_files
from permafrost.report.tables.summary import SUMMARY


def write(path: Path, *rows: dict) -> Path:
    """A summary.csv of rows with `model`, `status`, and what else they say."""
    rows = [{"expect": "verified", "weights_reached": "", **row} for row in rows]
    cells = [[csv_files.text(row.get(column)) for column in SUMMARY.header] for row in rows]
    csv_files.write(path, SUMMARY.header, cells)
    return path


NEEDED = b"model,status,cause,message,hint,expect,weights_reached\n"
GOOD = {"model": "linear/model.ckpt", "status": "verified"}
BROKEN = {
    "model": "broken/model.ckpt",
    "status": "failed",
    "cause": "missing_shard",
    "message": "shard 1 of 2 is missing",
    "hint": "copy all files",
}


def run(tmp_path: Path, *rows: dict, on_failure: str = "fail") -> tuple[int, bool]:
    """The exit status, and whether gate.txt is there."""
    summary = write(tmp_path / "summary.csv", *rows)
    status = gate.main(["--on-failure", on_failure, str(summary), str(tmp_path / "gate.txt")])
    return status, (tmp_path / "gate.txt").exists()


def test_all_is_well(tmp_path, capsys):
    assert run(tmp_path, GOOD, {**BROKEN, "expect": "failed/missing_shard"}) == (0, True)
    printed = capsys.readouterr().out
    table, _, sentence = printed.strip().rpartition("\n\n")
    assert table.strip() == (tmp_path / "gate.txt").read_text().strip()
    assert sentence == "All of this is as expected: 2 models."
    assert [line.split() for line in table.splitlines() if line] == [
        ["models", "expected"],
        ["verified", "1", "1"],
        ["mismatch", "0", "0"],
        ["unverifiable", "0", "0"],
        ["failed", "1", "1"],
    ]


def test_a_quiet_gate_prints_only_what_is_wrong(tmp_path, capsys):
    paths = [str(tmp_path / "summary.csv"), str(tmp_path / "gate.txt")]
    write(tmp_path / "summary.csv", GOOD)
    assert gate.main(["--quiet", *paths]) == 0 and capsys.readouterr() == ("", "")
    write(tmp_path / "summary.csv", GOOD, BROKEN)
    assert gate.main(["--quiet", *paths]) == 1
    printed = capsys.readouterr()
    assert "1 of 2 models is not as expected" in printed.err and printed.out == ""


def test_a_bad_model_is_listed_and_gate_txt_removed(tmp_path, capsys):
    (tmp_path / "gate.txt").write_text("old")
    assert run(tmp_path, GOOD, BROKEN) == (1, False)
    printed = capsys.readouterr().out
    assert "1 of 2 models is not as expected" in printed
    for said in ("broken/model.ckpt: failed, missing_shard", "shard 1 of 2 is missing", "-> copy all files"):
        assert said in printed
    assert "linear" not in printed


def test_report_lists_and_succeeds(tmp_path, capsys):
    assert run(tmp_path, GOOD, BROKEN, on_failure="report") == (0, True)
    assert "broken/model.ckpt: failed, missing_shard" in capsys.readouterr().out
    assert "broken" not in (tmp_path / "gate.txt").read_text()


def test_models_that_are_verified_on_little_are_counted(tmp_path, capsys):
    few = {**GOOD, "weights_reached": "0.25"}
    rows = [few, {**few, "weights_reached": "0.5"}, {**few, "status": "failed", "expect": "failed"}]
    assert run(tmp_path, *rows) == (0, True)
    assert "1 verified model depends on less than half of the trained weights" in capsys.readouterr().out
    assert run(tmp_path, GOOD) == (0, True)
    assert "few_weights" not in capsys.readouterr().out


@pytest.mark.parametrize("expect", ["failed", "failed/corrupt", "mismatch; failed"])
def test_an_unexpected_verified_is_bad(tmp_path, capsys, expect):
    assert run(tmp_path, {**GOOD, "expect": expect}) == (1, False)
    printed = capsys.readouterr().out
    assert f"verified (expected: {expect.replace('; ', ' or ')})" in printed and "correct `expect:`" in printed


def test_an_internal_error_is_never_expected(tmp_path):
    assert run(tmp_path, {**BROKEN, "cause": "internal", "expect": "failed"}) == (1, False)


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_is_counted(tmp_path, capsys, status):
    assert run(tmp_path, *[{**GOOD, "status": status, "expect": status}] * 3) == (0, True)
    assert f"{status:12} {3:7} {3:9}\n" in capsys.readouterr().out


def test_no_models(tmp_path, capsys):
    assert run(tmp_path) == (0, True)
    assert "no checkpoint found below" in capsys.readouterr().out


def test_fifty_are_shown(tmp_path, capsys):
    assert run(tmp_path, *[{**BROKEN, "model": f"m{number:03}"} for number in range(60)]) == (1, False)
    printed = capsys.readouterr().out
    assert "m049:" in printed and "m050:" not in printed
    assert f"... and 10 more, see {tmp_path}/summary.csv" in printed


def test_nothing_is_lost_of_long_names_and_sentences(tmp_path, capsys):
    long = "/".join(["component"] * 30)
    words = "a sentence that goes on " * 20
    run(tmp_path, {**BROKEN, "model": long, "message": words, "hint": "x" * 300})
    lines = capsys.readouterr().out.splitlines()
    assert f"  {long}: failed, missing_shard" in lines and f"      -> {'x' * 300}" in lines
    assert max(line.count("sentence") for line in lines) == 20


def test_the_settings_in_a_hint_are_lines_to_be_copied(tmp_path, capsys):
    said = {"models": {"a: b/m": {"inputs": {"x": {"shape": ["batch", 3], "range": [0, 1]}}}}}
    flow = yaml.safe_dump(said, default_flow_style=True, width=float("inf")).strip().removeprefix("{").removesuffix("}")
    run(
        tmp_path,
        {**BROKEN, "status": "unverifiable", "cause": "run_failed", "hint": f"correct `x`, fed so far by {flow}"},
    )
    lines = capsys.readouterr().out.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("      -> correct `x`;"))
    block = list(itertools.takewhile(lambda line: line.startswith("        "), lines[begin + 1 :]))
    assert len(block) == 4 and yaml.safe_load(textwrap.dedent("\n".join(block))) == said


def test_the_page_and_a_sentence_come_last(tmp_path, capsys):
    summary = write(tmp_path / "summary.csv", GOOD, BROKEN)
    gate.main(["--page", "reports/index.html", str(summary), str(tmp_path / "gate.txt")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "Page: reports/index.html",
        "Not as expected: 1 model, of 2 models; what to do stands above, and on the page.",
    ]
    assert lines.index("  broken/model.ckpt: failed, missing_shard") < lines.index("verified           1         1")


@pytest.mark.parametrize(
    "hostile",
    ["\x1b[2J\x1b]0;owned\x07", "a\nb\rc", "\x9b31m", "\u202eright to left", 'say "hi", =cmd', "\u2028", "\t"],
)
def test_names_cannot_command_the_terminal(tmp_path, capsys, hostile):
    row = {
        **BROKEN,
        "expect": "verified",
        "weights_reached": "",
        "model": f"x{hostile}y",
        "message": hostile,
        "hint": hostile,
    }
    lines = ["model,status,cause,message,hint,expect,weights_reached"]
    lines.append(",".join('"' + row[key].replace('"', '""') + '"' for key in lines[0].split(",")))
    (tmp_path / "summary.csv").write_bytes("\n".join(lines).encode() + b"\n")
    assert gate.main([str(tmp_path / "summary.csv"), str(tmp_path / "gate.txt")]) == 1
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.split("\n"))
    assert "1 of 1 models" in printed


@pytest.mark.parametrize("model", ["NA", "null", "007", "nan", "True", "1e5"])
def test_names_stay_text(tmp_path, capsys, model):
    assert run(tmp_path, {**BROKEN, "model": model}) == (1, False)
    assert f"  {model}: failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"model,status\na,verified\n",
        b"\xff\xfe\x00",
        b'"',
        NEEDED + b"a,ok,,,,,\n",
        NEEDED + b"a,verified,,,,verified,most\n",
    ],
)
def test_what_is_no_summary_is_said(tmp_path, capsys, content):
    (tmp_path / "summary.csv").write_bytes(content)
    (tmp_path / "gate.txt").write_text("old")
    assert gate.main([str(tmp_path / "summary.csv"), str(tmp_path / "gate.txt")]) == 1
    assert "summary.csv" in capsys.readouterr().err and not (tmp_path / "gate.txt").exists()


def test_a_missing_summary_is_said(tmp_path, capsys):
    assert gate.main([str(tmp_path / "no.csv"), str(tmp_path / "gate.txt")]) == 1
    assert "no.csv cannot be read: No such file" in capsys.readouterr().err


def test_as_a_program_in_a_terminal_without_unicode(tmp_path):
    summary = write(tmp_path / "summary.csv", {**BROKEN, "model": "日本"})
    program = [sys.executable, gate.__file__]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run([*program, summary, tmp_path / "gate.txt"], capture_output=True, env=environment)
    assert done.returncode == 1 and b"\\u65e5\\u672c: failed" in done.stdout and not done.stderr
    helped = subprocess.run([*program, "--help"], capture_output=True, env=environment)
    assert helped.returncode == 0 and b"--on-failure" in helped.stdout
