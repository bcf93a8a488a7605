"""What a run says when something goes wrong: with --quiet all on stderr, whatever it is, and each thing once."""

import atexit
import importlib.util
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

import forked_snakemake
from conftest import HOME, SAMPLE_ZOO
from permafrost.workflow import failures
from permafrost.workflow.screen import Screen
from zoo_runs import Workspace


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger such as Snakemake's, to which a quiet run listens."""
    logger = logging.Logger("a run")
    listener = failures.Failures(True, Screen().say)
    logger.addHandler(listener)
    yield logger
    atexit.unregister(listener._say_how_many_more)


def fail(logger, rule: str, *logs: Path, indent: bool = False) -> None:
    """What Snakemake logs of a job that failed."""
    text = "RuleException:\nCalledProcessError in file 'Snakefile', line 1:\nCommand returned non-zero exit status 1."
    logger.error(text, extra={"event": LogEvent.ERROR, "exception": "RuleException"})
    facts = {"rule_name": rule, "log": [str(log) for log in logs], "indent": indent}
    logger.error(f"Error in rule {rule}, jobid: 1", extra={"event": LogEvent.JOB_ERROR, **facts})


def test_a_failed_job_is_its_log_and_the_last_line_of_it(tmp_path, logger, capsys):
    log = tmp_path / "verify.log"
    log.write_bytes(b"Traceback ...\n" + b"x" * 99999 + b"\nOSError: \x1b[31mno \xff room\n\n")
    fail(logger, "verify", log)
    assert capsys.readouterr().err == f"verify failed; {log} ends with: OSError: \\x1b[31mno \ufffd room\n"
    log.write_text(" \n")
    fail(logger, "verify", log)
    assert f"{log} is empty" in capsys.readouterr().err
    fail(logger, "verify", tmp_path / "no.log")
    assert "no.log cannot be read: No such file" in capsys.readouterr().err
    fail(logger, "gate")
    assert capsys.readouterr().err == "gate failed; what it said stands above\n"


