"""Which checkpoints of one stem are steps of one training, and which are other networks whose names end in a number.

`actor-1` and `actor-2` may be two steps, or two actors of other sizes: their tensors tell. Steps may differ in which
they have (an optimizer's slots, a layer that was added, a saver that keeps a part), but hardly in their shapes.
"""

from collections.abc import Iterable

Variables = frozenset[tuple[int, int]]  # a number for the name of each tensor, and one for its shape

_MANY = 10  # tensors


def networks(found: Iterable[tuple[str, Variables]]) -> dict[str, str]:
    """For each checkpoint the name of the first one that is of the same network; empty where all are of one.

    Args:
      found: names, and the tensors of each; none where they are not known.
    """
    first: dict[str, Variables] = {}
    network: dict[str, str] = {}
    for name, variables in found:
        same = next((other for other, known in first.items() if _are_alike(known, variables)), None)
        network[name] = name if same is None else same
        first.setdefault(network[name], variables)
    return network if len(first) > 1 else {}


def _are_alike(one: Variables, other: Variables) -> bool:
    """Whether two checkpoints have more than half of the smaller one's tensors in common, and others in one shape.

    Where nothing is known of one of them, they are.
    """
    both = one & other
    smaller = min(len(one), len(other))
    in_two_shapes = len({name for name, _ in one - both} & {name for name, _ in other - both})
    # One of many may grow as it is trained, such as a table of frequencies; a layer of another size is several.
    grown = in_two_shapes <= 1 and _MANY * in_two_shapes < smaller
    return not smaller or (2 * len(both) > smaller and grown)
