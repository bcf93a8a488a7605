"""From a prepared graph to an ONNX file."""

from typing import Any

from permafrost.export_records import Signature
from permafrost.exporter.onnx import checks, external_data, function_names, interface, naming, ready, tables
from permafrost.exporter.onnx.converter import WAYS, Job, bodies, converted
from permafrost.exporter.onnx.handlers import PRECISE
from permafrost.exporter.onnx.tables import Table
from permafrost.exporter.prepared import Prepared
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.protos import GraphDef
from permafrost.model import OnnxOptions

__all__ = ["WAYS", "convert"]

_FORMAT = "1"  # of the metadata


def convert(prepared: Prepared, options: OnnxOptions, way: str, path: str, frozen_sha256: str = "") -> Signature:
    """Converts a graph to ONNX and writes it to `path`, with its large weights beside it, under `path` with `.data`.

    The same graph gives the same bytes.
    Args:
      way: one of WAYS.
      frozen_sha256: of the frozen graph, for the file's metadata.
    `prepared.changes` gets a sentence where this way computes something by other ops.
    Returns the signature with the names and the shapes that the file has. Raises Refused, naming op and node: an op
    that ONNX or tf2onnx lacks, random ones, lost outputs, too_large; and Problem (bad_setting) as naming.in_file does.
    """
    signature = naming.in_file(prepared.signature, options)
    found = tables.find(GraphIndex(prepared.graph_def), prepared.initializers)
    graph_def = ready.graph(prepared, signature, found)
    ready.refuse_random(graph_def)
    tables.name_tables(list(graph_def.node))
    function_names.make_unique(graph_def)
    weights = ready.weight_tensors(graph_def, prepared)
    prepared.changes += _changes(graph_def, way)
    model = converted(_job(signature, graph_def, weights, found, options.opset), way)
    _check(model, signature, weights)
    needed = ready.take_weights(model, weights)
    batched = ready.batched(graph_def, signature) if options.batch is None else set()
    interface.declare(model, signature, options, batched)
    _tell_origin(model, frozen_sha256, way)
    external_data.write(model, {name: prepared.weights[weights[name]] for name in needed}, path)
    return signature


def _job(
    signature: Signature, graph_def: GraphDef, weights: dict[str, str], found: dict[str, Table], opset: int
) -> Job:
    ends, there = (*signature.outputs, *signature.hidden), {node.name for node in graph_def.node}
    # One that nothing needs may be gone; it is an input of the file all the same.
    fed = [end for end in signature.inputs if tensor_name(end.tensor)[0] in there]
    return Job(
        graph_def=graph_def,
        inputs=[*(end.tensor for end in fed), *weights],
        outputs=[end.tensor for end in ends],
        names={end.tensor: end.name for end in (*fed, *ends)},
        tables=found,
        opset=opset,
    )


def _changes(graph_def: GraphDef, way: str) -> list[str]:
    """What this way of conversion computes by other ops."""
    count = sum(node.op == "Sigmoid" for body in bodies(graph_def) for node in body)
    said = f"{count} Sigmoid computed as 1 / (1 + exp(-x)), which keeps the digits of small numbers"
    return [said] if way == PRECISE and count else []


def _check(model: Any, signature: Signature, weights: dict[str, str]) -> None:
    checks.refuse_foreign(model)
    checks.refuse_random(model)
    checks.refuse_lost(model, signature, weights)
    checks.refuse_invalid(model)


def _tell_origin(model: Any, frozen_sha256: str, way: str) -> None:
    origin = {"frozen_graph.sha256": frozen_sha256, "format": _FORMAT, "way": way}
    for key, value in origin.items():
        model.metadata_props.add(key=f"permafrost.{key}", value=value)
