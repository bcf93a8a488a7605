"""The sandbox's directories go with their processes, or after them; those of living processes and of others stay."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from conftest import HOME
from permafrost.sandbox import runner
from permafrost.sandbox.working_directory import delete_left_behind, working_directory

pytestmark = pytest.mark.forks

HOLDER = """
import sys, time
from permafrost.sandbox.working_directory import working_directory
with working_directory() as directory:
    open(directory + "/file", "w").close()
    print(directory, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """A temporary directory of this test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen, Path]:
    """A process that uses a directory, and that directory."""
    environment = os.environ | {"PYTHONPATH": str(HOME / "scripts")}
    process = subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


def test_a_killed_processes_directory_goes_and_a_living_ones_stays():
    (killed, left), (living, used) = holder(), holder()
    try:
        killed.kill()
        killed.wait()
        assert (left / "file").exists()
        delete_left_behind()
        assert not left.exists() and (used / "file").exists()
        delete_left_behind()
        assert (used / "file").exists()
    finally:
        living.kill()
        living.wait()


def test_it_goes_after_its_use_whatever_happens():
    with pytest.raises(ZeroDivisionError), working_directory() as directory:
        Path(directory, "file").touch()
        raise ZeroDivisionError
    assert not Path(directory).exists()


def test_links_and_other_names_are_left_alone(temporary):
    target = temporary / "mine"
    target.mkdir()
    (target / "file").touch()
    (temporary / "permafrost-sandbox-link").symlink_to(target)
    (temporary / "permafrost-sandbox-file").touch()
    left = temporary / "permafrost-sandbox-left"
    left.mkdir()
    (left / "link").symlink_to(target)
    delete_left_behind()
    assert not left.exists() and (target / "file").exists()
    assert sorted(path.name for path in temporary.iterdir()) == [
        "mine",
        "permafrost-sandbox-file",
        "permafrost-sandbox-link",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_other_users_directories_are_left_alone(temporary):
    theirs = temporary / "permafrost-sandbox-theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    delete_left_behind()
    assert theirs.exists()


def test_no_directory_is_taken_away_while_it_is_made():
    stop = threading.Event()

    def sweep():
        while not stop.is_set():
            delete_left_behind()

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for _ in range(300):
            with working_directory() as directory:
                Path(directory, "file").touch()
                time.sleep(0.0005)
                assert Path(directory, "file").exists()
    finally:
        stop.set()
        for sweeper in sweepers:
            sweeper.join()


def test_a_killed_sandboxs_directory_is_left_and_deleted(temporary):
    parent = os.fork()
    if parent == 0:
        runner.run(time.sleep, 60, seconds=60, memory_mb=300)
    while not list(temporary.glob("permafrost-sandbox-*")):
        time.sleep(0.01)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 20  # Its child, which holds the lock too, is killed by the kernel.
    while list(temporary.glob("permafrost-sandbox-*")) and time.monotonic() < deadline:
        delete_left_behind()
        time.sleep(0.05)
    assert not list(temporary.glob("permafrost-sandbox-*"))
