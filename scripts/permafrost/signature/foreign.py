"""A frozen graph that another tool made: what its outputs and inputs are, and what the judge needs to know of it."""

from google.protobuf.message import DecodeError
from msgspec.structs import replace

from permafrost import recording
from permafrost.graph import frozen_file, pruning
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.registry import registered
from permafrost.graph.ops.stateful import TABLE_INITIALIZERS
from permafrost.graph.protos import MetaGraphDef, NodeDef, types_pb2
from permafrost.graph.pruning import PLACEHOLDERS
from permafrost.graph.restore_map import table_initializers
from permafrost.model import Settings
from permafrost.outcome import Problem
from permafrost.records import ForeignProvenance, ImportRecord

# What can stand at an end of a graph without being an output of it.
_NO_OUTPUTS = {"Const", *PLACEHOLDERS, *TABLE_INITIALIZERS}
_HANDLES = (types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT)


def read(path: str) -> GraphIndex:
    """The graph in the file at `path`, without its large constants.

    Raises Problem: unreadable, or not_importable where it is no GraphDef, or one without nodes.
    """
    try:
        index = GraphIndex(frozen_file.outline(path))
    except OSError as error:
        raise Problem("unreadable", f"{path}: {error.strerror}", "correct the path under `judge:`") from error
    except DecodeError as error:
        raise Problem("not_importable", f"{path} is not a frozen graph (a GraphDef): {error}") from error
    if not index.nodes:
        raise Problem("not_importable", f"{path} is a GraphDef without nodes")
    return index


def settings_for(path: str, index: GraphIndex, meta: GraphIndex, settings: Settings) -> Settings:
    """The model's settings with the outputs and inputs of the file: its ends, and its placeholders.

    Args:
      index: of the file at `path`.
      meta: of the meta graph.
    Outputs that the settings name stay. A placeholder for what is something else in the meta graph cuts it off there.
    Raises Problem: unknown_output where the file lacks an output that the settings name, no_output where none of its
    ends is in the meta graph, unknown_input for a placeholder that the meta graph lacks.
    """
    outputs = settings.outputs
    if isinstance(outputs, str):
        taken = {tensor_name(text.removeprefix("^"))[0] for node in index.nodes.values() for text in node.input}
        ends = [name for name, node in index.nodes.items() if name not in taken and _has_value(node)]
        outputs = [name for name in ends if name in meta.nodes]
        if not outputs:
            found = ", ".join(ends[:5]) or "nothing but constants"
            raise Problem("no_output", f"{path} ends in {found}, which the meta graph does not have")
    for name in outputs:
        if tensor_name(name)[0] not in index.nodes:
            raise Problem("unknown_output", f"{path} has no node for the output {name!r}")
    needed = pruning.needed(index, [tensor_name(name)[0] for name in outputs], with_colocated=False)
    inputs = dict(settings.inputs)
    for name in sorted(needed):
        node = index.nodes[name]
        if node.op not in PLACEHOLDERS:
            continue
        if name not in meta.nodes:
            raise Problem("unknown_input", f"{path} has the placeholder {name!r}, which the meta graph does not have")
        if meta.nodes[name].op not in PLACEHOLDERS and name not in inputs and f"{name}:0" not in inputs:
            inputs[name] = {"shape": _shape(index, name)}
    return replace(settings, outputs=outputs, inputs=inputs)


def _has_value(node: NodeDef) -> bool:
    """Whether a node may be an output: it has one, which is no handle. One of an unknown op may."""
    definition = registered(node.op)
    if node.op in _NO_OUTPUTS or definition is None:
        return definition is None
    return bool(definition.output_arg) and definition.output_arg[0].type not in _HANDLES


def _shape(index: GraphIndex, name: str) -> list[int | None]:
    return [None if size < 0 else size for size in pruning.declared_shape(index, name, 0) or ()]


def provenance(index: GraphIndex, meta_graph: MetaGraphDef, imported: ImportRecord) -> ForeignProvenance:
    """What the judge has to know of the file, as a freezer's provenance would say it.

    Args:
      index: of the file.
      imported: the model's import record.
    """
    graph_def, cuts = pruning.cut_inputs(meta_graph.graph_def, list(imported.inputs), imported.outputs)
    own = GraphIndex(graph_def)
    needed = pruning.needed(own, [tensor_name(name)[0] for name in imported.outputs], with_colocated=False)
    initializers = table_initializers(meta_graph, own, needed)
    found = recording.begun(ForeignProvenance, "")
    found.cuts, found.initializers = cuts, initializers
    found.inputs = {name: cuts.get(name, name) for name in imported.inputs}
    found.frozen_initializers = [name for name in initializers if name in index.nodes]
    return found
