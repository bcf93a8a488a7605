"""What a fault leaves behind does not show in the next run: a handful of killed runs and full disks.

Hundreds of them take hours, and are left to `python benchmarks/faults.py`.
"""

import subprocess
import sys

import pytest

from conftest import HOME


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_next_run_ends_as_if_nothing_had_happened(tmp_path):
    program = [sys.executable, HOME / "benchmarks" / "faults.py", "--moments", "4", "--disks", "1"]
    done = subprocess.run([*program, "--directory", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed" in done.stdout and not list(tmp_path.iterdir())
