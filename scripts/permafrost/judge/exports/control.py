"""The negative control of an export: an output has to change when a weight in the exported file does."""

import itertools
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from permafrost.judge import comparison, weight_changes
from permafrost.judge.exports.runtimes import Runtime
from permafrost.judge.sessions import Feed, RunFailed
from permafrost.model import Tolerance
from permafrost.records import Control

_MOST_WEIGHTS = 12
_MOST_RUNS = 40


def change_weights(
    runtime: Runtime, feed: Feed, names: list[str], expected: list[NDArray[Any]], tolerances: list[Tolerance | None]
) -> Control:
    """Changes weights of the exported file, in the runtime's order, until an output is not within its tolerance.

    A converter folds weights into others, so that no weight of the checkpoint need be in the file; whichever is there
    and has an effect shows that the comparison sees it.
    Args:
      feed: of one trial, by the keys of the file's inputs.
      names: what the values are called that the runtime gives. expected: the checkpoint's. tolerances: of each.
    """
    tried = set()
    for name, value in itertools.islice(_in_turn(runtime), _MOST_RUNS):
        tried.add(name)
        try:
            actual = runtime.changed(name, value).run(feed)
        except RunFailed:
            continue  # The change made the graph fail, as an index out of range does; that shows nothing.
        for tensor, a, b, tolerance in zip(names, expected, actual, tolerances, strict=True):
            if not comparison.match(a, b, tolerance) and not weight_changes.overflows(a, b):
                return Control(name, tensor, len(tried))
    return Control(None, None, len(tried))


def _in_turn(runtime: Runtime) -> Iterator[tuple[str, NDArray[Any]]]:
    """(weight, value): the first change of each weight, then the second, and so on."""
    names = []
    for weight in itertools.islice(runtime.weights(), _MOST_WEIGHTS):
        names.append(weight.name)
        if (value := weight_changes.changed(runtime.value(weight.name), 0)) is not None:
            yield weight.name, value
    for number in range(1, weight_changes.most_changes()):
        for name in names:
            if (value := weight_changes.changed(runtime.value(name), number)) is not None:
                yield name, value
