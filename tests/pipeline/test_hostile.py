"""A zoo of hostile checkpoints: each is a row with its cause, and an honest model beside them is verified."""

import shutil
import subprocess
import sys

import pytest
import yaml

from conftest import HOME, SAMPLE_ZOO
from hostile import HOSTILE
from permafrost.sandbox import landlock
from zoo_runs import Workspace

pytestmark = pytest.mark.slow(minutes=1)

SETTINGS = {
    "*": {"timeout": 60, "memory_mb": 1000, "trials": 1},
    "endless_loop/*": {"timeout": 5},
    "waits_for_ever/*": {"timeout": 5},
    "hundreds_of_threads/*": {"memory_mb": 8192, "processes": 300},
    "writes_too_large_a_file/*": {"allow_ops": ["WriteFile"], "file_mb": 1},
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The workspace after a run, and the directory that no graph may have written to."""
    directory = tmp_path_factory.mktemp("hostile")
    workspace, forbidden = Workspace(directory), directory / "forbidden"
    forbidden.mkdir()
    subprocess.run([sys.executable, HOME / "tests" / "support" / "hostile.py", workspace.zoo, forbidden], check=True)
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / "honest")
    (directory / "settings.yaml").write_text(yaml.safe_dump({"models": SETTINGS}))
    run = workspace.run("--configfile", "settings.yaml", on_failure="report")
    return workspace, forbidden, run


def test_the_run_ends_well_and_the_honest_model_is_verified(ended):
    workspace, _, run = ended
    assert run.status == 0, run.output
    summary = workspace.summary()
    assert summary.loc["honest/model.ckpt", "status"] == "verified" and len(summary) == len(HOSTILE) + 1
    assert not workspace.leftovers()


@pytest.mark.parametrize("name", HOSTILE)
def test_each_ends_as_it_should(name, ended):
    row = ended[0].summary().loc[f"{name}/model.ckpt"]
    assert f"{row['status']}/{row['cause']}".removesuffix("/") in HOSTILE[name][1], row["message"]
    assert row["status"] == "verified" or (row["message"] and row["hint"])


def test_nothing_was_written(ended):
    written = {path.name: path.stat().st_size for path in ended[1].iterdir()}
    # What its settings allow, up to the limit, and a kernel with Landlock does not.
    assert written.pop("writes_too_large_a_file", 0) <= (0 if landlock.abi() else 1 << 20)
    assert not written


def test_logs_stay_small(ended):
    logs = list(ended[0].reports.rglob("*.log"))
    assert logs and max(log.stat().st_size for log in logs) < 4 << 20


def test_the_message_of_an_abort_says_what_the_graph_said(ended):
    assert "on purpose" in ended[0].summary().loc["abort/model.ckpt", "message"]
