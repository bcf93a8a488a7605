"""A prepared graph for one size of batch, where TensorFlow Lite cannot do with an open one."""

import copy

import msgspec

from permafrost.export_records import Endpoint
from permafrost.exporter.prepared import Prepared
from permafrost.graph.index import tensor_name
from permafrost.graph.pruning import PLACEHOLDERS


def fixed(prepared: Prepared, batch: int) -> Prepared:
    """A copy whose inputs have `batch` for their first open dimension; the graph itself where none is open.

    Other open dimensions stay so: they are lengths, which have nothing to do with the batch.
    """
    inputs = [_fixed(endpoint, batch) for endpoint in prepared.signature.inputs]
    if inputs == prepared.signature.inputs:
        return prepared
    graph_def = copy.deepcopy(prepared.graph_def)
    shapes = {tensor_name(endpoint.tensor)[0]: endpoint.shape for endpoint in inputs}
    for node in graph_def.node:
        shape = shapes.get(node.name)
        if shape is not None and node.op in PLACEHOLDERS:
            node.attr["shape"].shape.Clear()
            for size in shape:
                node.attr["shape"].shape.dim.add(size=-1 if size is None else size)
    held = copy.copy(prepared)
    held.graph_def, held.signature = graph_def, msgspec.structs.replace(prepared.signature, inputs=inputs)
    held.changes = [*prepared.changes, f"the batch is {batch}: the first open dimension of each input is that"]
    return held


def _fixed(endpoint: Endpoint, batch: int) -> Endpoint:
    shape, first = endpoint.shape, endpoint.batch_axis
    if shape is None or first is None:
        return endpoint
    return msgspec.structs.replace(endpoint, shape=[*shape[:first], batch, *shape[first + 1 :]])
