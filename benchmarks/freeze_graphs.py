"""TensorFlow's freeze_graph for many models, a process for each and as many at a time as there are cores.

A stranger's graph is a program, and freeze_graph does not ask what it does. So each process is one of the sandbox's:
what it may read are the model's files, and what it writes goes with it.
"""

import os
import runpy
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from permafrost import recording
from permafrost.outcome import Problem
from permafrost.sandbox import runner

PROGRAM = "tensorflow.python.tools.freeze_graph"
LIMITS = {"seconds": 600, "memory_mb": 16384, "file_mb": 8192}


@dataclass(frozen=True)
class Job:
    """A checkpoint for freeze_graph: its prefix, its meta graph, and the names of the nodes that are the outputs."""

    prefix: str
    meta: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Frozen:
    """What became of a job: CPU time (s) of its process, and why it failed, or ""."""

    cpu_seconds: float
    failure: str


def freeze_all(jobs: list[Job], at_a_time: int) -> tuple[float, list[Frozen]]:
    """Freezes each of the jobs, so many at a time; returns the wall time (s) of all, and what became of each."""
    # Its workers have loaded neither TensorFlow nor anything that TensorFlow loads.
    with ProcessPoolExecutor(at_a_time, get_context("spawn"), silence) as pool:
        list(pool.map(abs, range(at_a_time)))
        begin = time.perf_counter()
        frozen = list(pool.map(freeze, jobs))
        return time.perf_counter() - begin, frozen


def silence() -> None:
    """Throws away what this process, and freeze_graph in its children, print."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def freeze(job: Job) -> Frozen:
    """Runs freeze_graph on a job, in the sandbox."""
    before, failure = recording.cpu_seconds(), ""
    try:
        runner.run(run_program, job.prefix, job.meta, ",".join(job.nodes), **LIMITS, readable=readable(job))
    except Problem as problem:
        failure = f"{problem.cause}: {problem.message}"
    except (RuntimeError, OSError) as error:
        failure = str(error)
    return Frozen(recording.cpu_seconds() - before, failure)


def readable(job: Job) -> list[str]:
    """The directories with the job's files, which freeze_graph lists."""
    return sorted({str(Path(path).resolve().parent) for path in (job.prefix, job.meta)})


def run_program(prefix: str, meta: str, nodes: str) -> None:
    """What `python -m tensorflow.python.tools.freeze_graph` does, with its output in the working directory.

    Raises RuntimeError where it ends with another status than 0 or writes nothing.
    """
    options = [f"--input_meta_graph={meta}", f"--input_checkpoint={prefix}", "--input_binary=true"]
    os.environ["KERAS_HOME"] = "."  # where Keras, which freeze_graph loads, looks for its settings
    sys.modules["sklearn"] = None  # It loads that too where it is there; of Permafrost's, benchmarks alone need it.
    sys.argv = [PROGRAM, *options, f"--output_node_names={nodes}", "--output_graph=frozen_graph.pb"]
    try:
        runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"freeze_graph ended with {end.code}") from None
    if not Path("frozen_graph.pb").exists():
        raise RuntimeError("freeze_graph wrote nothing")
