"""Trials on which the verification has no need to run: what a converter may get wrong where random inputs do not reach.

The structure and the weights of a frozen graph are compared by themselves; of an exported file only runs tell. So each
word and each number that indexes a table is fed once, flags are turned, and floats are made large, so that other sides
of conds, and the bounds of activations, are reached. Inputs on which the checkpoint does not run tell nothing.
"""

from collections.abc import Iterator
from math import prod

import numpy as np
from msgspec import UNSET

from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import GraphDef
from permafrost.input_kinds import Fed, Integers, Shape, Strings, Uniform, Words
from permafrost.judge.exports.runtimes import Array
from permafrost.judge.exports.trials import Trial, Trials
from permafrost.judge.sessions import Feed

_FACTORS = (30, -30)
_MOST_ELEMENTS = 1 << 12  # of all inputs of a trial, beyond which its batch is not made larger
_MOST_TRIALS = 8  # in which all words and numbers are fed, as far as these last
_MOST_FLAGS = 4
_MOST_VALUES = 1 << 20
_FILLING = ("InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2")
_UNKNOWN = b"\x01 no such word"


def on_other_values(trials: Trials) -> Iterator[tuple[str, Trial]]:
    """Trials on values that the verification may not have fed, each with what is special about it, in words."""
    inputs = _described(trials)
    yield from _with_all_values(trials, inputs)
    yield from _with_turned_flags(trials)


def on_large_values(trials: Trials) -> Iterator[tuple[str, Trial]]:
    """Trials on floats of another size, where nobody said which ones an input takes."""
    inputs = _described(trials)
    free = [name for name, spec in inputs.items() if isinstance(spec, Uniform) and spec.open is not UNSET]
    for factor in _FACTORS if free else ():
        trial = _first(trials)
        changed = {name: (trial.feed[name] * factor).astype(trial.feed[name].dtype) for name in free}
        yield f"on inputs {factor} times as large", _with(trial, changed)


def _described(trials: Trials) -> dict[str, Fed]:
    """The inputs of the file but those that keep the default of the checkpoint's graph."""
    described = trials.graphs.inputs
    return {source: described[source] for source in trials.sources.values() if source in described}


def _first(trials: Trials) -> Trial:
    return next(iter(trials))


def _with(trial: Trial, changed: Feed) -> Trial:
    return Trial(trial.number, trial.seed, trial.batch, trial.feed | changed)


def _with_turned_flags(trials: Trials) -> Iterator[tuple[str, Trial]]:
    trial = _first(trials)
    flags = [name for name in trials.sources.values() if trial.feed[name].dtype == bool and not trial.feed[name].ndim]
    for name in flags[:_MOST_FLAGS]:
        yield f"with {name} {not trial.feed[name]}", _with(trial, {name: np.asarray(not trial.feed[name])})


def _with_all_values(trials: Trials, inputs: dict[str, Fed]) -> Iterator[tuple[str, Trial]]:
    """Trials that together feed each value of inputs that take one of a list, as far as they have room for it."""
    tables = _keys_of_tables(trials.graphs.frozen.graph_def)
    values = {name: found for name, spec in inputs.items() if (found := _values(spec, tables)) is not None}
    if not values:
        return
    shapes = {name: spec.shape or [] for name, spec in inputs.items()}
    batch = trials.fixed or _batch(shapes, values)
    rounds = max(-(-len(found) // max(1, _size(shapes[name], batch))) for name, found in values.items())
    for number in range(min(rounds, _MOST_TRIALS)):
        trial = trials.trial(number, batch)
        changed = {name: _part(found, number, trial.feed[name]) for name, found in values.items()}
        yield "on other words or numbers", _with(trial, changed)


def _values(spec: Fed, tables: list[list[bytes]]) -> Array | None:
    """All values that an input takes; None where there is no list of them.

    Args:
      tables: the keys of each table; the description of an input names the first ones alone.
    """
    if isinstance(spec, Integers) and spec.high is not None:
        return np.arange(spec.low, spec.high) if spec.high - spec.low <= _MOST_VALUES else None
    if isinstance(spec, Strings) and isinstance(spec.content, Words) and spec.content.words:
        words = {word.encode() for word in spec.content.words}
        whole = [word for keys in tables if words <= set(keys) for word in keys]
        return np.array([*dict.fromkeys([*words, *whole]), _UNKNOWN], object)
    return None


def _keys_of_tables(graph_def: GraphDef) -> list[list[bytes]]:
    """The strings that are keys of each table that constants of a frozen graph fill."""
    index = GraphIndex(graph_def)
    filling = [node for node in graph_def.node if node.op in _FILLING]
    sources = [index.source_of(node, 1) for node in filling]
    return [[*node.attr["value"].tensor.string_val] for node in sources if node is not None and node.op == "Const"]


def _batch(shapes: dict[str, Shape], values: dict[str, Array]) -> int:
    """The least batch, up to a limit, of which one trial has room for all values.

    Args:
      shapes: of all inputs. values: what is to be fed, by the input.
    """
    batch, values = 2, {name: found for name, found in values.items() if None in shapes[name]}
    while any(_size(shapes[name], batch) < len(found) for name, found in values.items()):
        if batch > _MOST_ELEMENTS or sum(_size(shape, 2 * batch) for shape in shapes.values()) > _MOST_ELEMENTS:
            break
        batch *= 2
    return batch


def _size(shape: Shape, batch: int) -> int:
    return prod(batch if size is None else size for size in shape)


def _part(values: Array, number: int, fed: Array) -> Array:
    """As many of the values as an input has elements, in turn; `number` says where to begin."""
    places = (np.arange(fed.size) + number * fed.size) % len(values)
    return np.asarray(values[places].reshape(fed.shape).astype(fed.dtype))
