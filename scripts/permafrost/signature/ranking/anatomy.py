"""What the nodes of a training graph depend on and lead to: most of it for all of them, in one pass over the graph."""

import math
import re
from collections.abc import Iterable
from functools import cached_property, reduce
from operator import or_

from permafrost.graph.index import TensorName, in_data_order
from permafrost.graph.static import output_shape
from permafrost.signature.forward import marks
from permafrost.signature.forward.survey import Survey

# Ops that hand on a value as it is, or in another shape, order or dtype.
PASSING = {"Identity", "StopGradient", "CheckNumerics", "Print", "Snapshot", "PlaceholderWithDefault", "ReadVariableOp"}
RESHAPING = {
    "Reshape", "Squeeze", "ExpandDims", "Transpose", "StridedSlice", "Slice", "Pack", "Unpack", "Concat", "ConcatV2",
    "Split", "SplitV", "Cast",
}  # fmt: skip
EXITS = ("Exit", "RefExit")
_NEXT_ITERATIONS = {"NextIteration", "RefNextIteration"}
_APPLIES = re.compile(r"(Resource)?(Sparse)?Apply")
_MOST_TAKERS = 60  # that are looked at behind one node


class Anatomy:
    """A training graph, and what each node depends on and leads to.

    Bits: an int in which bit i stands for the i-th of `weights`, or of the feed points `survey.feeds`.

    Args:
      survey: after all steps of signature.forward.surveying.
    """

    def __init__(self, survey: Survey):
        self.survey, self.index = survey, survey.index
        self.ops, self.inputs = survey.index.ops, survey.index.inputs
        self.side, self.learning, self.joins = survey.values.side, survey.learning, survey.joins
        self.position = {name: place for place, name in enumerate(self.ops)}
        self.weights = sorted(survey.variables | survey.transitions)
        self.weight_bit = {name: 1 << place for place, name in enumerate(self.weights)}
        self.feed_bit = {point: 1 << place for place, point in enumerate(survey.feeds)}
        self.labels = set(survey.labels)
        self._takers: dict[str, list[str]] = {}
        self._shapes: dict[str, tuple[int, ...] | None] = {}

    @cached_property
    def order(self) -> list[str]:
        """The nodes, each after those that it takes data from (graph.index)."""
        return in_data_order(self.index)

    @cached_property
    def consumers(self) -> dict[str, list[str]]:
        """Node -> the nodes of the forward graph that take its values, and not its shape alone."""
        ops, side = self.ops, self.side
        return {
            name: [taker for taker in takers if taker not in side and ops[taker] not in marks.SHAPE_OPS]
            for name, takers in self.index.consumers.items()
        }

    def taken_by(self, name: str) -> list[str]:
        """The nodes of the forward graph that take a node's values."""
        return self.consumers.get(name, [])

    @cached_property
    def weight_bits(self) -> dict[str, int]:
        """Node -> bits of the weights whose values it depends on."""
        return self.collected(self.weight_bit)

    @cached_property
    def feed_bits(self) -> dict[str, int]:
        """Node -> bits of the feed points whose values it depends on, of those that it is not itself."""
        return self.collected({}, self.feed_bit)

    def collected(self, own: dict[str, int], of_tensors: dict[TensorName, int] | None = None) -> dict[str, int]:
        """Node -> the bits of all nodes and tensors whose values it depends on, itself included; not of gradients.

        Args:
          own, of_tensors: node -> bits, tensor -> bits.
        """
        taken = of_tensors or {}
        fed = {name for name, _ in taken}
        found: dict[str, int] = {}
        for _ in self._rounds:
            for name in self.order:
                if name in self.learning:
                    continue
                bits = found.get(name, 0) | own.get(name, 0)
                if self.ops[name] not in marks.SHAPE_OPS:
                    for tensor in self.inputs[name]:
                        bits |= found.get(tensor[0], 0)
                        if tensor[0] in fed:
                            bits |= taken.get(tensor, 0)
                found[name] = bits
        return found

    def ahead(self, own: dict[str, int]) -> dict[str, int]:
        """Node of the forward graph -> the bits `own` of all nodes that depend on its values, itself not included."""
        found: dict[str, int] = {}
        for name in reversed(self.order):
            if name not in self.side:
                bits = 0
                for taker in self.taken_by(name):
                    bits |= found.get(taker, 0) | own.get(taker, 0)
                found[name] = bits
        return found

    @property
    def _rounds(self) -> range:
        # What a loop computes comes back to its beginning, which is before it in the order.
        return range(2 if _NEXT_ITERATIONS.intersection(self.ops.values()) else 1)

    @cached_property
    def optimizers(self) -> dict[str, str]:
        """Variable -> the scope of the optimizer that trains it."""
        found: dict[str, str] = {}
        for name, op in self.ops.items():
            if _APPLIES.match(op) and self.inputs[name]:
                scope = name.partition("/update_")[0] if "/update_" in name else name.rpartition("/")[0]
                found.setdefault(self.inputs[name][0][0], scope)
        return found

    @cached_property
    def optimized_bits(self) -> int:
        """Bits of the weights that an optimizer trains."""
        return union(self.weight_bit.get(name, 0) for name in self.optimizers)

    @cached_property
    def layers(self) -> dict[str, int]:
        """Node -> the number of layers on the longest way to it, itself included."""
        found: dict[str, int] = {}
        for name in self.order:
            before = 0
            if name not in self.learning and self.ops[name] not in marks.SHAPE_OPS:
                before = max((found.get(source, 0) for source, _ in self.inputs[name]), default=0)
            found[name] = before + (name in self.joins)
        return found

    @cached_property
    def deepest(self) -> int:
        """The largest number of layers on the way to any node."""
        return max(self.layers.values(), default=0)

    @cached_property
    def layers_after(self) -> dict[str, int]:
        """Node of the forward graph -> the number of layers on the longest way from it."""
        found: dict[str, int] = {}
        for name in reversed(self.order):
            if name not in self.side:
                takers = self.taken_by(name)
                found[name] = max((found.get(taker, 0) + (taker in self.joins) for taker in takers), default=0)
        return found

    @cached_property
    def goes_on(self) -> set[str]:
        """The nodes of which a layer right before them leads to further layers."""
        found: set[str] = set()
        for _ in self._rounds:
            for name in self.order:
                if name in self.joins:
                    goes_on = self.layers_after.get(name, 0) > 0
                else:
                    taken = () if self.ops[name] in marks.SHAPE_OPS or name in self.learning else self.inputs[name]
                    goes_on = any(source in found for source, _ in taken)
                if goes_on:
                    found.add(name)
        return found

    @cached_property
    def steps_to_end(self) -> dict[str, int]:
        """Node of the forward graph -> the number of live nodes on the shortest way from it to an end of them."""
        found: dict[str, int] = {}
        for name in reversed(self.order):
            if name not in self.side:
                live = [taker for taker in self.taken_by(name) if taker in self.survey.live]
                found[name] = 1 + min(found.get(taker, 0) for taker in live) if live else 0
        return found

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Layer, activation or reshaping node -> the number of elements for each row of the batch, where it is told."""
        counted = {name for name, op in self.ops.items() if op in marks.ACTIVATIONS | marks.HEADS | {"Reshape"}}
        found = {}
        for name in (self.joins | counted) - self.side:
            shape = self.shape(name)
            if shape and len(shape) > 1 and min(shape[1:]) > 0:
                found[name] = math.prod(shape[1:])
        return found

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a node's first output as the meta graph tells it; None where it tells none."""
        if name not in self._shapes:
            self._shapes[name] = output_shape(self.index.nodes[name])
        return self._shapes[name]

    def takers_of_value(self, name: str) -> list[str]:
        """The nodes of the forward graph that take a node's values, as they are or in another shape; the first 60."""
        if name not in self._takers:
            self._takers[name] = self._found_takers(name)
        return self._takers[name]

    def _found_takers(self, name: str) -> list[str]:
        found, seen, waiting = [], {name}, [name]
        while waiting and len(seen) < _MOST_TAKERS:
            for taker in self.index.consumers.get(waiting.pop(), ()):
                if taker not in seen and taker not in self.side:
                    seen.add(taker)
                    found.append(taker)
                    if self.ops[taker] in RESHAPING or self.ops[taker] in PASSING:
                        waiting.append(taker)
        return found

    def needs(self, name: str, points: Iterable[TensorName]) -> bool:
        """Whether a node depends on the values of one of the feed points."""
        bits = self.feed_bits.get(name, 0)
        return any(bits & self.feed_bit[point] for point in points)


def union(bits: Iterable[int]) -> int:
    """The bits that are set in one of these."""
    return reduce(or_, bits, 0)
