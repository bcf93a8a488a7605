"""Inputs that always have the same value, and are constants of an exported graph: which, and what they hold."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from permafrost import input_kinds as kinds
from permafrost.exporter.preparation.constants import NUMBERS, make_constant
from permafrost.exporter.preparation.draft import Draft
from permafrost.graph.index import tensor_name
from permafrost.outcome import Problem, maybe_meant
from permafrost.records import ImportRecord
from permafrost.signature import feeds

_CLOSE = 0.5


def chosen(
    imported: ImportRecord, bake: bool | Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, NDArray[Any]]:
    """The inputs to bake, by the tensor that the import record has them by, with the values that they get.

    Args:
      bake: false for none; true for those that are fed the same scalar in each trial; or the values of some, by name.
      names: what else an input may be called -> its tensor, such as the keys of a signature.
    Returns arrays of the input's dtype; strings are objects.
    Raises Problem (bad_setting) for a name of no input, and a value that does not fit.
    """
    if isinstance(bake, Mapping):
        given = {_tensor(imported, name, names or {}): value for name, value in bake.items()}
        return {tensor: _given(tensor, imported.inputs[tensor], value) for tensor, value in given.items()}
    steady = {tensor: spec for tensor, spec in imported.inputs.items() if bake and _is_steady(spec)}
    return feeds.make(steady, 0, 1, ".")


def _is_steady(spec: kinds.Input) -> bool:
    if not isinstance(spec, kinds.Value) or spec.dtype == "string" or spec.shape:
        return False
    return np.ndim(spec.value) == 0


def _tensor(imported: ImportRecord, name: str, names: Mapping[str, str]) -> str:
    for candidate in (names.get(name, name), name, f"{name}:0"):
        if candidate in imported.inputs:
            return candidate
    known = [*names, *imported.inputs]
    hint = maybe_meant(name, known, _CLOSE) or f"the inputs are {', '.join(imported.inputs) or 'none'}"
    raise Problem("bad_setting", f"`bake:` names {name!r}, which is no input of the model", hint)


def _given(tensor: str, spec: kinds.Input, value: Any) -> NDArray[Any]:
    """The array that a session makes of what it is fed."""
    fed = kinds.Value(dtype=spec.dtype, shape=None, why="", value=value)
    try:
        array = feeds.make({tensor: fed}, 0, 1, ".")[tensor]
    except Problem as problem:
        raise Problem("bad_setting", f"`bake:` gives {problem.message}") from problem
    if not _fits(array.shape, spec):
        raise Problem(
            "bad_setting",
            f"`bake:` gives input {tensor} a value of shape {list(array.shape)}, but its shape is {spec.shape}",
        )
    return array


def _fits(shape: tuple[int, ...], spec: kinds.Input) -> bool:
    if spec.shape is None or spec.open == "rank":
        return True
    guessed = spec.open if isinstance(spec.open, list) else []
    return len(shape) == len(spec.shape) and all(
        size is None or size == own or position in guessed
        for position, (size, own) in enumerate(zip(spec.shape, shape, strict=True))
    )


def bake_inputs(draft: Draft) -> None:
    """Makes constants of the inputs to bake, and takes them out of the signature."""
    values = {tensor_name(tensor): value for tensor, value in draft.bake.items()}
    dtypes = {tensor_name(each.tensor): each.dtype for each in draft.signature.inputs}
    for node in draft.main.graph_def.node:
        if (node.name, 0) in values:
            make_constant(node, values[node.name, 0], NUMBERS[dtypes[node.name, 0]])
            del node.input[:]  # What is fed waits for nothing.
    left = []
    for endpoint in draft.signature.inputs:
        value = values.get(tensor_name(endpoint.tensor))
        if value is None:
            left.append(endpoint)
        else:
            draft.baked[endpoint.source] = value.tolist()
            draft.count(f"input {endpoint.source} is always {value.tolist()!r}")
    draft.signature = msgspec.structs.replace(draft.signature, inputs=left)
