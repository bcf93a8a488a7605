"""Ragged and sparse tensors among a SavedModel's inputs: their parts, fed apart, have to fit together.

A signature of TensorFlow 2 takes them apart: a ragged tensor into its flat values and the row splits of each of its
ragged dimensions, from the outermost, a sparse one into indices, values and dense shape. Which arguments of a function
are parts of one tensor is what the SavedModel says of the function (canonicalized_input_signature of a
SavedConcreteFunction in tensorflow/core/protobuf/saved_object_graph.proto); the first arguments of a FunctionDef are
these, in that order.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from permafrost import input_kinds as kinds
from permafrost.graph.call_frames import Frame, Frames
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.protos import MetaGraphDef, struct_pb2
from permafrost.signature import sparse_inputs

_SPARSE, _RAGGED = struct_pb2.TypeSpecProto.SPARSE_TENSOR_SPEC, struct_pb2.TypeSpecProto.RAGGED_TENSOR_SPEC
_TENSORS = ("tensor_spec_value", "bounded_tensor_spec_value")
_DEEPEST = 100


class _Argument(NamedTuple):
    """What becomes `parts` arguments of a function in turn; of a ragged or sparse tensor these are its parts."""

    kind: int
    parts: int


def fit(meta_graph: MetaGraphDef, index: GraphIndex, outputs: list[str], specs: kinds.Inputs) -> None:
    """Changes, in place, the descriptions of inputs that are parts of a ragged or sparse tensor.

    Row splits become RowSplits; the flat values get the batch as their first dimension, one for each row on average.
    Args:
      index: that of the meta graph's graph.
      outputs: the tensors that the inputs are for.
      specs: those whose values the settings give are left alone.
    """
    functions = meta_graph.object_graph_def.concrete_functions
    nodes = index.reach(tensor_name(name)[0] for name in outputs) if functions else ()
    sparse = []
    for frame in Frames(index.graph_def.node, index.graph_def.library, nodes).frames if functions else ():
        signature = functions[frame.function].canonicalized_input_signature if frame.function in functions else None
        for kind, parts in _composites(frame, _arguments(signature)) if signature is not None else ():
            if all(part in specs for part in parts) and len(set(parts)) == len(parts):
                if kind == _RAGGED:
                    _fit_ragged(parts, specs)
                elif len(parts) == 3:
                    sparse.append((parts[0], parts[1], parts[2]))
    sparse_inputs.fit_parts(specs, [(parts, None) for parts in sparse])


def _fit_ragged(parts: list[str], specs: kinds.Inputs) -> None:
    if any(isinstance(specs[part], kinds.Value | kinds.File) for part in parts):
        return
    values, *splits = parts
    why = f"a ragged tensor with {values}"
    for part in splits:
        specs[part] = kinds.RowSplits(specs[part].dtype, [None], why, [])
    if (shape := specs[values].shape) is not None:
        specs[values] = sparse_inputs.batched(specs[values], [None, *shape[1:]])


def _composites(frame: Frame, arguments: Iterator[_Argument]) -> Iterator[tuple[int, list[str]]]:
    """(kind, the graph's tensors) of each argument of a call that is given by its parts."""
    names, first = frame.arguments, 0
    for argument in arguments:
        if argument.kind in (_SPARSE, _RAGGED):
            sources = [frame.source(name) for name in names[first : first + argument.parts]]
            outer = [(node.name, number) for where, node, number in sources if node is not None and not where.function]
            if len(outer) == len(sources):
                yield argument.kind, [f"{name}:{number}" for name, number in outer]
        first += argument.parts


def _arguments(value: Any, depth: int = 0) -> Iterator[_Argument]:
    """What of a StructuredValue becomes arguments, in order; it ends where nobody knows how many follow."""
    kind = value.WhichOneof("kind")
    if kind in _TENSORS:
        yield _Argument(0, 1)
    elif kind == "type_spec_value":
        yield _composite(value.type_spec_value)
    elif depth < _DEEPEST:
        for inner in _inside(value, kind):
            yield from _arguments(inner, depth + 1)


def _inside(value: Any, kind: str | None) -> list[Any]:
    if kind in ("tuple_value", "list_value"):
        return list(getattr(value, kind).values)
    if kind == "dict_value":
        return [value.dict_value.fields[key] for key in sorted(value.dict_value.fields)]
    return [pair.value for pair in value.named_tuple_value.values] if kind == "named_tuple_value" else []


def _composite(spec: Any) -> _Argument:
    """What a TypeSpecProto says; that of older writers does not say how many parts there are."""
    if spec.num_flat_components:
        return _Argument(spec.type_spec_class, spec.num_flat_components)
    if spec.type_spec_class == _RAGGED:
        state = spec.type_state.tuple_value.values
        return _Argument(_RAGGED, 1 + max(0, min(state[2].int64_value, _DEEPEST)) if len(state) > 2 else 1)
    return _Argument(spec.type_spec_class, 3 if spec.type_spec_class == _SPARSE else 1)
