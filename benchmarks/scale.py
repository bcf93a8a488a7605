"""How the pipeline does with many models, against one freeze_graph process for each, and against Snakemake alone.

    python benchmarks/scale.py [--sizes N ...] [--freeze-graphs N] [--directory DIRECTORY]

For each size it makes a zoo of as many tiny models, each with weights of its own, and runs the pipeline over it on two
cores: everything; with nothing changed; with the weights of one model changed. The peer of the first is
`python -m tensorflow.python.tools.freeze_graph`, a process for each model and two at a time, of which some are timed
and taken for all. The peer of the second is a Snakefile with as many jobs, of as many files, that do nothing. These two
are run in turn, and the table has the medians. A column is a size.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

HOME = Path(__file__).parents[1]
QUIET = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
SNAKEMAKE = [
    sys.executable,
    "-m",
    "snakemake",
    "--cores",
    "2",
    "--workflow-profile",
    str(HOME / "profiles" / "default"),
]
CORES = 2
PER_DIRECTORY = 100  # models
ROUNDS = 3  # of the runs with nothing to be done

# The jobs and files of the pipeline, without the work. What the pipeline switches off in Snakemake when a run starts is
# switched off here too, or 40,000 jobs would take hours to be done once; it has no part in a run with nothing to do.
TRIVIAL = f"""
import sys

sys.path.insert(0, {str(HOME / "scripts")!r})
from permafrost.workflow.scheduling import patch_scheduler

onstart:
    patch_scheduler(workflow)
"""
TRIVIAL += """
MODELS = [line.strip() for line in open("models.txt")]

rule all:
    input: "end", expand("made/{model}/{name}", model=MODELS, name=list("abcdefghijk"))

rule one:
    output: "made/{model}/a", "made/{model}/b"
    shell: "touch {output}"

rule two:
    input: "made/{model}/a"
    output: "made/{model}/c"
    shell: "touch {output}"

rule three:
    input: "made/{model}/a", "made/{model}/c"
    output: "made/{model}/d", "made/{model}/e"
    shell: "touch {output}"

rule four:
    input: "made/{model}/a", "made/{model}/c"
    output: expand("made/{{model}}/{name}", name=list("fghijk"))
    shell: "touch {output}"

rule end:
    input: expand("made/{model}/{name}", model=MODELS, name=list("acdik"))
    output: "end"
    shell: "touch {output}"
"""


def model_path(number: int) -> str:
    """The prefix of a model's checkpoint below the zoo."""
    return f"{number // PER_DIRECTORY:04}/{number:06}/model.ckpt"


def make_zoo(zoo: Path, first: int, count: int) -> None:
    """Saves models with random weights, from number `first` on; one that is there already gets other weights."""
    os.environ.update(QUIET)
    import tensorflow as tf

    from networks import tiny

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        tiny()
        again = v1.global_variables_initializer()
        randomise = [variable.assign(tf.random.normal(variable.shape)) for variable in v1.global_variables()]
        saver = v1.train.Saver(max_to_keep=0)
        with v1.Session(graph=graph) as session:
            session.run(again)
            for number in range(first, first + count):
                prefix = zoo / model_path(number)
                prefix.parent.mkdir(parents=True, exist_ok=True)
                session.run(randomise)
                saver.save(session, str(prefix))


@dataclass
class Run:
    """What a process took: wall time in s, the largest resident memory of the process itself in MiB, what it said."""

    seconds: float
    mib: float
    output: str


def run(command: list[str], directory: Path) -> Run:
    """Runs a command; raises RuntimeError where it fails."""
    with tempfile.TemporaryFile("w+") as output:
        begin, mib = time.perf_counter(), 0.0
        process = subprocess.Popen(command, cwd=directory, env=QUIET, stdout=output, stderr=output)
        while process.poll() is None:
            # What wait4() tells would be the largest of the process and all that it waited for.
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            mib = max(mib, int(peak[1]) / 1024 if peak else 0)
            time.sleep(0.05)
        seconds = time.perf_counter() - begin
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{text}")
    return Run(seconds, mib, text)


def pipeline(directory: Path) -> Run:
    """Runs the pipeline over directory/zoo."""
    where = ["zoo=zoo", "frozen=frozen", "reports=reports"]
    return run([*SNAKEMAKE, "--snakefile", str(HOME / "Snakefile"), "--config", *where], directory)


