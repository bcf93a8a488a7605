"""What a graph computes from its constants alone, in numpy: a closed list of ops, each as TensorFlow's CPU kernel.

The tests compare each with TensorFlow. What is not in the list, or not certain to be the same bits, is refused.
"""

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from permafrost.freezer.casts import cast, flushed
from permafrost.graph.dtypes import DTYPES, castable, dtype_name, numpy_dtype
from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import NodeDef, types_pb2
from permafrost.outcome import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_ELEMENTS = 1 << 31  # more do not fit into a GraphDef, whatever their dtype
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def value(index: GraphIndex, name: str, output: int = 0) -> "NDArray[Any]":
    """The value of an output of a node that depends on constants alone; strings are objects of bytes.

    Raises Problem (unsupported_op) for a node that is not as TensorFlow's importer demands, or that has no such value.
    """
    import numpy as np  # Only here, since it takes a third of the time in which freezing starts.

    values: dict[str, NDArray[Any]] = {}
    waiting = [name]
    while waiting:
        node = index.nodes.get(waiting[-1])
        if node is None or node.op not in COMPUTED or len(waiting) > len(index.nodes) or output:
            raise Problem("unsupported_op", f"node {waiting[-1]!r} is not computed from constants")
        missing = [source for source, _ in index.inputs_of(node) if source not in values]
        if missing:
            waiting.append(missing[0])
            continue
        waiting.pop()
        try:
            with np.errstate(all="ignore"):
                result = COMPUTED[node.op](node, [values[source] for source, _ in index.inputs_of(node)])
        except (ValueError, TypeError, IndexError, OverflowError, KeyError) as error:
            raise Problem("unsupported_op", f"node {node.name!r} ({node.op}): {error}") from error
        values[node.name] = np.asarray(result)
    return values[name]


def _constant(node: NodeDef, inputs: list[Any]) -> Any:
    """As Tensor::FromProto in tensorflow/core/framework/tensor.cc: the last value given stands for all that follow."""
    import numpy as np

    tensor = node.attr["value"].tensor
    known = DTYPES[tensor.dtype]
    shape = _checked(dimension.size for dimension in tensor.tensor_shape.dim)
    if tensor.dtype == types_pb2.DT_STRING:
        given: Any = np.empty(len(tensor.string_val), object)
        given[:] = list(tensor.string_val)
        rest: Any = b""
    elif not known.field:
        raise ValueError(f"a constant of {known.name} is not read")
    else:
        dtype = numpy_dtype(known.name)
        if tensor.tensor_content:
            return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
        # A complex number is two values, and halves are the integers of their bits.
        part = np.dtype(np.uint16) if known.field == "half_val" else dtype
        part = part if part.kind != "c" else np.dtype(f"f{part.itemsize // 2}")
        given = np.array(list(getattr(tensor, known.field)), "O").astype(part).view(dtype)
        rest = dtype.type(0)
    count = prod(shape)
    if len(given) < count and len(given) < 2:
        return np.broadcast_to(given.reshape(()) if len(given) else np.array(rest, given.dtype), shape)
    repeated = np.repeat(given[-1:], max(count - len(given), 0))
    return np.concatenate([given, repeated])[:count].reshape(shape)


def _checked(shape: Any) -> tuple[int, ...]:
    """A shape of sizes that can be. Raises ValueError."""
    sizes = tuple(int(size) for size in shape)
    if min(sizes, default=0) < 0 or prod(sizes) > _MOST_ELEMENTS:
        raise ValueError(f"it has the shape {list(sizes)}")
    return sizes


def _fill(node: NodeDef, inputs: list[Any]) -> Any:
    import numpy as np

    dims, filling = inputs
    if filling.ndim:
        raise ValueError("what it fills with is no scalar")
    return np.broadcast_to(filling, _checked(dims))


def _like(filling: int) -> Callable[[NodeDef, list[Any]], Any]:
    def make(node: NodeDef, inputs: list[Any]) -> Any:
        import numpy as np

        dtype = inputs[0].dtype
        if dtype.kind == "O" and filling:
            raise TypeError("there is no 1 of strings")
        return np.broadcast_to(np.array(b"" if dtype.kind == "O" else filling, dtype), inputs[0].shape)

    return make


