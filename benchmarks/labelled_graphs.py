"""Training graphs whose outputs are known: those of a zoo with a manifest, and those that the tests build.

A manifest is a TSV or CSV file with the columns `name` (a directory of the zoo), `source` (owner/repository), `outputs`
(nodes or tensors, joined by commas) and `prefix_used` (the checkpoint, where a directory has several).
"""

import csv
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.ops import registry
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import MetaGraphDef
from permafrost.outcome import Problem
from permafrost.signature.forward.surveying import surveyed
from permafrost.signature.ranking.anatomy import Anatomy
from permafrost.signature.ranking.candidates import candidates
from permafrost.signature.ranking.equal_nodes import value_of
from permafrost.signature.ranking.features import Features, features

csv.field_size_limit(1 << 30)


@dataclass
class Labelled:
    """A training graph, the features of its candidates, and the nodes whose values its users fetch.

    owner: of the repository; empty for a graph that the tests build.
    """

    name: str
    owner: str
    anatomy: Anatomy
    features: dict[str, Features]
    wanted: set[str]

    @property
    def are_candidates(self) -> bool:
        """Whether all wanted outputs are among the candidates."""
        return self.wanted <= {value_of(self.anatomy.index, name) for name in self.features}


def of_zoo(zoo: Path) -> Iterator[Labelled]:
    """The labelled graphs of a zoo with a MANIFEST.tsv, those whose meta graph cannot be read left out."""
    registry.load()
    with (zoo / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        wanted = [name.strip() for name in (row["outputs"] or "").split(",") if name.strip()]
        path = meta_file(zoo / row["name"], row["prefix_used"] or "")
        if not wanted or path is None:
            continue
        try:
            meta_graph = read_meta_graph(path)
        except Problem as problem:
            print(f"{row['name']}: {problem.message}", file=sys.stderr)
            continue
        yield labelled(row["name"], row["source"].partition("/")[0].lower(), meta_graph, wanted)


def meta_file(directory: Path, prefix: str) -> Path | None:
    """The meta graph of a checkpoint in a directory, or one of the same stem; None where there is none."""
    found = sorted(directory.rglob("*.meta"), key=lambda path: (len(str(path)), str(path)))
    stem = prefix.rpartition("/")[2]
    same = [path for path in found if path.name.removesuffix(".meta") == stem]
    alike = [path for path in found if stem and path.name.startswith(stem)]
    return next(iter(same or alike or found), None)


def of_tests() -> Iterator[Labelled]:
    """The graphs of tests/support/training_graphs."""
    import training_graphs
    from exported import meta_graph_of

    registry.load()
    for build, (outputs, _inputs) in training_graphs.WANTED.items():
        yield labelled(build.__name__, "", meta_graph_of(build), sorted(outputs))


def labelled(name: str, owner: str, meta_graph: MetaGraphDef, wanted: list[str]) -> Labelled:
    """A meta graph with the features of its candidates."""
    index = GraphIndex(meta_graph.graph_def)
    variables = {node for node, op in index.ops.items() if op in VARIABLE_OPS}
    anatomy = Anatomy(surveyed(meta_graph, index, variables))
    found = features(anatomy, candidates(anatomy))
    return Labelled(name, owner, anatomy, found, {value_of(anatomy.index, tensor_name(node)[0]) for node in wanted})
