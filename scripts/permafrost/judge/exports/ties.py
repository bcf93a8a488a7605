"""Near ties: an ArgMax whose first scores differ by less than the tolerance may give either of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.python.framework import tensor_util

from permafrost.graph.index import GraphIndex, tensor_name

_CHOOSERS = ("ArgMax", "ArgMin")
_PASSED = ("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "Snapshot", "PreventGradient")


class Chooser:
    """The ArgMax or ArgMin whose result an output is, with the tensor of its scores. axis: None where nothing tells."""

    def __init__(self, op: str, scores: str, axis: int | None):
        self.op, self.scores, self.axis = op, scores, axis


def chooser_of(index: GraphIndex, output: str) -> Chooser | None:
    """What chose an output's numbers among scores; None where they are no such choice.

    Args:
      index: of the graph in which `output` is a tensor.
    """
    name, _ = tensor_name(output)
    for _ in range(len(index.nodes)):
        node = index.nodes.get(name)
        if node is None or node.op not in (*_CHOOSERS, *_PASSED):
            return None
        sources = index.inputs_of(node)
        if node.op in _CHOOSERS:
            return Chooser(node.op, "{}:{}".format(*sources[0]), _constant(index, sources[1][0]))
        name = sources[0][0]
    return None


def _constant(index: GraphIndex, name: str) -> int | None:
    node = index.nodes.get(name)
    if node is None or node.op != "Const":
        return None
    return int(tensor_util.MakeNdarray(node.attr["value"].tensor))


def are_near(
    scores: NDArray[Any], axis: int, expected: NDArray[Any], actual: NDArray[Any], share: float
) -> tuple[float, float] | None:
    """The two scores at the first place where choices differ, if at each such place the two lie within the tolerance.

    None where some do not, or the shapes do not belong together.
    Args:
      scores: [..., n, ...], what was chosen from along `axis`.
      expected, actual: the numbers that were chosen, of the shape of `scores` without `axis`, or with as many elements.
      share: the tolerance, as a share of the largest score.
    """
    moved = np.moveaxis(scores, axis, -1).astype(np.float64)
    rows = moved.reshape(-1, moved.shape[-1]) if moved.ndim and moved.shape[-1] else np.zeros((0, 1))
    chosen, other = expected.reshape(-1), actual.reshape(-1)
    if not len(rows) == len(chosen) == len(other) or not len(rows):
        return None
    if not all(((each >= 0) & (each < rows.shape[1])).all() for each in (chosen, other)):
        return None
    every = np.arange(len(rows))
    first, second = rows[every, chosen.astype(np.int64)], rows[every, other.astype(np.int64)]
    finite = np.abs(rows[np.isfinite(rows)])
    different = chosen != other
    with np.errstate(invalid="ignore"):
        near = np.abs(first - second) <= share * finite.max(initial=0)
    if not different.any() or not near[different].all():
        return None
    at = int(np.argmax(different))
    return float(first[at]), float(second[at])
