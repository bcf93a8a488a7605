"""How the rules' shell commands start the stages, and how the main process hands them what it found.

The commands name environment variables rather than paths, so that they, by which Snakemake tells whether a rule has
changed, are the same wherever Permafrost and its Python lie. A process that Snakemake starts on a node parses the
Snakefile, too, and so sets them anew.
"""

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from permafrost.outcome import Problem
from permafrost.workflow import direct_calls
from permafrost.workflow.pipeline import Pipeline

_PYTHON, _SCRIPT, _RUN, _PID = "PERMAFROST_PYTHON", "PERMAFROST_WARM", "PERMAFROST_RUN", "PERMAFROST_RUN_PID"
_CLIENT = f'"${_PYTHON}" -I -S "${_SCRIPT}"'
_IF_RUNNING = "--if-running"


def warm(command: str) -> str:
    """The shell command of a stage that needs TensorFlow: it runs in a child of a process that has it loaded.

    That worker ends with the run; on a cluster the run is the Snakemake process of the node's job.
    """
    return f"{_CLIENT} {command}"


def plain(command: str) -> str:
    """The shell command of another stage: where the worker runs, it starts sooner there."""
    return warm(f"{_IF_RUNNING} {command}")


def prepare(home: str) -> None:
    """Sets the variables that the commands name, for the Permafrost in the directory `home`; stages need no shell then.

    Raises Problem (bad_setting) where another one serves the same process already.
    """
    own, script = str(os.getpid()), os.path.join(home, "scripts", "warm.py")
    if os.environ.get(_PID) == own and os.environ[_SCRIPT] != script:
        raise Problem(
            "bad_setting",
            f"{os.environ[_SCRIPT]} and {script} are two copies of Permafrost in one workflow",
            "name the Snakefile of one of them in all modules",
        )
    os.environ.update({_PYTHON: sys.executable, _SCRIPT: script, _RUN: own, _PID: own})
    direct_calls.use(warm(""))


def hand_over(run: Pipeline) -> tuple[str, str]:
    """Sets variables to the paths where jobs of this machine find what this process found, and its whole config.

    Returns them as a shell takes them.
    """
    place = hashlib.sha256(os.fsencode(run.reports)).hexdigest()[:8]
    found, config = f"PERMAFROST_ZOO_{place}", f"PERMAFROST_CONFIG_{place}"
    os.environ.update({found: run.handed, config: run.handed_config})
    return f'"${found}"', f'"${config}"'


def command(home: str, config_file: str) -> str:
    """The command that runs the Permafrost in the directory `home` from this one with a config file."""
    is_here = os.path.realpath(home) == os.path.realpath(os.curdir)
    snakefile = [] if is_here else ["--snakefile", f"{home}/Snakefile"]
    return shlex.join(["snakemake", *snakefile, "--configfile", config_file])


def start_worker(jobs: Iterable[Any]) -> None:
    """Has the worker load TensorFlow while the first jobs begin, where one of the planned `jobs` needs it.

    Where that fails, the first job that needs it says why.
    """
    if not any(_needs_worker(job.rule.shellcmd or "") for job in jobs):
        return
    command = [sys.executable, "-I", "-S", os.environ[_SCRIPT], "--start"]
    subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _needs_worker(command: str) -> bool:
    return command.startswith(warm("")) and not command.startswith(warm(_IF_RUNNING))
