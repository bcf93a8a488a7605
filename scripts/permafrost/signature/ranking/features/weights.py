"""Features: which weights and inputs a candidate depends on."""

from collections.abc import Iterator

from permafrost.graph.pruning import PLACEHOLDERS
from permafrost.signature.ranking.anatomy import Anatomy, union
from permafrost.signature.ranking.features.names import LABEL

_WRITES = ("Assign", "AssignVariableOp")


class Weights:
    """How many weights candidates depend on, who trains these, and what is fed for them."""

    def __init__(self, anatomy: Anatomy, names: list[str]):
        self._anatomy, self._bits, self._feeds = anatomy, anatomy.weight_bits, anatomy.survey.feeds
        variables = anatomy.survey.variables
        counted = [name for name in names if name not in variables]
        self._most = max((self._bits.get(name, 0).bit_count() for name in counted), default=1) or 1
        self._all = union(self._bits.get(name, 0) for name in counted if name not in anatomy.survey.parameters)
        self._trained = anatomy.optimized_bits
        self._copied = union(anatomy.weight_bit[name] for name in _copied(anatomy)) & ~self._trained
        self._placeholders = [point for point in self._feeds if anatomy.ops[point[0]] in PLACEHOLDERS]
        self._targets = [point for point in self._feeds if point[0] in anatomy.survey.targets]
        self._label_like = [point for point in self._feeds if LABEL.search(point[0])]

    def of(self, name: str) -> Iterator[tuple[str, float | bool]]:
        """(feature, value) for each that may hold of a candidate."""
        bits = self._bits.get(name, 0)
        share = bits.bit_count() / self._most
        yield "depends on no weight", not bits
        yield "share of the weights", share
        yield "depends on as many weights as any", share == 1
        yield "depends on most weights", share > 0.8
        yield "depends on few weights", 0 < share < 0.34
        if self._trained and bits:
            yield from self._of_training(bits)
        yield from self._of_inputs(name)

    def _of_training(self, bits: int) -> Iterator[tuple[str, float | bool]]:
        trained, copied = (bits & self._trained).bit_count(), (bits & self._copied).bit_count()
        yield "share of its weights that is trained", trained / bits.bit_count()
        yield "few of its weights are trained", trained / bits.bit_count() < 0.4
        yield "depends on all trained weights", bits & self._trained == self._all & self._trained
        yield "share of its weights that is copied", copied / bits.bit_count()
        yield "most of its weights are copies", copied / bits.bit_count() > 0.5
        yield "depends on copies and on trained weights", bool(copied and trained)

    def _of_inputs(self, name: str) -> Iterator[tuple[str, float | bool]]:
        fed = self._anatomy.feed_bits.get(name, 0)
        yield "depends on all inputs", bool(fed) and fed.bit_count() == len(self._feeds)
        yield "depends on no placeholder", not self._anatomy.needs(name, self._placeholders)
        yield "depends on an input named as a label", self._anatomy.needs(name, self._label_like)
        yield "depends on an input that a loss takes as well", self._anatomy.needs(name, self._targets)


def _copied(anatomy: Anatomy) -> set[str]:
    """The weights to which something is assigned that is made of other weights alone, as target networks are."""
    found = set()
    for name, op in anatomy.ops.items():
        if op in _WRITES and len(anatomy.inputs[name]) > 1:
            (variable, _), (source, _) = anatomy.inputs[name][:2]
            others = anatomy.weight_bits.get(source, 0) & ~anatomy.weight_bit.get(variable, 0)
            if variable in anatomy.weight_bit and others and not anatomy.feed_bits.get(source, 0):
                found.add(variable)
    return found
