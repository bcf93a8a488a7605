"""Chooses a model's outputs: those its settings name, else its signatures', else the ends of its forward graph.

A training graph holds far more than the network: gradients, optimizers, savers, summaries, losses and metrics. What is
left without them is the forward graph. Its ends that depend on weights and on inputs, but not on labels, are what a
user of the model would fetch. A label is an input that meets the network only where nothing but a loss or a metric
comes after.
"""

import difflib
import os
import re
from collections import deque
from dataclasses import dataclass, field
from math import prod

from permafrost.contract import Problem
from permafrost.inputs import constant, feed_points
from permafrost.metagraph import GraphIndex, tensor_name

# Values end here: what these ops write, save, show or check is no output of a network.
_SINKS = re.compile(
    r"^(Resource(Sparse)?Apply.*|(Sparse)?Apply.*|Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max)|ResourceScatter.*"
    r"|Save(V2|Slices)?|.*Summary(V2)?|Queue(Enqueue|Close|Size).*|PyFunc(Stateless)?|EagerPyFunc|Print(V2)?|Assert"
    r"|NoOp|AsString|(Var)?IsVariableInitialized(Op)?|VarIsInitializedOp|Write.*|.*Barrier.*|Accumulator.*|Stage)$"
)
_UPDATES = re.compile(r"^(Assign(Add|Sub)?(VariableOp)?|(Resource)?Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max))$")
_STATISTICS = ("AssignAdd", "AssignSub", "AssignAddVariableOp", "AssignSubVariableOp")
# What comes out depends on the shape of what goes in, not on its values.
_SHAPE_OPS = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
_LOSSES = re.compile(r"^(.*CrossEntropyWithLogits|CTCLoss(V2)?|L2Loss|InTopK(V2)?|EditDistance)$")
_METRIC_ENDS = re.compile(r"^(Equal|NotEqual|ApproximateEqual|SquaredDifference|LogicalAnd)$")
_REDUCTIONS = {"Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "L2Loss"}
_HEADS = {
    "Softmax": "softmax", "LogSoftmax": "log softmax", "Sigmoid": "sigmoid", "ArgMax": "arg max", "ArgMin": "arg min",
    "TopK": "top k", "TopKV2": "top k", "Round": "rounding", "Multinomial": "sampling",
    "CTCGreedyDecoder": "CTC decoder", "CTCBeamSearchDecoder": "CTC decoder",
}  # fmt: skip
_ACTIVATIONS = {"Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Softsign"}
_POOLS = {
    "MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "LRN", "Pad", "PadV2", "MirrorPad", "ResizeBilinear",
    "ResizeNearestNeighbor", "DepthToSpace", "SpaceToDepth",
}  # fmt: skip
# A loss or a metric that converts a result uses that result; the conversion is none of its own.
_PASSED = {"Cast", "StopGradient"}
_SELECTIONS = {"TopK", "TopKV2", "Round"}  # Heads after a layer; elsewhere, losses select their hard examples so.
_STRUCTURAL = {
    "Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Cast", "StridedSlice", "Slice", "Pack", "Unpack",
    "Concat", "ConcatV2", "Split", "SplitV", "StopGradient", "CheckNumerics", "IdentityN", "BatchToSpaceND",
}  # fmt: skip
_FOLLOWING = _STRUCTURAL | _ACTIVATIONS | _POOLS | _SELECTIONS  # What may follow a layer and still be its result.
# What losses do to a result before they compare it with labels.
_LOSS_SIDE = {"Log", "Log1p", "Neg", "Maximum", "Minimum", "ClipByValue", "Square", "Sqrt", "Pow", "Exp", "Softplus"}
_RANDOM = re.compile(r"^(Random|Stateless(Random|Truncated)|TruncatedNormal|ParameterizedTruncated|Multinomial).*")
_NO_WEIGHT = re.compile(r"(^|/)(global_step|(val_|training_)?step|epoch)(/part_\d+)?$", re.IGNORECASE)
_GRADIENTS = re.compile(r"(^|/)gradients(_\d+)?/")
_TOLD = re.compile(
    r"(^|[/_])(predict\w*|outputs?|logits?|prob\w*|scores?|softmax|sigmoid|action|value\w*|classes|embeddings?|y_pred)"
    r"(_\d+)?$",
    re.IGNORECASE,
)
# Names that TensorFlow gives inside its own functions, and people to the scopes of losses.
_INTERNAL = re.compile(r"(^|/)(control_dependency|group_deps|read)(_\d+)?$|cross_?entropy|loss(es)?(_\d+)?/", re.I)
_MASKS = re.compile(r"(^|/)boolean_mask(_\d+)?/")
_METRIC_SCOPES = re.compile(r"(^|/)(confusion_matrix|metrics?|accuracy|eval\w*)(_\d+)?(/|$)", re.IGNORECASE)


@dataclass
class Choice:
    """Chosen outputs as node names (or `name:1` for a further output), the reason, and all candidates, best first.

    Each entry of `ranking` has `name`, `score`, `chosen` and `reasons`.
    """

    outputs: list[str]
    why: str
    ranking: list[dict] = field(default_factory=list)


def choose(meta_graph, index: GraphIndex, variables: set[str], configured: list[str] | None) -> Choice:
    """The outputs to freeze.

    Args:
      variables: names of the variable nodes.
      configured: node or tensor names from the model's settings, or None.
    Raises Problem: unknown_output for a configured name that the graph lacks, no_output where none is found.
    """
    if configured:
        return Choice(list(dict.fromkeys(_known(name, index) for name in configured)), "named in the settings")
    if signed := _signature_outputs(meta_graph, index):
        return signed
    forward = _Forward(meta_graph, index, variables)
    ranking = _rank(forward)
    chosen = [entry["name"] for entry in ranking if entry["chosen"]]
    if not chosen:
        raise Problem("no_output", "no node of the graph depends on a variable and looks like an output")
    reasons = [f"{e['name']}: {', '.join(e['reasons'])}" for e in ranking if e["chosen"]]
    return Choice(chosen, "; ".join(reasons[:5]) + ("; ..." if len(reasons) > 5 else ""), ranking)


def _known(name: str, index: GraphIndex) -> str:
    node, output = tensor_name(name)
    if node not in index.nodes:
        close = difflib.get_close_matches(node, index.nodes, n=3, cutoff=0.5)
        hint = f"maybe you meant {' or '.join(close)}" if close else ""
        raise Problem("unknown_output", f"the graph has no node {node!r}, which `outputs:` names", hint)
    return f"{node}:{output}" if output else node


def _signature_outputs(meta_graph, index: GraphIndex) -> Choice | None:
    outputs, keys = [], []
    for key in sorted(meta_graph.signature_def):
        named = [tensor_name(info.name) for _, info in sorted(meta_graph.signature_def[key].outputs.items())]
        found = [f"{node}:{output}" if output else node for node, output in named if node in index.nodes]
        if found:
            outputs += found
            keys.append(key)
    return Choice(list(dict.fromkeys(outputs)), f"signature {', '.join(keys)}") if outputs else None


class _Forward:
    """The forward graph of a training graph: sets of node names, each a step of the reasoning.

    side: gradients, savers, summaries, updates and what only they use. weighted: depends on a variable. fed: depends on
    a feed point or a random op. parameters: weights on their way to where they meet data. joins: where they meet.
    tail: nodes after which only losses and metrics come. labels: feed points (tensors) that only tails use. live: the
    candidates for outputs, i.e. weighted, depending on an input but on no label, and no tail. compared: live nodes
    that a loss compares with a label.
    """

    def __init__(self, meta_graph, index: GraphIndex, variables: set[str]):
        self.index = index
        self.order = list(index.graph_def.node)
        self.variables = {name for name in variables if name in index.nodes and not _NO_WEIGHT.search(name)}
        self.trained = _differentiated(index)
        self.side = self._side_nodes()
        statistics = self._statistics()
        self.weighted = self._onward(self.variables)
        self.feeds = feed_points(index)
        random = {node.name for node in self.order if _RANDOM.match(node.op)}
        self.fed = self._onward(name for name, _ in self.feeds) | self._onward(random)
        self.reduced = self._reduced()
        self.parameters = self._onward(self.variables - statistics) - self.fed - self.reduced
        self.joins = {name for name in self.weighted & self.fed if self._takes(name, self.parameters)}
        self._drop_updates()
        self.losses = self._losses(meta_graph)
        self.tail = self._tails()
        self.labels = [point for point in self.feeds if self._is_label(*point)]
        inputs = [point for point in self.feeds if point not in self.labels]
        after_labels = self._after(self.labels)
        after_inputs = self._after(inputs) | self._onward(random)
        loops, branches = self._frames()
        usable = self.weighted - self.side - after_labels - self.losses - loops - branches - self.variables
        usable -= self.parameters
        reachable = usable & after_inputs or usable
        self.compared = self._compared(reachable, after_labels | self.losses)
        self.live = (reachable - self.tail) | self.compared or reachable
        self.closing = self.tail | after_labels | self.losses

    def is_end(self, name: str) -> bool:
        """Whether only losses and metrics use a node's values."""
        consumers = [node for node in self.data_consumers(name) if node.op not in _SHAPE_OPS]
        return all(node.name in self.closing and node.name not in self.live for node in consumers)

    def data_consumers(self, name: str) -> list:
        """The consumers of a node that are part of the forward graph."""
        return [node for node in self.index.consumers.get(name, []) if node.name not in self.side]

    def _takes(self, name: str, among: set[str]) -> bool:
        return any(source in among for source, _ in self.index.inputs_of(self.index.nodes[name]))

    def _onward(self, names) -> set[str]:
        """What depends on the values of `names` in the forward graph, `names` included."""
        reached, waiting = set(), deque(names)
        while waiting:
            name = waiting.popleft()
            if name in reached or name in self.side:
                continue
            reached.add(name)
            waiting.extend(n.name for n in self.data_consumers(name) if n.op not in _SHAPE_OPS)
        return reached

    def _after(self, points: list[tuple[str, int]]) -> set[str]:
        """What depends on the values of the tensors `points`; other outputs of their nodes do not count."""
        return self._onward(node.name for point in points for node in self._users(*point))

    def _users(self, name: str, output: int) -> list:
        users = [node for node in self.data_consumers(name) if node.op not in _SHAPE_OPS]
        return [node for node in users if (name, output) in self.index.inputs_of(node)]

    def _side_nodes(self) -> set[str]:
        side = {n.name for n in self.order if _GRADIENTS.search(n.name) or _SINKS.match(n.op)}
        side |= {n.name for n in self.order if _UPDATES.match(n.op) and not self.index.consumers.get(n.name)}
        waiting = deque(name for name in side if _GRADIENTS.search(name))
        self.learning = set(waiting)
        while waiting:  # Clipping and scaling of gradients, up to the ops that apply them.
            for node in self.index.consumers.get(waiting.popleft(), []):
                if node.name not in self.learning:
                    self.learning.add(node.name)
                    waiting.append(node.name)
        return side | self.learning

    def _statistics(self) -> set[str]:
        """Variables that the forward pass itself counts up or averages: moving means, metrics, steps."""
        return {
            self.index.inputs_of(node)[0][0]
            for node in self.order
            if node.op in _STATISTICS and node.input and node.name not in self.learning
        }

    def _drop_updates(self) -> None:
        """Adds to `side` the assignments whose value nothing uses, and the arithmetic that only they use."""
        kept = self.joins | self.variables | {node.name for node in self.order if node.op in _HEADS}
        updates = {n.name for n in self.order if _UPDATES.match(n.op) and not self.data_consumers(n.name)}
        waiting = deque(reversed(self.order))
        while waiting:
            node = waiting.popleft()
            consumers = self.index.consumers.get(node.name, [])
            if node.name in updates or node.name in kept or not consumers:
                continue
            if all(consumer.name in updates for consumer in consumers):
                updates.add(node.name)
                sources = [source for source, _ in self.index.inputs_of(node)]
                waiting.extend(self.index.nodes[source] for source in sources if source in self.index.nodes)
        self.side |= updates

    def _reduced(self) -> set[str]:
        """Single numbers that were made of tensors of more elements, and single numbers computed from them."""
        scalar, reduced = set(), set()
        for node in self.order:
            sources = [source for source, _ in self.index.inputs_of(node)]
            known = _size_of(node)
            if node.op == "Const" and not known:
                value = constant(node)
                known = value.size if value is not None else None
            whole = known == 1 or (node.op in _REDUCTIONS and self._reduces_all(node))
            if whole or (not known and sources and all(source in scalar for source in sources)):
                scalar.add(node.name)
                if (whole and sources and sources[0] not in scalar) or any(source in reduced for source in sources):
                    reduced.add(node.name)
        return reduced

    def _reduces_all(self, node) -> bool:
        if _size_of(node) is not None:
            return _size_of(node) == 1
        if node.op == "L2Loss":
            return True
        axes = self.index.nodes.get(self.index.inputs_of(node)[1][0]) if len(self.index.inputs_of(node)) > 1 else None
        if axes is None or axes.op == "Range":
            return axes is not None
        value = constant(axes)
        return value is not None and value.ndim == 1 and value.tolist() == list(range(value.size))

    def _losses(self, meta_graph) -> set[str]:
        named = meta_graph.collection_def["losses"].node_list.value if "losses" in meta_graph.collection_def else []
        ops = {n.name for n in self.order if _LOSSES.match(n.op)} & self.weighted
        return self._onward(ops | {tensor_name(name)[0] for name in named} & self.weighted)

    def _tails(self) -> set[str]:
        """Weighted nodes after which only losses and metrics come; not what shapes a network's result for its user."""
        tails, waiting = set(), deque(reversed(self.order))
        while waiting:
            node = waiting.popleft()
            name = node.name
            if name in tails or name in self.side or name not in self.weighted or name in self.parameters:
                continue
            consumers = [n for n in self.data_consumers(name) if n.op not in _SHAPE_OPS]
            ends = name in self.reduced or name in self.losses or self._is_metric(node)
            if not all(n.name in tails for n in consumers) or (not consumers and not ends):
                continue
            if name not in self.losses and not (node.op in _PASSED and consumers) and self._anchors(node):
                continue
            tails.add(name)
            waiting.extend(self.index.nodes[s] for s, _ in self.index.inputs_of(node) if s in self.index.nodes)
        return tails

    def _is_metric(self, node) -> bool:
        if _METRIC_ENDS.match(node.op) or _METRIC_SCOPES.search(node.name):
            return True
        return bool(self.trained) and node.op in _REDUCTIONS | _ACTIVATIONS and node.name not in self.trained

    def _anchors(self, node) -> bool:
        """Whether a node is a layer or a head of the network, or reshapes one where the loss does not."""
        seen = set()
        while node.op in _FOLLOWING and node.name not in self.joins and node.name not in seen:
            seen.add(node.name)
            source = self.index.nodes.get(self.index.inputs_of(node)[0][0]) if self.index.inputs_of(node) else None
            if source is None or self._belongs_to_loss(node, source):
                return False
            node = source
        return node.name in self.joins or (node.op in _HEADS and node.name not in self.reduced)

    def _belongs_to_loss(self, node, source) -> bool:
        """Whether a node that reshapes the result of a layer does so for a loss, by the name scope that it shares."""
        if _INTERNAL.search(node.name):
            return True
        consumers = [n.name for n in self.data_consumers(node.name)]
        return bool(consumers) and all(_shared(node.name, n) > _shared(node.name, source.name) for n in consumers)

    def _is_of_loss(self, node, sources: list[str]) -> bool:
        if node.op in _LOSS_SIDE or _INTERNAL.search(node.name):
            return True
        if node.op in _REDUCTIONS and sources:
            return self._anchors(self.index.nodes[sources[0]])
        return node.op in _STRUCTURAL and bool(sources) and self._belongs_to_loss(node, self.index.nodes[sources[0]])

    def _is_label(self, name: str, output: int) -> bool:
        """Whether a feed point meets the weighted graph, and does so in tails only."""
        meetings, seen = [], set()
        waiting = deque(self._users(name, output))
        while waiting:
            node = waiting.popleft()
            if node.name in seen:
                continue
            seen.add(node.name)
            if node.name in self.weighted:
                meetings.append(node.name)
            else:
                waiting.extend(n for n in self.data_consumers(node.name) if n.op not in _SHAPE_OPS)
        return bool(meetings) and all(meeting in self.tail for meeting in meetings)

    def _compared(self, reachable: set[str], after_labels: set[str]) -> set[str]:
        """The nodes of `reachable` that are used together with labels, without the logarithms that the loss adds."""
        compared, seen, waiting = set(), set(), deque()
        for name in reachable:
            if (name not in self.reduced or name in self.joins) and any(
                node.name in after_labels for node in self.data_consumers(name)
            ):
                waiting.append(name)
        while waiting:
            node = self.index.nodes[waiting.popleft()]
            if node.name in seen:
                continue
            seen.add(node.name)
            sources = [s for s, _ in self.index.inputs_of(node) if s in reachable]
            passes = (
                node.op in _PASSED
                or bool(_MASKS.search(node.name))
                or (node.name in self.tail and self._is_of_loss(node, sources))
            )
            if passes and sources:
                waiting.extend(sources)
            else:
                compared.add(node.name)
        return {name for name in compared if not self._made_by_loss(name, compared, reachable)}

    def _made_by_loss(self, name: str, compared: set[str], reachable: set[str]) -> bool:
        """Whether a compared node is itself computed, by arithmetic of the loss alone, from compared nodes."""
        node = self.index.nodes[name]
        sources = [source for source, _ in self.index.inputs_of(node) if source in reachable]
        named = node.op == "Identity" and not _INTERNAL.search(name)
        if named and sources and not self._belongs_to_loss(node, self.index.nodes[sources[0]]):
            return False
        seen, waiting = {name}, deque([name] if name in self.tail else [])
        while waiting:
            for source, _ in self.index.inputs_of(self.index.nodes[waiting.popleft()]):
                if source in reachable and source not in compared and source not in self.tail:
                    return False
                if source in reachable and source not in compared and source not in seen:
                    waiting.append(source)
                seen.add(source)
        return name in self.tail

    def _frames(self) -> tuple[set[str], set[str]]:
        """The nodes inside while loops, which cannot be fetched, and in conditional branches, which may not run."""

        def between(first: tuple[str, ...], last: tuple[str, ...], outside: set[str]) -> set[str]:
            inside, waiting = set(), deque(n.name for n in self.order if n.op in first and n.name not in outside)
            while waiting:
                name = waiting.popleft()
                if name not in inside and self.index.nodes[name].op not in last:
                    inside.add(name)
                    waiting.extend(n.name for n in self.index.consumers.get(name, []))
            return inside

        loops = between(("Enter", "RefEnter"), ("Exit", "RefExit"), set())
        return loops, between(("Switch", "RefSwitch"), ("Merge", "RefMerge"), loops)


def _shared(one: str, other: str) -> int:
    """How many leading name scopes two node names have in common."""
    return len(os.path.commonprefix([one.split("/")[:-1], other.split("/")[:-1]]))


def _size_of(node) -> int | None:
    """The number of elements of a node's first output, where the meta graph tells all its dimensions; else None."""
    if "_output_shapes" not in node.attr or not node.attr["_output_shapes"].list.shape:
        return None
    shape = node.attr["_output_shapes"].list.shape[0]
    sizes = [dimension.size for dimension in shape.dim]
    return None if shape.unknown_rank or min(sizes, default=0) < 0 else prod(sizes)


def _differentiated(index: GraphIndex) -> set[str]:
    """Nodes on the way of the gradient: tf.gradients names what it adds for node `a/b` `.../gradients/a/b_grad/...`."""
    found = set()
    for name in index.nodes:
        if match := _GRADIENTS.search(name):
            scope, mark, _ = name[match.end() :].rpartition("_grad/")
            if mark and scope in index.nodes:
                found.add(scope)
    return found


def _rank(forward: _Forward) -> list[dict]:
    """All candidates, best first; `chosen` ones are strong, or reach weights that no strong one reaches."""
    index = forward.index
    ends = {name for name in forward.live if forward.is_end(name)}
    told = {n.name for n in forward.order if n.op == "Identity" and n.name in forward.live and _TOLD.search(n.name)}
    names = ends | forward.compared | told
    for name in list(names):
        names |= _before_head(forward, name) | _reshaped_for_loss(forward, name)
    entries = []
    for name in sorted(names):
        before = index.reach([name])
        entry = {"name": name, "score": 0, "chosen": False, "reasons": [], "weights": before & forward.variables}
        entry["random"] = any(_RANDOM.match(index.nodes[source].op) for source in before)
        _score(forward, entry, ends, names)
        entries.append(entry)
    most = max((len(entry["weights"]) for entry in entries), default=0)
    for entry in entries:
        share = len(entry["weights"]) / most if most else 0
        entry["score"] = round(entry["score"] + 2 * share, 2)
        entry["reasons"].append(f"depends on {len(entry['weights'])} of {len(forward.variables)} variables")
    entries.sort(key=lambda entry: (-entry["score"], entry["name"]))
    _decide(index, entries)
    return [
        {"name": name, **{key: entry[key] for key in ("score", "chosen", "reasons")}}
        for entry in entries
        for name in _tensors(index.nodes[entry["name"]])
    ]


def _before_head(forward: _Forward, name: str) -> set[str]:
    """The logits and probabilities before a head such as ArgMax: each head's input, as far as heads follow on heads."""
    found, seen, waiting = set(), set(), deque([(name, False)])
    while waiting:
        name, after_head = waiting.popleft()
        if name in seen:
            continue
        seen.add(name)
        node = forward.index.nodes[name]
        told = not _INTERNAL.search(name) and bool(_TOLD.search(name))
        if (after_head and (node.op not in _STRUCTURAL or told)) or node.op in _HEADS:
            found.add(name)
        if node.op in _HEADS or node.op in _STRUCTURAL:
            sources = [source for source, _ in forward.index.inputs_of(node) if source in forward.live]
            waiting.extend((source, after_head or node.op in _HEADS) for source in sources)
    return found


def _reshaped_for_loss(forward: _Forward, name: str) -> set[str]:
    """What a node that a loss uses reshapes, where it comes from another name scope: the network's own result."""
    node = forward.index.nodes[name]
    if name not in forward.compared or node.op not in _STRUCTURAL or not node.input:
        return set()
    source = forward.index.inputs_of(node)[0][0]
    unnamed = node.op.lower() == re.sub(r"_\d+$", "", name.rpartition("/")[2]).lower()
    moved = source.split("/")[:-1][:1] != name.split("/")[:-1][:1]
    return {source} if source in forward.live and unnamed and moved else set()


def _score(forward: _Forward, entry: dict, ends: set[str], names: set[str]) -> None:
    name, node = entry["name"], forward.index.nodes[entry["name"]]

    def add(points: float, reason: str) -> None:
        entry["score"] += points
        entry["reasons"].append(reason)

    if name in forward.compared:
        add(3, "a loss compares it with labels")
    if node.op in _HEADS:
        add(2, f"is a {_HEADS[node.op]} head")
    elif any(consumer.op in _HEADS and consumer.name in names for consumer in forward.data_consumers(name)):
        add(2, "goes into a head")
    if name in ends:
        add(1, "end of the forward graph")
    if forward._anchors(node):
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


def _decide(index: GraphIndex, entries: list[dict]) -> None:
    strong = [entry for entry in entries if entry["score"] >= 3]
    covered = set().union(*(entry["weights"] for entry in strong)) if strong else set()
    for entry in entries:
        further = not entry["weights"] <= covered
        entry["chosen"] = bool(entry["weights"]) and (entry["score"] >= 3 or further)
        if entry["chosen"]:
            covered |= entry["weights"]
    for entry in entries:
        # The same layer without dropout or sampling is the copy of the network that is there for inference.
        if entry["random"] and any(
            other["chosen"]
            and not other["random"]
            and other["weights"] == entry["weights"]
            and index.nodes[other["name"]].op == index.nodes[entry["name"]].op
            for other in entries
        ):
            entry["chosen"] = False
            entry["reasons"].append("the same is there without random ops")


def _tensors(node) -> list[str]:
    """The tensors of a node that make up its result."""
    count = 1
    if node.op in ("TopK", "TopKV2"):
        count = 2
    elif node.op == "CTCGreedyDecoder":
        count = 4
    elif node.op == "CTCBeamSearchDecoder":
        count = 3 * node.attr["top_paths"].i + 1
    return [node.name, *(f"{node.name}:{output}" for output in range(1, count))]
