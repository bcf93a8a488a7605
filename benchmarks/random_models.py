"""Freezes and judges random graphs of reads and writes, and compares what is verified with TensorFlow's own runs.

    python benchmarks/random_models.py [--first SEED] [--graphs N]

Each seed gives a small graph of variables (references, resources), aliases, reads, writes, conds, loops, functions and
control edges (tests/support/random_graphs.py). It is saved, imported, frozen and judged in this process, and where the
judge verifies it, the frozen graph's values on feeds of its own are looked for among those of up to eight plain
sessions of the untouched meta graph (tests/support/comparing.py). The table counts how the graphs ended, `open order`
being those whose row tells of a read and a write in no order; the exit status is 1 where a verified graph differs.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import pandas as pd
import tensorflow as tf

import random_graphs
from comparing import Outcome, compared


def outcome_of(seed: int) -> Outcome:
    with tempfile.TemporaryDirectory() as directory:
        return compared(lambda: random_graphs.build(seed), Path(directory))


def row_of(seed: int) -> dict:
    """What became of the graph of a seed; differences are printed as they come."""
    outcome = outcome_of(seed)
    for feed, theirs, ours in outcome.differing:
        print(f"seed {seed}: on {feed} TensorFlow gives {theirs}, the frozen graph {ours}", flush=True)
    verdict = outcome.verdict.partition(":")[0]
    return {"verdict": verdict, "open order": outcome.unordered, "differs": bool(outcome.differing)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="seed of the first graph")
    parser.add_argument("--graphs", type=int, default=1000, help="how many graphs")
    args = parser.parse_args()
    tf.get_logger().setLevel("ERROR")
    rows = []
    for seed in range(args.first, args.first + args.graphs):
        rows.append(row_of(seed))
        if len(rows) % 1000 == 0:
            print(f"{len(rows)} graphs", flush=True)
    table = (
        pd.DataFrame(rows).groupby(["verdict", "open order"]).agg(graphs=("differs", "size"), differ=("differs", "sum"))
    )
    print(table.to_string())
    return int(table["differ"].sum() > 0)


if __name__ == "__main__":
    sys.exit(main())
