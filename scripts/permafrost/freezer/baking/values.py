"""What is known of a tensor's elements before the graph runs: between which two values all of them lie.

Where both are the same bits, the tensor is that value, whatever random ops it was made from. The ends are computed in
the tensor's own dtype, as TensorFlow does it, and all arithmetic here rounds monotonically, so that no element lies
beyond them. What could be flushed to zero, overflow or be no number is not known.
"""

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from permafrost.graph.dtypes import BOOL, FLOAT, SIGNED, UNSIGNED, dtype_of, numpy_dtype
from permafrost.graph.index import GraphIndex, TensorName, in_data_order
from permafrost.graph.protos import NodeDef
from permafrost.graph.static import constant

_LEAST = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}  # normal numbers
_MOST = 1 << 10  # elements of a constant that is looked at


class Known(NamedTuple):
    """All elements lie from `low` to `high`, which are numpy scalars of the tensor's dtype.

    is_scalar: whether the tensor is known to be of rank 0. is_drawn: whether a random op had a part in it.
    """

    low: Any
    high: Any
    is_scalar: bool
    is_drawn: bool = False

    @property
    def value(self) -> Any:
        """The one value that all elements have, a numpy scalar; None where they may differ.

        Of a zero among floats the sign is not known: a maximum of 0 and -0 may be either.
        """
        is_zero = self.low.dtype.kind not in "biu" and self.low == 0
        return self.low if not is_zero and self.low.tobytes() == self.high.tobytes() else None

    def is_one(self) -> bool:
        """Whether all elements are 1, or True."""
        return self.value is not None and bool(self.value == 1)


# The bits that TensorFlow draws for the mantissa of a uniform number, from 0 to below 1; see
# tensorflow/core/lib/random/random_distributions.h. Normal numbers are made of those by Box and Muller, from 1e-7 on.
_MANTISSA = {"half": 10, "bfloat16": 7, "float32": 23, "float64": 52}
_UNIFORM = ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2")
_FARTHEST = {
    "RandomStandardNormal": 8.0, "StatelessRandomNormal": 8.0, "StatelessRandomNormalV2": 8.0, "TruncatedNormal": 2.0,
    "StatelessTruncatedNormal": 2.0, "StatelessTruncatedNormalV2": 2.0,
}  # fmt: skip
DRAWING = (*_UNIFORM, *_FARTHEST)

# The first input's elements, in the same shape or in another; of those in the second row the rank may be another.
_SAME = ("Identity", "StopGradient", "PreventGradient", "Snapshot", "Enter", "EnsureShape", "Switch")
_MOVED = ("Reshape", "ExpandDims", "Squeeze", "Tile", "BroadcastTo", "Transpose")
_CORNERS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add, "AddV2": operator.add, "Sub": operator.sub, "Mul": operator.mul, "RealDiv": operator.truediv,
    "Div": operator.truediv, "Maximum": max, "Minimum": min,
}  # fmt: skip
_RISING: dict[str, Callable[[Any], Any]] = {"Floor": np.floor, "Ceil": np.ceil, "Rint": np.rint, "Relu": lambda x: x}
_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "Less": operator.lt, "LessEqual": operator.le, "Greater": operator.gt, "GreaterEqual": operator.ge,
}  # fmt: skip


def known_values(index: GraphIndex) -> dict[TensorName, Known]:
    """Tensor -> what is known of it, for those of a graph of which something is."""
    found: dict[TensorName, Known] = {}
    for name in in_data_order(index):
        node = index.nodes[name]
        inputs = [found.get(tensor) for tensor in index.inputs[name]]
        with np.errstate(all="ignore"):
            value = of_node(node, inputs)
        if value is not None and is_sound(value):
            found[name, 0] = value
            if node.op == "Switch":
                found[name, 1] = value
    return found


def of_node(node: NodeDef, inputs: list[Known | None]) -> Known | None:
    """What is known of a node's first output, from what is known of its data inputs; of a Switch, of both its outputs.

    It may be no number, or too small to count: see known_values, and is_sound.
    """
    op = node.op
    if op == "Const":
        return _of_constant(node)
    if op in DRAWING:
        return _drawn(node)
    if op == "Fill":
        return inputs[1] and inputs[1]._replace(is_scalar=False)
    if op in _SAME or op in _MOVED:
        return inputs[0] and inputs[0]._replace(is_scalar=inputs[0].is_scalar and op in _SAME)
    if op in ("LogicalAnd", "LogicalOr"):
        return _decided(inputs, op == "LogicalOr")
    if None in inputs or not inputs:
        return None
    given = [each for each in inputs if each is not None]
    if len(given) == 2:
        return _of_two(op, given[0], given[1])
    return _of_one(node, given[0]) if len(given) == 1 else _selected(op, given)


def _of_constant(node: NodeDef) -> Known | None:
    tensor = node.attr["value"].tensor
    if len(tensor.tensor_content) > _MOST * 16:
        return None
    array = constant(node)
    if array is None or not 0 < array.size <= _MOST or array.dtype.kind == "c":
        return None
    flat = array.reshape(-1)
    return _between([flat[0], flat[-1], *(flat if array.size > 2 else ())], is_scalar=array.ndim == 0)


