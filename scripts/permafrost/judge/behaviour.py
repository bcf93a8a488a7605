"""Whether an output is the same each time, random, or carried on by state: by the graph, and by running it again.

Op seeds are set and each trial begins with a restored session, so that the first run is the same whatever an output's
behaviour is; another run in the same session goes on with the random numbers and with the variables of the first.
"""

from typing import Any

from numpy.typing import NDArray

from permafrost.flow.body import Body
from permafrost.flow.branches import Branches
from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.stateful import changes_by_itself
from permafrost.graph.ops.unsafe import executed
from permafrost.judge import comparison
from permafrost.judge.graphs import Graphs
from permafrost.judge.pair import Pair
from permafrost.judge.seeds import draws
from permafrost.judge.sides import saver_nodes
from permafrost.judge.structure.written_reads import Taker, find_takers, find_writers

DETERMINISTIC, STATEFUL, RANDOM = BEHAVIOURS = ("deterministic", "stateful", "random")


def of_outputs(pair: Pair, first: list[NDArray[Any]], again: list[list[NDArray[Any]] | None]) -> dict[str, str]:
    """Each tensor of `pair.graphs.fetched` -> one of BEHAVIOURS.

    Args:
      first, again: what the first run of the checkpoint's side and further ones in its session gave; None is a run
        that failed, as when a queue is empty by then.
    """
    graphs = pair.graphs
    found, is_restored_anew = {}, _restores_by_itself(graphs)
    for position, name in enumerate(graphs.fetched):
        is_same = all(run is not None and comparison.match(first[position], run[position]) for run in again)
        if is_same:
            is_stateful = is_restored_anew or not pair.is_steady and _carries_state(graphs.index, name, graphs.fed)
            found[name] = STATEFUL if is_stateful else DETERMINISTIC
        else:
            found[name] = RANDOM if draws(graphs.index, name, graphs.fed) else STATEFUL
    return found


def worst(found: set[str]) -> str:
    """The last of BEHAVIOURS that is in `found`; deterministic where it is empty."""
    return max(found, key=BEHAVIOURS.index, default=DETERMINISTIC)


def _restores_by_itself(graphs: Graphs) -> bool:
    """Whether the saver's own restore computes with what may be another in another run."""
    run = executed(graphs.index, graphs.restores, {saver_nodes(graphs.meta_graph)[1]})
    return any(changes_by_itself(graphs.index.nodes[name].op) for name in run)


def _carries_state(index: GraphIndex, name: str, fed: set[str]) -> bool:
    """Whether a tensor's next value may be another though this one was the same: few runs show what counts to many."""
    nodes = [index.nodes[running] for running in executed(index, [name], fed)]
    functions = needed_functions(nodes, index.graph_def.library)
    if any(changes_by_itself(node.op) for node in (*nodes, *(n for function in functions for n in function.node_def))):
        return True
    body = Body(nodes)
    writers = find_writers(body, {function.signature.name: function for function in functions})
    if not writers:
        return False
    branches, takers = Branches(body), find_takers(body)
    return any(
        any(not branches.of(writer) for writer in names)
        and _is_looked_at(body, variable, names, takers[variable], name)
        for variable, names in writers.items()
    )


def _is_looked_at(body: Body, variable: str, writers: set[str], takers: list[Taker], fetched: str) -> bool:
    """Whether something else than a write takes a written variable's value, or what a write of its memory gives."""
    if any(node.name not in writers for node, _ in takers) or tensor_name(fetched)[0] in writers:
        return True
    of_memory = [*body.consumers[variable], *(taken for writer in writers for taken in body.consumers[writer])]
    is_reference = variable in body.nodes and body.nodes[variable].op != "VarHandleOp"
    return is_reference and any(node.name not in writers for node, _ in of_memory)
