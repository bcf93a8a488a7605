"""A prepared graph as a SavedModel, which is what TensorFlow Lite's converter reads."""

import copy
from pathlib import Path

import tensorflow as tf

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.prepared import Prepared, Refused
from permafrost.graph.dtypes import numpy_dtype
from permafrost.graph.graph_files import LARGEST_GRAPH
from permafrost.graph.protos import GraphDef, MetaGraphDef, saved_model_pb2

SERVING = "serving_default"
_TAG, _INITIALIZING = "serve", "__saved_model_init_op"  # tensorflow/cc/saved_model/constants.h
_MOST = LARGEST_GRAPH - (1 << 20)  # bytes of weights, beside which all else has room


def write(prepared: Prepared, signature: Signature, directory: str) -> None:
    """Writes `saved_model.pb` into `directory`, with one signature, `serving_default`.

    Args:
      prepared: what to write; it stays as it is.
      signature: what goes in, and what comes out or is hidden, by its `name`s.
    Raises Refused (too_large) where one file cannot hold the weights, and OSError.
    """
    saved = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta_graph = saved.meta_graphs.add()
    meta_graph.meta_info_def.tags.append(_TAG)
    meta_graph.meta_info_def.tensorflow_version = tf.__version__
    meta_graph.graph_def.CopyFrom(_whole(prepared))
    _sign(meta_graph, signature.inputs, [*signature.outputs, *signature.hidden])
    if prepared.initializers:
        _initialize(meta_graph, prepared.initializers)
    Path(directory, "saved_model.pb").write_bytes(saved.SerializeToString(deterministic=True))


def _whole(prepared: Prepared) -> GraphDef:
    """The graph with its large weights in it."""
    held = prepared.graph_def.ByteSize() + sum(value.nbytes for value in prepared.weights.values())
    if held > _MOST:
        raise Refused("too_large", f"a TensorFlow Lite file of {held} bytes cannot be made; it has less than 2 GiB")
    graph_def = copy.deepcopy(prepared.graph_def)
    for node in graph_def.node:
        if node.name in prepared.weights:
            node.attr["value"].tensor.tensor_content = prepared.weights[node.name].tobytes()
    return graph_def


def _sign(meta_graph: MetaGraphDef, inputs: list[Endpoint], outputs: list[Endpoint]) -> None:
    signature = meta_graph.signature_def[SERVING]
    signature.method_name = "tensorflow/serving/predict"
    for endpoints, said in ((inputs, signature.inputs), (outputs, signature.outputs)):
        for endpoint in endpoints:
            said[endpoint.name].name = endpoint.tensor
            said[endpoint.name].dtype = tf.as_dtype(_dtype(endpoint)).as_datatype_enum
            said[endpoint.name].tensor_shape.CopyFrom(tf.TensorShape(endpoint.shape).as_proto())


def _dtype(endpoint: Endpoint) -> str:
    known = numpy_dtype(endpoint.dtype)
    return "string" if known.kind == "O" else endpoint.dtype


def _initialize(meta_graph: MetaGraphDef, initializers: list[str]) -> None:
    """Adds a node that fills the tables, and says that a loader is to run it."""
    taken = {node.name for node in meta_graph.graph_def.node}
    name = next(name for k in range(len(taken) + 1) if (name := f"fill_tables_{k}") not in taken)
    meta_graph.graph_def.node.add(name=name, op="NoOp", input=[f"^{each}" for each in initializers])
    meta_graph.signature_def[_INITIALIZING].outputs[_INITIALIZING].name = name
