"""How likely a set of candidates is to have all outputs of a model."""

from math import log

from permafrost.signature.ranking.anatomy import Anatomy
from permafrost.signature.ranking.features.weights import applied_by
from permafrost.signature.ranking.selection import Chosen, Pool
from permafrost.signature.ranking.tables import Table

_NEXT = 5  # of the candidates that are left, those that are looked at
# What makes about 1 of the largest values that are met.
_MOST_EXPECTED, _MOST_CANDIDATES = 0.2, 3000


def described(pool: Pool, chosen: list[Chosen], table: Table) -> dict[str, float]:
    """Features of a chosen set, from 0 to 1: how much could be an output beside it.

    Args:
      table: by which the set was chosen.
    """
    names = [each.name for each in chosen]
    left = sorted((table.probability(pool.beside(name, names)) for name in pool.left(names)), reverse=True)
    return {
        "outputs that are expected to be left": min(1.0, sum(left[:_NEXT]) / _MOST_EXPECTED),
        "candidates": min(1.0, log(len(pool.log_odds)) / log(_MOST_CANDIDATES)),
    }


def trained_weights(anatomy: Anatomy) -> int:
    """Bits of the weights that are trained; of all that something depends on where the graph trains none."""
    applied = applied_by(anatomy)
    bits = 0
    for name, bit in anatomy.weight_bit.items():
        bits |= bit if name in applied else 0
    if not bits:
        for name, found in anatomy.weight_bits.items():
            bits |= 0 if name in anatomy.side or name in anatomy.weight_bit else found
    return bits


def reached(anatomy: Anatomy, names: list[str]) -> float:
    """The share of the trained weights on which one of the nodes depends; 1 where there are none."""
    trained = trained_weights(anatomy)
    bits = 0
    for name in names:
        bits |= anatomy.weight_bits.get(name, 0)
    return (bits & trained).bit_count() / trained.bit_count() if trained else 1.0
