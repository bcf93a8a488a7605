"""What a meta graph's collections say of its variables: a VariableDef for each, in each collection that holds it."""

from typing import Any

from google.protobuf.message import DecodeError

from permafrost.graph.index import tensor_name
from permafrost.graph.protos import MetaGraphDef, variable_pb2

Declarations = dict[str, dict[str, Any]]  # variable node -> collection -> VariableDef


def declarations(meta_graph: MetaGraphDef) -> Declarations:
    """Variable node -> collection -> VariableDef. Collections of other things, and what cannot be read, say nothing.

    Source: Variable.to_proto in tensorflow/python/ops/ref_variable.py, and export_scoped_meta_graph.
    """
    found: Declarations = {}
    for collection, held in meta_graph.collection_def.items():
        for content in held.bytes_list.value:
            try:
                variable = variable_pb2.VariableDef.FromString(content)
            except DecodeError:
                continue
            found.setdefault(tensor_name(variable.variable_name)[0], {})[collection] = variable
    return found
