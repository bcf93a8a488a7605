"""What a run prints: its progress in few lines, bad models at once, and nothing when it is told to be quiet."""

import io
import json
import logging
import shutil

import msgspec
import pytest
from snakemake_interface_logger_plugins.common import LogEvent

import forked_snakemake
from conftest import SAMPLE_ZOO
from permafrost.outcome import Problem
from permafrost.records import Verdict, failure
from permafrost.workflow import chatter, progress
from permafrost.workflow.screen import Screen
from written_records import whole
from zoo_runs import Workspace, sample_settings

EXPECTED = {"good": ["verified"], "bad": ["verified"], "known": ["failed/truncated"]}


@pytest.fixture
def logger():
    """A logger such as Snakemake's, with the stream that it prints to."""
    logger = logging.Logger("a run")
    logger.printed = io.StringIO()
    logger.addHandler(logging.StreamHandler(logger.printed))
    return logger


def follow(logger, reports, expected, named=()) -> None:
    """Has a run print its progress, and what Snakemake prints for people."""
    screen = Screen()
    chatter.silence(logger, False, screen.clear)
    logger.addHandler(progress.Progress(screen, str(reports), expected, named))


def log_verified_job(logger, number: int, model: str) -> None:
    """What Snakemake logs of one job of `verify`."""
    job = {"jobid": number, "rule_name": "verify", "wildcards": {"model": model}}
    logger.info("rule verify", extra={"event": LogEvent.JOB_INFO, **job})
    logger.info("Execute 1 jobs...", extra={"event": LogEvent.JOB_STARTED, "jobs": [number]})
    logger.info(f"Finished jobid: {number}", extra={"event": LogEvent.JOB_FINISHED, "job_id": number})


def write_record(reports, model: str, record: dict) -> None:
    path = reports / "models" / model / "verify.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record, default=msgspec.to_builtins))


def test_bad_models_are_named_as_they_come(tmp_path, logger, capsys):
    truncated = failure("import_meta", Problem("truncated", "it ends too early"))
    write_record(tmp_path, "good", whole(Verdict))
    write_record(tmp_path, "bad", truncated)
    write_record(tmp_path, "known", truncated)
    follow(logger, tmp_path, EXPECTED.get)
    for number, model in enumerate(EXPECTED):
        log_verified_job(logger, number, model)
    log_verified_job(logger, 9, "no record")
    assert capsys.readouterr().err == "bad: failed, truncated\nknown: failed, truncated (as expected)\n"
    assert logger.printed.getvalue().split("\n") == ["rule verify"] * 4 + [""]


def test_an_export_of_a_model_that_is_not_verified_is_not_named_again(tmp_path, logger, capsys):
    directory = tmp_path / "reports" / "models" / "bad"
    directory.mkdir(parents=True)
    for form, cause in (("onnx", "not_verified"), ("tflite", "random_op")):
        ended = failure(f"export_{form}", Problem(cause, "it is not there"), "refused")
        (directory / f"judged_{form}.json").write_text(json.dumps(ended, default=msgspec.to_builtins))
    follow(logger, tmp_path / "reports", lambda model, form: "verified")
    for number, form in enumerate(("onnx", "tflite")):
        job = {"jobid": number, "rule_name": "judge_export", "wildcards": {"model": "bad", "format": form}}
        logger.info("rule judge_export", extra={"event": LogEvent.JOB_INFO, **job})
        logger.info("Finished", extra={"event": LogEvent.JOB_FINISHED, "job_id": number})
    assert capsys.readouterr().err == "bad as tflite: refused, random_op\n"


def test_progress_is_a_line_now_and_then(tmp_path, logger, capsys, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    write_record(tmp_path, "bad", failure("freeze", Problem("disk_full", "no room")))
    follow(logger, tmp_path, EXPECTED.get)
    log_verified_job(logger, 1, "bad")
    for done in range(1, 1001):
        now += 0.5
        logger.info(None, extra={"event": LogEvent.PROGRESS, "done": done, "total": 4000})
    lines = capsys.readouterr().err.splitlines()
    # 500 seconds, and a line a minute, since this is no terminal.
    assert len(lines) == 1 + 8
    assert lines[-1] == "960 of 4,000 steps, 2.0 a second, at most 0:25:20 left; 1 not as expected"


@pytest.mark.slow
def test_a_run_says_little_and_a_quiet_one_only_what_is_wrong(tmp_path):
    workspace = Workspace(tmp_path, sample_settings("broken_truncated"))
    for model in ("linear", "sum", "broken_truncated"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    shutil.copytree(SAMPLE_ZOO / "broken_missing_shard", workspace.zoo / "wrong")
    run = workspace.run()
    assert run.status == 1
    assert "\nwrong/model.ckpt: failed, missing_shard\n" in run.output
    assert "\nbroken_truncated/model.ckpt: failed, truncated (as expected)\n" in run.output
    assert not any(word in run.output for word in ("jobid", "Execute", "Job stats", "CalledProcess", "WorkflowError"))
    assert "Zoo: my zoo, 4 models of 4 checkpoints. 24 steps to do" in run.output
    assert run.output.splitlines()[-2:] == [
        "Page: my reports/index.html",
        "Not as expected: 1 model, of 4 models; what to do stands above, and on the page.",
    ]
    (log,) = (workspace.directory / ".snakemake" / "log").iterdir()
    assert log.read_text().count("Finished jobid") == 4 * 4 + 6, "the log file has it all"

    quiet = workspace.arguments("--quiet", "all")
    wrong = forked_snakemake.run(quiet, workspace.directory)
    assert wrong.returncode == 1
    assert wrong.stdout == "" and "missing_shard" in wrong.stderr
    lines = wrong.stderr.splitlines()
    assert lines[1] == "1 of 4 models is not as expected:" and lines[-1].startswith("Not as expected: 1 model, of 4")
    assert ["models", "expected"] in [line.split() for line in lines]
    shutil.rmtree(workspace.zoo / "wrong")
    well = forked_snakemake.run(quiet, workspace.directory)
    assert (well.returncode, well.stdout) == (0, ""), well.stderr
    assert len(well.stderr.splitlines()) == 1, "the profile that Snakemake uses"
