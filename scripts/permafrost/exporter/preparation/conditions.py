"""Whether a node may be left out between what it takes and what takes it, as far as dead tensors and loops go."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from permafrost.exporter.preparation.parts import Part
from permafrost.flow.body import Body
from permafrost.flow.branches import Branches
from permafrost.freezer.baking.values import Known, known_values
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.protos import NodeDef


class View:
    """What is known of a part as it is now: its index, its values, and where its nodes run; not to be kept for long."""

    def __init__(self, part: Part, acts: Callable[[Any], bool] = lambda node: False):
        self.part, self._acts = part, acts
        self.index: GraphIndex = part.index

    @cached_property
    def branches(self) -> Branches:
        """Where the nodes run. Raises Problem (bad_meta_graph) where there is a cycle."""
        return Branches(Body(self.part.graph_def.node), self._acts)

    @cached_property
    def _values(self) -> dict[tuple[str, int], Known]:
        return known_values(self.index)

    def known(self, text: str) -> Known | None:
        """What is known of the tensor that an input names."""
        return self._values.get(tensor_name(text))

    def comes_with(self, others: list[str], *texts: str) -> bool:
        """Whether, wherever all the inputs `texts` arrive, the inputs `others` arrive as well: they run in the same
        rounds of the same loops, and on the same sides of the same conds or on both.
        """
        return self.branches.of(*others) <= self.branches.of(*texts)

    def is_steady(self, node: NodeDef) -> bool:
        """Whether a node runs once in each run of its part, and waits for nothing that acts by itself."""
        return not self.branches.of(*node.input) and not self.branches.brings_effects(*node.input)


def data(node: NodeDef) -> list[str]:
    """The data inputs of a node, as they stand."""
    return [text for text in node.input if not text.startswith("^")]
