"""Finds the forward graph of a training graph, in an ordered list of steps.

A training graph holds far more than the network: gradients, optimizers, savers, summaries, losses and metrics. A label
is an input that meets the network only where nothing but a loss or a metric comes after.
"""

from collections.abc import Callable

from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import MetaGraphDef
from permafrost.signature.forward import steps
from permafrost.signature.forward.survey import Survey

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
    # What is compared is live though it is a tail.
    steps.find_live,
)


def surveyed(meta_graph: MetaGraphDef, index: GraphIndex, variables: set[str]) -> Survey:
    """What the steps find of a training graph.

    Args:
      meta_graph: a MetaGraphDef, of which only the collections are read.
      variables: names of the variable nodes; those that the graph lacks are passed over.
    """
    found = Survey.of(meta_graph, index, variables)
    for step in STEPS:
        step(found)
    return found
