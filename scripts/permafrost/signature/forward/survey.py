"""What is known of a training graph while its forward graph is looked for."""

import re
from dataclasses import dataclass, field
from functools import cached_property

from permafrost.graph.feed_points import feed_points
from permafrost.graph.index import GraphIndex, TensorName
from permafrost.graph.ops.stateful import RANDOM
from permafrost.graph.protos import MetaGraphDef
from permafrost.signature.forward.results import Results
from permafrost.signature.forward.values import Values, of_ops


def _none_yet() -> set[str]:
    return field(default_factory=set)


# Ops whose first input is the name of a checkpoint's file.
_OF_FILES = re.compile(r"(Save|Restore)(V2|Slices?)?$|MergeV2Checkpoints$|ShardedFilename$")


@dataclass
class Survey:
    """What a step takes and changes. Sets are of node names, and empty before the step that finds them.

    meta_graph: the training graph. variables: the weights; at first the names of all variables, of which some may not
    be in the graph. index: that of the training graph. feeds: its feed points, which are tensors. drawing: its random
    ops.
    values: the ways of values, around what has been taken away so far.
    transitions: the weights of a conditional random field.
    trained: on the way of the gradient, where there is one.
    learning: gradients, and what is made of them.
    weighted: depends on a variable. random: depends on a random op. fed: depends on that or on a feed point.
    reduced: single numbers made of larger tensors.
    parameters: weights on their way to where they meet data. joins: where they meet.
    losses: losses, and what is made of them. tail: nodes after which only losses and metrics come.
    labels: feed points that only tails use. inputs: the other feed points. labelled: depends on a label.
    targets: feed points (nodes) that a loss takes as labels, and the network as inputs.
    reachable: could be fetched as a result of the network, as far as losses do not matter.
    compared: reachable nodes that a loss compares with a label.
    live: reachable and no tail, or compared. closing: what uses the values of an end of the forward graph.
    """

    meta_graph: MetaGraphDef
    variables: set[str]
    index: GraphIndex
    feeds: list[TensorName]
    drawing: set[str]
    values: Values
    transitions: set[str] = _none_yet()
    trained: set[str] = _none_yet()
    learning: set[str] = _none_yet()
    weighted: set[str] = _none_yet()
    random: set[str] = _none_yet()
    fed: set[str] = _none_yet()
    reduced: set[str] = _none_yet()
    parameters: set[str] = _none_yet()
    joins: set[str] = _none_yet()
    losses: set[str] = _none_yet()
    tail: set[str] = _none_yet()
    labels: list[TensorName] = field(default_factory=list)
    inputs: list[TensorName] = field(default_factory=list)
    labelled: set[str] = _none_yet()
    targets: set[str] = _none_yet()
    reachable: set[str] = _none_yet()
    compared: set[str] = _none_yet()
    live: set[str] = _none_yet()
    closing: set[str] = _none_yet()

    @classmethod
    def of(cls, meta_graph: MetaGraphDef, index: GraphIndex, variables: set[str]) -> "Survey":
        """The survey before the first step, for the arguments of surveying.surveyed."""
        names_of_files = _names_of_files(index)
        feeds = [point for point in feed_points(index) if point[0] not in names_of_files]
        return cls(meta_graph, variables, index, feeds, of_ops(index, RANDOM), Values(index, set()))

    @property
    def losses_named(self) -> list[str]:
        """The tensors of the collection `losses`."""
        collections = self.meta_graph.collection_def
        return list(collections["losses"].node_list.value) if "losses" in collections else []

    @cached_property
    def results(self) -> Results:
        """The results of layers; not to be asked for before all `joins` are known, and the updates taken away."""
        return Results(self.values, self.joins, self.reduced)


def _names_of_files(index: GraphIndex) -> set[str]:
    """The nodes that give savers the names of their files."""
    found: set[str] = set()
    waiting = [index.inputs[name][0][0] for name, op in index.ops.items() if _OF_FILES.match(op) and index.inputs[name]]
    while waiting:
        name = waiting.pop()
        if name not in found and name in index.ops:
            found.add(name)
            waiting += [source for source, _ in index.inputs[name]]
    return found
