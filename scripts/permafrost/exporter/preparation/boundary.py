"""What a graph takes and gives: nodes of its own for what comes out, shapes for what goes in."""

from typing import Any

import msgspec

from permafrost.export_records import Endpoint
from permafrost.exporter.preparation.draft import Draft
from permafrost.exporter.preparation.parts import canonical, rewrite
from permafrost.graph.dtypes import named
from permafrost.graph.index import tensor_name

_FOR_TENSORFLOW_ALONE = ("_output_shapes", "_class", "_input_shapes")


def add_heads(draft: Draft) -> None:
    """Puts an Identity behind each output and each hidden tensor; the signature's tensors are these from now on.

    Converters lose outputs that are inputs, aliases of others, or what an If or a While gives.
    """
    signature = draft.signature
    outputs = [_with_head(draft, each, f"output_{number}") for number, each in enumerate(signature.outputs)]
    hidden = [_with_head(draft, each, f"hidden_{number}") for number, each in enumerate(signature.hidden)]
    draft.signature = msgspec.structs.replace(signature, outputs=outputs, hidden=hidden)
    draft.main.results = [canonical(each.tensor) for each in (*outputs, *hidden)]


def _with_head(draft: Draft, endpoint: Endpoint, name: str) -> Endpoint:
    head = draft.main.add(name, "Identity", [canonical(endpoint.tensor)])
    head.attr["T"].type = named(endpoint.dtype).number
    return msgspec.structs.replace(endpoint, tensor=f"{head.name}:0")


def open_inputs(draft: Draft) -> None:
    """Makes plain placeholders of the inputs, with the signature's shapes, and takes the defaults of what is no input.

    In a graph of a TensorFlow before 1.0 the shape `[]` of a placeholder is that of any tensor, which converters, who
    do not look at the graph's version, take for that of a scalar (PlaceholderOp in tensorflow/core/ops/array_ops.cc).
    """
    inputs = {tensor_name(each.tensor): each for each in draft.signature.inputs}
    for node in draft.main.graph_def.node:
        if (node.name, 0) in inputs:
            _open(node, inputs[node.name, 0])
        elif node.op == "PlaceholderWithDefault" and node.input:
            defaults = [text for text in node.input if not text.startswith("^")]
            rewrite(node, "Identity", defaults, T=node.attr["dtype"].type)
            draft.count("input that is never fed replaced by its default")


def _open(node: Any, endpoint: Endpoint) -> None:
    """A placeholder that is fed waits for nothing, whatever inputs it has."""
    rewrite(node, "Placeholder", [], dtype=named(endpoint.dtype).number)
    del node.input[:]
    shape = node.attr["shape"].shape
    shape.SetInParent()
    if endpoint.shape is None:
        shape.unknown_rank = True
    for size in endpoint.shape or ():
        shape.dim.add(size=-1 if size is None else size)


def strip(draft: Draft) -> None:
    """Takes away what was noted for TensorFlow alone: devices, colocations, and shapes that rewrites make wrong."""
    opaque = draft.graph_def.library.function
    for nodes in (*(part.graph_def.node for part in draft.parts), *(function.node_def for function in opaque)):
        for node in nodes:
            node.device = ""
            for name in _FOR_TENSORFLOW_ALONE:
                node.attr.pop(name, None)
    for function in (*(part.function for part in draft.parts if part.function is not None), *opaque):
        function.attr.pop("_input_shapes", None)
        for arguments in function.arg_attr.values():
            arguments.attr.pop("_output_shapes", None)


def drop_unused_inputs(draft: Draft) -> None:
    """Takes inputs out of the signature that only what is switched off has used: converters lose them."""
    names = {node.name for node in draft.main.graph_def.node}
    gone = [each for each in draft.signature.inputs if tensor_name(each.tensor)[0] not in names]
    for endpoint in gone:
        draft.count(f"input {endpoint.source} is none any more, since no output depends on it")
    inputs = [each for each in draft.signature.inputs if each not in gone]
    draft.signature = msgspec.structs.replace(draft.signature, inputs=inputs)
