"""What an ONNX file calls its inputs and outputs, and which of their dimensions are open."""

from collections.abc import Iterator

from msgspec import structs

from permafrost.export_records import Endpoint, Signature
from permafrost.input_kinds import Shape
from permafrost.model import OnnxOptions
from permafrost.outcome import Problem, maybe_meant

BATCH = "batch"


def in_file(signature: Signature, options: OnnxOptions) -> Signature:
    """The signature with the names and the shapes that the file has.

    A name is the key, with `_out`, `_hidden` or a number behind it where another has it already: in an ONNX graph an
    input and an output are the same tensor where they have the same name. `options.batch` is put in the place of the
    first open dimension of each input, but for one that `options.dynamic_axes` names.
    Raises Problem (bad_setting) for a key or an axis of `options.dynamic_axes` that the model lacks, or that is fixed.
    """
    _check(signature, options)
    taken: set[str] = set()
    inputs = [_named(each, taken, "_in", _fixed(each, options)) for each in signature.inputs]
    outputs = [_named(each, taken, "_out", each.shape) for each in signature.outputs]
    hidden = [_named(each, taken, "_hidden", each.shape) for each in signature.hidden]
    return Signature(inputs=inputs, outputs=outputs, hidden=hidden)


def _named(endpoint: Endpoint, taken: set[str], suffix: str, shape: Shape | None) -> Endpoint:
    name = next(name for name in _candidates(endpoint.key, suffix) if name not in taken)
    taken.add(name)
    return structs.replace(endpoint, name=name, shape=shape)


def _candidates(key: str, suffix: str) -> Iterator[str]:
    yield key
    yield key + suffix
    number = 1
    while number := number + 1:
        yield f"{key}{suffix}_{number}"


def _fixed(endpoint: Endpoint, options: OnnxOptions) -> Shape | None:
    shape, axis = endpoint.shape, endpoint.batch_axis
    if shape is None or axis is None or axis in options.dynamic_axes.get(endpoint.key, {}) or options.batch is None:
        return shape
    return [*shape[:axis], options.batch, *shape[axis + 1 :]]


def _check(signature: Signature, options: OnnxOptions) -> None:
    ends = {end.key: end for end in (*signature.outputs, *signature.inputs)}
    for key, axes in options.dynamic_axes.items():
        if key not in ends:
            hint = maybe_meant(key, ends, 0.6) or f"there are {', '.join(ends)}"
            raise Problem(
                "bad_setting", f"`dynamic_axes:` names {key!r}, which is no input or output of the file", hint
            )
        for axis in axes:
            _check_axis(ends[key], axis)


def _check_axis(end: Endpoint, axis: int) -> None:
    if end.shape is not None and not 0 <= axis < len(end.shape):
        there = f"has the axes 0 to {len(end.shape) - 1}" if end.shape else "is a scalar"
        raise Problem("bad_setting", f"`dynamic_axes:` names axis {axis} of {end.key!r}, which {there}")
    if end.shape is not None and end.shape[axis] is not None:
        said = f"`dynamic_axes:` names axis {axis} of {end.key!r}, which is always {end.shape[axis]} there"
        raise Problem("bad_setting", said, "name axes that the graph leaves open, or none")


def dimension(endpoint: Endpoint, axis: int, options: OnnxOptions) -> str:
    """The name of an open dimension of an input: what the settings say, `batch` for that, or `<name>_<axis>`."""
    named = options.dynamic_axes.get(endpoint.key, {}).get(axis)
    is_batch = options.batch is None and axis == endpoint.batch_axis
    return named or (BATCH if is_batch else f"{endpoint.name}_{axis}")
