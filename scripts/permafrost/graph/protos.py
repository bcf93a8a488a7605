"""TensorFlow's generated protobuf classes, without importing TensorFlow.

`import tensorflow` takes seconds; the message classes below need protobuf alone and take a few hundredths of
a second. Where TensorFlow is loaded already, its own modules are used.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def _package_directory() -> Path:
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("tensorflow is not installed; run `make` to install the requirements")
    return Path(spec.submodule_search_locations[0])


def _load() -> tuple[Any, ...]:
    borrowed = "tensorflow" not in sys.modules
    if borrowed:
        directory = _package_directory()
        for name, path in (("tensorflow", directory), ("tensorflow.core", directory / "core")):
            package = ModuleType(name)
            package.__path__ = [str(path)]
            sys.modules[name] = package
    try:
        from tensorflow.core.framework import (
            attr_value_pb2,
            function_pb2,
            graph_pb2,
            node_def_pb2,
            op_def_pb2,
            tensor_pb2,
            tensor_shape_pb2,
            tensor_slice_pb2,
            types_pb2,
            variable_pb2,
        )
        from tensorflow.core.protobuf import (
            meta_graph_pb2,
            saved_model_pb2,
            saver_pb2,
            struct_pb2,
            tensor_bundle_pb2,
            trackable_object_graph_pb2,
        )
        from tensorflow.core.util import saved_tensor_slice_pb2
    finally:
        if borrowed:
            # A later `import tensorflow` must run the package's own __init__, so the stand-ins have to go.
            for name in [n for n in sys.modules if n == "tensorflow" or n.startswith("tensorflow.")]:
                if not hasattr(sys.modules[name], "DESCRIPTOR"):
                    del sys.modules[name]
    return (
        attr_value_pb2, function_pb2, graph_pb2, node_def_pb2, op_def_pb2, tensor_pb2, tensor_shape_pb2,
        tensor_slice_pb2, types_pb2, variable_pb2, meta_graph_pb2, saved_model_pb2, saver_pb2, struct_pb2,
        tensor_bundle_pb2, trackable_object_graph_pb2, saved_tensor_slice_pb2,
    )  # fmt: skip


(
    attr_value_pb2, function_pb2, graph_pb2, node_def_pb2, op_def_pb2, tensor_pb2, tensor_shape_pb2,
    tensor_slice_pb2, types_pb2, variable_pb2, meta_graph_pb2, saved_model_pb2, saver_pb2, struct_pb2,
    tensor_bundle_pb2, trackable_object_graph_pb2, saved_tensor_slice_pb2,
) = _load()  # fmt: skip

AttrValue = attr_value_pb2.AttrValue
FunctionDef, FunctionDefLibrary = function_pb2.FunctionDef, function_pb2.FunctionDefLibrary
GraphDef, MetaGraphDef = graph_pb2.GraphDef, meta_graph_pb2.MetaGraphDef
NodeDef, OpDef, OpList = node_def_pb2.NodeDef, op_def_pb2.OpDef, op_def_pb2.OpList
