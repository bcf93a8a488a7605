"""The worker is started early for a run that needs TensorFlow, and for no other."""

import subprocess
from types import SimpleNamespace

import pytest

from permafrost.workflow import launch


def job(command: str | None) -> SimpleNamespace:
    """A planned job, as far as is looked at."""
    return SimpleNamespace(rule=SimpleNamespace(shellcmd=command))


@pytest.mark.parametrize(
    ("commands", "starts"),
    [
        ([], False),
        ([None, "touch done"], False),
        ([launch.plain("gate --log gate.log"), launch.plain("page")], False),
        ([launch.plain("discover"), launch.warm("verify --model m")], True),
    ],
)
def test_a_worker_is_started_early_where_a_planned_job_needs_it(commands, starts, monkeypatch):
    started = []
    monkeypatch.setenv("PERMAFROST_WARM", "warm.py")
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: started.append(command[-1]))
    launch.start_worker(map(job, commands))
    assert started == ["--start"] * starts
