"""Chooses a set of candidates: each further one by how it stands to those that are chosen.

Logits and their probabilities go together, the copies of one network do not, and a hidden layer adds nothing to the
output behind it. How much each such relation tells is fitted (signature.ranking.tables).
"""

import re

from permafrost.signature.forward.marks import CHOICES, PROBABILITIES
from permafrost.signature.ranking.anatomy import Anatomy, union
from permafrost.signature.ranking.equal_nodes import value_of
from permafrost.signature.ranking.features import Features
from permafrost.signature.ranking.features.names import leaf
from permafrost.signature.ranking.tables import Table

_COMPARED = 60  # candidates, the best by themselves
_TRIED = 25  # of these, those that are not yet chosen, at each step
_SQUASHING = PROBABILITIES | {"Tanh"}
_MOST_OUTPUTS = 8  # that are chosen without being asked for
_LEAST = 0.025  # the probability at which a further output is chosen
# What of a candidate itself matters beside its relations.
_OWN = (
    "end of the forward graph", "only losses and metrics take it", "a loss compares it with labels",
    "is no tail of a loss", "named as an output", "the program gave it a name of its own", "goes into a selection",
    "goes into a cross entropy", "is the result of a layer", "is a reshaping", "is arithmetic", "is a selection",
    "is probabilities", "depends on random numbers", "is handed to another network",
    "no layer of its own network comes after", "is a single number", "its name speaks of loss",
    "its name speaks of metric",
    "its name speaks of a target network", "its name speaks of a discriminator or a critic", "depends on a label",
    "has the shape of an input that it needs", "noise is added to it", "is a final state that nothing takes",
    "comes from a loop", "adds a bias in a layer", "is in a collection of the program's",
    "was only made to have a name", "nothing takes it", "is off the gradient's way", "is a sum",
    "goes into probabilities", "is a weight itself", "is a state that comes back as an input",
    "is a loop's state, and no weight begins it", "is a loop's state, and an input begins it",
    "between networks: a code", "between networks: handed on", "between networks: before noise", "is in a canned head",
)  # fmt: skip


class Pool:
    """The candidates of a graph, of which a set is chosen.

    Args:
      features: candidate -> features, as signature.ranking.features gives them.
      log_odds: candidate -> what speaks for it by itself.
    """

    def __init__(self, anatomy: Anatomy, features: dict[str, Features], log_odds: dict[str, float]):
        self._anatomy, self._features, self.log_odds = anatomy, features, log_odds
        best: dict[str, str] = {}
        for name, own in log_odds.items():
            value = value_of(anatomy.index, name)
            if value not in best or own > log_odds[best[value]]:
                best[value] = name
        self.best = sorted(best.values(), key=lambda name: (-log_odds[name], name))[:_COMPARED]
        self._before: dict[str, set[str]] = {}
        self._labels = union(anatomy.feed_bit[point] for point in anatomy.labels)

    def choose(self, table: Table, least: float = _LEAST, most: int = _MOST_OUTPUTS) -> list[str]:
        """The best candidate, and further ones as long as one has at least the probability `least`, in that order."""
        chosen = self.best[:1]
        while len(chosen) < most and (left := self.left(chosen)):
            probabilities = {name: table.probability(self.beside(name, chosen)) for name in left}
            name = max(left, key=lambda each: probabilities[each])
            if probabilities[name] < least:
                break
            chosen.append(name)
        return chosen

    def left(self, chosen: list[str]) -> list[str]:
        """The candidates that are tried beside those that are chosen, the best by themselves first."""
        return [name for name in self.best if name not in chosen][:_TRIED]

    def beside(self, name: str, chosen: list[str]) -> Features:
        """The features of a candidate beside those that are chosen, the first of which is the best by itself."""
        best = self.log_odds[chosen[0]]
        found: Features = {
            "by itself": self.log_odds[name],
            "worse than the first": best - self.log_odds[name],
            "the first": best,
            f"{min(len(chosen), 4)} chosen": 1.0,
        }
        for place, other in enumerate(chosen):
            for relation in self._relations(name, other):
                found[f"to one: {relation}"] = 1.0
                if not place:
                    found[f"to the first: {relation}"] = 1.0
        weights, feeds = self._anatomy.weight_bits, self._anatomy.feed_bits
        if weights.get(name, 0) & ~union(weights.get(other, 0) for other in chosen):
            found["depends on weights that no chosen one does"] = 1.0
        if feeds.get(name, 0) & ~union(feeds.get(other, 0) for other in chosen) & ~self._labels:
            found["depends on inputs that no chosen one does"] = 1.0
        own = self._features[name]
        return found | {feature: own[feature] for feature in _OWN if feature in own}

    def _relations(self, name: str, other: str) -> list[str]:
        anatomy = self._anatomy
        way = "after" if other in self._upstream(name) else "before" if name in self._upstream(other) else "beside"
        weights, others = anatomy.weight_bits.get(name, 0), anatomy.weight_bits.get(other, 0)
        op, other_op = anatomy.ops[name], anatomy.ops[other]
        same_layer = anatomy.layers.get(name) == anatomy.layers.get(other)
        found = [way, f"{way}, {_compared(weights, others)} weights", f"{way}, {_other(same_layer)} layer"]
        if same_layer and weights == others and way != "beside":
            found.append(f"{_kind(op)} {way} {_kind(other_op)}")
        if op == other_op:
            found.append(f"same op {way}")
            if way == "beside":
                found += ["twin"] * (weights == others) + ["same op, no weight in common"] * (not weights & others)
        if leaf(name) == leaf(other):
            found.append(f"same name {way}")
        if name.rpartition("/")[0] == other.rpartition("/")[0]:
            found.append(f"same scope {way}")
        if re.sub(r"\d+", "#", name) == re.sub(r"\d+", "#", other):
            found.append(f"same name but for numbers {way}")
        return found + self._of_inputs(name, other, way)

    def _of_inputs(self, name: str, other: str, way: str) -> list[str]:
        inputs, bits = self._anatomy.inputs, self._anatomy.feed_bits
        found = ["same source"] if way == "beside" and inputs[name][:1] == inputs[other][:1] else []
        own, others = bits.get(name, 0), bits.get(other, 0)
        return found + [f"other inputs {way}"] * (own != others) + [f"more inputs {way}"] * bool(own & ~others)

    def _upstream(self, name: str) -> set[str]:
        if name not in self._before:
            reached, waiting, inputs = {name}, [name], self._anatomy.inputs
            while waiting:
                for source, _ in inputs[waiting.pop()]:
                    if source not in reached and source in inputs:
                        reached.add(source)
                        waiting.append(source)
            self._before[name] = reached
        return self._before[name]


def _compared(weights: int, others: int) -> str:
    if weights == others:
        return "same"
    if not others & ~weights:
        return "more"
    return "fewer" if not weights & ~others else "other"


def _other(is_same: bool) -> str:
    return "same" if is_same else "other"


def _kind(op: str) -> str:
    return "selection" if op in CHOICES else "squashing" if op in _SQUASHING else "other"
