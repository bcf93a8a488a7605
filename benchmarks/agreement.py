"""Judges an undamaged zoo again and again, with many seeds, threads and other work on the machine: it must say yes.

    python benchmarks/agreement.py [ZOO] [--models PATTERN] [--seeds N]

Each model of the zoo (by default the sample zoo) is imported and frozen once, and then judged with N seeds under each
condition: one and two threads in each of TensorFlow's pools, on a machine that is idle but for this and on one whose
cores are busy twice over. The table counts how the models ended; the exit status is 1 where a model that is verified in
the first condition is not in another, or where any is a mismatch.
"""

import argparse
import contextlib
import fnmatch
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import pandas as pd
from msgspec.structs import replace

from frozen_models import frozen_model
from permafrost import settings
from permafrost.graph import graph_sources
from permafrost.judge import judging, model_files, sessions
from permafrost.model import Settings
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Provenance
from permafrost.sandbox import runner
from permafrost.zoo import discovery

HOME = Path(__file__).parents[1]
THREADS = (1, 2)
POOLS = ("intra_op_parallelism_threads", "inter_op_parallelism_threads")


def burn() -> None:
    while True:
        pass


@contextlib.contextmanager
def busy(cores: int) -> Iterator[None]:
    """A machine on which as many other processes run as `cores` says."""
    burning = [multiprocessing.Process(target=burn, daemon=True) for _ in range(cores)]
    for process in burning:
        process.start()
    try:
        yield
    finally:
        for process in burning:
            process.kill()


def with_threads(threads: int, *arguments) -> judging.Judgement:
    """What the judge finds with so many threads in each pool."""
    sessions.ENVIRONMENT.update(dict.fromkeys(POOLS, threads))
    return judging.judge(*arguments)


def ending(threads: int, record: ImportRecord, provenance: Provenance, path: Path, chosen: Settings) -> str:
    """How a model ended: `bitwise`, or a cause."""
    limits = runner.limits(chosen) | {"readable": model_files.readable(record, chosen, str(path))}
    model = (graph_sources.absolute(record), provenance, str(path))
    try:
        found = runner.run(with_threads, threads, *model, chosen, os.getcwd(), returns=judging.Judgement, **limits)
    except Problem as problem:
        return problem.cause
    return found.finding.cause if found.finding else found.measured.match


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", nargs="?", default=str(HOME / "models"))
    parser.add_argument("--models", default="*", help="a pattern of ids")
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()

    config = settings.validate({"models": {"*": {"timeout": 3600}}})
    models = discovery.select(discovery.scan([args.zoo], [], {}), lambda series, zoo: "latest")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for source in models:
            if source.problem or not fnmatch.fnmatch(source.id, args.models):
                continue
            chosen = settings.for_model(config, source.id, source.series)
            path = Path(temporary, "frozen_graph.pb")
            frozen = frozen_model(source, chosen, path)
            if frozen is None:
                continue
            for load in (0, 2 * (os.cpu_count() or 1)):
                for threads in THREADS:
                    with busy(load):
                        ended = ending(threads, *frozen, path, replace(chosen, trials=args.seeds))
                    rows.append({"model": source.id, "threads": threads, "busy": load, "ended": ended})
                    print(*rows[-1].values(), sep=", ", file=sys.stderr)
    found = pd.DataFrame(rows)
    print(found.pivot_table(index=["busy", "threads"], columns="ended", values="model", aggfunc="count", fill_value=0))
    endings = found.groupby("model")["ended"]
    return int((endings.nunique() > 1).any() or (found["ended"] == "outputs_differ").any())


if __name__ == "__main__":
    raise SystemExit(main())