def _drawn(node: NodeDef) -> Known | None:
    dtype = dtype_of(node.attr["dtype"].type)
    if dtype is None or dtype.name not in _MANTISSA:
        return None
    scalar = numpy_dtype(dtype.name).type
    if node.op in _UNIFORM:
        return Known(scalar(0), scalar(1 - 2.0 ** -_MANTISSA[dtype.name]), False, True)
    farthest = _FARTHEST[node.op]
    return Known(scalar(-farthest), scalar(farthest), False, True)


def _between(values: list[Any], *known: Known, is_scalar: bool = True) -> Known | None:
    """From the smallest to the largest of some numpy scalars; of two zeros the negative one is the smaller."""
    if any(value != value for value in values):
        return None
    ordered = sorted(values, key=lambda value: (float(value), math.copysign(1, float(value))))
    drawn = any(each.is_drawn for each in known)
    return Known(ordered[0], ordered[-1], is_scalar and all(each.is_scalar for each in known), drawn)


def _of_two(op: str, a: Known, b: Known) -> Known | None:
    if op in _CORNERS:
        compute, is_division = _CORNERS[op], op in ("RealDiv", "Div")
        if is_division and (a.low.dtype.kind in "biu" or b.low <= 0 <= b.high):
            return None
        corners = [(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        if a.low.dtype.kind in "iu":
            return _of_integers([compute(int(x), int(y)) for x, y in corners], a, b)
        return _between([compute(x, y) for x, y in corners], a, b) if a.low.dtype.kind != "b" else None
    if op in _ORDERED:
        low, high = (a.low, a.high), (b.high, b.low)
        compare = _ORDERED[op]
        answers = [bool(compare(x, y)) for x in low for y in high]
        return _truth(answers[0], a, b) if len(set(answers)) == 1 else None
    if op in ("Equal", "NotEqual"):
        return _equality(op, a, b)
    return None


def _of_integers(corners: list[int], a: Known, b: Known) -> Known | None:
    """None where one of the results does not fit into the dtype, and wraps around."""
    limits = np.iinfo(a.low.dtype)
    if min(corners) < limits.min or max(corners) > limits.max:
        return None
    return _between([a.low.dtype.type(each) for each in corners], a, b)


def _equality(op: str, a: Known, b: Known) -> Known | None:
    if a.high < b.low or b.high < a.low:
        return _truth(op == "NotEqual", a, b)
    if a.low == a.high == b.low == b.high:
        return _truth(op == "Equal", a, b)
    return None


def _truth(answer: bool, *known: Known) -> Known:
    is_scalar, is_drawn = all(each.is_scalar for each in known), any(each.is_drawn for each in known)
    return Known(np.bool_(answer), np.bool_(answer), is_scalar, is_drawn)


def _of_one(node: NodeDef, a: Known) -> Known | None:
    op = node.op
    if op in _RISING:
        zero = type(a.low)(0)
        ends = [max(zero, x) for x in (a.low, a.high)] if op == "Relu" else [_RISING[op](x) for x in (a.low, a.high)]
        return _between([type(a.low)(x) for x in ends], a)
    if op == "Neg" and a.low.dtype.kind != "u":
        return _between([-a.high, -a.low], a)
    if op in ("Inv", "Reciprocal") and a.low.dtype.kind not in "biu" and not a.low <= 0 <= a.high:
        one = type(a.low)(1)
        return _between([one / a.high, one / a.low], a)
    if op == "LogicalNot" and a.value is not None:
        return _truth(not a.value, a)
    return _cast(node, a) if op == "Cast" else None


def _cast(node: NodeDef, a: Known) -> Known | None:
    dtype = dtype_of(node.attr["DstT"].type)
    if dtype is None or dtype.kind not in (FLOAT, SIGNED, UNSIGNED, BOOL) or not dtype.field or node.attr["Truncate"].b:
        return None
    to = numpy_dtype(dtype.name)
    if dtype.kind == BOOL:
        return _truth(bool(a.low), a) if a.low == a.high else None
    ends = [np.asarray(x).astype(to)[()] for x in (a.low, a.high)]
    # A number that the dtype cannot hold becomes whatever the machine makes of it.
    fits = dtype.kind == FLOAT or all(int(x) == int(y) for x, y in zip(ends, (a.low, a.high), strict=True))
    return _between(ends, a) if fits else None


def _decided(inputs: list[Known | None], deciding: bool) -> Known | None:
    """Of a conjunction or disjunction: where one side decides, the other need not be known."""
    given = [each for each in inputs if each is not None]
    values = [each.value for each in given]
    if any(value is not None and bool(value) == deciding for value in values):
        answer = _truth(deciding, *given)
        return answer._replace(is_scalar=answer.is_scalar and len(given) == 2)
    return _truth(not deciding, *given) if len(given) == 2 and None not in values else None


def _selected(op: str, given: list[Known]) -> Known | None:
    if op not in ("Select", "SelectV2") or len(given) != 3:
        return None
    condition, yes, no = given
    if condition.value is None:
        return _between([yes.low, yes.high, no.low, no.high], *given)
    chosen = yes if condition.value else no
    return _between([chosen.low, chosen.high], *given)


def is_sound(known: Known) -> bool:
    """Whether the ends are finite, and none is so small that TensorFlow's threads take it for zero."""
    ends = (known.low, known.high)
    if known.low.dtype.kind in "biu":
        return True
    least = _LEAST.get(known.low.dtype.name, math.inf)
    return all(np.isfinite(x) and (x == 0 or abs(float(x)) >= least) for x in ends)
