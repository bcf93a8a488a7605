"""Lookup tables on their way to ONNX, which has no tables: what is in them becomes attributes of each look-up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.exporter.onnx.constant_strings import may_be_run
from permafrost.graph.index import GraphIndex, TensorName
from permafrost.graph.ops.stateful import TABLE_INITIALIZERS
from permafrost.graph.protos import NodeDef
from permafrost.graph.pruning import TABLES, extract

_ON_THE_WAY = ("Identity", "Enter", "RefEnter", "Switch", "RefSwitch")


@dataclass(frozen=True)
class Table:
    """What a table holds: keys and values of the same shape, strings as objects."""

    keys: NDArray[Any]
    values: NDArray[Any]


def find(index: GraphIndex, initializers: list[str]) -> dict[str, Table]:
    """Node of a table -> what it is filled with; without those that are filled by what an input decides.

    Computes what is filled in by TensorFlow: often the numbers of the keys, which a graph counts by itself.
    """
    filling = {}
    for name in initializers:
        node = index.nodes.get(name)
        if node is not None and node.op in TABLE_INITIALIZERS and len(index.inputs_of(node)) >= 3:
            (handle, _), _ = index.upstream(index.inputs_of(node)[0], _ON_THE_WAY)
            sources = index.inputs_of(node)[1:3]
            if handle in index.nodes and handle not in filling and _is_constant(index, sources):
                filling[handle] = sources
    return _computed(index, filling) if filling else {}


def _is_constant(index: GraphIndex, sources: list[TensorName]) -> bool:
    """Whether constants decide tensors: they depend on no input, and on nothing that keeps or draws something."""
    return all(may_be_run(index.nodes[name]) for name in index.reach(source for source, _ in sources))


def _computed(index: GraphIndex, filling: dict[str, list[TensorName]]) -> dict[str, Table]:
    import tensorflow as tf

    from permafrost.graph.tensorflow_import import import_to_run

    kept = index.reach(source for sources in filling.values() for source, _ in sources)
    names = {handle: [f"{node}:{output}" for node, output in sources] for handle, sources in filling.items()}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        import_to_run(extract(index, kept), set())
        try:
            found = session.run(names)
        except tf.errors.OpError:
            return {}
    return {handle: Table(np.reshape(keys, -1), np.reshape(values, -1)) for handle, (keys, values) in found.items()}


def name_tables(nodes: list[NodeDef]) -> None:
    """Gives each table its node's name as its shared name, by which a handler knows it."""
    for node in nodes:
        if node.op in TABLES:
            node.attr["shared_name"].s = node.name.encode()
