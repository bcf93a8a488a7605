"""Chooses a model's outputs: those its settings name, else its signatures', else the ends of its forward graph.

The ends of the forward graph that depend on weights and on inputs, but not on labels, are what a user of the model
would fetch. They are ranked by what speaks for each of them.
"""

import re
from collections import deque
from dataclasses import dataclass, field

from permafrost.graph.dtypes import dtype_name
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops import node_checks
from permafrost.graph.ops.registry import registered
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import MetaGraphDef, NodeDef, types_pb2
from permafrost.outcome import Problem, maybe_meant
from permafrost.records import Ranked
from permafrost.signature import subnetworks
from permafrost.signature.training.forward import Forward
from permafrost.signature.training.marks import HEADS, INTERNAL, STRUCTURAL

_TOLD = re.compile(
    r"(^|[/_])(predict\w*|outputs?|logits?|prob\w*|scores?|softmax|sigmoid|action|value\w*|classes|embeddings?|y_pred)"
    r"(_\d+)?$",
    re.IGNORECASE,
)

_MOST_OUTPUTS = 256  # that are chosen without being asked for
_MOST_PATHS = 100  # of a beam search; a damaged graph can ask for any number


@dataclass
class Choice:
    """Chosen outputs as node names (or `name:1` for a further output), the reason, and all candidates, best first."""

    outputs: list[str]
    why: str
    ranking: list[Ranked] = field(default_factory=list)


def choose(meta_graph: MetaGraphDef, index: GraphIndex, variables: set[str], configured: list[str] | None) -> Choice:
    """The outputs to freeze.

    Args:
      variables: names of the variable nodes.
      configured: node or tensor names from the model's settings, or None.
    Raises Problem: unknown_output for a configured name that the graph lacks or that has no value to fetch,
      no_output where none is found.
    """
    if configured:
        return Choice(list(dict.fromkeys(_known(name, index) for name in configured)), "named in the settings")
    if signed := _signature_outputs(meta_graph, index):
        return signed
    forward = Forward(meta_graph, index, variables)
    ranking = _rank(forward)
    chosen = [entry.name for entry in ranking if entry.chosen]
    if not chosen:
        raise Problem("no_output", "no node of the graph depends on a variable and looks like an output")
    return Choice(chosen, sentence(ranking), ranking)


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
        raise Problem("unknown_output", f"output {name!r} cannot be fetched: {reason}")
    return f"{node}:{output}" if output else node


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


def _signature_outputs(meta_graph: MetaGraphDef, index: GraphIndex) -> Choice | None:
    outputs, keys = [], []
    for key in sorted(meta_graph.signature_def):
        named = [tensor_name(info.name) for _, info in sorted(meta_graph.signature_def[key].outputs.items())]
        found = [
            f"{node}:{output}" if output else node
            for node, output in named
            if node in index.nodes and not _not_fetchable(index.nodes[node], output)
        ]
        if found:
            outputs += found
            keys.append(key)
    return Choice(list(dict.fromkeys(outputs)), f"signature {', '.join(keys)}") if outputs else None


def _rank(forward: Forward) -> list[Ranked]:
    """All candidates, best first; `chosen` ones are strong, or reach weights that no strong one reaches."""
    index = forward.index
    ends = {name for name in forward.live if forward.is_end(name)}
    told = {name for name in forward.live if index.ops[name] == "Identity" and _TOLD.search(name)}
    own_heads = {name for name in forward.live if index.ops[name] in HEADS and _has_own_name(index.nodes[name])}
    names = ends | forward.compared | told | own_heads
    for name in list(names):
        names |= _before_head(forward, name) | _reshaped_for_loss(forward, name) | _taken_apart(forward, name, ends)
    borders = _borders(forward, names)
    entries = []
    for name in sorted(names | set(borders) | forward.transitions):
        before = index.reach([name])
        weights = before & (forward.variables | forward.transitions)
        entry = _Candidate(
            name=name,
            weights=weights,
            forced=bool(before & forward.targets) and name not in told,
            random=not forward.drawing.isdisjoint(before),
        )
        _score(forward, entry, ends, names, borders)
        entries.append(entry)
    most = max((len(entry.weights) for entry in entries), default=0)
    for entry in entries:
        share = len(entry.weights) / most if most else 0
        entry.score = round(entry.score + 2 * share, 2)
        entry.reasons.append(f"depends on {len(entry.weights)} of {len(forward.variables)} variables")
    entries.sort(key=lambda entry: (-entry.score, entry.name))
    _decide(index, entries)
    for entry in [entry for entry in entries if entry.chosen][_MOST_OUTPUTS:]:
        entry.chosen = False
        entry.reasons.append(f"{_MOST_OUTPUTS} others rank before it")
    return [
        Ranked(name, entry.score, entry.chosen, entry.reasons)
        for entry in entries
        for name in _tensors(index.nodes[entry.name])
    ]


@dataclass
class _Candidate:
    """A node that could be an output: the variables that it depends on, and what speaks for it.

    forced: whether it depends on what a loss compares outputs with. random: whether random numbers are drawn for it.
    """

    name: str
    weights: set[str]
    forced: bool
    random: bool
    score: int | float = 0
    chosen: bool = False
    reasons: list[str] = field(default_factory=list)


