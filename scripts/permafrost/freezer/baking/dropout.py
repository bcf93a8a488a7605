"""Dropout that keeps all: what is scaled by 1, in the place of its product with a mask of ones.

TensorFlow has written x / keep * floor(keep + u), x * (1 / keep) * cast(u >= rate) and select(u >= rate, x * scale, 0);
where keep is 1, each of them has a mask that is 1, or True, for each u from 0 to below 1. The scaled tensor stays: it
is what makes zeros of numbers too small to be normal, as the product does once more.
"""

from permafrost.flow.body import Body
from permafrost.freezer.baking.folding import Folding, Taken, data
from permafrost.freezer.baking.values import DRAWING
from permafrost.graph.protos import NodeDef, types_pb2

_FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)
_SCALING = ("Mul", "RealDiv", "Div")
# Each of these gives the shape of its first input.
_ELEMENTWISE = (
    "Identity", "StopGradient", "Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Sigmoid", "Softplus", "Floor",
    "BiasAdd", "Cast",
)  # fmt: skip
# And these do of the one of their inputs that is no scalar.
_WITH_SCALARS = (
    "Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Less", "LessEqual", "Greater", "GreaterEqual",
)  # fmt: skip


class Dropouts:
    """The dropouts of a body that keep all."""

    def __init__(self, body: Body, folding: Folding):
        self._body, self._folding = body, folding

    def leave_out(self) -> None:
        """Has the last op of each become an Identity of what it masks."""
        for node in self._body.container:
            if (
                node.op in ("Mul", "Select", "SelectV2")
                and node.name not in self._folding.dead
                and (text := self._kept(node))
            ):
                self._folding.taken[node.name] = Taken("Identity", [text])

    def _kept(self, node: NodeDef) -> str:
        """The tensor that a node gives as it is; "" where it is none such."""
        if node.attr["T"].type not in _FLOATS:
            return ""
        for text, *others in self._readings(node):
            if self._is_mask_of(others[0], text) and self._may_go(others, text):
                return text
        return ""

    def _readings(self, node: NodeDef) -> list[list[str]]:
        """What may be masked, the mask, and what there is besides, for each way in which a node may be read."""
        texts = data(node)
        if node.op == "Mul":
            return [[text, mask] for text, mask in (texts, texts[::-1]) if self._is_scaled(text)]
        other = self._folding.known.get(self._folding.key(texts[2]))
        is_plain = node.op == "Select" or (other is not None and other.is_scalar)
        return [[texts[1], texts[0], texts[2]]] if is_plain else []

    def _is_scaled(self, text: str) -> bool:
        source = self._body.nodes.get(self._body.source(text))
        return source is not None and source.op in _SCALING

    def _may_go(self, others: list[str], text: str) -> bool:
        """Whether what else a node takes comes wherever the tensor does, and what acts before it acts before both."""
        branches = self._folding.branches
        if not branches.of(*others) <= branches.of(text):
            return False
        return not branches.brings_effects(*others) or self._acting(others) <= self._acting([text])

    def _acting(self, texts: list[str]) -> set[str]:
        """The nodes before some inputs that do something beside what they give."""
        seen: set[str] = set()
        waiting = [self._body.source(text) for text in texts]
        while waiting:
            name = waiting.pop()
            if name in self._body.nodes and name not in seen:
                seen.add(name)
                waiting += map(self._body.source, self._body.nodes[name].input)
        return {name for name in seen if self._folding.acts(self._body.nodes[name])}

    def _is_mask_of(self, mask: str, text: str) -> bool:
        """Whether a tensor was made of random numbers, has ones alone, and the shape of another."""
        known = self._folding.known.get(self._folding.key(mask))
        if known is None or not known.is_one():
            return False
        drawn = self._body.nodes.get(self._body.source(self._shape_from(mask)))
        if drawn is None or drawn.op not in DRAWING or not data(drawn):
            return False
        shape = self._body.nodes.get(self._body.source(data(drawn)[0]))
        return shape is not None and shape.op == "Shape" and self._same_shape(data(shape)[0], text)

    def _same_shape(self, first: str, second: str) -> bool:
        key = self._folding.key
        return key(self._shape_from(first)) == key(self._shape_from(second))

    def _shape_from(self, text: str) -> str:
        """The first tensor of the same shape on the way back along ops that compute element by element."""
        for _ in range(len(self._body.nodes)):
            node = self._body.nodes.get(self._body.source(text))
            before = self._before(node) if node is not None else ""
            if not before:
                break
            text = before
        return text

    def _before(self, node: NodeDef) -> str:
        if node.op in _ELEMENTWISE:
            return data(node)[0]
        if node.op not in _WITH_SCALARS:
            return ""
        known = {text: self._folding.known.get(self._folding.key(text)) for text in data(node)}
        others = [text for text, found in known.items() if found is None or not found.is_scalar]
        return others[0] if len(others) == 1 else ""
