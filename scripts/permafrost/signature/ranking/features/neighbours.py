"""Features: what a candidate is, what it comes from, and what is made of it."""

from collections.abc import Iterator

from permafrost.signature.forward.marks import ACTIVATIONS, CHOICES, PROBABILITIES, SUMS
from permafrost.signature.ranking.anatomy import PASSING, RESHAPING, Anatomy

_PRODUCTS = {
    "MatMul", "BatchMatMul", "BatchMatMulV2", "Conv2D", "Conv3D", "Conv2DBackpropInput", "Conv3DBackpropInputV2",
    "DepthwiseConv2dNative", "SparseTensorDenseMatMul", "SparseMatMul",
}  # fmt: skip
_ACTIVATIONS = ACTIVATIONS | {"Softplus"}
_DECODERS = {"CTCGreedyDecoder", "CTCBeamSearchDecoder"}
_ARITHMETIC = {
    "Mul", "Sub", "Neg", "RealDiv", "Div", "Pow", "Square", "Sqrt", "Exp", "Log", "Log1p", "Abs", "Maximum", "Minimum",
    "SquaredDifference", "Rsqrt", "Reciprocal", "FloorDiv",
}  # fmt: skip
_REDUCTIONS = {"Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "L2Loss", "AddN"}
_COMPARISONS = {
    "Equal", "NotEqual", "Less", "Greater", "GreaterEqual", "LessEqual", "LogicalAnd", "LogicalNot", "InTopK",
    "InTopKV2",
}  # fmt: skip
_CROSS_ENTROPIES = {"SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits", "CTCLoss"}
_KINDS = {
    "a product": _PRODUCTS, "a sum": SUMS, "an activation": _ACTIVATIONS, "probabilities": PROBABILITIES,
    "a reshaping": RESHAPING, "a loop": {"Exit", "TensorArrayGatherV3", "TensorArrayPack", "TensorArrayReadV3"},
    "a reduction": _REDUCTIONS, "arithmetic": _ARITHMETIC, "a branch": {"Merge"}, "a selection": CHOICES,
}  # fmt: skip
_FURTHER_KINDS = {
    "a decoder": _DECODERS, "a comparison": _COMPARISONS, "a cross entropy": _CROSS_ENTROPIES,
    "a lookup": {"Gather", "GatherV2", "ResourceGather", "GatherNd"}, "an identity": PASSING,
}  # fmt: skip
_TAKERS = {
    "a cross entropy": _CROSS_ENTROPIES, "probabilities": PROBABILITIES, "a selection": CHOICES,
    "a decoder": _DECODERS, "a comparison": _COMPARISONS, "a logarithm": {"Log", "Log1p"},
    "a difference": {"Sub", "SquaredDifference"}, "a reduction": _REDUCTIONS, "an activation": _ACTIVATIONS,
    "arithmetic": {"Mul", "RealDiv", "Div", "Pow", "Exp", "Neg"},
}  # fmt: skip
_SUMMARIES = {
    "an image summary": "ImageSummary", "a scalar summary": "ScalarSummary", "a histogram": "HistogramSummary",
}  # fmt: skip


class Neighbours:
    """The ops of candidates, of what they take, and of what takes them."""

    def __init__(self, anatomy: Anatomy, names: list[str]):
        self._anatomy, self._ops = anatomy, anatomy.ops

    def of(self, name: str) -> Iterator[tuple[str, float | bool]]:
        """(feature, value) for each that may hold of a candidate."""
        op, ops = self._ops[name], self._ops
        sources = [ops.get(source, "") for source, _ in self._anatomy.inputs[name]]
        first = sources[0] if sources else ""
        for kind, members in _KINDS.items():
            yield f"is {kind}", op in members
            yield f"comes from {kind}", first in members
        for kind, members in _FURTHER_KINDS.items():
            yield f"is {kind}", op in members
        yield f"op {op}", True
        weighted = op in SUMS and any(source in _PRODUCTS for source in sources)
        yield "adds a bias to a product", weighted
        yield "adds a bias in a layer", weighted and name in self._anatomy.joins
        yield from self._of_takers(name, op)
        yield from self._of_shape(name)

    def _of_takers(self, name: str, op: str) -> Iterator[tuple[str, float | bool]]:
        ops, joins = self._ops, self._anatomy.joins
        next_, soon = self._anatomy.taken_by(name), self._anatomy.takers_of_value(name)
        next_ops, soon_ops = {ops[taker] for taker in next_}, {ops[taker] for taker in soon}
        for kind, members in _TAKERS.items():
            yield f"goes into {kind}", not members.isdisjoint(soon_ops)
        yield "goes into a layer", any(taker in joins for taker in soon)
        yield "goes into a sum with a weight", any(taker in joins and ops[taker] in SUMS for taker in soon)
        yield "is a product without a bias", op in _PRODUCTS and SUMS.isdisjoint(next_ops)
        yield "is only reshaped", bool(next_) and next_ops <= RESHAPING | PASSING
        yield "goes into a branch", not next_ops.isdisjoint({"Switch", "RefSwitch"})
        yield "goes into a loop", not next_ops.isdisjoint({"Enter", "RefEnter"})
        shown = [ops[taker] for taker in self._anatomy.index.consumers.get(name, ())]
        for kind, start in _SUMMARIES.items():
            yield f"goes into {kind}", any(taker.startswith(start) for taker in shown)

    def _of_shape(self, name: str) -> Iterator[tuple[str, float | bool]]:
        shape = self._anatomy.shape(name)
        yield "has an unknown shape", shape is None
        if shape is not None:
            yield f"has {min(len(shape), 5)} dimensions", True
            yield "has an open batch", shape[:1] == (-1,)
            yield "has one column", len(shape) == 2 and shape[1] == 1