def nothing_done(done: Run) -> Run:
    """The run itself; raises RuntimeError if it had something to do."""
    if "Nothing to be done" not in done.output:
        raise RuntimeError(f"there was something to be done:\n{done.output}")
    return done


def trivial(directory: Path, count: int) -> None:
    """Runs a Snakefile with as many jobs as the pipeline has, of as many files, that do nothing."""
    prefixes = [model_path(number) for number in range(count)]
    (directory / "models.txt").write_text("".join(f"{prefix}\n" for prefix in prefixes))
    (directory / "Snakefile").write_text(TRIVIAL)
    run([*SNAKEMAKE, "--cores", "50"], directory)


def freeze_graphs(directory: Path, count: int, sample: int) -> float:
    """Seconds that freeze_graph takes for `count` models, two at a time, by those of the first `sample`."""

    def freeze(number: int) -> None:
        prefix = directory / "zoo" / model_path(number)
        options = [f"--input_meta_graph={prefix}.meta", f"--input_checkpoint={prefix}", "--input_binary=true"]
        options += ["--output_node_names=out", f"--output_graph={directory / 'freeze_graph' / f'{number}.pb'}"]
        run([sys.executable, "-m", "tensorflow.python.tools.freeze_graph", *options], directory)

    (directory / "freeze_graph").mkdir()
    sample = min(sample, count)
    begin = time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(freeze, range(sample)))
    return (time.perf_counter() - begin) * count / sample


def summarize(directory: Path) -> float:
    """Seconds that the reports on all models take."""
    options = ["--state", "reports/.zoo.json", "--frozen", "frozen", "--reports", "reports"]
    for report in ("summary", "timings", "op_types", "findings"):
        options += [f"--{report.replace('_', '-')}", f"{report}.csv"]
    return run([sys.executable, str(HOME / "scripts" / "summarize.py"), *options], directory).seconds


def measure(directory: Path, count: int, sample: int) -> dict[str, float]:
    """A column of the table: the figures of a zoo of `count` models, which is made in `directory`."""
    make_zoo(directory / "zoo", 0, count)
    first = pipeline(directory)
    peer = freeze_graphs(directory, count, sample)
    trivial(directory, count)
    idle, idle_peer = [], []
    for _ in range(ROUNDS):
        idle.append(nothing_done(pipeline(directory)))
        idle_peer.append(nothing_done(run(SNAKEMAKE, directory)))
    nothing, alone = (statistics.median(done.seconds for done in runs) for runs in (idle, idle_peer))
    make_zoo(directory / "zoo", count // 2, 1)
    changed = pipeline(directory)
    jobs = re.search(r"([\d,]+) steps? to do", changed.output)
    if jobs is None:
        raise RuntimeError(f"the run with a changed model did not say what it had to do:\n{changed.output}")
    return {
        "everything (s)": first.seconds,
        "  a model (ms)": 1000 * first.seconds / count,
        f"  freeze_graph, by {min(sample, count)} models (s)": peer,
        "  as a part of freeze_graph's": first.seconds / peer,
        "nothing changed (s)": nothing,
        "  Snakemake alone (s)": alone,
        "  as a multiple of Snakemake's": nothing / alone,
        "one model changed (s)": changed.seconds,
        "  jobs": int(jobs[1].replace(",", "")),
        "  more than nothing changed (s)": changed.seconds - nothing,
        "memory of the main process (MiB)": max(done.mib for done in (first, *idle, changed)),
        "  Snakemake alone (MiB)": max(done.mib for done in idle_peer),
        "summarize (s)": summarize(directory),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000], help="numbers of models")
    parser.add_argument("--freeze-graphs", type=int, default=10, help="how many models freeze_graph is timed with")
    parser.add_argument("--directory", type=Path, help="where the zoos are made; a temporary directory by default")
    arguments = parser.parse_args()
    columns = {}
    for count in arguments.sizes:
        directory = Path(tempfile.mkdtemp(prefix="scale-", dir=arguments.directory))
        try:
            columns[f"{count:,}"] = measure(directory, count, arguments.freeze_graphs)
        finally:
            shutil.rmtree(directory)
        print(f"{count:,} models done", file=sys.stderr)
    print(pd.DataFrame(columns).to_string(float_format="{:,.2f}".format))
    return 0


if __name__ == "__main__":
    sys.exit(main())
