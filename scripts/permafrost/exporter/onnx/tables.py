"""Lookup tables on their way to ONNX, which has no tables: what is in them becomes attributes of each look-up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import NodeDef
from permafrost.graph.pruning import TABLE_INITIALIZERS, TABLES

_ON_THE_WAY = ("Identity", "Enter", "RefEnter", "Switch", "RefSwitch")


@dataclass(frozen=True)
class Table:
    """What a table holds: keys and values of the same shape, strings as objects."""

    keys: NDArray[Any]
    values: NDArray[Any]


def find(index: GraphIndex, initializers: list[str]) -> dict[str, Table]:
    """Node of a table -> what constants fill it with; without those that are filled by anything else."""
    found = {}
    for name in initializers:
        node = index.nodes.get(name)
        if node is not None and node.op in TABLE_INITIALIZERS and len(index.inputs_of(node)) >= 3:
            (handle, _), _ = index.upstream(index.inputs_of(node)[0], _ON_THE_WAY)
            keys, values = (_constant(index, node, position) for position in (1, 2))
            if keys is not None and values is not None and handle in index.nodes and handle not in found:
                found[handle] = Table(keys.reshape(-1), values.reshape(-1))
    return found


def name_tables(nodes: list[NodeDef]) -> None:
    """Gives each table its node's name as its shared name, by which a handler knows it."""
    for node in nodes:
        if node.op in TABLES:
            node.attr["shared_name"].s = node.name.encode()


def _constant(index: GraphIndex, node: NodeDef, position: int) -> NDArray[Any] | None:
    from tensorflow.python.framework import tensor_util

    (source, _), _ = index.upstream(index.inputs_of(node)[position], ("Identity",))
    constant = index.nodes.get(source)
    if constant is None or constant.op != "Const":
        return None
    try:
        return np.asarray(tensor_util.MakeNdarray(constant.attr["value"].tensor))
    except (ValueError, TypeError, DecodeError):
        return None
