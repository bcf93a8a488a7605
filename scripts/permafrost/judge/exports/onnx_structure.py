"""Whether an ONNX file is what its record says, as far as that shows without running it.

onnxruntime takes more than a file should have: ops of its own, functions, values from anywhere in another file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from permafrost.export_records import ExportRecord
from permafrost.records import known

_DOMAINS = ("", "ai.onnx.ml")
_UNUSED = ("training_info", "functions")


def misstated(model: Any, path: Path, export: ExportRecord) -> str:
    """What a file has that its record does not, or lacks, in words; "" where there is nothing.

    Args:
      model: the ModelProto of the file at `path`, without the values that are in a file beside it.
    """
    return next(filter(None, _problems(model, path, export)), "")


def _problems(model: Any, path: Path, export: ExportRecord) -> Iterator[str]:
    versions = {each.domain: each.version for each in model.opset_import}
    if (opset := known(export.opset, None)) is not None and versions.get("") != opset:
        yield f"{path.name} is of opset {versions.get('')}, and not {opset}"
    yield _foreign(model, versions, path.name)
    origin = {each.key: each.value for each in model.metadata_props}
    expected = _origin(export)
    if len(origin) != len(model.metadata_props) or origin != expected:
        yield f"{path.name} says of what it was made {origin}, and not {expected}"
    for field in _UNUSED:
        if len(getattr(model, field)):
            yield f"{path.name} has {field}, which no export has"
    if len(model.graph.sparse_initializer):
        yield f"{path.name} has sparse values, which no export has"
    yield _values_beside(model, path, export)


def _origin(export: ExportRecord) -> dict[str, str]:
    """What the metadata of a file say."""
    said = {"frozen_graph.sha256": export.frozen_sha256, "format": "1", "way": known(export.way, "")}
    return {f"permafrost.{key}": value for key, value in said.items()}


def _foreign(model: Any, versions: dict[str, int], name: str) -> str:
    """The first op that is none of ONNX's own."""
    import onnx

    for node in _nodes(model.graph):
        version = versions.get(node.domain, 0)
        if node.domain not in _DOMAINS or not version or not onnx.defs.has(node.op_type, version, node.domain):
            kind = f"{node.op_type} of {node.domain or 'ONNX'} {version}"
            return f"node {node.name!r} of {name} is a {kind}, which ONNX lacks"
    return ""


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _nodes(body)


def initializers(graph: Any) -> Iterator[Any]:
    """The TensorProtos of a GraphProto's initializers, then of those of the bodies in its loops and branches."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from initializers(body)


def _values_beside(model: Any, path: Path, export: ExportRecord) -> str:
    """What is wrong with the places in the file beside it, each of which has to belong to one tensor."""
    import onnx

    beside = path.with_name(f"{path.name}.data")
    external = [each for each in initializers(model.graph) if each.data_location == onnx.TensorProto.EXTERNAL]
    if (beside.name in export.files) != bool(external):
        return f"{path.name} has {len(external)} values in other files, and {beside.name} is among its files or is not"
    end = 0
    for tensor in sorted(external, key=_place):
        start, length, _ = _place(tensor)
        location = {each.key: each.value for each in tensor.external_data}.get("location")
        if location != beside.name or start < end or length != _bytes(tensor):
            return f"the value of {tensor.name!r} is not in a place of its own in {beside.name}"
        end = start + length
    size = beside.stat().st_size if external and beside.exists() else 0
    return f"{beside.name} has {size} bytes, and its values {end}" if size != end else ""


def _place(tensor: Any) -> tuple[int, int, str]:
    said = {each.key: each.value for each in tensor.external_data}
    numbers = [int(said[key]) if said.get(key, "").isdecimal() else -1 for key in ("offset", "length")]
    return numbers[0], numbers[1], tensor.name


def _bytes(tensor: Any) -> int:
    import onnx

    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    return int(np.prod(tensor.dims, dtype=np.int64)) * dtype.itemsize
