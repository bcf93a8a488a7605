"""Chooses a model's outputs: those its settings name, else its signatures', else a likely set of what its graph has.

What speaks for a candidate, for a set and for its being complete is fitted on graphs whose outputs are known
(signature.ranking; benchmarks/fit_outputs.py).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from permafrost.graph.dtypes import dtype_name
from permafrost.graph.index import GraphIndex, node_in_cycle, tensor_name
from permafrost.graph.loading import INIT_OP_SIGNATURE
from permafrost.graph.ops import node_checks
from permafrost.graph.ops.registry import registered
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import MetaGraphDef, NodeDef, types_pb2
from permafrost.outcome import Problem, maybe_meant
from permafrost.records import FEW_WEIGHTS, Ranked
from permafrost.signature.forward.surveying import surveyed
from permafrost.signature.ranking import confidence, tables
from permafrost.signature.ranking.anatomy import Anatomy
from permafrost.signature.ranking.candidates import candidates
from permafrost.signature.ranking.features import Features, features
from permafrost.signature.ranking.selection import Pool

_MOST_PATHS = 100  # of a beam search; a damaged graph can ask for any number
_SERVED = "serving_default"
_TO_RUN = (
    "this op has no value and is only run; what is to be run before the outputs, such as what fills tables, belongs "
    "under `initializer_nodes:`, and under `outputs:` what a user fetches"
)
_LISTED = 50  # candidates, the best, and besides these all ends of the graph


@dataclass
class Choice:
    """Chosen outputs as node names (or `name:1` for a further output), the reason, and candidates, best first.

    confidence: how likely no output is missing, from 0 to 1; 1 where they are named. reach: the share of the trained
    weights that they depend on, None where nobody knows it. further: a candidate that depends on more of them, or "".
    alone: where these are the outputs of several signatures, the choice of one of them.
    """

    outputs: list[str]
    why: str
    ranking: list[Ranked] = field(default_factory=list)
    confidence: float = 1.0
    reach: float | None = None
    further: str = ""
    alone: "Choice | None" = None


def choose(
    meta_graph: MetaGraphDef,
    index: GraphIndex,
    variables: set[str],
    configured: list[str] | None,
    without: Collection[str] = (),
) -> Choice:
    """The outputs to freeze.

    Args:
      variables: names of the variable nodes.
      configured: node or tensor names from the model's settings, or None.
      without: nodes that are none of the outputs, where these are not configured.
    Raises Problem: unknown_output for a configured name that the graph lacks or that has no value to fetch,
      no_output where none is found, bad_meta_graph where a node depends on itself.
    """
    if configured:
        names = list(dict.fromkeys(_known(name, index) for name in configured))
        return Choice(names, "named in the settings", _alternatives(meta_graph, index, variables, names))
    if choice := _signature_outputs(meta_graph, index, without):
        return choice
    if meta_graph.object_graph_def.nodes:
        # All that calls a function there is the saver and the loader.
        raise Problem(
            "no_output",
            "the SavedModel of TensorFlow 2 has no signature, and nothing else in its graph computes an output",
            "export it again with `signatures=`",
        )
    return _likely_outputs(Anatomy(surveyed(meta_graph, index, variables)), without)


def _alternatives(meta_graph: MetaGraphDef, index: GraphIndex, variables: set[str], named: list[str]) -> list[Ranked]:
    """What else could be an output than what the settings name, as it is ranked where they name none."""
    if meta_graph.object_graph_def.nodes:
        return []
    try:
        found = _likely_outputs(Anatomy(surveyed(meta_graph, index, variables)), ()).ranking
    except Problem:
        return []
    return [replace(entry, chosen=entry.name in named) for entry in found]


def sentence(ranking: list[Ranked]) -> str:
    """Why the outputs that a ranking chooses were chosen; the first five."""
    reasons = [f"{entry.name}: {', '.join(entry.reasons)}" for entry in ranking if entry.chosen]
    return "; ".join(reasons[:5]) + ("; ..." if len(reasons) > 5 else "")


def _known(name: str, index: GraphIndex) -> str:
    node, output = tensor_name(name)
    if node not in index.nodes:
        hint = maybe_meant(node, index.nodes, cutoff=0.5)
        raise Problem("unknown_output", f"the graph has no node {node!r}, which `outputs:` names", hint)
    if reason := _not_fetchable(index.nodes[node], output):
        hint = "" if _has_value(index.nodes[node]) else _TO_RUN
        raise Problem("unknown_output", f"output {name!r} cannot be fetched: {reason}", hint)
    return f"{node}:{output}" if output else node


def _has_value(node: NodeDef) -> bool:
    definition = registered(node.op)
    return definition is None or node_checks.output_count(node, definition) > 0


def _not_fetchable(node: NodeDef, output: int) -> str:
    """Why a tensor has no value to fetch; empty where it has one. A variable stands for its value."""
    definition = registered(node.op)
    if definition is None:
        return ""
    count = node_checks.output_count(node, definition)
    if output >= count:
        return f"{node.op} has {count} output{'' if count == 1 else 's'}"
    dtype = node_checks.output_dtype(node, definition, output)
    if dtype in (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT) and node.op not in VARIABLE_OPS:
        return f"it is a {dtype_name(dtype)} handle"
    return ""


def _signature_outputs(meta_graph: MetaGraphDef, index: GraphIndex, without: Collection[str]) -> Choice | None:
    """The outputs of all signatures; `alone` has those that a server gives where a client names no signature."""
    of_keys = {}
    for key in sorted(set(meta_graph.signature_def) - {INIT_OP_SIGNATURE}):
        if found := _outputs_of(meta_graph.signature_def[key], index, without):
            of_keys[key] = found
    if not of_keys:
        return None
    outputs = list(dict.fromkeys(name for found in of_keys.values() for name in found))
    first = _SERVED if _SERVED in of_keys else next(iter(of_keys))
    alone = Choice(of_keys[first], f"signature {first}") if len(of_keys) > 1 else None
    return Choice(outputs, f"signature {', '.join(of_keys)}", alone=alone)


def _outputs_of(signature: Any, index: GraphIndex, without: Collection[str]) -> list[str]:
    """The outputs of a SignatureDef, by its names for them, that the graph has and that have a value."""
    named = [tensor_name(info.name) for _, info in sorted(signature.outputs.items())]
    found = [
        f"{node}:{output}" if output else node
        for node, output in named
        if node in index.nodes and node not in without and not _not_fetchable(index.nodes[node], output)
    ]
    return list(dict.fromkeys(found))


def _likely_outputs(anatomy: Anatomy, without: Collection[str]) -> Choice:
    """The likeliest set of candidates, none of which is one of the nodes `without`.

    Raises Problem: no_output where there are none, bad_meta_graph where a node depends on itself.
    """
    nodes = anatomy.index.nodes
    if cyclic := node_in_cycle(anatomy.index, nodes.keys() - set(anatomy.order)):
        raise Problem("bad_meta_graph", f"node {cyclic!r} depends on itself, and no while loop is around it")
    names = [name for name in candidates(anatomy) if name not in without and not _not_fetchable(nodes[name], 0)]
    if not names:
        raise Problem("no_output", "the graph computes nothing from a variable, from what is fed or at random")
    known, table = features(anatomy, names), tables.candidates()
    log_odds = {name: table.log_odds(known[name]) for name in names}
    pool = Pool(anatomy, known, log_odds)
    chosen = pool.choose(tables.sets())
    ranking = _ranking(anatomy, known, log_odds, chosen)
    described = confidence.described(pool, chosen, tables.sets())
    reach, further = _reach(confidence.Reach(anatomy), pool, chosen)
    return Choice(
        [entry.name for entry in ranking if entry.chosen],
        sentence(ranking),
        ranking,
        round(tables.confidence().probability(described), 3),
        reach,
        further,
    )


def _ranking(
    anatomy: Anatomy, known: dict[str, Features], log_odds: dict[str, float], chosen: list[str]
) -> list[Ranked]:
    """The best candidates, all that are chosen and all ends, the likeliest by itself first."""
    best = sorted(log_odds, key=lambda name: (-log_odds[name], name))
    listed = [
        name for place, name in enumerate(best) if place < _LISTED or name in chosen or not anatomy.taken_by(name)
    ]
    return [
        Ranked(tensor, round(log_odds[name], 2), name in chosen, tables.candidates().reasons(known[name]))
        for name in listed
        for tensor in _tensors(anatomy.index.nodes[name])
    ]


def _reach(reach: confidence.Reach, pool: Pool, chosen: list[str]) -> tuple[float, str]:
    """The share of the trained weights that outputs depend on; where it is small, the best candidate with more."""
    share = reach.share(chosen)
    if share >= FEW_WEIGHTS:
        return round(share, 3), ""
    shares = {name: reach.share([*chosen, name]) for name in pool.left(chosen)}
    more = [name for name in shares if shares[name] > share]
    return round(share, 3), next((name for name in more if shares[name] >= FEW_WEIGHTS), next(iter(more), ""))


def _tensors(node: NodeDef) -> list[str]:
    """The tensors of a node that make up its result."""
    count = 1
    if node.op in ("TopK", "TopKV2"):
        count = 2
    elif node.op == "CTCGreedyDecoder":
        count = 4
    elif node.op == "CTCBeamSearchDecoder":
        count = 3 * min(node.attr["top_paths"].i, _MOST_PATHS) + 1
    return [node.name, *(f"{node.name}:{output}" for output in range(1, count))]