def _before_head(forward: Forward, name: str) -> set[str]:
    """The logits and probabilities before a head such as ArgMax: each head's input, as far as heads follow on heads."""
    found, seen, waiting = set(), set(), deque([(name, False)])
    while waiting:
        name, after_head = waiting.popleft()
        if name in seen:
            continue
        seen.add(name)
        op, sources = forward.index.ops[name], forward.live_sources(name)
        if op in HEADS or (after_head and (op not in STRUCTURAL or _is_told(name))):
            found.add(name)
        gathers_steps = op == "Pack" and len(sources) > 1  # of a sequence, of which each goes on into the next
        if op in HEADS or (op in STRUCTURAL and not gathers_steps):
            waiting.extend((source, after_head or op in HEADS) for source in sources)
    return found


def _is_told(name: str) -> bool:
    return bool(_TOLD.search(name)) and not INTERNAL.search(name)


def _reshaped_for_loss(forward: Forward, name: str) -> set[str]:
    """What a node that a loss uses reshapes, where it comes from another name scope: the network's own result."""
    node = forward.index.nodes[name]
    if name not in forward.compared or node.op not in STRUCTURAL or not forward.index.inputs_of(node):
        return set()
    source = forward.index.inputs_of(node)[0][0]
    unnamed = node.op.lower() == re.sub(r"_\d+$", "", name.rpartition("/")[2]).lower()
    moved = source.split("/")[:-1][:1] != name.split("/")[:-1][:1]
    return {source} if source in forward.live and unnamed and moved else set()


def _taken_apart(forward: Forward, name: str, ends: set[str]) -> set[str]:
    """What an end of the graph was before a loss took it apart, as it does with the rows of a batch of triplets."""
    node = forward.index.nodes[name]
    if name not in ends or node.op not in ("Unpack", "Split", "SplitV"):
        return set()
    while node.op in STRUCTURAL and forward.index.inputs_of(node):
        source = forward.index.inputs_of(node)[node.op == "Split"][0]
        if source not in forward.live:
            return set()
        node = forward.index.nodes[source]
    return {node.name}


def _has_own_name(node: NodeDef) -> bool:
    """Whether the program named a node, so that its name is not that of its op."""
    leaf = re.sub(r"_\d+$", "", node.name.rpartition("/")[2]).lower()
    return leaf != node.op.lower() and not INTERNAL.search(node.name) and not re.search(r"softmax|sigmoid|max$", leaf)


def _borders(forward: Forward, names: set[str]) -> dict[str, str]:
    """Node -> why, for what one of several networks hands to the next, as a generator does to its critic."""
    used = forward.index.reach(names) & forward.variables
    membership = subnetworks.networks(forward.index, used)
    found = subnetworks.seams(forward.index, membership, forward.live, forward.data_consumers) if membership else {}
    borders = {}
    for name, (own, further) in found.items():
        for result in _without_sampling(forward, name):
            if result not in forward.reduced:
                borders[result] = f"{own} hands it to {further}"
    return borders


def _without_sampling(forward: Forward, name: str) -> set[str]:
    """The node itself; or, where it was drawn at random, the results of layers that say from what."""
    if name not in forward.random:
        return {name}
    results, seen, waiting = set(), set(), deque([name])
    while waiting:
        name = waiting.popleft()
        if name in seen or name not in forward.live:
            continue
        seen.add(name)
        if name not in forward.random and forward.is_result(name):
            results.add(name)
            continue
        waiting.extend(source for source, _ in forward.index.inputs[name])
    return results


def _score(forward: Forward, entry: _Candidate, ends: set[str], names: set[str], borders: dict[str, str]) -> None:
    name, node = entry.name, forward.index.nodes[entry.name]

    def add(points: float, reason: str) -> None:
        entry.score += points
        entry.reasons.append(reason)

    if name in borders:
        add(3, borders[name])
    if name in forward.transitions:
        add(5, "decoding needs these scores from one label to the next")
    if node.op in HEADS and _has_own_name(node):
        add(1, "the program gave it a name of its own")
    if name in forward.compared:
        add(3, "a loss compares it with labels")
    if node.op in HEADS:
        add(2, f"is a {HEADS[node.op]} head")
    elif any(forward.index.ops[n] in HEADS and n in names for n in forward.data_consumers(name)):
        add(2, "goes into a head")
    if name in ends:
        add(1, "end of the forward graph")
    if forward.is_result(name):
        add(1, "result of a layer")
    if name in forward.trained:
        add(1, "is trained")
    if _TOLD.search(name):
        add(1, "named as an output")
        if node.op == "Identity":
            add(2, "the program gave it a name of its own")
    if node.op in ("Exit", "RefExit", "TensorArrayGatherV3", "TensorArrayReadV3", "TensorArraySizeV3"):
        add(-3, "left over from a loop")
    if name in forward.reduced and name not in forward.joins:
        add(-3, "a single number")


def _decide(index: GraphIndex, entries: list[_Candidate]) -> None:
    strong = [entry for entry in entries if entry.score >= 3]
    covered = set().union(*(entry.weights for entry in strong)) if strong else set()
    for entry in entries:
        further = not entry.weights <= covered
        entry.chosen = bool(entry.weights) and (entry.score >= 3 or further)
        if entry.chosen:
            covered |= entry.weights
    unforced = {frozenset(entry.weights) for entry in entries if entry.chosen and not entry.forced}
    for entry in entries:
        if entry.forced and any(weights >= entry.weights for weights in unforced):
            entry.chosen = False
            entry.reasons.append("the same weights are there without a label that is fed as an input")

    def layer(entry: _Candidate) -> tuple[str, frozenset[str]]:
        return index.nodes[entry.name].op, frozenset(entry.weights)

    steady = {layer(entry) for entry in entries if entry.chosen and not entry.random}
    for entry in entries:
        # The same layer without dropout or sampling is the copy of the network that is there for inference.
        if entry.random and layer(entry) in steady:
            entry.chosen = False
            entry.reasons.append("the same is there without random ops")


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
