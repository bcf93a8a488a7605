"""A frozen graph on its way to a converter: what every step of the exporter takes and gives."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from permafrost.export_records import Signature
from permafrost.graph.protos import GraphDef


class Refused(Exception):
    """A format cannot hold a graph.

    Args:
      cause: a key of permafrost.outcome.CAUSES.
      message: one sentence that names the node and what is wrong.
      op, node: what stands in the way; "" where nothing tells.
    """

    def __init__(self, cause: str, message: str, op: str = "", node: str = ""):
        super().__init__(message)
        self.cause, self.message, self.op, self.node = cause, message, op, node


@dataclass
class Prepared:
    """A graph that computes what the frozen graph computes, in a form that converters take.

    graph_def: its nodes. weights: Const node -> its value, for those whose value `graph_def` lacks, of 1 MiB and more.
    signature: what goes in, what comes out and what is hidden, with the tensors that they are in this graph.
    initializers: nodes that fill tables. baked: source of an input -> the value that it always has now.
    changes: sentences, one for each kind of change and how often it was made.
    """

    graph_def: GraphDef
    weights: dict[str, NDArray[Any]]
    signature: Signature
    initializers: list[str]
    baked: dict[str, Any] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
