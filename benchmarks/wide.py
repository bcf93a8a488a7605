"""How what Permafrost does grows with a wide zoo and a large graph: CPU seconds at half the size, and at the whole.

    python benchmarks/wide.py [CASE ...] [--part PART] [--directory DIRECTORY]

Looks at a directory with 3,000 steps of a model, and at a zoo of 100,000 files, as the Snakefile does when it is
parsed: for the first time, and again with what it kept of that. Then a graph of 200,000 nodes goes through the Python
of the stages, as in large_graphs.py. What grows with the size takes twice the time at the whole. `--part 0.1` measures
a tenth of each. Zoos of 10,000 models are scale.py's.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from large_graphs import chain, grown, measured
from permafrost.workflow.pipeline import Pipeline
from permafrost.zoo import state_file

HOME = Path(__file__).parents[1]
SAVED = HOME / "models" / "linear" / "model.ckpt"
ENDS = (".index", ".meta", ".data-00000-of-00001")
PER_DIRECTORY = 100  # files, in the zoo of many
STEPS = 32  # of the model of each directory there


@dataclass
class Case:
    """What is measured: its size, and what makes it in an empty directory and gives CPU seconds by what was done."""

    size: int
    measure: Callable[[Path, int], dict[str, float]]


def save(directory: Path, steps: range) -> None:
    """Makes a directory with steps of one model, as hard links to one checkpoint of its own."""
    directory.mkdir(parents=True)
    for step in steps:
        for end in ENDS:
            os.link(directory.parents[1] / f"saved{end}", directory / f"model.ckpt-{step}{end}")
    (directory / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{steps[-1]}"\n')


def discovered(directory: Path) -> dict[str, float]:
    """CPU seconds of looking at directory/zoo, first and again."""
    config = yaml.safe_load((HOME / "config.yaml").read_text())
    config |= {name: str(directory / name) for name in ("zoo", "frozen", "reports")}
    seconds = {}
    for when in ("first", "again"):
        began = time.process_time()
        pipeline = Pipeline(config, True, [])
        seconds[f"discovery, {when}"] = time.process_time() - began
        (directory / "reports").mkdir(exist_ok=True)
        state_file.keep(pipeline.handed, pipeline.state_file)
    return seconds


def steps(directory: Path, count: int) -> dict[str, float]:
    """A model with `count` steps."""
    save(directory / "zoo" / "model", range(1, count + 1))
    return discovered(directory)


def files(directory: Path, count: int) -> dict[str, float]:
    """A zoo of `count` files: in each directory the steps of a model, and others."""
    for number in range(count // PER_DIRECTORY):
        place = directory / "zoo" / f"{number:05}"
        save(place, range(1, STEPS + 1))
        for other in range(PER_DIRECTORY - 1 - STEPS * len(ENDS)):
            (place / f"notes-{other}.txt").write_text("none of a checkpoint's\n")
    return discovered(directory)


def nodes(directory: Path, count: int) -> dict[str, float]:
    """A graph that ends with a chain of `count` nodes."""
    return measured(grown(chain, count, directory / "large.meta"), directory)


CASES = {
    "steps": Case(3_000, steps),
    "files": Case(100_000, files),
    "nodes": Case(200_000, nodes),
}


def rows(name: str, case: Case, part: float, above: Path | None) -> list[dict[str, object]]:
    """The rows of the table on a case."""
    sizes = [int(case.size * part / 2), int(case.size * part)]
    found = []
    for size in sizes:
        directory = Path(tempfile.mkdtemp(prefix="wide-", dir=above))
        try:
            for end in ENDS:
                shutil.copyfile(f"{SAVED}{end}", directory / f"saved{end}")
            found.append(case.measure(directory, size))
        finally:
            shutil.rmtree(directory)
    half, whole = found
    return [
        {"": name, "size": sizes[1], "what": what, "half (s)": half[what], "whole (s)": whole[what]}
        | {"as a multiple": whole[what] / half[what]}
        for what in whole
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}; by default all")
    parser.add_argument("--part", type=float, default=1, help="of the sizes")
    parser.add_argument("--directory", type=Path, help="where the zoos are made; a temporary directory by default")
    args = parser.parse_args()
    import tensorflow  # noqa: F401 - its import is no part of a stage

    if args.directory:
        args.directory.mkdir(parents=True, exist_ok=True)
    table = [row for name in args.cases for row in rows(name, CASES[name], args.part, args.directory)]
    print(pd.DataFrame(table).to_string(index=False, float_format="{:,.2f}".format))
    return 0


if __name__ == "__main__":
    sys.exit(main())
