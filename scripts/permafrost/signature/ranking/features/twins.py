"""Features: how a candidate differs from its twins, i.e. what the same op makes of the same weights."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import log

from permafrost.signature.ranking.anatomy import EXITS, Anatomy
from permafrost.signature.ranking.features.names import words


@dataclass
class _Group:
    """Candidates with the same op and weights, in graph order, and how many of them are or compute something else."""

    names: list[str]
    distinct: int
    random: int
    trained: int
    labelled: int
    inferring: int
    fewest: int
    most: int


class Twins:
    """The copies of a network: for training and for use, with and without dropout."""

    def __init__(self, anatomy: Anatomy, names: list[str], first: dict[str, str]):
        self._anatomy, self._first = anatomy, first
        groups = defaultdict(list)
        for name in names:
            groups[self._key(name)].append(name)
        self._groups = {key: self._described(group) for key, group in groups.items()}

    def _key(self, name: str) -> tuple[str, int]:
        op = self._anatomy.ops[name]
        return name if op in EXITS else op, self._anatomy.weight_bits.get(name, 0)

    def _described(self, names: list[str]) -> _Group:
        survey = self._anatomy.survey
        inputs = [self._inputs(name) for name in names]
        return _Group(
            names,
            distinct=len({self._first[name] for name in names}),
            random=sum(name in survey.random for name in names),
            trained=sum(name in survey.trained for name in names),
            labelled=sum(name in survey.labelled for name in names),
            inferring=sum("inference" in words(name) for name in names),
            fewest=min(inputs),
            most=max(inputs),
        )

    def _inputs(self, name: str) -> int:
        return self._anatomy.feed_bits.get(name, 0).bit_count()

    def of(self, name: str) -> Iterator[tuple[str, float | bool]]:
        """(feature, value) for each that may hold of a candidate."""
        group, survey = self._groups[self._key(name)], self._anatomy.survey
        count = len(group.names)
        yield "has no twin", count == 1
        yield "crowd of its twins", log(group.distinct) / 5
        if count == 1:
            return
        is_first, is_last = group.names[0] == name, group.names[-1] == name
        yield "is the first of its twins", is_first
        yield "is the last of its twins", is_last
        yield "is in the middle of its twins", not is_first and not is_last
        random, trained, labelled = name in survey.random, name in survey.trained, name in survey.labelled
        yield "a twin depends on random numbers", not random and group.random > 0
        yield "a twin depends on no random numbers", random and group.random < count
        yield "a twin is on the gradient's way", not trained and group.trained > 0
        yield "a twin is off the gradient's way", trained and group.trained < count
        yield "a twin depends on a label", not labelled and group.labelled > 0
        inferring = "inference" in words(name)
        yield "a twin is in a scope of inference", not inferring and group.inferring > 0
        yield "a twin is in no scope of inference", inferring and group.inferring < count
        inputs = self._inputs(name)
        yield "a twin needs fewer inputs", group.fewest < inputs
        yield "a twin needs more inputs", inputs == group.fewest < group.most
