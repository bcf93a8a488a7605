"""What tf2onnx does not say of the model that it made: ops that are none of ONNX's, random ones, what got lost."""

from collections.abc import Collection, Iterator
from typing import Any

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.prepared import Refused
from permafrost.graph.dtypes import numpy_dtype

# A Dropout stands where the graph drew numbers: tf2onnx makes it of these, and it draws none any more.
RANDOM = (
    "RandomUniform",
    "RandomUniformLike",
    "RandomNormal",
    "RandomNormalLike",
    "Multinomial",
    "Bernoulli",
    "Dropout",
)


def nodes(graph: Any) -> Iterator[Any]:
    """The NodeProtos of a GraphProto and of the bodies of its loops and branches."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from nodes(body)


def refuse_foreign(model: Any) -> None:
    """Raises Refused (unsupported_op) where a node is none of ONNX's own of the model's opset, or of ONNX ML's."""
    import onnx

    versions = {each.domain: each.version for each in model.opset_import}
    for node in nodes(model.graph):
        if node.domain in ("", "ai.onnx.ml") and onnx.defs.has(node.op_type, versions.get(node.domain, 1), node.domain):
            continue
        text = f"node {node.name!r} is a {node.op_type}, which ONNX lacks and tf2onnx does not convert"
        raise Refused("unsupported_op", text, node.op_type, node.name)


def refuse_random(model: Any) -> None:
    """Raises Refused (random_op) where a node draws numbers: other ones than TensorFlow's, whatever the seed."""
    for node in nodes(model.graph):
        if node.op_type in RANDOM:
            text = f"node {node.name!r} draws random numbers ({node.op_type}), which are others in ONNX"
            raise Refused("random_op", text, node.op_type, node.name)


def refuse_lost(model: Any, signature: Signature, weights: Collection[str]) -> None:
    """Raises Refused (lost_output) where inputs or outputs of the model are not those of the signature.

    An input that nothing needs may be lacking.
    Args:
      weights: tensors that are inputs for the converter alone.
    """
    given = {value.name: value for value in model.graph.output}
    taken = {value.name: value for value in model.graph.input}
    for end in (*signature.outputs, *signature.hidden):
        if end.name not in given:
            raise Refused("lost_output", f"tf2onnx loses {end.tensor!r}, the output {end.key!r}", node=end.tensor)
        _refuse_other_dtype(end, given[end.name])
    names = {end.name for end in signature.inputs}
    for name in taken.keys() - names - set(weights):
        raise Refused("lost_output", f"tf2onnx makes an input {name!r}, which the model lacks", node=name)
    for end in signature.inputs:
        if end.name in taken:
            _refuse_other_dtype(end, taken[end.name])


def refuse_invalid(model: Any) -> None:
    """Raises Refused (conversion_failed) where the model is not as ONNX's own checker wants it.

    The checker wants a shape of each input and output, where onnxruntime and the format itself let one of an unknown
    rank have none; such a one passes.
    """
    import onnx

    values = [*model.graph.input, *model.graph.output]
    shapeless = [value.type.tensor_type for value in values if not value.type.tensor_type.HasField("shape")]
    for tensor in shapeless:
        tensor.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        said = " ".join(str(error).split())[:300]
        raise Refused("conversion_failed", f"what tf2onnx made is no valid ONNX: {said}") from error
    finally:
        for tensor in shapeless:
            tensor.ClearField("shape")


def _refuse_other_dtype(end: Endpoint, value: Any) -> None:
    found = value.type.tensor_type.elem_type
    if found != element_type(end):
        import onnx

        name = onnx.TensorProto.DataType.Name(found).lower()
        raise Refused(
            "conversion_failed", f"tf2onnx makes {end.tensor!r} {name}, which is {end.dtype}", node=end.tensor
        )


def element_type(end: Endpoint) -> int:
    """The number that ONNX has for the dtype of an input or an output. Raises Refused (unsupported_op) without one."""
    import onnx

    try:
        return int(onnx.helper.np_dtype_to_tensor_dtype(numpy_dtype(end.dtype)))
    except (KeyError, TypeError, ValueError) as error:
        text = f"{end.key!r} ({end.tensor}) is {end.dtype}, which ONNX lacks"
        raise Refused("unsupported_op", text, node=end.tensor) from error
