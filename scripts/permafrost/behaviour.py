"""Whether an output is the same each time, random, or carried on by state: told by running the graph again.

Op seeds are set and each trial begins with a restored session, so that the first run is the same whatever an output's
behaviour is; another run in the same session goes on with the random numbers and with the variables of the first.
"""

import numpy as np

from permafrost import comparison
from permafrost.metagraph import GraphIndex, needed_functions
from permafrost.pair import Pair
from permafrost.seeds import is_seeded
from permafrost.unsafe_ops import executed

DETERMINISTIC, STATEFUL, RANDOM = BEHAVIOURS = ("deterministic", "stateful", "random")


def of_outputs(pair: Pair, first: list[np.ndarray], again: list[list[np.ndarray] | None]) -> dict[str, str]:
    """Each tensor of `pair.fetched` -> one of BEHAVIOURS.

    Args:
      first, again: what the first run of the checkpoint's side and further ones in its session gave; None is a run
        that failed, as when a queue is empty by then.
    """
    found = {}
    for position, name in enumerate(pair.fetched):
        is_same = all(run is not None and comparison.match(first[position], run[position]) for run in again)
        found[name] = DETERMINISTIC if is_same else RANDOM if _draws(pair.index, name, pair.fed) else STATEFUL
    return found


def worst(found: set[str]) -> str:
    """The last of BEHAVIOURS that is in `found`; deterministic where it is empty."""
    return max(found, key=BEHAVIOURS.index, default=DETERMINISTIC)


def _draws(index: GraphIndex, name: str, fed: set[str]) -> bool:
    """Whether a random op runs for a tensor, in a function or not."""
    nodes = [index.nodes[running] for running in executed(index, [name], fed)]
    functions = needed_functions(nodes, index.graph_def.library)
    return any(is_seeded(node.op) for node in (*nodes, *(n for function in functions for n in function.node_def)))
