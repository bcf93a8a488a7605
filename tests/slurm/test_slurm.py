"""The pipeline on a SLURM cluster of one node: the same reports as without, and few starts of TensorFlow."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from cluster import CPUS, CannotRun, Cluster, cluster, install

from conftest import HOME, SAMPLE_ZOO
from zoo_runs import Run, Workspace, logs_of, planned_jobs, sample_settings

MODELS_PER_JOB = 12
PROFILE = [
    f"--workflow-profile={HOME}/profiles/slurm",
    "--cores=1",  # of a job, so that two jobs run side by side
    f"--group-components=models={MODELS_PER_JOB}",
    "--default-resources",
    "mem_mb=1500",
    "runtime=1",
    # This cluster keeps no accounts, and its jobs are short.
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=1",
    "--slurm-keep-successful-logs",
    "--latency-wait=10",
]
# Python reads this module first, wherever it starts: it notes who imports TensorFlow, and in which job.
NOTE_IMPORTS = """
import os, sys

class Notes:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow.python" and "SLURM_JOB_ID" in os.environ:
            with open({notes!r}, "a") as file:
                file.write(os.environ["SLURM_JOB_ID"] + "\\n")

sys.meta_path.insert(0, Notes())
"""


def start(workspace: Workspace, slurm: Cluster, *arguments: str, **environment: str) -> subprocess.Popen:
    """Starts the pipeline on the cluster; what it prints goes to run.log."""
    with (workspace.directory / "run.log").open("wb") as log:
        return subprocess.Popen(
            workspace.command(*PROFILE, *arguments),
            cwd=workspace.directory,
            env=slurm.environment | environment,
            stdout=log,
            stderr=log,
        )


def finish(process: subprocess.Popen, workspace: Workspace) -> Run:
    status = process.wait(240)
    output = (workspace.directory / "run.log").read_text(errors="replace")
    return Run(status, output, planned_jobs(logs_of(workspace.directory)[-1].read_text()))


def job_logs(workspace: Workspace) -> dict[str, str]:
    """What the SLURM jobs of a workspace printed, by the number of the job."""
    logs = (workspace.directory / ".snakemake" / "slurm_logs").rglob("*.log")
    return {path.stem: path.read_text(errors="replace") for path in logs}


def results(workspace: Workspace) -> dict[str, bytes | list[dict]]:
    """The content of all tables and frozen graphs; times, and what holds them, are left out."""
    found = {
        str(path.relative_to(workspace.directory)): path.read_bytes()
        for root in (workspace.frozen, workspace.reports)
        for path in root.rglob("*")
        if path.suffix in (".csv", ".txt", ".pb") and path.name not in ("timings.csv", "history.csv")
    }
    runs = pd.read_csv(workspace.reports / "history.csv").drop(columns=["date", "seconds"])
    return {**found, "history.csv": runs.to_dict("records")}


def environment(pid: int) -> dict[str, str]:
    """The environment with which a process was started."""
    fields = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(field.split("=", 1) for field in fields if "=" in field)


def processes() -> list[int]:
    """The process ids of this clone's warm workers on the cluster, and of the stages that run in their children."""
    script = os.fsencode(HOME / "scripts" / "permafrost" / "workflow" / "worker.py")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_one = script in (process / "cmdline").read_bytes().split(b"\0")
            if is_one and "SLURM_JOB_ID" in environment(int(process.name)):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def workers() -> list[int]:
    """The process ids of the workers alone: each has a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        return [pid for pid in processes() if os.getsid(pid) == pid]
    return []


def wait_until(condition, seconds: float = 90):
    """Waits until condition() is true, and returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def copy_of_the_sample_zoo(directory: Path) -> Workspace:
    workspace = Workspace(directory, sample_settings())
    for model in SAMPLE_ZOO.iterdir():
        if model.is_dir():
            shutil.copytree(model, workspace.zoo / model.name)
    # A name that has to survive two shells on its way to the node.
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / """it's "$HOME", \\`id`""")
    return workspace


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Cluster:
    """A cluster for all tests; where there can be none, they end with a sentence that says why."""
    try:
        with cluster(tmp_path_factory.mktemp("slurm")) as running:
            yield running
    except CannotRun as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Workspace:
    """The sample zoo after a run without a cluster."""
    workspace = copy_of_the_sample_zoo(tmp_path_factory.mktemp("local"))
    run = workspace.run()
    assert run.status == 0, run.output
    return workspace


