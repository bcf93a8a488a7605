"""Inputs that always have the same value, as the settings ask for it: which, and what it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost import input_kinds as kinds
from permafrost.outcome import Problem, maybe_meant
from permafrost.signature import feeds

_CLOSE = 0.5


def chosen(
    inputs: kinds.Inputs, bake: bool | Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, NDArray[Any]]:
    """The inputs to bake, by the tensor of each, with the values that they get.

    Args:
      inputs: those of the import record.
      bake: false for none; true for those that are fed the same scalar in each trial; or the values of some, by name.
      names: what else an input may be called -> its tensor, such as the keys of a signature.
    Returns arrays of the input's dtype; strings are objects.
    Raises Problem (bad_setting) for a name of no input, and a value that does not fit.
    """
    if isinstance(bake, Mapping):
        given = {_tensor(inputs, name, names or {}): value for name, value in bake.items()}
        return {tensor: _given(tensor, inputs[tensor], value) for tensor, value in given.items()}
    steady = {tensor: spec for tensor, spec in inputs.items() if bake and _is_steady(spec)}
    return feeds.make(steady, 0, 1, ".")


def _is_steady(spec: kinds.Input) -> bool:
    if not isinstance(spec, kinds.Value) or spec.dtype == "string" or spec.shape:
        return False
    return np.ndim(spec.value) == 0


def _tensor(inputs: kinds.Inputs, name: str, names: Mapping[str, str]) -> str:
    for candidate in (names.get(name, name), name, f"{name}:0"):
        if candidate in inputs:
            return candidate
    known = [*names, *inputs]
    hint = maybe_meant(name, known, _CLOSE) or f"the inputs are {', '.join(inputs) or 'none'}"
    raise Problem("bad_setting", f"`bake:` names {name!r}, which is no input of the model", hint)


def _given(tensor: str, spec: kinds.Input, value: Any) -> NDArray[Any]:
    """The array that a session makes of what it is fed."""
    fed = kinds.Value(dtype=spec.dtype, shape=None, why="", value=value)
    try:
        array = feeds.make({tensor: fed}, 0, 1, ".")[tensor]
    except Problem as problem:
        raise Problem("bad_setting", f"`bake:` of {tensor}: {problem.message}") from problem
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


def told(baked: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The values of baked inputs as a record holds them: numbers, truth values or texts, or lists of these.

    Raises Problem (bad_setting) for what JSON cannot hold: complex numbers, NaN and infinities.
    """
    return {tensor: _told(tensor, value) for tensor, value in baked.items()}


def _told(tensor: str, value: NDArray[Any]) -> Any:
    if value.dtype == object:
        return np.vectorize(lambda text: text.decode(), otypes=[object])(value).tolist()
    if value.dtype.kind in "biu":
        return value.tolist()
    if value.dtype.kind == "c" or not np.isfinite(number := value.astype(np.float64)).all():
        raise Problem("bad_setting", f"`bake:` gives input {tensor} a value that is no finite number")
    return number.tolist()


def spec_of(spec: kinds.Input, value: Any) -> kinds.Value:
    """What is fed to an input that always has a value, as a record holds it."""
    return kinds.Value(dtype=spec.dtype, shape=None, why="baked", value=value)


def refuse_other(form: str, asked: Mapping[str, NDArray[Any]], own: Mapping[str, Any]) -> None:
    """Raises Problem (bad_setting) where a format is to bake an input that the frozen graph has as another constant.

    Args:
      asked: the values that the settings of the format give. own: those in the frozen graph, as its record has them.
    """
    for source, value in told({source: value for source, value in asked.items() if source in own}).items():
        if value != own[source]:
            said = f"`{form}:` bakes {source} as {value!r}, but the frozen graph has it as the constant {own[source]!r}"
            raise Problem("bad_setting", said, "give it the same value, or leave it out of one `bake:`")
