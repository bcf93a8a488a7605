"""The forward graph of a training graph: what is left of it without all that is there for training and watching.

A training graph holds far more than the network: gradients, optimizers, savers, summaries, losses and metrics. A label
is an input that meets the network only where nothing but a loss or a metric comes after.
"""

import os
import re
from collections import deque
from collections.abc import Callable, Collection
from math import prod

from permafrost.feed_points import feed_points
from permafrost.metagraph import GraphIndex, static_shape, tensor_name
from permafrost.static import constant, output_shape

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
_LOSS_OPS = {"SparseSoftmaxCrossEntropyWithLogits", "SoftmaxCrossEntropyWithLogits"}
_METRIC_ENDS = re.compile(r"^(Equal|NotEqual|ApproximateEqual|SquaredDifference|LogicalAnd)$")
_REDUCTIONS = {"Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "L2Loss"}
# Ops that make the network's last result of what its last layer gives, and what people call them.
HEADS = {
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
_OF_NORMS = {"Rsqrt", "Sqrt", "Maximum", "Sum", "Square", "Mul", "AddV2", "Add", "Abs", "Max", "Identity"}
_SELECTIONS = {"TopK", "TopKV2", "Round"}  # Heads after a layer; elsewhere, losses select their hard examples so.
# Ops that hand on values, in another shape, order or dtype.
STRUCTURAL = {
    "Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Cast", "StridedSlice", "Slice", "Pack", "Unpack",
    "Concat", "ConcatV2", "Split", "SplitV", "StopGradient", "CheckNumerics", "IdentityN", "BatchToSpaceND",
}  # fmt: skip
_FOLLOWING = STRUCTURAL | _ACTIVATIONS | _POOLS | _SELECTIONS  # What may follow a layer and still be its result.
# What losses do to a result before they compare it with labels.
_LOSS_SIDE = {"Log", "Log1p", "Neg", "Maximum", "Minimum", "ClipByValue", "Square", "Sqrt", "Pow", "Exp", "Softplus"}
RANDOM = re.compile(r"^(Random|Stateless(Random|Truncated)|TruncatedNormal|ParameterizedTruncated|Multinomial).*")
_NO_WEIGHT = re.compile(r"(^|/)(global_step|(val_|training_)?step|epoch)(/part_\d+)?$", re.IGNORECASE)
# A conditional random field's scores from one label to the next: its loss and its decoder take them, no layer does.
_TRANSITIONS = re.compile(r"(^|/)transitions?(_(matrix|params|weights))?(_\d+)?$", re.IGNORECASE)
# What a parameter does to a layer's result only in a loss, as a deviation does to a distance.
_NO_LAYER = {"Sub", "Div", "RealDiv", "SquaredDifference", "Pow", "Maximum", "Minimum"}
_GRADIENTS = re.compile(r"(^|/)gradients(_\d+)?/")
# Names that TensorFlow gives inside its own functions, and people to the scopes of losses.
INTERNAL = re.compile(r"(^|/)(control_dependency|group_deps|read)(_\d+)?$|cross_?entropy|loss(es)?(_\d+)?/", re.I)
_MASKS = re.compile(r"(^|/)boolean_mask(_\d+)?/")
_METRIC_SCOPES = re.compile(r"(^|/)(confusion_matrix|metrics?|accuracy|eval\w*)(_\d+)?(/|$)", re.IGNORECASE)


class Forward:
    """The forward graph of a training graph: sets of node names, each a step of the reasoning.

    variables: the weights, without counters of steps. transitions: those of a conditional random field. trained: on the
    way of the gradient, where there is one. side: gradients, savers, summaries, updates and what only they use.
    weighted: depends on a variable. fed: depends on a feed point or a random op. random: depends on a random op.
    reduced: single numbers made of larger tensors. parameters: weights on their way to where they meet data. joins:
    where they meet. tail: nodes after which only losses and metrics come. labels: feed points (tensors) that only tails
    use. targets: feed points (nodes) that a loss takes as labels, and the network as inputs. live: the candidates for
    outputs, i.e. weighted, depending on an input but on no label, and no tail. compared: live nodes that a loss
    compares with a label. `order` has all NodeDefs of the graph.

    Args:
      meta_graph: a MetaGraphDef, of which only the collection `losses` is read.
      variables: names of the variable nodes; those that the graph lacks are passed over.
    """

    def __init__(self, meta_graph, index: GraphIndex, variables: set[str]):
        self.index = index
        self._results: dict[str, bool] = {}  # what is_result has found
        self.order = list(index.graph_def.node)
        weights = {name for name in variables if name in index.nodes and not _NO_WEIGHT.search(name)}
        self.transitions = {name for name in weights if _TRANSITIONS.search(name) and _is_square(index.nodes[name])}
        self.variables = weights - self.transitions
        self.trained = _differentiated(index)
        self.side = self._side_nodes()
        statistics = self._statistics()
        self.weighted = self._onward(self.variables)
        self.feeds = feed_points(index)
        self.random = self._onward(node.name for node in self.order if RANDOM.match(node.op))
        self.fed = self._onward(name for name, _ in self.feeds) | self.random
        self.reduced = self._reduced()
        logarithms = {node.name for node in self.order if node.op in ("Log", "Log1p")}
        self.parameters = self._onward(self.variables - statistics, logarithms) - self.fed - self.reduced
        self.joins = {
            name
            for name in self.weighted & self.fed
            if index.nodes[name].op not in _NO_LAYER and self._takes(name, self.parameters)
        }
        self._drop_updates()
        self.losses = self._losses(meta_graph)
        self.tail = self._tails()
        meeting, beside_tails = self._leading_to(self.weighted), self._leading_to(self.weighted - self.tail)
        used = [point for point in self.feeds if self._used_by(meeting, *point)]
        self.labels = [point for point in used if not self._used_by(beside_tails, *point)]
        labels = set(self.labels)
        inputs = [point for point in self.feeds if point not in labels]
        # What goes into a loss as it is, though the network takes it as well.
        into_losses = self._leading_to({name for name in self.weighted if index.nodes[name].op in _LOSS_OPS})
        self.targets = {point[0] for point in inputs if self._used_by(into_losses, *point)}
        after_labels = self._after(self.labels)
        after_inputs = self._after(inputs) | self.random
        loops, branches = self._frames()
        usable = self.weighted - self.side - after_labels - self.losses - loops - branches - self.variables
        usable -= self.parameters | self._scored_by_transitions()
        reachable = usable & after_inputs or usable
        self.compared = self._compared(reachable, after_labels | self.losses)
        self.live = (reachable - self.tail) | self.compared or reachable
        self.closing = self.tail | after_labels | self.losses

    def is_end(self, name: str) -> bool:
        """Whether only losses and metrics use a node's values."""
        consumers = [node for node in self.data_consumers(name) if node.op not in _SHAPE_OPS]
        return all(node.name in self.closing and node.name not in self.live for node in consumers)

    def data_consumers(self, name: str) -> list:
        """The NodeDefs that consume a node's values and are part of the forward graph."""
        return [node for node in self.index.consumers.get(name, []) if node.name not in self.side]

    def _takes(self, name: str, among: set[str]) -> bool:
        return any(source in among for source, _ in self.index.inputs_of(self.index.nodes[name]))

    def _onward(self, names, ends: Collection[str] = ()) -> set[str]:
        """What depends on the values of `names` in the forward graph up to the nodes `ends`, `names` included."""
        reached, waiting = set(), deque(names)
        while waiting:
            name = waiting.popleft()
            if name in reached or name in self.side or name in ends:
                continue
            reached.add(name)
            waiting.extend(n.name for n in self.data_consumers(name) if n.op not in _SHAPE_OPS)
        return reached

    def _scored_by_transitions(self) -> set[str]:
        """What a conditional random field computes of its transitions, but for the labels that it decodes."""
        scored = self._onward(self.transitions)
        return scored - self._onward(name for name in scored if self.index.nodes[name].op == "ArgMax")

    def _after(self, points: list[tuple[str, int]]) -> set[str]:
        """What depends on the values of the tensors `points`; other outputs of their nodes do not count."""
        return self._onward(node.name for point in points for node in self._users(*point))

    def _users(self, name: str, output: int) -> list:
        users = {node.name: node for node, _ in self.index.uses.get((name, output), ())}
        return [node for node in users.values() if self._takes_values(node)]

    def _used_by(self, names: set[str], name: str, output: int) -> bool:
        return any(node.name in names for node in self._users(name, output))

    def _leading_to(self, meetings: set[str]) -> set[str]:
        """The weighted nodes `meetings`, and what leads to them over nodes without weights; no sides, no shapes."""
        found = {name for name in meetings if self._takes_values(self.index.nodes[name])}
        waiting = deque(found)
        while waiting:
            for source, _ in self.index.inputs_of(self.index.nodes[waiting.popleft()]):
                node = self.index.nodes.get(source)
                if node and source not in found and source not in self.weighted and self._takes_values(node):
                    found.add(source)
                    waiting.append(source)
        return found

    def _takes_values(self, node) -> bool:
        return node.name not in self.side and node.op not in _SHAPE_OPS

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
            if node.op in _STATISTICS and self.index.inputs_of(node) and node.name not in self.learning
        }

    def _drop_updates(self) -> None:
        """Adds to `side` the assignments whose value nothing uses, and the arithmetic that only they use."""
        kept = self.joins | self.variables | {node.name for node in self.order if node.op in HEADS}
        updates = {n.name for n in self.order if _UPDATES.match(n.op) and not self.data_consumers(n.name)}

        def joins(node) -> bool:
            return node.name not in kept and node.name in self.index.consumers

        self.side |= self._used_only_by(updates, lambda node: True, joins)

    def _used_only_by(self, names: set[str], counts: Callable, joins: Callable) -> set[str]:
        """`names`, and each NodeDef for which `joins` holds once all its consumers that count are among these."""
        found, left = set(names), {}
        for node in self.order:
            consumers = self.index.consumers.get(node.name, ())
            left[node.name] = sum(counts(consumer) and consumer.name not in found for consumer in consumers)
        waiting = [node for node in self.order if not left[node.name] and node.name not in found and joins(node)]
        for node in waiting:
            found.add(node.name)
            for source in {name for name, _ in self.index.inputs_of(node)} & left.keys() if counts(node) else ():
                left[source] -= 1
                if not left[source] and source not in found and joins(self.index.nodes[source]):
                    waiting.append(self.index.nodes[source])
        return found

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

        def joins(node) -> bool:
            name = node.name
            if name in self.side or name not in self.weighted or name in self.parameters:
                return False
            consumed = any(self._takes_values(consumer) for consumer in self.index.consumers.get(name, ()))
            if not consumed and not (name in self.reduced or name in self.losses or self._is_metric(node)):
                return False
            return name in self.losses or (node.op in _PASSED and consumed) or not self.is_result(node)

        return self._used_only_by(set(), self._takes_values, joins)

    def _is_metric(self, node) -> bool:
        if _METRIC_ENDS.match(node.op) or _METRIC_SCOPES.search(node.name):
            return True
        return bool(self.trained) and node.op in _REDUCTIONS | _ACTIVATIONS and node.name not in self.trained

    def is_result(self, node) -> bool:
        """Whether a NodeDef is a layer or a head of the network, or reshapes one where the loss does not."""
        way = []
        while node.name not in self._results:
            way.append(node.name)
            self._results[node.name] = self._is_head(node)  # where the way leads back here
            found = self._result_or_source(node)
            if isinstance(found, bool):
                self._results[node.name] = found
            else:
                node = found
        self._results |= dict.fromkeys(way, self._results[node.name])
        return self._results[node.name]

    def _is_head(self, node) -> bool:
        return node.op in HEADS and node.name not in self.reduced

    def _result_or_source(self, node):
        """Whether a NodeDef is a result; or the NodeDef that it reshapes, which then tells."""
        if node.name in self.joins:
            return True
        if node.op not in _FOLLOWING and not self.normalizes(node):
            return self._is_head(node)
        source = self.index.nodes.get(self.index.inputs_of(node)[0][0]) if self.index.inputs_of(node) else None
        return False if source is None or self._belongs_to_loss(node, source) else source

    def normalizes(self, node) -> bool:
        """Whether a NodeDef divides a tensor by its own norm, as tf.math.l2_normalize does."""
        sources = [source for source, _ in self.index.inputs_of(node)]
        if node.op not in ("Mul", "RealDiv", "Div") or len(sources) != 2:
            return False
        before, reduces = sources[1], False
        for _ in range(8):
            divisor = self.index.nodes.get(before)
            if divisor is None or divisor.op not in _OF_NORMS or not self.index.inputs_of(divisor):
                return False
            reduces = reduces or divisor.op in ("Sum", "Max")
            before = self.index.inputs_of(divisor)[0][0]
            if before == sources[0]:
                return reduces
        return False

    def _belongs_to_loss(self, node, source) -> bool:
        """Whether a node that reshapes the result of a layer does so for a loss, by the name scope that it shares."""
        if INTERNAL.search(node.name):
            return True
        consumers = [n.name for n in self.data_consumers(node.name)]
        return bool(consumers) and all(_shared(node.name, n) > _shared(node.name, source.name) for n in consumers)

    def _is_of_loss(self, node, sources: list[str]) -> bool:
        if node.op in _LOSS_SIDE or INTERNAL.search(node.name):
            return True
        if node.op in _REDUCTIONS and sources:
            return self.is_result(self.index.nodes[sources[0]])
        return node.op in STRUCTURAL and bool(sources) and self._belongs_to_loss(node, self.index.nodes[sources[0]])

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
        beyond = self._beyond_loss(compared, reachable)
        return {name for name in compared if not self._made_by_loss(name, reachable, beyond)}

    def _beyond_loss(self, compared: set[str], reachable: set[str]) -> set[str]:
        """What was computed without a compared node, of nodes that are no tail, and the tails that come of it."""
        found = reachable - compared - self.tail
        waiting = deque(found)
        while waiting:
            for node in self.index.consumers.get(waiting.popleft(), ()):
                if node.name in reachable and node.name not in compared and node.name not in found:
                    found.add(node.name)
                    waiting.append(node.name)
        return found

    def _made_by_loss(self, name: str, reachable: set[str], beyond: set[str]) -> bool:
        """Whether a compared node is itself computed, by arithmetic of the loss alone, from compared nodes."""
        node = self.index.nodes[name]
        sources = [source for source, _ in self.index.inputs_of(node) if source in reachable]
        named = node.op == "Identity" and not INTERNAL.search(name)
        if named and sources and not self._belongs_to_loss(node, self.index.nodes[sources[0]]):
            return False
        return name in self.tail and beyond.isdisjoint(sources)

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


def _is_square(node) -> bool:
    shape = static_shape(node)
    return shape is not None and len(shape) == 2 and shape[0] == shape[1]


def _shared(one: str, other: str) -> int:
    """How many leading name scopes two node names have in common."""
    return len(os.path.commonprefix([one.split("/")[:-1], other.split("/")[:-1]]))


def _size_of(node) -> int | None:
    """The number of elements of a node's first output, where the meta graph tells all its dimensions; else None."""
    shape = output_shape(node)
    return None if shape is None or min(shape, default=0) < 0 else prod(shape)


def _differentiated(index: GraphIndex) -> set[str]:
    """Nodes on the way of the gradient: tf.gradients names what it adds for node `a/b` `.../gradients/a/b_grad/...`."""
    found = set()
    for name in index.nodes:
        if match := _GRADIENTS.search(name):
            scope, mark, _ = name[match.end() :].rpartition("_grad/")
            if mark and scope in index.nodes:
                found.add(scope)
    return found
