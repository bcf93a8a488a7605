"""How likely a set of candidates is to have all outputs of a model, and how much of what was trained it reaches."""

from math import log

from permafrost.signature.ranking.anatomy import Anatomy, union
from permafrost.signature.ranking.selection import Pool
from permafrost.signature.ranking.tables import Table

_NEXT = 5  # of the candidates that are left, those that are looked at
# What makes about 1 of the largest values that are met.
_MOST_EXPECTED, _MOST_CANDIDATES = 0.2, 3000


def described(pool: Pool, chosen: list[str], table: Table) -> dict[str, float]:
    """Features of a chosen set, from 0 to 1: how much could be an output beside it.

    Args:
      table: by which the set was chosen.
    """
    left = sorted((table.probability(pool.beside(name, chosen)) for name in pool.left(chosen)), reverse=True)
    return {
        "outputs that are expected to be left": min(1.0, sum(left[:_NEXT]) / _MOST_EXPECTED),
        "candidates": min(1.0, log(len(pool.log_odds)) / log(_MOST_CANDIDATES)),
    }


class Reach:
    """The weights that a graph trains, or, where it trains none, all on which something depends."""

    def __init__(self, anatomy: Anatomy):
        self._bits = anatomy.weight_bits
        others = (bits for name, bits in self._bits.items() if not (name in anatomy.side or name in anatomy.weight_bit))
        self._trained = anatomy.optimized_bits or union(others)

    def share(self, names: list[str]) -> float:
        """The share of these weights on which one of the nodes depends; 1 where there are none."""
        reached = union(self._bits.get(name, 0) for name in names) & self._trained
        return reached.bit_count() / self._trained.bit_count() if self._trained else 1.0
