"""What an exported file takes and gives: the keys, dtypes and shapes of a model's inputs and outputs."""

from collections.abc import Iterable

import numpy as np
from msgspec.structs import replace

from permafrost.export_records import Endpoint, Signature
from permafrost.exporter.prepared import Refused
from permafrost.graph.dtypes import REFERENCE, dtype_name
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.ops.argument_types import argument_types
from permafrost.graph.ops.registry import registered
from permafrost.graph.protos import NodeDef, OpDef
from permafrost.input_kinds import Default, Input, Shape, Value
from permafrost.model import SignatureNames
from permafrost.outcome import Problem, maybe_meant
from permafrost.records import ImportRecord, Output, Provenance, known
from permafrost.signature import heads

# Up to this GraphDef version a Placeholder's shape without dimensions stands for an unknown one (its shape function in
# tensorflow/core/ops/array_ops.cc).
_LAST_WITHOUT_SCALARS = 21


def of_model(imported: ImportRecord, provenance: Provenance, index: GraphIndex, names: SignatureNames) -> Signature:
    """The signature of a model's frozen graph, in the order of import.json. Imports TensorFlow, and runs nothing.

    Inputs are those that are fed, and the frozen graph has; one that keeps its default is an input where it is named.
    A key is the name of the node, with `_<k>` for its output k > 0, and with a further number where that is taken.
    Args:
      index: of the frozen graph.
      names: key -> the input or output that it stands for, by the name of the node or the tensor.
    Raises Problem (bad_setting) for a name that is no input or output, or is given twice; Refused (unknown_op) where
      TensorFlow does not know the op of an output.
    """
    inputs = {source: tensor for source, tensor in provenance.inputs.items() if tensor_name(tensor)[0] in index.nodes}
    outputs = _outputs(imported, provenance)
    named = _named(names.inputs, inputs, "input")
    fed = {source for source in inputs if not isinstance(imported.inputs[source], Default)}
    given = {source: tensor for source, tensor in inputs.items() if source in fed or source in named}
    input_keys = _keys(given, named)
    output_keys = _keys(outputs, _named(names.outputs, {name: name for name in outputs}, "output"))
    before = heads.before_heads(index, outputs, {inputs[source] for source in fed})
    hidden = [name for name in before if name not in outputs]
    hidden_keys = _keys(hidden, {}, output_keys.values())
    described = {_tensor(name): found for name, found in known(imported.described, {}).items()}
    seen = {provenance.cuts.get(name, name): found for name, found in described.items()}
    computed = {name: _computed(key, name, index) for name, key in output_keys.items()}
    opened = {name: _as_seen(end.shape, seen.get(name)) for name, end in computed.items()}
    are_stale = any(opened[name] != end.shape for name, end in computed.items())
    inside = [_computed(key, name, index) for name, key in hidden_keys.items()]
    return Signature(
        inputs=[_input(key, given[name], name, imported.inputs[name], index) for name, key in input_keys.items()],
        outputs=[replace(end, shape=opened[name]) for name, end in computed.items()],
        hidden=[replace(end, shape=None) if are_stale else end for end in inside],
    )


def _outputs(imported: ImportRecord, provenance: Provenance) -> list[str]:
    tensors = [_tensor(name) for name in imported.outputs]
    return list(dict.fromkeys(provenance.cuts.get(name, name) for name in tensors))


def _tensor(name: str) -> str:
    return "{}:{}".format(*tensor_name(name))


def _named(names: dict[str, str], tensors: dict[str, str], kind: str) -> dict[str, str]:
    """Source -> the key that the settings give it.

    Args:
      tensors: source -> the tensor of the frozen graph; either may be named.
    """
    sources = {_tensor(tensor): source for source, tensor in tensors.items()}
    sources |= {_tensor(source): source for source in tensors}
    found: dict[str, str] = {}
    for key, name in names.items():
        source = sources.get(_tensor(name))
        if source is None:
            there = ", ".join([*tensors][:10]) or "none"
            text = f"`signature:` calls {name!r} the {kind} {key!r}, but the {kind}s are {there}"
            raise Problem("bad_setting", text, maybe_meant(_tensor(name), tensors, cutoff=0.4))
        if source in found:
            raise Problem("bad_setting", f"`signature:` calls the {kind} {source} both {found[source]!r} and {key!r}")
        found[source] = key
    return found