def _cast(node: NodeDef, inputs: list[Any]) -> Any:
    before, after = node.attr["SrcT"].type, node.attr["DstT"].type
    if node.attr["Truncate"].b or not castable(before, after):
        raise ValueError(f"a cast from {dtype_name(before)} to {dtype_name(after)} is TensorFlow's alone")
    return cast(inputs[0], before, after)


def _shape(node: NodeDef, inputs: list[Any]) -> Any:
    import numpy as np

    return np.array(inputs[0].shape, np.int64 if node.attr["out_type"].type == types_pb2.DT_INT64 else np.int32)


def _tile(node: NodeDef, inputs: list[Any]) -> Any:
    import numpy as np

    tensor, multiples = inputs
    if len(multiples) != tensor.ndim:
        raise ValueError("it has not a multiple for each dimension")
    _checked(size * int(times) for size, times in zip(tensor.shape, multiples, strict=True))
    return np.tile(tensor, multiples)


def _broadcast(node: NodeDef, inputs: list[Any]) -> Any:
    import numpy as np

    return np.broadcast_to(inputs[0], _checked(inputs[1]))


def _pack(node: NodeDef, inputs: list[Any]) -> Any:
    import numpy as np

    return np.stack(inputs, node.attr["axis"].i)


def _concat(node: NodeDef, inputs: list[Any]) -> Any:
    import numpy as np

    return np.concatenate(inputs[:-1], int(inputs[-1]))


def _expand(node: NodeDef, inputs: list[Any]) -> Any:
    import numpy as np

    return np.expand_dims(inputs[0], int(inputs[1].reshape(())))


def _slice(node: NodeDef, inputs: list[Any]) -> Any:
    tensor, begins, sizes = inputs
    box = []
    for length, begin, size in zip(tensor.shape, begins.tolist(), sizes.tolist(), strict=True):
        end = length if size == -1 else begin + size
        if not 0 <= begin <= end <= length:
            raise ValueError("it slices beyond its input")
        box.append(slice(begin, end))
    return tensor[tuple(box)]


def _arithmetic(name: str, floats_only: bool = False) -> Callable[[NodeDef, list[Any]], Any]:
    """Numbers one by one: IEEE for floats, which TensorFlow's threads flush to zero where they are very small."""

    def compute(node: NodeDef, inputs: list[Any]) -> Any:
        import numpy as np

        is_float = inputs[0].dtype.name in _FLOATS
        if len({each.dtype for each in inputs}) > 1 or not (
            is_float or (inputs[0].dtype.kind in "iu" and not floats_only)
        ):
            raise TypeError(f"{name} of {inputs[0].dtype} is TensorFlow's alone")
        _checked(np.broadcast_shapes(*(each.shape for each in inputs)))
        return flushed(np.asarray(getattr(np, name)(*map(flushed, inputs))))

    return compute


def _same(node: NodeDef, inputs: list[Any]) -> Any:
    return inputs[0]


# Op -> what computes its only output from the NodeDef and the arrays that it takes. NoOp gives nothing.
COMPUTED: dict[str, Callable[[NodeDef, list[Any]], Any]] = {
    "Const": _constant,
    "NoOp": lambda node, inputs: 0,
    "Identity": _same,
    "StopGradient": _same,
    "Fill": _fill,
    "ZerosLike": _like(0),
    "OnesLike": _like(1),
    "Cast": _cast,
    "Shape": _shape,
    "Reshape": lambda node, inputs: inputs[0].reshape(_reshaped(inputs[1])),
    "ExpandDims": _expand,
    "BroadcastTo": _broadcast,
    "Tile": _tile,
    "Pack": _pack,
    "ConcatV2": _concat,
    "Slice": _slice,
    "Neg": _arithmetic("negative"),
    "Add": _arithmetic("add"),
    "AddV2": _arithmetic("add"),
    "Sub": _arithmetic("subtract"),
    "Mul": _arithmetic("multiply"),
    "RealDiv": _arithmetic("divide", floats_only=True),
}


def _reshaped(sizes: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in sizes)
