"""To parse the Snakefile changes nothing: no file, no directory, no process, whatever Snakemake is asked for."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import forked_snakemake
from conftest import HOME, SAMPLE_ZOO
from permafrost import whole_files
from zoo_runs import SNAKEFILE, Workspace, planned_jobs

ASKED = [
    ["--list-rules"],
    ["--lint"],
    ["-n"],
    ["--summary"],
    ["--report", "report.html"],
    ["--dag"],
    ["--list-changes", "params"],
]


def tree(*roots: Path) -> dict[str, tuple]:
    """All files and directories below the roots, with what stat(2) tells of a change, but for Snakemake's own notes."""
    found = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            if ".snakemake" not in path.parts and "__pycache__" not in path.parts:
                stat = path.lstat()
                changed = (stat.st_mtime_ns, stat.st_ctime_ns) if path.is_file() else ()
                found[str(path)] = (stat.st_mode, stat.st_ino, *changed)
    return found


def processes_of(workspace: Workspace) -> list[int]:
    """The processes that were started with this workspace's temporary directory."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.fsencode(f"TMPDIR={workspace.directory}/tmp") in Path(f"/proc/{entry}/environ").read_bytes():
                found.append(int(entry))
    return found


def ask(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess:
    config = ["--config", "zoo=my zoo", "frozen=my frozen", "reports=my reports"]
    environment = os.environ | {"TMPDIR": str(workspace.directory / "tmp"), "XDG_RUNTIME_DIR": ""}
    return forked_snakemake.run([*SNAKEFILE, *arguments, *config], workspace.directory, environment=environment)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / "linear")
    (workspace.directory / "tmp").mkdir()
    return workspace


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked[0])
def test_a_fresh_zoo_is_left_as_it_is(workspace, asked):
    before = tree(workspace.directory)
    done = ask(workspace, *asked)
    left = tree(workspace.directory).keys() - before.keys() - {str(workspace.directory / "report.html")}
    assert not left and tree(workspace.directory).items() >= before.items(), done.stderr
    assert not processes_of(workspace)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr


@pytest.mark.slow
def test_what_was_made_is_left_as_it_is_and_what_failed_for_now_is_planned(workspace):
    assert workspace.run("--cores", "1").status == 0
    record = workspace.reports / "models/linear/model.ckpt/import.json"
    whole_files.write_json(record, json.loads(record.read_text()) | {"transient": True})
    (workspace.frozen / "linear/model.ckpt/frozen_graph.pb").write_bytes(b"")
    half = workspace.frozen / "linear/model.ckpt/.frozen_graph.pb.1.tmp"
    half.touch()
    (workspace.reports / ".lock").touch()
    before = tree(workspace.directory)
    for asked in ASKED:
        done = ask(workspace, *asked)
        assert tree(workspace.directory).items() >= before.items(), (asked, done.stderr)
    planned = planned_jobs(ask(workspace, "-n").stdout)
    assert planned["import_meta"] == planned["freeze"] == 1
    run = workspace.run("--cores", "1")
    assert run.status == 0 and run.jobs["import_meta"] == run.jobs["freeze"] == 1 and not half.exists()
    assert workspace.run("--cores", "1").nothing_done


def test_a_bare_call_in_the_repository_takes_its_own_zoo():
    done = subprocess.run([sys.executable, "-m", "snakemake", "-n"], cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_beginning_of_a_run_cannot_be_left_away(workspace):
    run = workspace.run("--cores", "1", "--no-hooks")
    assert run.status == 1 and "leave the option away" in run.output and not workspace.frozen.exists()


@pytest.mark.slow
def test_changes_of_parameters_must_not_be_looked_away_from(workspace):
    run = workspace.run("--cores", "1", "--rerun-triggers", "mtime")
    assert run.status == 1 and "lacks `params`" in run.output and not workspace.frozen.exists()
