"""What judging costs: the frozen side against the checkpoint's side, and against importing the .pb as it is.

    python benchmarks/verify.py [--rounds N] [NETWORK ...]

Each measurement is made in a child forked from a process that has TensorFlow loaded, as the pipeline's jobs are, and
has its own time (s) and peak memory (MiB) above what it had at the fork. Peers take turns in each round; the table has
medians. The sides are read, imported and run in three trials, each in a fresh session; `judge` is
the whole: structure, weights, three trials on both sides, the negative control.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import pandas as pd

from permafrost import recording
from permafrost.model import Settings
from permafrost.records import ImportRecord, Provenance
from permafrost.stages import freeze_model, import_model

HOME = Path(__file__).parents[1]
TRIALS = 3


def model(directory: Path) -> tuple[ImportRecord, Provenance, Path, dict]:
    """Import record, provenance, frozen graph and settings of the one model in `directory`."""
    from permafrost import settings
    from permafrost.zoo import discovery

    (source,) = discovery.select(discovery.scan([str(directory)], [], {}), lambda series, zoo: "latest")
    chosen = settings.for_model(settings.validate({"models": {"*": {"outputs": ["out"]}}}), source.id, "any")
    record, provenance = recording.begun(ImportRecord, source.id), recording.begun(Provenance, source.id)
    path = directory / "frozen_graph.pb"
    import_model.import_model(source, chosen, record)
    record.batches, record.stale_shapes = [], ""
    freeze_model.freeze(record, chosen, path, provenance)
    return record, provenance, path, chosen


def judge(record: ImportRecord, provenance: Provenance, path: Path, settings: Settings) -> None:
    from permafrost.judge import judging

    found = judging.judge(record, provenance, str(path), settings, "/")
    assert found.measured.match == "bitwise" and not found.finding and found.measured.trials == TRIALS


def checkpoint_side(record: ImportRecord, provenance: Provenance, path: Path, settings: Settings) -> None:
    from permafrost.graph import graph_sources
    from permafrost.judge import sides

    meta_graph = graph_sources.read(record.graph)
    side = sides.CheckpointSide(meta_graph.graph_def, meta_graph, record, ["out:0", "x:0"], [], [], set())
    run(side, record, settings)


def frozen_side(record: ImportRecord, provenance: Provenance, path: Path, settings: Settings) -> None:
    from permafrost.judge import sides

    file = sides.FrozenFile.read(str(path), {row.variable for row in record.variables}, [])
    run(sides.FrozenSide(file, set()), record, settings)


def run(side, record: ImportRecord, settings: Settings) -> None:
    from permafrost.signature import feeds

    for trial in range(TRIALS):
        side.run(["out:0"], feeds.make(record.inputs, settings.seed + trial, 2, "/"))


def whole_pb(record: ImportRecord, provenance: Provenance, path: Path, settings: Settings) -> None:
    """What TensorFlow takes for the .pb alone, with its weights in the graph."""
    import tensorflow as tf

    from permafrost.signature import feeds

    v1 = tf.compat.v1
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.optimizer_options.opt_level = v1.OptimizerOptions.L0
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    for trial in range(TRIALS):
        with v1.Session(graph=graph, config=config) as session:
            session.run("out:0", feeds.make(record.inputs, settings.seed + trial, 2, "/"))


PEERS = {"judge": judge, "checkpoint": checkpoint_side, "frozen": frozen_side, "whole .pb": whole_pb}


def measured(peer: str, arguments: tuple, answer) -> None:
    """Runs a peer in the sandbox's conditions, and sends its seconds and MiB."""
    from permafrost.judge import model_files
    from permafrost.sandbox import runner

    def work() -> list[float]:
        before, begin = recording.peak_mb(), time.perf_counter()
        PEERS[peer](*arguments)
        return [time.perf_counter() - begin, recording.peak_mb() - before]

    record, _, path, settings = arguments
    readable = model_files.readable(record, settings, str(path))
    answer.send(runner.run(work, seconds=600, memory_mb=16384, readable=readable))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("network", nargs="*", default=["tiny", "lenet", "lstm", "training", "200MB", "1GB"])
    args = parser.parse_args()
    context = get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "pandas"])
    rows = []
    with tempfile.TemporaryDirectory(prefix="permafrost-benchmark-") as temporary:
        for name in args.network:
            networks = [sys.executable, HOME / "benchmarks" / "networks.py", temporary, name]
            subprocess.run(networks, check=True, stderr=subprocess.DEVNULL)
            directory = Path(temporary, name)
            arguments = model(directory)
            size = arguments[2].stat().st_size / 2**20
            for number in range(args.rounds + 1):  # The first fills the page cache and is not counted.
                for peer in PEERS:
                    receiver, sender = context.Pipe(duplex=False)
                    process = context.Process(target=measured, args=(peer, arguments, sender))
                    process.start()
                    seconds, mib = receiver.recv()
                    process.join()
                    if number:
                        rows.append({"network": name, "peer": peer, "seconds": seconds, "mib": mib, "size": size})
            for path in directory.iterdir():
                path.unlink()
    found = pd.DataFrame(rows)
    table = found.pivot_table(index="network", columns="peer", aggfunc="median", sort=False)
    seconds, memory, size = table["seconds"], table["mib"], table["size"]["frozen"]
    summary = pd.DataFrame(
        {
            ".pb (MiB)": size,
            **{f"{peer} (s)": seconds[peer] for peer in PEERS},
            "frozen / checkpoint": seconds["frozen"] / seconds["checkpoint"],
            "frozen / whole .pb": seconds["frozen"] / seconds["whole .pb"],
            **{f"{peer} (MiB)": memory[peer] for peer in PEERS},
            "frozen (MiB) / .pb": (memory["frozen"] / size).where(size > 100),
            "whole .pb (MiB) / .pb": (memory["whole .pb"] / size).where(size > 100),
        }
    )
    with pd.option_context("display.width", 250, "display.max_columns", 20, "display.float_format", "{:.3f}".format):
        print(summary.T)


if __name__ == "__main__":
    main()
