"""Runs that are stopped, and disks that are full, under Snakemake: what is left, and what the next run makes of it."""

import base64
import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from small_zoo import CHAIN, MODELS, SUMMED_UP, small_zoo
from zoo_runs import Workspace

pytestmark = pytest.mark.slow(minutes=2)

# A signal that can be caught is handled by Snakemake and the client, whatever the stage: one that loads TensorFlow, one
# whose sandbox runs a session, and one that needs neither. What a kill leaves depends on what each stage writes.
STOPPED_AT = {
    signal.SIGINT: ("import_meta", "verify", "page"),
    signal.SIGTERM: ("import_meta", "verify", "page"),
    signal.SIGKILL: (*CHAIN, "summarize", "changes", "page"),
}


@pytest.mark.parametrize("how", STOPPED_AT)
def test_a_run_that_is_stopped_at_each_stage_in_turn_goes_on(tmp_path, how):
    workspace = small_zoo(tmp_path)
    done: dict[Path, int] = {}
    for stage in STOPPED_AT[how]:
        for log in workspace.directory.rglob(f"{stage}.log"):
            log.unlink()
        process = subprocess.Popen(
            workspace.command("--cores", "2"),
            cwd=workspace.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(workspace.reports.rglob(f"{stage}.log")):
            time.sleep(0.005)
        process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            # Snakemake's handler of SIGTERM waits for a lock that the interrupted thread may hold: then it is killed,
            # as service managers and schedulers do.
            process.kill()
            process.wait(30)
        assert process.returncode != 0, f"the run was over before it could be stopped at {stage}"
        # What an earlier run had finished when this one began is left as it is.
        assert {path: path.stat().st_mtime_ns for path in done} == done, stage
        done = finished_records(workspace)
    assert len(done) == 4 * len(MODELS)
    run = workspace.run()
    assert run.status == 0, run.output
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert (workspace.summary()["status"] == "verified").sum() == 4
    assert not workspace.leftovers()
    assert workspace.run().nothing_done


def finished_records(workspace: Workspace) -> dict[Path, int]:
    """The records whose jobs Snakemake does not take for unfinished, with their mtimes (ns)."""
    unfinished = {
        base64.urlsafe_b64decode(path.name).decode()
        for path in (workspace.directory / ".snakemake" / "incomplete").iterdir()
        if path.is_file() and path.name != "migration_underway"
    }
    paths = [path for root in (workspace.frozen, workspace.reports / "models") for path in root.rglob("*.json")]
    return {
        path: path.stat().st_mtime_ns
        for path in paths
        if str(path.relative_to(workspace.directory)) not in unfinished
        and not json.loads(path.read_text())["transient"]
    }


def save_large_model(directory: Path) -> None:
    """A model of 1 MiB."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 512], name="x")
        w = tf.compat.v1.get_variable("w", initializer=np.eye(512, dtype=np.float32), use_resource=False)
        tf.matmul(x, w, name="y")
        with tf.compat.v1.Session(graph=graph) as session:
            session.run(tf.compat.v1.global_variables_initializer())
            tf.compat.v1.train.Saver().save(session, str(directory / "model.ckpt"))


def test_full_disk_is_a_row_and_the_zoo_goes_on_when_there_is_room(tmp_path):
    workspace = small_zoo(tmp_path)
    save_large_model(workspace.zoo / "large")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mount.returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        run = workspace.run(frozen=str(disk / "frozen"))
        assert run.status == 1, run.output
        summary = workspace.summary()
        assert summary.loc["large/model.ckpt", ["status", "stage", "cause"]].tolist() == [
            "failed",
            "freeze",
            "disk_full",
        ]
        assert (summary["status"] == "verified").sum() == 4
        assert not (disk / "frozen" / "large" / "model.ckpt" / "frozen_graph.pb").exists()
        assert not list((disk / "frozen").rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        run = workspace.run(frozen=str(disk / "frozen"))
        assert run.status == 0, run.output
        assert run.jobs == {"freeze": 1, "verify": 1, "list_ops": 1, **SUMMED_UP}
        assert workspace.summary().loc["large/model.ckpt", "status"] == "verified"
    finally:
        subprocess.run(["umount", str(disk)], check=True)
