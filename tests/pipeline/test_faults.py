"""What a fault leaves behind does not show in the next run: a handful of killed runs and full disks.

Hundreds of them take an hour, and are left to `python benchmarks/faults.py`.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import HOME, SAMPLE_ZOO
from zoo_runs import Workspace

pytestmark = pytest.mark.slow(minutes=3)


@pytest.mark.timeout(1200)
def test_the_next_run_ends_as_if_nothing_had_happened(tmp_path):
    program = [sys.executable, HOME / "benchmarks" / "faults.py", "--moments", "4", "--disks", "1"]
    done = subprocess.run([*program, "--directory", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as if nothing had happened") >= 4 and not list(tmp_path.iterdir())


@contextlib.contextmanager
def small_disk(directory: Path, pages: int) -> Iterator[Callable[[], object]]:
    """A tmpfs of so many pages of 4 KiB; what it gives makes room."""
    directory.mkdir()
    options = f"size={4 * pages}k"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=9m", str(directory)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


# A place for the record, the frozen graph, and the record itself beside its place: 2, 1 and 1 pages.
@pytest.mark.parametrize("pages", [1, 2, 3])
def test_a_frozen_graph_that_fits_without_its_record(tmp_path, pages):
    workspace = Workspace(tmp_path)
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / "linear")
    with small_disk(tmp_path / "disk", pages) as make_room:
        run = workspace.run("--cores", "1", frozen="disk/frozen")
        assert run.status == 1, run.output
        if pages > 1:
            row = workspace.summary().loc["linear/model.ckpt"]
            assert (row["status"], row["stage"], row["cause"]) == ("failed", "freeze", "disk_full")
        make_room()
        run = workspace.run("--cores", "1", frozen="disk/frozen")
        assert run.status == 0, run.output
        assert workspace.summary().loc["linear/model.ckpt", "status"] == "verified"
        assert workspace.run("--cores", "1", frozen="disk/frozen").nothing_done
