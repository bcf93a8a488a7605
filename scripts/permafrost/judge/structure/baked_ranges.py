"""The judge's own word on what a tensor's elements can be, once some inputs are constants: from a least to a greatest.

Only of the ops below, all of which, but for those that say whether two are equal, rise or fall in each of what they
take: then the ends are among what they give for the ends.
"""

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from tensorflow.python.framework import tensor_util

from permafrost.graph.dtypes import BOOL, FLOAT, SIGNED, UNSIGNED, dtype_of, numpy_dtype
from permafrost.graph.protos import NodeDef

_ELEMENTS, _BYTES = 1 << 10, 1 << 14  # of a constant that is looked at
_NUMBERS = (BOOL, FLOAT, SIGNED, UNSIGNED)
_HANDED_ON = ("Identity", "StopGradient", "Enter", "Switch")
_SUMS = {"Add": operator.add, "AddV2": operator.add, "Sub": operator.sub, "Mul": operator.mul}
_QUOTIENTS = {"Div": operator.truediv, "RealDiv": operator.truediv}
_COMPARED = {
    "Less": operator.lt, "LessEqual": operator.le, "Greater": operator.gt, "GreaterEqual": operator.ge,
}  # fmt: skip
_EQUAL = {"Equal": True, "NotEqual": False}
_LOGICAL: dict[str, Callable[..., bool]] = {
    "LogicalNot": operator.not_, "LogicalAnd": lambda a, b: a and b, "LogicalOr": lambda a, b: a or b,
}  # fmt: skip
# From 0 to below 1, of as many bits as the mantissa has (tensorflow/core/lib/random/random_distributions.h).
_UNIFORM = ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2")
_BELOW_ONE = {"float16": 1 - 2.0**-10, "bfloat16": 1 - 2.0**-7, "float32": 1 - 2.0**-23, "float64": 1 - 2.0**-52}
_NORMAL = {"float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126, "float64": 2.0**-1022}
RANDOM = _UNIFORM


class Range(NamedTuple):
    """low, high: numpy scalars of the tensor's dtype. is_scalar: whether its rank is known to be 0."""

    low: Any
    high: Any
    is_scalar: bool

    @property
    def only(self) -> Any:
        """The value that all elements have; None where they may differ."""
        return self.low if self.low.tobytes() == self.high.tobytes() else None


def of_node(node: NodeDef, given: list[Range | None]) -> Range | None:
    """The range of what a node gives, where that of all that it takes is known; else None.

    Args:
      given: the range of each data input.
    """
    with np.errstate(all="ignore"):
        found = _of_node(node, given)
    return found if found is not None and all(map(_is_plain, (found.low, found.high))) else None


def _is_plain(end: Any) -> bool:
    """Whether a number is finite, and not so small that TensorFlow's threads take it for 0."""
    if end.dtype.kind in "biu":
        return True
    return bool(np.isfinite(end)) and (end == 0 or abs(float(end)) >= _NORMAL.get(end.dtype.name, math.inf))


def _of_node(node: NodeDef, given: list[Range | None]) -> Range | None:
    if node.op == "Const":
        return _constant(node)
    if node.op in _UNIFORM:
        dtype = dtype_of(node.attr["dtype"].type)
        if dtype is None or numpy_dtype(dtype.name).name not in _BELOW_ONE:
            return None
        number = numpy_dtype(dtype.name).type
        return Range(number(0), number(_BELOW_ONE[numpy_dtype(dtype.name).name]), False)
    if node.op in _HANDED_ON:
        return given[0]
    known = [each for each in given if each is not None]
    return _computed(node, known) if known and len(known) == len(given) else None


def _constant(node: NodeDef) -> Range | None:
    tensor = node.attr["value"].tensor
    dtype = dtype_of(tensor.dtype)
    count = math.prod(dimension.size for dimension in tensor.tensor_shape.dim)
    if dtype is None or dtype.kind not in _NUMBERS or not 0 < count <= _ELEMENTS or tensor.ByteSize() > _BYTES:
        return None
    try:
        array = tensor_util.MakeNdarray(tensor)
    except (TypeError, ValueError):
        return None
    return _between(list(array.reshape(-1)), array.ndim == 0)


def _between(values: list[Any], is_scalar: bool) -> Range | None:
    if any(value != value for value in values):
        return None
    ordered = sorted(values, key=lambda value: (float(value), math.copysign(1, float(value))))
    return Range(ordered[0], ordered[-1], is_scalar)


def _computed(node: NodeDef, known: list[Range]) -> Range | None:
    op, is_scalar = node.op, all(each.is_scalar for each in known)
    ends = list(itertools.product(*((each.low, each.high) for each in known)))
    dtype = known[0].low.dtype
    if op in _SUMS and dtype.kind != "b":
        return _arithmetic(_SUMS[op], ends, dtype, is_scalar)
    if op in _QUOTIENTS and dtype.kind not in "biu" and not known[1].low <= 0 <= known[1].high:
        return _between([_QUOTIENTS[op](*each) for each in ends], is_scalar)
    if op in ("Inv", "Reciprocal") and dtype.kind not in "biu" and not known[0].low <= 0 <= known[0].high:
        return _between([dtype.type(1) / each for (each,) in ends], is_scalar)
    if op == "Floor":
        return _between([dtype.type(np.floor(each)) for (each,) in ends], is_scalar)
    if op == "Cast":
        return _cast(node, known[0])
    answers = _answers(op, known, ends)
    return Range(np.bool_(answers[0]), np.bool_(answers[0]), is_scalar) if len(answers) == 1 else None


def _arithmetic(compute: Callable[..., Any], ends: list[Any], dtype: Any, is_scalar: bool) -> Range | None:
    if dtype.kind not in "iu":
        return _between([compute(*each) for each in ends], is_scalar)
    exact, limits = [compute(*map(int, each)) for each in ends], np.iinfo(dtype)
    if min(exact) < limits.min or max(exact) > limits.max:
        return None
    return _between([dtype.type(each) for each in exact], is_scalar)


def _answers(op: str, known: list[Range], ends: list[Any]) -> list[bool]:
    """The answers that a comparison or a logical op may give; none where nothing tells."""
    if op in _COMPARED:
        return list({bool(_COMPARED[op](*each)) for each in ends})
    if op in _LOGICAL:
        return list({bool(_LOGICAL[op](*each)) for each in ends})
    if op in _EQUAL:
        a, b = known
        if a.high < b.low or b.high < a.low:
            return [not _EQUAL[op]]
        return [_EQUAL[op]] if a.low == a.high == b.low == b.high else []
    return []


def _cast(node: NodeDef, known: Range) -> Range | None:
    dtype = dtype_of(node.attr["DstT"].type)
    if dtype is None or dtype.kind not in _NUMBERS or not dtype.field or node.attr["Truncate"].b:
        return None
    if dtype.kind == BOOL:
        return None if known.only is None else Range(np.bool_(known.low), np.bool_(known.high), known.is_scalar)
    ends = known.low, known.high
    after = [np.asarray(end).astype(numpy_dtype(dtype.name))[()] for end in ends]
    if dtype.kind != FLOAT and any(int(a) != int(b) for a, b in zip(ends, after, strict=True)):
        return None
    return _between(after, known.is_scalar)
