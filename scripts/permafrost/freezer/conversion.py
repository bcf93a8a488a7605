"""Variables to constants, in the graph and in its functions: the NodeDefs that TensorFlow's own conversion writes.

The algorithm is that of tensorflow/python/framework/convert_to_constants.py: a variable node becomes a Const, the
change goes on along its outputs (freezer.propagation), and a function that is called with a variable becomes a
copy of it that takes the value (freezer.functions). Where TensorFlow raises or writes a graph that cannot be
imported or run, the result here is the right one, and said so.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from permafrost.flow.body import Body
from permafrost.freezer.functions import Functions
from permafrost.freezer.propagation import Propagation, Value
from permafrost.freezer.readers import READERS
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import GraphDef
from permafrost.outcome import Problem
from permafrost.records import Repair


def convertible(graph_def: GraphDef, allowlist: list[str] | None, denylist: list[str] | None) -> list[str]:
    """The names of the variable nodes to convert, in graph order; a list that is None or empty limits nothing."""
    return [
        node.name
        for node in graph_def.node
        if node.op in VARIABLE_OPS
        and (not allowlist or node.name in allowlist)
        and (not denylist or node.name not in denylist)
    ]


def convert(
    graph_def: GraphDef,
    variables: dict[str, Value],
    acts: Callable[[Any], bool],
    fetched: Iterable[str],
    taken: Collection[str] = (),
) -> list[Repair]:
    """Rewrites, in place, what follows each of the variable nodes `variables`; the nodes themselves stay.

    `acts` tells which nodes do something beside what they give (graph.ops.effects), `fetched` which are outputs; no
    new node has a name of `taken`.
    The writer puts the variables' constants in their place, straight from the checkpoint.
    Returns the repairs made, in the order of the graph.
    Raises Problem (unsupported_op) where a variable's handle goes into a node that needs the handle itself.
    """
    repairs: list[Repair] = []
    functions = Functions(graph_def.library, repairs, acts)
    body = Body(graph_def.node, fetched=fetched, taken=taken)
    propagation = Propagation(body, functions, repairs, acts)
    for name, value in variables.items():
        propagation.follow(name, value)
    propagation.finish()
    functions.write_library(graph_def)
    _refuse_unread_handles(body, variables)
    return repairs


def _refuse_unread_handles(body: Body, variables: dict[str, Value]) -> None:
    """A reader that the walk did not reach would read a variable that is no longer there."""
    for node in body.nodes.values():
        if node.op in READERS and node.input and body.origin(node.input[0]) in variables:
            raise Problem("unsupported_op", f"node {node.name!r} ({node.op}) reads a variable through a loop's state")
