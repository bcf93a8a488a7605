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


def rounds(zoo: Path, jobs: list[Job], number: int, directory: Path) -> Iterator[tuple[float, float, pd.DataFrame]]:
    """Seconds of the chain and of freeze_graph, and the chain's timings, in each round.

    Raises RuntimeError where freeze_graph fails on a job.
    """
    for _ in range(number):
        seconds = pipeline(zoo, directory)
        timings = timings_of(directory)
        shutil.rmtree(directory)
        peer, frozen = freeze_all(jobs, CORES)
        if failed := [each.failure for each in frozen if each.failure]:
            raise RuntimeError(f"freeze_graph fails on what it could do before: {failed[0]}")
        yield seconds, peer, timings


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
    jobs = jobs_of(first)
    weights = {model: sum(t.bytes for t in found.tensors) / MIB for model, _, found in frozen_models(first)}
    _, frozen = freeze_all(list(jobs.values()), CORES)
    shutil.rmtree(first)
    done = [job for job, each in zip(jobs.values(), frozen, strict=True) if not each.failure]
    print(f"{len(weights)} models were frozen, in {seconds:.1f} s with the first run; freeze_graph can do {len(done)}")
    some = some_of(zoo, [job.prefix for job in done], directory / "zoo")
    chains, peers, timings = zip(*rounds(some, done, number, directory / "run"), strict=True)
    chain, peer, all_timings = statistics.median(chains), statistics.median(peers), pd.concat(timings)
    print(f"the chain {chain:.1f} s, freeze_graph {peer:.1f} s, {CORES} at a time: {chain / peer:.2f} times")
    for column, unit in (("seconds", "wall time"), ("cpu_seconds", "CPU time")):
        table = by_stage(all_timings, column)
        print(f"\n{unit} (s)\n{pd.concat([table.sum().to_frame('all').T, table.head(most)])}")
    print(f"\nmemory of verify (MiB)\n{memory(all_timings, weights).head(most)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path, nargs="?", help="a directory of checkpoints")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=int, default=10, help="how many models are listed")
    parser.add_argument("--directory", type=Path, help="where all is made; a temporary directory by default")
    parser.add_argument("--packages", type=Path, help="for benchmarks/published_networks.py")
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="chain-", dir=args.directory)).resolve()
    try:
        if args.zoo is None:
            packages = ["--packages", str(args.packages.resolve())] if args.packages else []
            program = [sys.executable, str(HOME / "benchmarks" / "published_networks.py")]
            run([*program, str(directory / "made"), *packages], directory)
        with pd.option_context("display.width", 200, "display.float_format", "{:.2f}".format):
            compare((args.zoo or directory / "made").resolve(), args.rounds, args.most, directory)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
