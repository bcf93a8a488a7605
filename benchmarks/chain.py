"""How long the whole chain takes for real networks, against freeze_graph, which verifies and reports nothing.

    python benchmarks/chain.py [ZOO] [--rounds N] [--most N] [--directory DIRECTORY] [--packages PACKAGES]

ZOO is a directory of checkpoints; without it the networks of benchmarks/published_networks.py are made. One run of the
pipeline over all of it fills the page cache and finds the outputs, and freeze_graph shows which models it can do: those
that have a meta graph, and that it does not fail on. Then each round runs the pipeline over the top directories with
these models, from nothing, on two cores, and as many freeze_graph processes (benchmarks/freeze_graphs.py), two at a
time. The tables have the medians of the rounds: of all, of each stage, of the models that take most of the time, and
the peak memory of `verify` beside what a model's weights allow it.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from freeze_graphs import Job, freeze_all
from permafrost import layout, recording
from permafrost.graph.index import tensor_name
from permafrost.records import ImportRecord, Provenance
from scale import CORES, HOME, SNAKEMAKE, run

# What the judge may use, in MiB, of a model whose outputs need `weights` MiB.
ALLOWED_SHARE, ALLOWED = 2.5, 300
MIB = 1 << 20


def pipeline(zoo: Path, directory: Path) -> float:
    """Seconds of a run over `zoo` that makes frozen/ and reports/ in `directory`, which is empty or not there."""
    directory.mkdir(exist_ok=True)
    settings = [f"zoo={zoo}", "follow_links=true", "on_failure=report", "frozen=frozen", "reports=reports"]
    return run([*SNAKEMAKE, "--snakefile", str(HOME / "Snakefile"), "--config", *settings], directory).seconds


def timings_of(directory: Path) -> pd.DataFrame:
    """What each stage of each model took in a run (report.tables.timings)."""
    return pd.read_csv(directory / "reports" / layout.TIMINGS)


def jobs_of(directory: Path) -> dict[str, Job]:
    """Model -> what freeze_graph needs for it, of the models of a run that were frozen and have a meta graph."""
    jobs = {}
    for model, record, _ in frozen_models(directory):
        if record.meta.endswith(".meta"):
            nodes = dict.fromkeys(tensor_name(name)[0] for name in record.outputs)
            jobs[model] = Job(record.prefix, record.meta, tuple(nodes))
    return jobs


def frozen_models(directory: Path) -> Iterator[tuple[str, ImportRecord, Provenance]]:
    """The models of a run that were frozen, with their records."""
    for model in timings_of(directory)["model"].unique():
        provenance = recording.load(layout.of_frozen(directory / "frozen", model, layout.PROVENANCE), Provenance)
        if provenance.status == Provenance.good:
            path = layout.of_model(directory / "reports", model, layout.IMPORT)
            yield model, recording.load(path, ImportRecord), provenance


def some_of(zoo: Path, prefixes: list[str], directory: Path) -> Path:
    """A zoo of links, made in `directory`, to those directories of `zoo` below which the prefixes are."""
    directory.mkdir()
    for name in {Path(prefix).relative_to(zoo).parts[0] for prefix in prefixes}:
        (directory / name).symlink_to(zoo / name)
    return directory


@dataclass
class Round:
    """What a round took: wall time and CPU time (s) of the chain and of freeze_graph, and the chain's timings."""

    chain: float
    freeze_graph: float
    chain_cpu: float
    freeze_graph_cpu: float
    timings: pd.DataFrame


def measured(zoo: Path, jobs: list[Job], directory: Path) -> Round:
    """One round; raises RuntimeError where freeze_graph fails on a job."""
    seconds = pipeline(zoo, directory)
    timings = timings_of(directory)
    shutil.rmtree(directory)
    peer, frozen = freeze_all(jobs, CORES)
    if failed := [each.failure for each in frozen if each.failure]:
        raise RuntimeError(f"freeze_graph fails on what it could do before: {failed[0]}")
    return Round(seconds, peer, timings["cpu_seconds"].sum(), sum(each.cpu_seconds for each in frozen), timings)


