"""Sets in the order in which they were filled, for the time of a conversion.

tf2onnx goes over sets of names and of nodes, whose order follows from the hash of a string or from where an object lies
in memory, so that the file is another in each run: another one of two equal constants is left over, names count up in
another order. In each of its modules `set` is one of these meanwhile.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator, MutableSet
from typing import Any


class OrderedSet(MutableSet[Any]):
    """A set whose order is that in which its elements came; with the methods of `set` that tf2onnx calls."""

    def __init__(self, elements: Iterable[Any] = ()):
        self._elements = dict.fromkeys(elements)

    def __contains__(self, element: object) -> bool:
        return element in self._elements

    def __iter__(self) -> Iterator[Any]:
        return iter(self._elements)

    def __len__(self) -> int:
        return len(self._elements)

    def add(self, value: Any) -> None:
        self._elements[value] = None

    def discard(self, value: Any) -> None:
        self._elements.pop(value, None)

    def update(self, *others: Iterable[Any]) -> None:
        for other in others:
            self._elements.update(dict.fromkeys(other))

    def copy(self) -> "OrderedSet":
        return OrderedSet(self)

    def union(self, *others: Iterable[Any]) -> "OrderedSet":
        found = self.copy()
        found.update(*others)
        return found

    def intersection(self, other: Iterable[Any]) -> "OrderedSet":
        kept = set(other)
        return OrderedSet(element for element in self if element in kept)

    def difference(self, other: Iterable[Any]) -> "OrderedSet":
        gone = set(other)
        return OrderedSet(element for element in self if element not in gone)

    def issubset(self, other: Iterable[Any]) -> bool:
        return set(self) <= set(other)

    def issuperset(self, other: Iterable[Any]) -> bool:
        return set(self) >= set(other)


@contextlib.contextmanager
def ordered_sets(package: str) -> Iterator[None]:
    """Lets `set` be OrderedSet in each module of a package that is loaded."""
    prefix = f"{package}."
    modules = [module for name, module in sys.modules.items() if name == package or name.startswith(prefix)]
    for module in modules:
        vars(module)["set"] = OrderedSet
    try:
        yield
    finally:
        for module in modules:
            del vars(module)["set"]
