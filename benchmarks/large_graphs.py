"""How long the stages take with graphs of very many nodes, inputs, ends or functions.

    python benchmarks/large_graphs.py [GRAPH ...]

Prints the CPU seconds of each stage's own Python: choosing, planning and writing, and listing up to where TensorFlow
imports the graph.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from permafrost import recording
from permafrost.graph import graph_sources
from permafrost.graph.metagraph import producer_ops, read_meta_graph
from permafrost.graph.protos import types_pb2
from permafrost.model import Model
from permafrost.records import ImportRecord, Provenance
from permafrost.sandbox import limits
from permafrost.stages import freeze_model, import_model, list_model
from stages import default_settings, sources

HOME = Path(__file__).parents[1]


def add(graph_def, name: str, op: str, inputs: list[str], **numbers: int) -> str:
    """Adds a node of floats to a GraphDef, with `numbers` as attributes; returns its name."""
    node = graph_def.node.add(name=name, op=op, input=inputs)
    node.attr["dtype" if op == "Placeholder" else "T"].type = types_pb2.DT_FLOAT
    for key, value in numbers.items():
        node.attr[key].i = value
    return name


def chain(graph_def, last: str, count: int) -> str:
    """`count` nodes, one after the other."""
    for number in range(count):
        last = add(graph_def, f"chain_{number}", "Identity", [last])
    return last


def wide(graph_def, last: str, count: int) -> str:
    """`count` ends."""
    for number in range(count):
        add(graph_def, f"end_{number}", "Identity", [last])
    return last


def placeholders(graph_def, last: str, count: int) -> str:
    """`count` inputs, added up."""
    fed = [add(graph_def, f"input_{number}", "Placeholder", []) for number in range(count)]
    return add(graph_def, "added", "Add", [last, add(graph_def, "all", "AddN", fed, N=count)])


def diamonds(graph_def, last: str, count: int) -> str:
    """`count` nodes that each take the one before twice, so that there are 2 ** `count` ways."""
    for number in range(count):
        last = add(graph_def, f"diamond_{number}", "Add", [last, last])
    return last


def functions(graph_def, last: str, count: int) -> str:
    """`count` functions, of which each calls the next."""
    for number in range(count):
        function = graph_def.library.function.add()
        function.signature.name = f"function_{number}"
        function.signature.input_arg.add(name="a", type=types_pb2.DT_FLOAT)
        function.signature.output_arg.add(name="o", type=types_pb2.DT_FLOAT)
        innermost = number == count - 1
        node = function.node_def.add(name="n", op="Identity" if innermost else f"function_{number + 1}", input=["a"])
        if innermost:
            node.attr["T"].type = types_pb2.DT_FLOAT
        function.ret["o"] = "n:output:0" if innermost else "n:o:0"
    graph_def.node.add(name="called", op="function_0", input=[last])
    return "called"


GRAPHS: dict[str, tuple[Callable, int]] = {
    "chain": (chain, 200_000),
    "wide": (wide, 50_000),
    "placeholders": (placeholders, 100_000),
    "diamonds": (diamonds, 5_000),
    "functions": (functions, 10_000),
}


def grown(maker: Callable, count: int, path: Path) -> Model:
    """The source of a small model of the sample zoo whose graph goes on with what `maker` makes, written to `path`."""
    source = next(iter(sources(HOME / "models" / "linear").values()))
    meta_graph = read_meta_graph(source.meta)
    graph_def = meta_graph.graph_def
    end = next(node for node in reversed(graph_def.node) if node.op in ("Add", "AddV2", "MatMul", "Mul", "BiasAdd"))
    add(graph_def, "end", "Identity", [maker(graph_def, end.name, count)])
    path.write_bytes(meta_graph.SerializeToString())
    return replace(source, meta=str(path))


def measured(source: Model, directory: Path) -> dict[str, float]:
    """CPU seconds by stage. Raises Problem where the model cannot be frozen."""
    chosen = default_settings()
    record, provenance = recording.begun(ImportRecord, "m"), recording.begun(Provenance, "m")
    pb = directory / "frozen_graph.pb"
    seconds = {"import_meta": took(limits.held, chosen, import_model.import_model, source, chosen, record)}
    record.batches, record.rehearsal, record.stale_shapes = [], "", ""
    seconds["freeze"] = took(freeze_model.freeze, record, chosen, pb, provenance)
    seconds["list_ops"] = took(limits.held, chosen, list_everything, record, provenance, pb)
    return seconds


def list_everything(record: ImportRecord, provenance: Provenance, pb: Path) -> None:
    meta_graph, frozen = graph_sources.read(record.graph), list_model.frozen_graph_of(provenance, pb)
    list_model.findings(record, provenance, meta_graph, frozen, [])
    list_model.picture(provenance, frozen)
    list_model.prepared(meta_graph.graph_def, producer_ops(meta_graph))
    list_model.prepared(frozen)


def took(work: Callable, *args) -> float:
    began = time.process_time()
    work(*args)
    return time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", nargs="*", default=list(GRAPHS), help=f"of {', '.join(GRAPHS)}; by default all")
    args = parser.parse_args()
    import tensorflow  # noqa: F401 - its import is no part of a stage

    print(f"{'':<14}{'nodes':>9}{'import_meta':>13}{'freeze':>9}{'list_ops':>10}")
    for name in args.graphs:
        maker, count = GRAPHS[name]
        with tempfile.TemporaryDirectory() as directory:
            source = grown(maker, count, Path(directory) / "large.meta")
            seconds = measured(source, Path(directory))
        print(
            f"{name:<14}{count:>9}"
            + "".join(f"{seconds[s]:>{w}.1f}" for s, w in zip(seconds, (13, 9, 10), strict=True))
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