@pytest.fixture(scope="module")
def remote(tmp_path_factory, slurm) -> Workspace:
    """The sample zoo after a run on the cluster, and a file `imports` with a line for each import of TensorFlow."""
    workspace = copy_of_the_sample_zoo(tmp_path_factory.mktemp("remote"))
    early = workspace.directory / "early"
    early.mkdir()
    (early / "sitecustomize.py").write_text(NOTE_IMPORTS.format(notes=str(workspace.directory / "imports")))
    run = finish(start(workspace, slurm, PYTHONPATH=str(early)), workspace)
    assert run.status == 0, run.output + "".join(job_logs(workspace).values())
    return workspace


def test_the_reports_are_those_of_a_run_without_a_cluster(local, remote):
    expected, found = results(local), results(remote)
    assert len(expected) > 150 and expected.keys() == found.keys()
    assert [name for name in expected if expected[name] != found[name]] == []


def test_one_job_takes_many_models_and_imports_tensorflow_once(remote):
    logs = job_logs(remote)
    models = {job: set(re.findall(r"wildcards: model=(.+)", log)) for job, log in logs.items()}
    assert sum(map(len, models.values())) == len(remote.summary()) == len(set.union(*models.values()))
    assert [len(named) for named in models.values()].count(MODELS_PER_JOB) >= 1 and len(models) == 2
    imports = Counter((remote.directory / "imports").read_text().split())
    assert imports == dict.fromkeys(models, 1)


def test_nothing_to_be_done_the_second_time(remote, slurm):
    run = finish(start(remote, slurm), remote)
    assert run.status == 0 and run.nothing_done, run.output


def test_no_worker_is_left_behind(remote, slurm):
    assert slurm.run("squeue", "--noheader") == ""
    wait_until(lambda: not processes(), 10)


@pytest.fixture
def small(tmp_path) -> Workspace:
    settings = {pattern: chosen for pattern, chosen in sample_settings().items() if pattern[:3] in ("lin", "sum")}
    workspace = Workspace(tmp_path / "small", settings)
    for model in ("linear", "partitioned", "ema", "sum"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    return workspace


def test_killed_jobs_are_finished_by_the_next_run(small, slurm, local):
    """One of two jobs is cancelled; of the other the process that runs the stages is killed."""
    process = start(small, slurm, f"--group-components=models={4 // CPUS}")
    try:
        wait_until(lambda: len(workers()) == CPUS and len(list(small.reports.rglob("import_meta.log"))) >= CPUS)
        one, other = (environment(worker) for worker in workers())
        slurm.run("scancel", one["SLURM_JOB_ID"])
        os.kill(int(other["PERMAFROST_RUN_PID"]), signal.SIGKILL)
        wait_until(lambda: not processes(), 30)  # The longest that an import of TensorFlow may take here.
        run = finish(process, small)
    finally:
        process.kill()
    assert run.status == 1, run.output
    assert run.output.count("a job on the cluster failed; see ") == 2, "quiet as it is, it says where to look"
    assert not (small.reports / "summary.csv").exists()

    run = finish(start(small, slurm), small)
    assert run.status == 0, run.output + "".join(job_logs(small).values())
    rows, expected = ((of.reports / "summary.csv").read_text().splitlines() for of in (small, local))
    assert len(rows) == 1 + 4 and set(rows) <= set(expected)
    assert not small.leftovers()
    wait_until(lambda: not processes(), 10)


def test_where_there_can_be_no_cluster_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("cluster.PATH", str(tmp_path))
    with pytest.raises(CannotRun, match=r"^the SLURM tests need munged \(.*\), and there is no apt-get here to .*$"):
        install()


def test_a_model_that_needs_more_than_the_default_gets_it_in_a_job_of_its_own(slurm, tmp_path):
    workspace = Workspace(tmp_path, {"linear/*": {"memory_mb": 2500, "timeout": 240}})
    for model in ("linear", "sum", "ema"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    run = finish(start(workspace, slurm, "--slurm-keep-successful-logs"), workspace)
    assert run.status == 0, run.output
    asked = [int(mb) for mb in re.findall(r"MinMemoryNode=(\d+)M", slurm.run("scontrol", "show", "jobs", "-o"))]
    assert sorted(asked)[-2:] == [2000, 3500]
    assert set(workspace.summary()["status"]) == {"verified"}
