"""Inputs that always have the same value, and are constants of an exported graph: which, and what they hold."""

from collections.abc import Mapping
from typing import Any

import msgspec
from numpy.typing import NDArray

from permafrost.exporter.preparation.draft import Draft
from permafrost.freezer.baking.constants import make_constant
from permafrost.graph.index import tensor_name
from permafrost.records import ImportRecord
from permafrost.signature import baking


def chosen(
    imported: ImportRecord, bake: bool | Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, NDArray[Any]]:
    """The inputs of a model to bake, with the values that they get (signature.baking.chosen)."""
    return baking.chosen(imported.inputs, bake, names)


def bake_inputs(draft: Draft) -> None:
    """Makes constants of the inputs to bake, and takes them out of the signature."""
    values = {tensor_name(tensor): value for tensor, value in draft.bake.items()}
    for node in draft.main.graph_def.node:
        if (node.name, 0) in values:
            make_constant(node, values[node.name, 0])
    left = []
    for endpoint in draft.signature.inputs:
        value = values.get(tensor_name(endpoint.tensor))
        if value is None:
            left.append(endpoint)
        else:
            draft.baked[endpoint.source] = value.tolist()
            draft.count(f"input {endpoint.source} is always {value.tolist()!r}")
    draft.signature = msgspec.structs.replace(draft.signature, inputs=left)