def test_a_full_disk_does_not_fill_another(logger, capsys):
    for number in range(1000):
        fail(logger, f"rule_{number}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20 and lines[-1].startswith("rule_19 ")
    logger.handlers[0]._say_how_many_more()
    assert capsys.readouterr().err == "... and 980 more errors like these\n"


def test_jobs_on_a_cluster_are_said_once(logger, capsys):
    logger.error("Error in group 1", extra={"event": LogEvent.GROUP_ERROR, "aux_logs": ["slurm.log"]})
    fail(logger, "verify", indent=True)
    assert capsys.readouterr().err == "a job on the cluster failed; see slurm.log\n"


def test_what_snakemake_itself_prints_is_not_said_twice(capsys):
    logger = logging.Logger("a run")
    logger.addHandler(failures.Failures(False, Screen().say))
    logger.error("SyntaxError:\nsomething", extra={"event": LogEvent.ERROR, "exception": "SyntaxError"})
    assert capsys.readouterr().err == ""
    fail(logger, "gate")
    assert "gate failed" in capsys.readouterr().err


# The rest through Snakemake itself: how a run is broken -> what it must say.


def read_only(workspace: Workspace, name: str) -> dict[str, str]:
    """A directory in which nothing can be made, whoever tries: it is a file."""
    blocked = workspace.directory / "blocked"
    blocked.write_text("")
    return {name: str(blocked / name)}


def read_only_reports(workspace: Workspace) -> tuple[dict, tuple]:
    return read_only(workspace, "reports"), (f"{workspace.directory / 'blocked'}", "Not a directory")


def read_only_frozen(workspace: Workspace) -> tuple[dict, tuple]:
    return read_only(workspace, "frozen"), (str(workspace.directory / "blocked"), "Not a directory")


def refused_setting(workspace: Workspace) -> tuple[dict, tuple]:
    return {"tirals": "3"}, ("unknown key 'tirals'",)


def refused_value(workspace: Workspace) -> tuple[dict, tuple]:
    return {"checkpoints": "newest"}, ("checkpoints", "newest")


def missing_zoo(workspace: Workspace) -> tuple[dict, tuple]:
    shutil.rmtree(workspace.zoo)
    return {}, ("my zoo", "(")


def broken_stage(workspace: Workspace) -> tuple[dict, tuple]:
    code(workspace, "verify.py", "raise SystemExit('the judge has gone home')")
    return {}, ("verify failed; my reports/models/linear/model.ckpt/verify.log ends with: the judge has gone home",)


def broken_summary(workspace: Workspace) -> tuple[dict, tuple]:
    code(workspace, "summarize.py", "import no_such_module")
    return {}, ("summarize failed; my reports/summarize.log ends with: ModuleNotFoundError", "'no_such_module'")


def broken_gate(workspace: Workspace) -> tuple[dict, tuple]:
    code(workspace, "gate.py", "import os; os.kill(os.getpid(), 9)")
    return {}, ("gate failed",)


def broken_pipeline(workspace: Workspace) -> tuple[dict, tuple]:
    code(workspace, "permafrost/workflow/pipeline.py", "import no_such_module")
    return {}, ("No module named 'no_such_module'",)


def broken_worker(workspace: Workspace) -> tuple[dict, tuple]:
    code(workspace, "permafrost/workflow/worker.py", "import no_such_module")
    log = "my reports/models/linear/model.ckpt/import_meta.log"
    return {}, (f"import_meta failed; {log} ends with: ModuleNotFoundError: No module named 'no_such_module'",)


def wrong_model(workspace: Workspace) -> tuple[dict, tuple]:
    next(workspace.zoo.rglob("*.index")).unlink()
    return {}, ("1 of 1 models is not as expected", "linear/model.ckpt: failed, no_index")


def code(workspace: Workspace, name: str, text: str) -> None:
    (workspace.directory / "code" / "scripts" / name).write_text(text + "\n")


def run_quietly(workspace: Workspace, **config: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(workspace.directory / "modules")}
    arguments = of_the_copy(workspace.arguments("--quiet", "all", "--cores", "1", **config), workspace)
    return forked_snakemake.run(arguments, workspace.directory, environment=environment)


def of_the_copy(arguments: list[str], workspace: Workspace) -> list[str]:
    """The arguments with the Snakefile of the workspace's own copy of the code."""
    arguments[arguments.index("--snakefile") + 1] = str(workspace.directory / "code" / "Snakefile")
    return arguments


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A zoo of one model, and a copy of the code to be broken."""
    workspace = Workspace(tmp_path)
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / "linear")
    for name in ("scripts", "rules", "profiles", "captions"):
        shutil.copytree(HOME / name, tmp_path / "code" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml", "config.schema.yaml"):
        shutil.copy(HOME / name, tmp_path / "code")
    return workspace


BREAKS = [
    read_only_reports, read_only_frozen, refused_setting, refused_value, missing_zoo, broken_stage, broken_summary,
    broken_gate, broken_pipeline, broken_worker, wrong_model,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("broken", BREAKS)
def test_a_quiet_run_says_what_went_wrong(workspace, broken):
    config, said = broken(workspace)
    run = run_quietly(workspace, **config)
    assert run.returncode == 1 and run.stdout == ""
    for part in said:
        assert part in run.stderr
    assert len(run.stderr.splitlines()) < 25, run.stderr


@pytest.mark.slow
def test_a_damaged_environment_is_said_and_forgotten_once_it_is_mended(workspace):
    stand_in = workspace.directory / "modules" / "tensorflow"
    stand_in.mkdir(parents=True)
    (stand_in / "__init__.py").write_text("raise ImportError('half a wheel')")
    core = Path(importlib.util.find_spec("tensorflow").origin).with_name("core")
    (stand_in / "core").symlink_to(core)
    run = run_quietly(workspace)
    log = "my reports/models/linear/model.ckpt/import_meta.log"
    assert run.returncode == 1 and f"import_meta failed; {log} ends with: ImportError: half a wheel" in run.stderr
    shutil.rmtree(stand_in)
    run = run_quietly(workspace)
    assert run.returncode == 0 and workspace.summary()["status"].tolist() == ["verified"], run.stderr


@pytest.mark.slow
def test_a_quiet_run_says_that_the_disk_is_full(workspace):
    disk = workspace.directory / "disk"
    disk.mkdir()
    options = "size=1m,nr_inodes=12"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        run = run_quietly(workspace, reports=str(disk / "reports"))
        assert run.returncode == 1 and "No space left on device" in run.stderr
        assert len(run.stderr.splitlines()) < 25, run.stderr
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
def test_a_run_that_is_not_quiet_names_the_log_of_what_failed(workspace):
    _, (said,) = broken_stage(workspace)
    run = forked_snakemake.run(of_the_copy(workspace.arguments("--cores", "1"), workspace), workspace.directory)
    assert run.returncode == 1 and run.stderr.count(said) == 1
