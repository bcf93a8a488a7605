"""The negative control: outputs have to change when a variable does, or their equality shows nothing."""

import itertools
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from permafrost.graph.index import tensor_name
from permafrost.judge import comparison, weight_changes
from permafrost.judge.pair import Pair
from permafrost.judge.sessions import Feed, RunFailed
from permafrost.model import Tolerance
from permafrost.records import Control

_MOST_PERTURBED = 12  # variables
_MOST_RUNS = 60


def change_variables(
    pair: Pair, feed: Feed, expected: list[NDArray[Any]], tolerances: dict[str, Tolerance | None]
) -> Control:
    """Changes whole variables of the frozen graph, nearest the outputs first, until an output changes.

    Each is changed in one way first, and all of them in others, by more and the other way, only where that changes
    nothing: a saturated cell, a clip or a comparison hides what pushes it further.
    Args:
      feed: the arrays of one trial, by the names of the import record.
      expected: what the checkpoint's side gives for `pair.graphs.fetched` on it.
      tolerances: of each of these.
    Returns the first pair of which one changes the other; a tensor before a head stands in for outputs that no change
      reaches.
    """
    control, tried = Control(None, None, 0), set()
    for name, changed in itertools.islice(_in_turn(pair), _MOST_RUNS):
        if name in tried and control.variable is not None:
            break
        tried.add(name)
        control.tried = len(tried)
        try:
            actual = pair.run_frozen(pair.graphs.fetched, feed, (name, changed))
        except RunFailed:
            continue  # The change made the graph fail, as an index out of range does; that shows nothing.
        for tensor, a, b in zip(pair.graphs.fetched, expected, actual, strict=True):
            if not comparison.match(a, b, tolerances[tensor]) and not weight_changes.overflows(a, b):
                if tensor in pair.graphs.outputs:
                    return Control(name, tensor, len(tried))
                if control.variable is None:
                    control.variable, control.output = name, tensor
    return control


def sentence(control: Control) -> str:
    """What a control without a variable shows."""
    if not control.tried:
        return "there is no variable whose change could change an output, so the comparison shows nothing"
    return f"changing {control.tried} variables changed no output on these inputs, so the comparison shows nothing"


def _in_turn(pair: Pair) -> Iterator[tuple[str, NDArray[Any]]]:
    """(variable, value): the first change of each variable, nearest the outputs first, then the second, and so on."""
    names = []
    for name in _nearest_first(pair):
        if (changed := weight_changes.changed(_value(pair, name), 0)) is not None:
            yield name, changed
            names.append(name)
            if len(names) == _MOST_PERTURBED:
                break
    for number in range(1, weight_changes.most_changes()):
        for name in names:
            if (changed := weight_changes.changed(_value(pair, name), number)) is not None:
                yield name, changed


def _value(pair: Pair, name: str) -> NDArray[Any]:
    given = pair.frozen.values().get(name)
    return pair.graphs.frozen.constant(name) if given is None else given


def _nearest_first(pair: Pair) -> list[str]:
    """The variables, constants now or not, by their distance from the outputs."""
    index = pair.graphs.frozen.index
    waiting = [
        name for name in dict.fromkeys(tensor_name(output)[0] for output in pair.graphs.outputs) if name in index.nodes
    ]
    seen = set(waiting)
    for name in waiting:
        for source, _ in index.inputs_of(index.nodes[name]):
            if source not in seen and source in index.nodes:
                seen.add(source)
                waiting.append(source)
    variables = {*pair.graphs.constants, *pair.frozen.values()}
    return [name for name in waiting if name in variables]
