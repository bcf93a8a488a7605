"""Which checkpoints of one stem are steps of one training, and which are other networks whose names end in a number.

`actor-1` and `actor-2` may be two steps, or two actors of other sizes: their tensors tell. Steps may differ in some of
them (an optimizer's slots, a layer that was added), and one saver may keep a part of what another does.
"""

from collections.abc import Iterable

Variables = frozenset[int]


def networks(found: Iterable[tuple[str, Variables]]) -> dict[str, str]:
    """For each checkpoint the name of the first one that is of the same network; empty where all are of one.

    Args:
      found: names, and a number for each tensor, by its name and shape; none where that is not known.
    """
    first: dict[str, Variables] = {}
    network: dict[str, str] = {}
    for name, variables in found:
        same = next((other for other, known in first.items() if _are_alike(known, variables)), None)
        network[name] = name if same is None else same
        first.setdefault(network[name], variables)
    return network if len(first) > 1 else {}


def _are_alike(one: Variables, other: Variables) -> bool:
    """Whether two checkpoints have more than half of the smaller one's tensors in common, or one of them has none."""
    smaller = min(len(one), len(other))
    return not smaller or 2 * len(one & other) > smaller
