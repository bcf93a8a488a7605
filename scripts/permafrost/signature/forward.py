"""The forward graph of a training graph: what is left of it without all that is there for training and watching.

A training graph holds far more than the network: gradients, optimizers, savers, summaries, losses and metrics. A label
is an input that meets the network only where nothing but a loss or a metric comes after.
"""

import os
import re
from collections import deque
from collections.abc import Callable, Collection

from permafrost.graph.feed_points import feed_points
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.stateful_ops import RANDOM
from permafrost.graph.static import constant, element_count, output_shape
from permafrost.graph.variable_ops import static_shape

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
    compares with a label. drawing: the random ops.

    Args:
      meta_graph: a MetaGraphDef, of which only the collection `losses` is read.
      variables: names of the variable nodes; those that the graph lacks are passed over.
    """

    def __init__(self, meta_graph, index: GraphIndex, variables: set[str]):
        self.index = index
        self._results: dict[str, bool] = {}  # what is_result has found
        weights = {name for name in variables if name in index.nodes and not _NO_WEIGHT.search(name)}
        self.transitions = {name for name in weights if _TRANSITIONS.search(name) and _is_square(index.nodes[name])}
        self.variables = weights - self.transitions
        self.trained = _differentiated(index)
        self.side = self._side_nodes()
        statistics = self._statistics()
        self.weighted = self._onward(self.variables)
        self.feeds = feed_points(index)
        self.drawing = self._of_ops(RANDOM)
        self.random = self._onward(self.drawing)
        self.fed = self._onward(name for name, _ in self.feeds) | self.random
        self.reduced = self._reduced()
        logarithms = {name for name, op in index.ops.items() if op in ("Log", "Log1p")}
        self.parameters = self._onward(self.variables - statistics, logarithms) - self.fed - self.reduced
        taking = {consumer for name in self.parameters for consumer in index.consumers.get(name, ())}
        self.joins = {name for name in taking & self.weighted & self.fed if index.ops[name] not in _NO_LAYER}
        self._drop_updates()
        self.losses = self._losses(meta_graph)
        self.tail = self._tails()
        meeting, beside_tails = self._leading_to(self.weighted), self._leading_to(self.weighted - self.tail)
        used = [point for point in self.feeds if self._used_by(meeting, *point)]
        self.labels = [point for point in used if not self._used_by(beside_tails, *point)]
        labels = set(self.labels)
        inputs = [point for point in self.feeds if point not in labels]
        # What goes into a loss as it is, though the network takes it as well.
        into_losses = self._leading_to({name for name in self.weighted if index.ops[name] in _LOSS_OPS})
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
        consumers = self.index.consumers.get(name, ())
        return all(n in self.closing and n not in self.live for n in consumers if self._takes_values(n))

    def data_consumers(self, name: str) -> list[str]:
        """The nodes that consume a node's values and are part of the forward graph."""
        return [consumer for consumer in self.index.consumers.get(name, ()) if consumer not in self.side]

    def live_sources(self, name: str) -> list[str]:
        """The live nodes whose values a node takes, in the order of its inputs."""
        return [source for source, _ in self.index.inputs[name] if source in self.live]

    def _of_ops(self, pattern: re.Pattern) -> set[str]:
        ops = {op for op in set(self.index.ops.values()) if pattern.match(op)}
        return {name for name, op in self.index.ops.items() if op in ops}

    def _onward(self, names, ends: Collection[str] = ()) -> set[str]:
        """What depends on the values of `names` in the forward graph up to the nodes `ends`, `names` included."""
        reached, waiting, beyond = set(), list(names), self.side.union(ends)
        ops, consumers = self.index.ops, self.index.consumers
        while waiting:
            name = waiting.pop()
            if name not in reached and name not in beyond:
                reached.add(name)
                waiting += [consumer for consumer in consumers.get(name, ()) if ops[consumer] not in _SHAPE_OPS]
        return reached

    def _scored_by_transitions(self) -> set[str]:
        """What a conditional random field computes of its transitions, but for the labels that it decodes."""
        scored = self._onward(self.transitions)
        return scored - self._onward(name for name in scored if self.index.ops[name] == "ArgMax")

    def _after(self, points: list[tuple[str, int]]) -> set[str]:
        """What depends on the values of the tensors `points`; other outputs of their nodes do not count."""
        return self._onward(user for point in points for user in self._users(*point))

    def _users(self, name: str, output: int) -> list[str]:
        users = dict.fromkeys(node.name for node, _ in self.index.uses.get((name, output), ()))
        return [user for user in users if self._takes_values(user)]

    def _used_by(self, names: set[str], name: str, output: int) -> bool:
        return any(user in names for user in self._users(name, output))

    def _leading_to(self, meetings: set[str]) -> set[str]:
        """The weighted nodes `meetings`, and what leads to them over nodes without weights; no sides, no shapes."""
        found = {name for name in meetings if self._takes_values(name)}
        waiting, known = list(found), found | self.weighted
        while waiting:
            for source, _ in self.index.inputs[waiting.pop()]:
                if source not in known and source in self.index.nodes and self._takes_values(source):
                    known.add(source)
                    found.add(source)
                    waiting.append(source)
        return found

    def _takes_values(self, name: str) -> bool:
        return name not in self.side and self.index.ops[name] not in _SHAPE_OPS

    def _side_nodes(self) -> set[str]:
        self.learning = {name for name in self.index.nodes if _GRADIENTS.search(name)}
        waiting = deque(self.learning)
        while waiting:  # Clipping and scaling of gradients, up to the ops that apply them.
            for consumer in self.index.consumers.get(waiting.popleft(), ()):
                if consumer not in self.learning:
                    self.learning.add(consumer)
                    waiting.append(consumer)
        unused = {name for name in self._of_ops(_UPDATES) if not self.index.consumers.get(name)}
        return self._of_ops(_SINKS) | unused | self.learning

    def _statistics(self) -> set[str]:
        """Variables that the forward pass itself counts up or averages: moving means, metrics, steps."""
        return {
            self.index.inputs[name][0][0]
            for name, op in self.index.ops.items()
            if op in _STATISTICS and self.index.inputs[name] and name not in self.learning
        }

    def _drop_updates(self) -> None:
        """Adds to `side` the assignments whose value nothing uses, and the arithmetic that only they use."""
        kept = self.joins | self.variables | {name for name, op in self.index.ops.items() if op in HEADS}
        updates = {name for name in self._of_ops(_UPDATES) if not self.data_consumers(name)}

        def joins(name: str) -> bool:
            return name not in kept and name in self.index.consumers

        self.side |= self._used_only_by(updates, lambda name: True, joins)

    def _used_only_by(self, names: set[str], counts: Callable, joins: Callable) -> set[str]:
        """`names`, and each node for which `joins` holds once all its consumers that count are among these."""
        found, left = set(names), {}
        for name in self.index.nodes:
            consumers = self.index.consumers.get(name, ())
            left[name] = len([n for n in consumers if n not in found and counts(n)])
        waiting = [name for name, count in left.items() if not count and name not in found and joins(name)]
        for name in waiting:
            found.add(name)
            for source in {source for source, _ in self.index.inputs[name]} & left.keys() if counts(name) else ():
                left[source] -= 1
                if not left[source] and source not in found and joins(source):
                    waiting.append(source)
        return found

    def _reduced(self) -> set[str]:
        """Single numbers that were made of tensors of more elements, and single numbers computed from them."""
        scalar, reduced = set[str](), set[str]()
        for name, node in self.index.nodes.items():
            sources, op = [source for source, _ in self.index.inputs[name]], self.index.ops[name]
            known = _size_of(node)
            if op == "Const" and not known:
                value = constant(node)
                known = value.size if value is not None else None
            whole = known == 1 or (op in _REDUCTIONS and self._reduces_all(node))
            if whole or (not known and sources and scalar.issuperset(sources)):
                scalar.add(name)
                if (whole and sources and sources[0] not in scalar) or not reduced.isdisjoint(sources):
                    reduced.add(name)
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
        ops = self._of_ops(_LOSSES) & self.weighted
        return self._onward(ops | {tensor_name(name)[0] for name in named} & self.weighted)

    def _tails(self) -> set[str]:
        """Weighted nodes after which only losses and metrics come; not what shapes a network's result for its user."""

        def joins(name: str) -> bool:
            if name in self.side or name not in self.weighted or name in self.parameters:
                return False
            consumed = any(map(self._takes_values, self.index.consumers.get(name, ())))
            if not consumed and not (name in self.reduced or name in self.losses or self._is_metric(name)):
                return False
            return name in self.losses or (self.index.ops[name] in _PASSED and consumed) or not self.is_result(name)

        return self._used_only_by(set(), self._takes_values, joins)

    def _is_metric(self, name: str) -> bool:
        op = self.index.ops[name]
        if _METRIC_ENDS.match(op) or _METRIC_SCOPES.search(name):
            return True
        return bool(self.trained) and op in _REDUCTIONS | _ACTIVATIONS and name not in self.trained

    def is_result(self, name: str) -> bool:
        """Whether a node is a layer or a head of the network, or reshapes one where the loss does not."""
        way = []
        while name not in self._results:
            way.append(name)
            self._results[name] = self._is_head(name)  # where the way leads back here
            found = self._result_or_source(name)
            if isinstance(found, bool):
                self._results[name] = found
            else:
                name = found
        self._results |= dict.fromkeys(way, self._results[name])
        return self._results[name]

    def _is_head(self, name: str) -> bool:
        return self.index.ops[name] in HEADS and name not in self.reduced

    def _result_or_source(self, name: str) -> bool | str:
        """Whether a node is a result; or the node that it reshapes, which then tells."""
        if name in self.joins:
            return True
        if self.index.ops[name] not in _FOLLOWING and not self.normalizes(name):
            return self._is_head(name)
        source = self.index.inputs[name][0][0] if self.index.inputs[name] else ""
        return False if source not in self.index.nodes or self._belongs_to_loss(name, source) else source

    def normalizes(self, name: str) -> bool:
        """Whether a node divides a tensor by its own norm, as tf.math.l2_normalize does."""
        sources = [source for source, _ in self.index.inputs[name]]
        if self.index.ops[name] not in ("Mul", "RealDiv", "Div") or len(sources) != 2:
            return False
        before, reduces = sources[1], False
        for _ in range(8):
            op = self.index.ops.get(before)
            if op not in _OF_NORMS or not self.index.inputs[before]:
                return False
            reduces = reduces or op in ("Sum", "Max")
            before = self.index.inputs[before][0][0]
            if before == sources[0]:
                return reduces
        return False

    def _belongs_to_loss(self, name: str, source: str) -> bool:
        """Whether a node that reshapes the result of a layer does so for a loss, by the name scope that it shares."""
        if INTERNAL.search(name):
            return True
        consumers, with_source = self.data_consumers(name), _shared(name, source)
        return bool(consumers) and all(_shared(name, consumer) > with_source for consumer in consumers)

    def _is_of_loss(self, name: str, sources: list[str]) -> bool:
        op = self.index.ops[name]
        if op in _LOSS_SIDE or INTERNAL.search(name):
            return True
        if op in _REDUCTIONS and sources:
            return self.is_result(sources[0])
        return op in STRUCTURAL and bool(sources) and self._belongs_to_loss(name, sources[0])

    def _compared(self, reachable: set[str], after_labels: set[str]) -> set[str]:
        """The nodes of `reachable` that are used together with labels, without the logarithms that the loss adds."""
        compared, seen = set[str](), set()
        waiting: deque = deque()
        for name in reachable:
            if (name not in self.reduced or name in self.joins) and any(
                consumer in after_labels for consumer in self.data_consumers(name)
            ):
                waiting.append(name)
        while waiting:
            name = waiting.popleft()
            if name in seen:
                continue
            seen.add(name)
            sources = [s for s, _ in self.index.inputs[name] if s in reachable]
            passes = (
                self.index.ops[name] in _PASSED
                or bool(_MASKS.search(name))
                or (name in self.tail and self._is_of_loss(name, sources))
            )
            if passes and sources:
                waiting.extend(sources)
            else:
                compared.add(name)
        beyond = self._beyond_loss(compared, reachable)
        return {name for name in compared if not self._made_by_loss(name, reachable, beyond)}

    def _beyond_loss(self, compared: set[str], reachable: set[str]) -> set[str]:
        """What was computed without a compared node, of nodes that are no tail, and the tails that come of it."""
        found = reachable - compared - self.tail
        waiting = deque(found)
        while waiting:
            for consumer in self.index.consumers.get(waiting.popleft(), ()):
                if consumer in reachable and consumer not in compared and consumer not in found:
                    found.add(consumer)
                    waiting.append(consumer)
        return found

    def _made_by_loss(self, name: str, reachable: set[str], beyond: set[str]) -> bool:
        """Whether a compared node is itself computed, by arithmetic of the loss alone, from compared nodes."""
        sources = [source for source, _ in self.index.inputs[name] if source in reachable]
        named = self.index.ops[name] == "Identity" and not INTERNAL.search(name)
        if named and sources and not self._belongs_to_loss(name, sources[0]):
            return False
        return name in self.tail and beyond.isdisjoint(sources)

    def _frames(self) -> tuple[set[str], set[str]]:
        """The nodes inside while loops, which cannot be fetched, and in conditional branches, which may not run."""

        def between(first: tuple[str, ...], last: tuple[str, ...], outside: set[str]) -> set[str]:
            begin = (name for name, op in self.index.ops.items() if op in first and name not in outside)
            inside, waiting = set(), deque(begin)
            while waiting:
                name = waiting.popleft()
                if name not in inside and self.index.ops[name] not in last:
                    inside.add(name)
                    waiting.extend(self.index.consumers.get(name, ()))
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
    return element_count(output_shape(node))


def _differentiated(index: GraphIndex) -> set[str]:
    """Nodes on the way of the gradient: tf.gradients names what it adds for node `a/b` `.../gradients/a/b_grad/...`."""
    found = set()
    for name in index.nodes:
        if match := _GRADIENTS.search(name):
            scope, mark, _ = name[match.end() :].rpartition("_grad/")
            if mark and scope in index.nodes:
                found.add(scope)
    return found
