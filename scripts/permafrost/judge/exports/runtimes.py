"""What the judge asks of each format: to run an exported file once, and to change a weight in it."""

from collections.abc import Iterator
from typing import Any, Protocol

from msgspec import Struct
from numpy.typing import NDArray

from permafrost.judge.exports.declared_shapes import Declared

Array = NDArray[Any]


class Weight(Struct):
    """A constant of an exported file that can be changed.

    name: as the file has it. dtype, shape: numpy's. size: how many elements.
    """

    name: str
    dtype: str
    shape: list[int]
    size: int


class Runtime(Protocol):
    """An exported file, ready to be run; each run is the first one of a fresh session of its runtime."""

    def run(self, feed: dict[str, Array]) -> list[Array]:
        """The values of the signature's outputs, then of what is hidden in it, in its order.

        Args:
          feed: by the `key` of the signature's inputs. Strings are objects.
        Raises RunFailed (judge.sessions) where the runtime refuses the feed or fails on it.
        """
        ...

    def declared(self) -> Declared:
        """The shapes that the file declares of the signature's inputs and outputs."""
        ...

    def weights(self) -> Iterator[Weight]:
        """The file's weights, those that are likely to show in an output first."""
        ...

    def value(self, weight: str) -> Array:
        """The value of a weight, by its name."""
        ...

    def changed(self, weight: str, value: Array) -> "Runtime":
        """The same file with another value of a weight; the file itself stays as it is."""
        ...
