"""What is known of a candidate, as features: what a person looks at who searches a graph for its outputs.

Each module has a class that is made for the candidates of one graph, and whose `of` gives what holds of one of them.
Networks come last: at the border of two networks they take away what only matters at the end of one.
"""

from collections.abc import Iterator
from typing import Protocol

from permafrost.signature.ranking.anatomy import Anatomy
from permafrost.signature.ranking.equal_nodes import first_equals
from permafrost.signature.ranking.features.names import Names
from permafrost.signature.ranking.features.neighbours import Neighbours
from permafrost.signature.ranking.features.networks import Networks
from permafrost.signature.ranking.features.position import Position
from permafrost.signature.ranking.features.twins import Twins
from permafrost.signature.ranking.features.weights import Weights

Features = dict[str, float]


def features(anatomy: Anatomy, names: list[str]) -> dict[str, Features]:
    """Candidate -> feature -> value, 1 where it holds; shares are from 0 to 1, logarithms of counts may be more.

    What is 0 is left out.

    Args:
      names: the candidates, in graph order.
    """
    first = first_equals(anatomy, names)
    topics: list[Topic] = [topic(anatomy, names) for topic in (Position, Neighbours, Weights)]
    topics += [topic(anatomy, names, first) for topic in (Names, Twins)]
    networks = Networks(anatomy, names)
    found = {}
    for name in names:
        of_one = dict(_held(name, topics))
        networks.add(name, of_one)
        found[name] = of_one
    return found


class Topic(Protocol):
    """Some features of the candidates of a graph."""

    def of(self, name: str) -> Iterator[tuple[str, float | bool]]:
        """(feature, value) for each that may hold of a candidate."""


def _held(name: str, topics: list[Topic]) -> Iterator[tuple[str, float]]:
    for topic in topics:
        for feature, value in topic.of(name):
            if value:
                yield feature, float(value)
