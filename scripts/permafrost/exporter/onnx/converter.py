"""tf2onnx, as it is called and as its failures are told.

Source: process_tf_graph of tf2onnx/tfonnx.py and _convert_common of tf2onnx/convert.py, 1.17.0.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from permafrost.exporter.onnx import handlers
from permafrost.exporter.onnx.ordered_sets import ordered_sets
from permafrost.exporter.onnx.tables import Table
from permafrost.exporter.prepared import Refused
from permafrost.graph.protos import GraphDef, NodeDef, graph_pb2, types_pb2

GRAPPLER, PLAIN = "grappler", "plain"
WAYS = (GRAPPLER, PLAIN, handlers.PRECISE)
# What its rewriters make loops and branches of, and what no conversion sees.
_REWRITTEN = (
    "Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond", "TensorArrayV3", "TensorArrayReadV3",
    "TensorArrayWriteV3", "TensorArraySizeV3", "TensorArrayGatherV3", "TensorArrayScatterV3", "Const", "Placeholder",
    "NoOp", "Identity",
)  # fmt: skip
_FAILED_NODE = "Failed to convert node"


@dataclass(frozen=True)
class Job:
    """What tf2onnx is asked for.

    inputs, outputs: tensors. names: tensor -> what the file is to call it. tables: node -> what its table holds.
    """

    graph_def: GraphDef
    inputs: list[str]
    outputs: list[str]
    names: dict[str, str]
    tables: dict[str, Table]
    opset: int


def converted(job: Job, way: str) -> Any:
    """The ModelProto that tf2onnx makes of a graph, which may still have nodes of TensorFlow's own.

    Args:
      way: one of WAYS: whether TensorFlow's optimiser folds constants before, as some rewriters of tf2onnx know the one
        form of a cell or a cond, some the other; the last has no optimiser, and handlers.PRECISE for what it is.
    Raises Refused (unsupported_op or conversion_failed).
    """
    with _errors_told() as records:
        try:
            return _convert(job, way)
        except MemoryError:
            raise
        except Exception as error:  # Its code is full of asserts and look-ups that fail.
            raise _refusal(job, error, records) from error


def _convert(job: Job, way: str) -> Any:
    import tensorflow as tf
    from tf2onnx import tf_loader, utils
    from tf2onnx.convert import _convert_common

    utils.INTERNAL_NAME = 1  # Names of new nodes are counted for the whole process.
    graph_def = job.graph_def
    if way == GRAPPLER:
        with tf.Graph().as_default():
            graph_def = _in_order(tf_loader.tf_optimize(job.inputs, job.outputs, graph_def), graph_def)
    options = {
        "opset": job.opset,
        "input_names": job.inputs,
        "output_names": job.outputs,
        "tensors_to_rename": dict(job.names),
        "custom_op_handlers": handlers.by_op(job.tables, way),
    }
    with ordered_sets("tf2onnx"):
        model, _ = _convert_common(graph_def, name="frozen_graph.pb", **options)
    return model


def _in_order(graph_def: GraphDef, before: GraphDef) -> GraphDef:
    """What TensorFlow's optimiser gives, in the order of the graph before: its own is another in each run."""
    places = {node.name: place for place, node in enumerate(before.node)}
    nodes = sorted(graph_def.node, key=lambda node: (places.get(node.name, len(places)), node.name))
    functions = sorted(graph_def.library.function, key=lambda function: str(function.signature.name))
    ordered = graph_pb2.GraphDef(versions=graph_def.versions)
    ordered.node.extend(nodes)
    ordered.library.CopyFrom(graph_def.library)
    del ordered.library.function[:]
    ordered.library.function.extend(functions)
    return ordered


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record)


@contextlib.contextmanager
def _errors_told() -> Iterator[list[logging.LogRecord]]:
    """The errors that tf2onnx logs meanwhile: what it raises does not name the node."""
    kept, logger = _Records(), logging.getLogger("tf2onnx")
    logger.addHandler(kept)
    try:
        yield kept.kept
    finally:
        logger.removeHandler(kept)


def _refusal(job: Job, error: Exception, records: list[logging.LogRecord]) -> Refused:
    if isinstance(error, UnicodeDecodeError) and (name := _undecodable(job.graph_def)):
        return Refused(
            "unsupported_op", f"constant {name!r} holds bytes that are no text, as ONNX wants", "Const", name
        )
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300].rstrip(": ")
    for record in records:
        if str(record.msg).startswith(_FAILED_NODE) and isinstance(record.args, tuple) and record.args:
            node = str(record.args[0])
            op = _op_of(job.graph_def, node)
            text = f"tf2onnx cannot convert node {node!r} ({op or 'one of its own'}): {said}"
            return Refused("unsupported_op", text, op, node)
    if (unknown := _unknown(job)) is not None:
        text = f"tf2onnx fails on the graph, in which it does not know node {unknown.name!r} ({unknown.op}): {said}"
        return Refused("unsupported_op", text, unknown.op, unknown.name)
    return Refused("conversion_failed", f"tf2onnx fails on the graph: {said}")


def _unknown(job: Job) -> NodeDef | None:
    """The first node of an op that tf2onnx has no handler for, where it is none of those that it rewrites as loops."""
    from tf2onnx.handler import tf_op

    known = {*tf_op.create_mapping(job.opset, []), *handlers.by_op(job.tables, PLAIN), *_REWRITTEN}
    nodes = (node for body in bodies(job.graph_def) for node in body)
    return next((node for node in nodes if node.op not in known), None)


def bodies(graph_def: GraphDef) -> list[Iterable[NodeDef]]:
    """The nodes of a graph, and those of each of its functions."""
    return [graph_def.node, *(function.node_def for function in graph_def.library.function)]


def _op_of(graph_def: GraphDef, name: str) -> str:
    """The op type of a node of the graph or of its functions; "" for one that tf2onnx has made."""
    return next((node.op for body in bodies(graph_def) for node in body if node.name == name), "")


def _undecodable(graph_def: GraphDef) -> str:
    """The first constant of strings that are no UTF-8; "" where there is none."""
    for node in graph_def.node:
        if node.op == "Const" and node.attr["dtype"].type == types_pb2.DT_STRING:
            try:
                for string in node.attr["value"].tensor.string_val:
                    string.decode()
            except UnicodeDecodeError:
                return str(node.name)
    return ""
