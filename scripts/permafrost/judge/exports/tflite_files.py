"""How the judge runs a TensorFlow Lite file: by the interpreter that people have, on one thread, anew for each run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from permafrost.export_records import Endpoint, Signature
from permafrost.judge.exports.declared_shapes import Declared
from permafrost.judge.exports.runtimes import Array, Weight
from permafrost.judge.exports.tflite_buffers import Buffers
from permafrost.judge.sessions import RunFailed, array_of

_SERVING = "serving_default"


class TfliteRuntime:
    """A TensorFlow Lite file; a Runtime (judge.exports.runtimes).

    given: what `run` gives: the outputs of the signature, then what is hidden in it, as far as the file has one tensor
    of its name. What the file has no such tensor for cannot be read, and is left out.
    """

    def __init__(self, path: str | Path, signature: Signature):
        """Reads the file at `path`. Raises OSError, and RunFailed where it is none of TensorFlow Lite."""
        self._hold(Path(path).read_bytes(), signature)

    def _hold(self, content: bytes, signature: Signature) -> None:
        self._content, self._signature = content, signature
        try:
            self._buffers = Buffers(content)
            self._inputs, self._outputs = self._buffers.signature(_SERVING)
            self._hidden = self._readable()
        except (ValueError, IndexError, TypeError, AttributeError, KeyError, OverflowError) as error:
            raise RunFailed("run_failed", f"the file cannot be read as TensorFlow Lite's: {error}") from error
        except Exception as error:  # struct.error, and what else its reader raises on bytes that are anything
            raise RunFailed("run_failed", f"the file cannot be read as TensorFlow Lite's: {error}") from error

    def _readable(self) -> list[tuple[Endpoint, int]]:
        places = [(each, self._buffers.places(each.name)) for each in self._signature.hidden]
        return [(each, found[0]) for each, found in places if len(found) == 1]

    @property
    def given(self) -> list[Endpoint]:
        """See the class."""
        return [*self._signature.outputs, *(each for each, _ in self._hidden)]

    def run(self, feed: dict[str, Array]) -> list[Array]:
        """The values of what is `given`. Takes and raises what Runtime.run does.

        What is hidden is read in a run of its own, in which the interpreter keeps what it computes on the way.
        """
        places = [self._place(each.key) for each in self._signature.outputs]
        values = self._values(feed, places, is_kept=False)
        hidden = [place for _, place in self._hidden]
        return values + (self._values(feed, hidden, is_kept=True) if hidden else [])

    def _place(self, key: str) -> int:
        if key not in self._outputs:
            raise RunFailed("run_failed", f"the file has no output {key!r}; it has {', '.join(self._outputs)}")
        return self._outputs[key]

    def _values(self, feed: dict[str, Array], places: list[int], is_kept: bool) -> list[Array]:
        interpreter = self._interpreter(is_kept)
        try:
            self._feed(interpreter, feed)
            interpreter.invoke()
            return [array_of(interpreter.get_tensor(place)).copy() for place in places]
        except MemoryError:
            raise
        except (ValueError, RuntimeError, TypeError) as error:
            raise RunFailed("run_failed", f"TensorFlow Lite fails: {_sentence(error)}") from error

    def _interpreter(self, is_kept: bool) -> Any:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType  # Only here: not every run has exports.

        # A delegate, which is what is fast, keeps to itself what it computes on the way.
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if is_kept else OpResolverType.AUTO
        try:
            return Interpreter(
                model_content=self._content,
                num_threads=1,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=is_kept,
            )
        except (ValueError, RuntimeError, TypeError) as error:
            raise RunFailed("run_failed", f"TensorFlow Lite cannot load the file: {_sentence(error)}") from error

    def _feed(self, interpreter: Any, feed: dict[str, Array]) -> None:
        """Sets the inputs, in the shapes that they have. Raises RunFailed (bad_feed) where the file has others."""
        details = {each["index"]: each for each in interpreter.get_input_details()}
        fed = {self._inputs[key]: (key, value) for key, value in feed.items() if key in self._inputs}
        if missing := [key for key, place in self._inputs.items() if place not in fed]:
            raise RunFailed("bad_feed", f"nothing is fed to input {missing[0]!r}")
        for place, (key, value) in fed.items():
            _check(key, value, details[place])
            if list(details[place]["shape"]) != list(value.shape):
                interpreter.resize_tensor_input(place, list(value.shape))
        interpreter.allocate_tensors()
        for place, (_, value) in fed.items():
            interpreter.set_tensor(place, np.ascontiguousarray(value).reshape(value.shape))

    def declared(self) -> Declared:
        """As Runtime.declared."""
        shapes = self._buffers.shape
        inputs = {key: shapes(place) for key, place in self._inputs.items()}
        return Declared(inputs, {key: shapes(place) for key, place in self._outputs.items()})

    def weights(self) -> Iterator[Weight]:
        """As Runtime.weights: floats before integers, and of these the ones that are nearest to the outputs first."""
        return self._buffers.weights()

    def value(self, weight: str) -> Array:
        """As Runtime.value. Raises KeyError where the file has no such weight."""
        return self._buffers.value(weight)

    def changed(self, weight: str, value: Array) -> "TfliteRuntime":
        """As Runtime.changed. Raises KeyError as `value`, and ValueError for a value of another dtype or shape."""
        changed = object.__new__(TfliteRuntime)
        changed._hold(self._buffers.with_value(weight, value), self._signature)
        return changed


def _check(key: str, value: Array, details: dict[str, Any]) -> None:
    if value.dtype.kind not in "OSU" and value.dtype != details["dtype"]:
        raise RunFailed("bad_feed", f"input {key!r} is of {np.dtype(details['dtype'])}, not of {value.dtype}")
    sizes = [int(size) for size in details["shape_signature"]]
    fits = len(sizes) == value.ndim and all(size in (-1, given) for size, given in zip(sizes, value.shape, strict=True))
    if not fits and sizes:
        raise RunFailed("bad_feed", f"input {key!r} has the shape {sizes}, which {list(value.shape)} does not fit")


def _sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:400]
