"""How long freezing takes and how much memory, against TensorFlow's freeze_graph and a plain copy of the files.

    python benchmarks/freeze.py [--rounds N] [NETWORK ...]

Each round runs every peer once, one after the other, on the same files; the table has the medians of the rounds.
Whole processes are timed from their start to their end. `in process` is a loop in a process that has all loaded.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import msgspec
import pandas as pd

HOME = Path(__file__).parents[1]
SCRIPTS = HOME / "scripts"
QUIET = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
IDLE = [sys.executable, "-c", "pass"]


# Runs the commands that it reads, a JSON list a line. A small process of its own, since the largest resident memory
# that the kernel tells of a child begins with that of the process which forked it.
LAUNCHER = """
import json, os, sys, time
for line in sys.stdin:
    begin = time.perf_counter()
    pid = os.posix_spawnp((command := json.loads(line))[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    print(json.dumps([time.perf_counter() - begin, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]))
    sys.stdout.flush()
"""


class Launcher:
    """Times commands from outside; what they print is thrown away."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=QUIET,
        )

    def measure(self, command: list[str]) -> tuple[float, float]:
        """(wall time in s, largest resident memory in MiB) of a command; raises RuntimeError where it fails."""
        # Standard output is the launcher's own.
        quiet = ["sh", "-c", 'exec "$@" > /dev/null', "sh", *command]
        self._process.stdin.write(json.dumps(quiet) + "\n")
        self._process.stdin.flush()
        seconds, mib, status = json.loads(self._process.stdout.readline())
        if status:
            raise RuntimeError(f"{' '.join(command)} ended with {status}")
        return seconds, mib


def import_record(directory: Path) -> Path:
    """Runs the stage before freezing, once; gives the path of its record."""
    record = directory / "import.json"
    source = {
        "prefix": str(directory / "model.ckpt"),
        "meta": str(directory / "model.ckpt.meta"),
        "step": None,
        "format": "V2",
        "bytes": 0,
        "findings": [],
        "problem": None,
    }
    settings = {"outputs": ["out"], "inputs": {}, "weights": "raw", "checkpoint_version": None}
    settings |= {"unsaved_variables": "initial", "seed": 0}
    settings |= {"timeout": 300, "memory_mb": 8192, "file_mb": 64, "processes": 1024}
    settings |= {"allow_ops": [], "allow_paths": []}
    program = [sys.executable, str(SCRIPTS / "import_meta.py"), "--model", directory.name]
    written = [str(record), str(directory / "outputs.csv")]
    arguments = ["--source", json.dumps(msgspec.to_builtins(source)), "--settings", json.dumps(settings), *written]
    subprocess.run([*program, *arguments], check=True, env=QUIET, stderr=subprocess.DEVNULL)
    return record


OPTIONS = {
    "clear_devices": True,
    "initializer_nodes": [],
    "variable_names_allowlist": [],
    "variable_names_denylist": [],
}


def peers(directory: Path) -> dict[str, list[str]]:
    """The commands that are timed as whole processes, by name."""
    record, out = import_record(directory), directory / "out"
    out.mkdir()
    prefix = str(directory / "model.ckpt")
    files = [str(path) for path in sorted(directory.glob("model.ckpt*"))]
    program = [sys.executable, str(SCRIPTS / "freeze.py"), "--model", directory.name, "--import-record", str(record)]
    theirs = [sys.executable, "-m", "tensorflow.python.tools.freeze_graph", "--input_binary=true"]
    return {
        "permafrost": [*program, "--options", json.dumps(OPTIONS), str(out / "provenance.json")],
        "freeze_graph": [
            *theirs,
            f"--input_meta_graph={prefix}.meta",
            f"--input_checkpoint={prefix}",
            f"--output_graph={out / 'theirs.pb'}",
            "--output_node_names=out",
        ],
        "cp": ["cp", "--reflink=never", *files, str(out)],
    }


def serve(pipe) -> None:
    """A process with everything loaded: freezes what it is asked to, by either way, and answers with the seconds."""
    os.environ.update(QUIET)
    sys.path.insert(0, str(SCRIPTS))
    import tensorflow as tf

    from permafrost import recording
    from permafrost.model import Settings
    from permafrost.records import ImportRecord, Provenance
    from permafrost.stages import freeze_model

    v1 = tf.compat.v1
    while request := pipe.recv():
        peer, directory = request
        begin = time.perf_counter()
        if peer == "permafrost in process":
            imported = recording.load(directory / "import.json", ImportRecord)
            record = recording.begun(Provenance, "m")
            freeze_model.freeze(imported, Settings(**OPTIONS), directory / "out" / "frozen_graph.pb", record)
        else:
            with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
                saver = v1.train.import_meta_graph(str(directory / "model.ckpt.meta"), clear_devices=True)
                saver.restore(session, str(directory / "model.ckpt"))
                frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["out"])
            (directory / "out" / "loop.pb").write_bytes(frozen.SerializeToString(deterministic=True))
        pipe.send(time.perf_counter() - begin)


def table(measured: pd.DataFrame) -> pd.DataFrame:
    """A row for each network: medians over the rounds, and the ratios that matter."""
    seconds = measured.pivot_table(index="network", columns="peer", values="seconds", aggfunc="median", sort=False)
    memory = measured.pivot_table(index="network", columns="peer", values="mib", aggfunc="median", sort=False)
    return pd.DataFrame(
        {
            "permafrost (s)": seconds["permafrost"],
            "freeze_graph (s)": seconds["freeze_graph"],
            "cp (s)": seconds["cp"],
            "permafrost / freeze_graph": seconds["permafrost"] / seconds["freeze_graph"],
            "permafrost / cp": seconds["permafrost"] / seconds["cp"],
            "in process (s)": seconds["permafrost in process"],
            "loop (s)": seconds["loop in process"],
            "in process / loop": seconds["permafrost in process"] / seconds["loop in process"],
            "memory above idle (MiB)": memory["permafrost"] - memory["idle"],
            "freeze_graph's (MiB)": memory["freeze_graph"] - memory["idle"],
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("network", nargs="*", help="of benchmarks/networks.py; all of them by default")
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="permafrost-benchmark-"))
    rows = []
    try:
        subprocess.run([sys.executable, HOME / "benchmarks" / "networks.py", directory, *args.network], check=True)
        context = get_context("spawn")
        pipe, end = context.Pipe()
        server = context.Process(target=serve, args=(end,), daemon=True)
        server.start()
        launcher = Launcher()
        for path in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            commands = {"idle": IDLE} | peers(path)
            for number in range(args.rounds + 1):  # The first fills the page cache and is not counted.
                for peer, command in commands.items():
                    seconds, mib = launcher.measure(command)
                    rows.append({"network": path.name, "peer": peer, "round": number, "seconds": seconds, "mib": mib})
                for peer in ("permafrost in process", "loop in process"):
                    pipe.send((peer, path))
                    rows.append({"network": path.name, "peer": peer, "round": number, "seconds": pipe.recv()})
            assert (path / "out" / "frozen_graph.pb").read_bytes() == (path / "out" / "theirs.pb").read_bytes()
            shutil.rmtree(path)
        pipe.send(None)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    measured = pd.DataFrame(rows)
    with pd.option_context("display.width", 250, "display.max_columns", 20, "display.float_format", "{:.3f}".format):
        print(table(measured[measured["round"] > 0]).T)


if __name__ == "__main__":
    main()