def ratios(rounds: list[Round]) -> pd.DataFrame:
    """Medians over the rounds, of wall time and of CPU time; the chain's is that of the stages of its models."""
    table = pd.DataFrame(
        {
            "wall time": {"chain (s)": _median(rounds, "chain"), "freeze_graph (s)": _median(rounds, "freeze_graph")},
            "CPU time": {
                "chain (s)": _median(rounds, "chain_cpu"),
                "freeze_graph (s)": _median(rounds, "freeze_graph_cpu"),
            },
        }
    ).T
    return table.assign(ratio=table["chain (s)"] / table["freeze_graph (s)"])


def _median(rounds: list[Round], name: str) -> float:
    return statistics.median(getattr(each, name) for each in rounds)


def by_stage(timings: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row for each model, those that take most first, and a column for each stage: medians over the rounds."""
    table = timings.pivot_table(index="model", columns="stage", values=column, aggfunc="median", sort=False)
    table["all"] = table.sum(axis=1)
    return table.sort_values("all", ascending=False)


def memory(timings: pd.DataFrame, weights: dict[str, float]) -> pd.DataFrame:
    """MiB that `verify` had at its peak, and that it may have, of each model; those that exceed it most first.

    Args:
      weights: model -> the MiB of the weights that its outputs need.
    """
    peaks = timings[timings["stage"] == "verify"].groupby("model")["peak_mb"].median()
    table = pd.DataFrame({"weights": pd.Series(weights), "peak": peaks}).dropna()
    table["allowed"] = ALLOWED_SHARE * table["weights"] + ALLOWED
    table["peak / allowed"] = table["peak"] / table["allowed"]
    return table.sort_values("peak / allowed", ascending=False)


def compare(zoo: Path, number: int, most: int, directory: Path) -> None:
    """Prints all tables for a zoo; what is made meanwhile lies in `directory`."""
    first = directory / "first"
    seconds = pipeline(zoo, first)
    weights = {model: sum(t.bytes for t in found.tensors) / MIB for model, _, found in frozen_models(first)}
    jobs = those_done(jobs_of(first))
    shutil.rmtree(first)
    print(f"{len(weights)} models were frozen, in {seconds:.1f} s with the first run; freeze_graph can do {len(jobs)}")
    some = some_of(zoo, [job.prefix for job in jobs], directory / "zoo")
    rounds = [measured(some, jobs, directory / "run") for _ in range(number)]
    print(f"\nthese, {CORES} at a time\n{ratios(rounds)}")
    show(pd.concat([each.timings for each in rounds]), weights, most)


def those_done(jobs: dict[str, Job]) -> list[Job]:
    """The jobs that freeze_graph does not fail on; says on stderr why it fails on others."""
    done = []
    for (model, job), frozen in zip(jobs.items(), freeze_all(list(jobs.values()), CORES)[1], strict=True):
        if frozen.failure:
            print(f"freeze_graph fails on {model}: {frozen.failure}", file=sys.stderr)
        else:
            done.append(job)
    return done


def show(timings: pd.DataFrame, weights: dict[str, float], most: int) -> None:
    """Prints what each stage took, and the judge's memory, of the `most` models that take most."""
    for column, unit in (("seconds", "wall time"), ("cpu_seconds", "CPU time")):
        table = by_stage(timings, column)
        print(f"\n{unit} (s)\n{pd.concat([table.sum().to_frame('all').T, table.head(most)])}")
    print(f"\nmemory of verify (MiB)\n{memory(timings, weights).head(most)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path, nargs="?", help="a directory of checkpoints")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=10, help="how many models are listed")
    parser.add_argument("--directory", type=Path, help="where all is made; a temporary directory by default")
    parser.add_argument("--packages", type=Path, help="for benchmarks/published_networks.py")
    args = parser.parse_args()
    if args.directory:
        args.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="chain-", dir=args.directory)).resolve()
    try:
        if args.zoo is None:
            packages = ["--packages", str(args.packages.resolve())] if args.packages else []
            program = [sys.executable, str(HOME / "benchmarks" / "published_networks.py")]
            run([*program, str(directory / "made"), *packages], directory)
        with pd.option_context(
            "display.width", 200, "display.max_columns", 20, "display.float_format", "{:.2f}".format
        ):
            compare((args.zoo or directory / "made").resolve(), args.rounds, args.most, directory)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