def _keys(tensors: Iterable[str], named: dict[str, str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Tensor -> its key, in the order of the tensors; those that the settings name have theirs."""
    held, keys = {*taken, *named.values()}, {}
    for name in tensors:
        keys[name] = named[name] if name in named else _unused(_default_key(name), held)
        held.add(keys[name])
    return keys


def _default_key(tensor: str) -> str:
    node, output = tensor_name(tensor)
    return f"{node}_{output}" if output else node


def _unused(key: str, taken: set[str]) -> str:
    number, found = 0, key
    while found in taken:
        number += 1
        found = f"{key}_{number}"
    return found


def _input(key: str, tensor: str, source: str, spec: Input, index: GraphIndex) -> Endpoint:
    node = index.nodes[tensor_name(tensor)[0]]
    shape = _merged(_declared(node, index), _described(spec))
    own = spec.shape or []
    guessed = [at for at, size in enumerate(shape or ()) if size is None and at < len(own) and own[at] is not None]
    dtype = _dtype(tensor, index)
    return Endpoint(key=key, name=key, tensor=tensor, source=source, dtype=dtype, shape=shape, guessed=guessed)


def _described(spec: Input) -> Shape | None:
    """The shape that an input's description gives it, with None for what is no more than a guess.

    Of an input of which the graph tells nothing, the rank is the one on which it ran, and no dimension is sure.
    """
    if isinstance(spec, Value) and spec.shape is None:
        return [None] * np.ndim(spec.value)
    if spec.shape is None:
        return None
    if spec.open == "rank":
        return [None] * len(spec.shape)
    guessed = spec.open if isinstance(spec.open, list) else []
    return [None if at in guessed else size for at, size in enumerate(spec.shape)]


def _declared(node: NodeDef, index: GraphIndex) -> Shape | None:
    """The shape that a placeholder declares for itself."""
    shape = node.attr["shape"].shape if "shape" in node.attr else None
    if shape is None or shape.unknown_rank:
        return None
    says_nothing = node.op == "Placeholder" and index.graph_def.versions.producer <= _LAST_WITHOUT_SCALARS
    if not shape.dim and says_nothing:
        return None
    return _open(dimension.size for dimension in shape.dim)


def _open(sizes: Iterable[int]) -> Shape:
    return [None if size < 0 else size for size in sizes]


def _merged(declared: Shape | None, described: Shape | None) -> Shape | None:
    """What the graph declares wins, since TensorFlow refuses anything else."""
    if declared is None or described is None or len(declared) != len(described):
        return described if declared is None else declared
    return [own if own is not None else other for own, other in zip(declared, described, strict=True)]


def _computed(key: str, tensor: str, index: GraphIndex) -> Endpoint:
    """An output, or what is hidden; its shape is known where the graph notes it beside the node."""
    shapes = _noted_shapes(index.nodes[tensor_name(tensor)[0]])
    output = tensor_name(tensor)[1]
    shape = shapes[output] if output < len(shapes) else None
    return Endpoint(key=key, name=key, tensor=tensor, source=tensor, dtype=_dtype(tensor, index), shape=shape)


def _as_seen(noted: Shape | None, seen: Output | None) -> Shape | None:
    """A noted shape without sizes that the trial run did not find, as of the batch of a pipeline that is cut off."""
    if noted is None or seen is None or seen.shape is None or len(seen.shape) != len(noted):
        return noted
    return [size if size == found else None for size, found in zip(noted, seen.shape, strict=True)]


def _noted_shapes(node: NodeDef) -> list[Shape | None]:
    """The shapes in `_output_shapes`, which TensorFlow's importer refuses where they do not fit what it infers."""
    if "_output_shapes" not in node.attr:
        return []
    shapes = node.attr["_output_shapes"].list.shape
    return [None if shape.unknown_rank else _open(dimension.size for dimension in shape.dim) for shape in shapes]


def _dtype(tensor: str, index: GraphIndex) -> str:
    """The name of a tensor's dtype. Raises Refused (unknown_op)."""
    name, output = tensor_name(tensor)
    node = index.nodes[name]
    definition = _definition(node, index)
    types = argument_types(node, definition, definition.output_arg) if definition is not None else None
    if types is None or output >= len(types):
        text = f"node {name!r} ({node.op}) does not tell the dtype of its output {output}"
        raise Refused("unknown_op", text, node.op, name)
    return dtype_name(types[output] % REFERENCE)


def _definition(node: NodeDef, index: GraphIndex) -> OpDef | None:
    """The OpDef of a node's op, which may be a function of the graph."""
    functions = index.graph_def.library.function
    own = next((each.signature for each in functions if each.signature.name == node.op), None)
    return own if own is not None else registered(node.op)
