"""Damages of the weights in a file, whatever its format."""

from collections.abc import Iterator
from typing import Any

import numpy as np

Files = dict[str, bytes | None]  # as layout.EXPORTED names them; None for one that is gone


def bit_changed(value: np.ndarray, at: int, bit: int) -> np.ndarray:
    """An array with another lowest (0) or highest (7) bit of an element."""
    raw, size = bytearray(value.tobytes()), value.dtype.itemsize
    raw[at * size + (0 if bit == 0 else size - 1)] ^= 1 << (0 if value.dtype == bool else bit)
    return np.frombuffer(bytes(raw), value.dtype).reshape(value.shape)


class WeightDamages:
    """The damages of weights; each method is a kind and gives files."""

    def _values(self) -> list[tuple[Any, np.ndarray]]:
        """(what tells a weight, its value) of each."""
        raise NotImplementedError

    def _with(self, weight: Any, value: np.ndarray) -> Files:
        """The files with another value of a weight, of the same shape and dtype."""
        raise NotImplementedError

    def _swapped(self, first: Any, second: Any) -> Files:
        """The files with the values of two weights exchanged."""
        raise NotImplementedError

    def lowest_bit_of_a_weight(self) -> Iterator[Files]:
        yield from self._bits(0)

    def highest_bit_of_a_weight(self) -> Iterator[Files]:
        yield from self._bits(7)

    def _bits(self, bit: int) -> Iterator[Files]:
        for weight, value in self._values():
            for at in sorted({0, value.size // 2, value.size - 1}):
                yield self._with(weight, bit_changed(value, at, bit))

    def two_weights_swapped(self) -> Iterator[Files]:
        values = self._values()
        for place, (first, a) in enumerate(values):
            for second, b in values[place + 1 :]:
                if (a.shape, a.dtype) == (b.shape, b.dtype) and a.tobytes() != b.tobytes():
                    yield self._swapped(first, second)

    def weight_transposed(self) -> Iterator[Files]:
        for weight, value in self._values():
            if value.ndim > 1:
                yield self._with(weight, np.ascontiguousarray(value.T).reshape(value.shape))

    def weight_zero(self) -> Iterator[Files]:
        for weight, value in self._values():
            if value.dtype.kind == "f" and value.any():
                yield self._with(weight, np.zeros_like(value))

    def two_rows_swapped(self) -> Iterator[Files]:
        for weight, value in self._values():
            if value.ndim > 1 and len(value) > 1:
                yield self._with(weight, np.concatenate([value[:-2], value[-1:], value[-2:-1]]))


def kinds_of(damages: type) -> list[str]:
    """The kinds of damages that a class has, those of its base first."""
    return [name for each in damages.__mro__[::-1] for name in vars(each) if not name.startswith("_")]
