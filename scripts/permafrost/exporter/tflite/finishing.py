"""What is done to the file that the converter gives: our names, and nothing that others are not to see.

Format: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from typing import Any

import msgspec
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.prepared import Refused
from permafrost.exporter.tflite.saved_graph import SERVING

_HIDDEN = "hidden"
_RANDOM = ("RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL")


def numbered(signature: Signature) -> Signature:
    """A signature whose names are of letters and digits alone, for the converter, whatever the keys are."""
    return Signature(
        inputs=_numbered(signature.inputs, "input"),
        outputs=_numbered(signature.outputs, "output"),
        hidden=_numbered(signature.hidden, _HIDDEN),
    )


def _numbered(endpoints: list[Endpoint], word: str) -> list[Endpoint]:
    return [msgspec.structs.replace(each, name=f"{word}_{k}") for k, each in enumerate(endpoints)]


def finish(content: bytes, signature: Signature) -> tuple[bytes, Signature]:
    """The file as it is to be, and its signature.

    The keys are the names of its signature `serving_default`, and of the tensors. What is hidden is no output any more,
    but a tensor of that name within.
    Args:
      content: what the converter gave. signature: as `numbered` gives it, and as the converter got it.
    Raises Refused: random_op, unsupported_op, lost_output.
    """
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    _refuse_ops(model)
    signed = _signed(model)
    graph = model.subgraphs[signed.subgraphIndex]
    places = {each.name.decode(): int(each.tensorIndex) for each in [*signed.inputs, *signed.outputs]}
    if lost := [each.key for each in [*signature.inputs, *signature.outputs] if each.name not in places]:
        raise Refused("lost_output", f"the converter has lost {lost[0]!r}, an input or an output of the graph")
    hidden = [each for each in signature.hidden if each.name in places]
    shown = [places[each.name] for each in signature.outputs]
    graph.outputs = shown
    signed.inputs = [_mapped(each.key, places[each.name]) for each in signature.inputs]
    signed.outputs = [_mapped(each.key, places[each.name]) for each in signature.outputs]
    names = _name(graph, [(each, places[each.name]) for each in [*signature.inputs, *signature.outputs, *hidden]])
    said = Signature(
        inputs=[_said(each, graph.tensors[places[each.name]], each.key) for each in signature.inputs],
        outputs=[_said(each, graph.tensors[places[each.name]], each.key) for each in signature.outputs],
        hidden=[_said(each, graph.tensors[places[each.name]], names[places[each.name]]) for each in hidden],
    )
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)), said


def _signed(model: Any) -> Any:
    for signed in model.signatureDefs or []:
        if signed.signatureKey == SERVING.encode():
            return signed
    raise Refused("lost_output", f"the converter has lost the signature {SERVING!r}")


def _refuse_ops(model: Any) -> None:
    words = {number: word for word, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    for code in model.operatorCodes:
        word = words.get(max(code.builtinCode, code.deprecatedBuiltinCode), "")
        if word in _RANDOM:
            why = f"the graph draws random numbers ({word}), which are others in TensorFlow Lite"
            raise Refused("random_op", why, word)
        if code.customCode:
            name = code.customCode.decode(errors="replace")
            raise Refused("unsupported_op", f"TensorFlow Lite has no built-in op for {name}", name)


def _mapped(key: str, place: int) -> Any:
    mapped = schema.TensorMapT()
    mapped.name, mapped.tensorIndex = key.encode(), place
    return mapped


def _name(graph: Any, endpoints: list[tuple[Endpoint, int]]) -> dict[int, str]:
    """Gives tensors the keys for names, the first one of each; returns the names, each the name of one tensor alone."""
    named: dict[int, str] = {}
    taken = {tensor.name.decode(errors="replace") for tensor in graph.tensors}
    for endpoint, place in endpoints:
        if place in named:
            continue
        name = endpoint.key
        while name in taken and graph.tensors[place].name != name.encode():
            name += "_"
        taken.add(name)
        named[place] = name
        graph.tensors[place].name = name.encode()
    return named


def _said(endpoint: Endpoint, tensor: Any, name: str) -> Endpoint:
    """What an input or output is in the file."""
    shape = None
    if tensor.hasRank or tensor.shape is not None:
        sizes = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
        shape = [None if size < 0 else int(size) for size in sizes if sizes is not None]
    return msgspec.structs.replace(endpoint, name=name, shape=shape)
