"""Finds the forward graph of a training graph, in an ordered list of steps.

A training graph holds far more than the network: gradients, optimizers, savers, summaries, losses and metrics. A label
is an input that meets the network only where nothing but a loss or a metric comes after.
"""

from collections.abc import Callable

from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import MetaGraphDef
from permafrost.signature.training import steps
from permafrost.signature.training.survey import Survey

STEPS: tuple[Callable[[Survey], None], ...] = (
    # First: what depends on weights alone is followed below, and a counter of steps is none.
    steps.leave_out_counters,
    steps.set_transitions_apart,
    # Told by the names of the gradients alone.
    steps.find_trained,
    # Before anything is followed: gradients, savers and summaries depend on weights and inputs as the network does.
    steps.leave_out_learning,
    steps.leave_out_sinks,
    # By these three the next step tells the layers; among themselves they may change places.
    steps.find_weighted,
    steps.find_fed,
    steps.find_reduced,
    # A layer is where what depends on a weight meets what is fed; a single number made of weights is their penalty.
    steps.find_joins,
    # After `find_joins`, since no layer is taken away. Before what is told by who takes a result: an update is no use.
    steps.leave_out_updates,
    # A tail is a loss, or leads to nothing else, back to the layers; so losses and layers are to be known.
    steps.find_losses,
    steps.find_tails,
    # A feed point is a label by where it meets the weights: in a tail alone, or also before.
    steps.tell_labels_from_inputs,
    # Of the inputs, which are what is no label.
    steps.find_targets,
    # All of the forward graph that does not depend on a label.
    steps.find_reachable,
    # Of what is reachable, the nodes next to what depends on labels, which tails may be.
    steps.find_compared,
    # What is compared is a candidate though it is a tail.
    steps.find_live,
)


class Forward:
    """The forward graph of a training graph, as sets of node names.

    variables: the weights, without counters of steps. transitions: those of a conditional random field. trained: on the
    way of the gradient, where there is one. drawing: the random ops. random: depends on one. reduced: single numbers
    made of larger tensors. joins: where weights meet data. targets: feed points that a loss takes as labels, and the
    network as inputs. live: the candidates for outputs, i.e. weighted, depending on an input but on no label, and
    nothing after which only losses and metrics come. compared: live nodes that a loss compares with a label.

    Args:
      meta_graph: a MetaGraphDef, of which only the collection `losses` is read.
      variables: names of the variable nodes; those that the graph lacks are passed over.
    """

    def __init__(self, meta_graph: MetaGraphDef, index: GraphIndex, variables: set[str]):
        survey = Survey.of(meta_graph, index, variables)
        for step in STEPS:
            step(survey)
        self.index = index
        self.variables, self.transitions, self.trained = survey.variables, survey.transitions, survey.trained
        self.drawing, self.random = survey.drawing, survey.random
        self.reduced, self.joins, self.targets = survey.reduced, survey.joins, survey.targets
        self.live, self.compared = survey.live, survey.compared
        self._values, self._results, self._closing = survey.values, survey.results, survey.closing

    def is_end(self, name: str) -> bool:
        """Whether only losses and metrics use a node's values."""
        consumers = self.index.consumers.get(name, ())
        return all(n in self._closing and n not in self.live for n in consumers if self._values.are_taken_by(n))

    def data_consumers(self, name: str) -> list[str]:
        """The nodes that consume a node's values and are part of the forward graph."""
        return self._values.consumers(name)

    def live_sources(self, name: str) -> list[str]:
        """The live nodes whose values a node takes, in the order of its inputs."""
        return [source for source, _ in self.index.inputs[name] if source in self.live]

    def is_result(self, name: str) -> bool:
        """Whether a node is a layer or a head of the network, or reshapes one where the loss does not."""
        return self._results.has(name)
