"""What tf2onnx cannot convert and ONNX can say: a handler for each op, by tf2onnx's own interface.

Semantics: tensorflow/core/ops/*.cc and the kernels on one side, https://onnx.ai/onnx/operators on the other.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from permafrost.exporter.onnx.tables import Table

# ONNX's dtype of table contents -> the word in LabelEncoder's attributes, and the dtype that it works with.
_INT64, _FLOAT, _STRING = "int64", "float", "string"

# A way of conversion that says some ops by others, where onnxruntime's own are polynomials that lose the digits of what
# is small: its Sigmoid stops at -18, where TensorFlow's goes on to the smallest number (onnxruntime/core/mlas/lib).
PRECISE = "precise"

Handler = Callable[[Any, Any, str, Any], Any]  # graph, node, its name, arguments


def by_op(tables: dict[str, Table], way: str) -> dict[str, tuple[Handler, list[Any]]]:
    """Op type -> its handler, as `custom_op_handlers` of tf2onnx takes them.

    Args:
      tables: node of a table -> what it holds, as tables.find gives it.
      way: PRECISE for what onnxruntime has an approximation of as well.
    """
    find, size = partial(_look_up, tables), partial(_table_size, tables)
    handlers: dict[str, Handler] = {
        "ShapeN": _shape_n, "BroadcastArgs": _broadcast_args, "Rint": _rint,
        "Log1p": _log1p, "Expm1": _expm1, "Xlogy": _xlogy,
        "LookupTableFind": find, "LookupTableFindV2": find, "LookupTableSize": size, "LookupTableSizeV2": size,
        "HashTable": _keep, "HashTableV2": _keep, "MutableHashTable": _keep, "MutableHashTableV2": _keep,
        "SparseDenseCwiseMul": partial(_sparse_dense, "Mul"), "SparseDenseCwiseDiv": partial(_sparse_dense, "Div"),
        "SparseDenseCwiseAdd": partial(_sparse_dense, "Add"), "SparseTensorDenseMatMul": _sparse_matmul,
    }  # fmt: skip
    if way == PRECISE:
        handlers |= {"Sigmoid": _sigmoid}
    return {op: (handler, []) for op, handler in handlers.items()}


class _Replacing:
    """A node that is taken out of tf2onnx's graph, and others that come in its place.

    inputs, outputs: names of tensors. dtype, shape: of the first output.
    """

    def __init__(self, graph: Any, node: Any):
        self.graph, self.name = graph, node.name
        self.inputs, self.outputs = list(node.input), list(node.output)
        self.dtype, self.shape = graph.get_dtype(self.outputs[0]), graph.get_shape(self.outputs[0])
        graph.remove_node(node.name)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The tensor that a new node of a type gives."""
        from tf2onnx import utils

        name = utils.make_name(f"{self.name}/{op}")
        return str(self.graph.make_node(op, list(inputs), name=name, attr=attributes).output[0])

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The tensor of a constant; of the dtype of the first output where no other is said."""
        from tf2onnx import utils

        array = np.array(value, dtype or utils.map_onnx_to_numpy_type(self.dtype))
        return str(self.graph.make_const(utils.make_name(f"{self.name}/constant"), array).output[0])

    def end(self, op: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> Any:
        """The node that gives an output, the first one where none is said, of the node that was taken out."""
        from tf2onnx import utils

        name = utils.make_name(self.name) if output else self.name
        return self.graph.make_node(
            op, list(inputs), name=name, outputs=[output or self.outputs[0]], attr=attributes, domain=domain,
            dtypes=[self.dtype], shapes=[self.shape],
        )  # fmt: skip


def _shape_n(graph: Any, node: Any, _name: str, _args: Any) -> None:
    """The shapes of several tensors, of one dtype."""
    new = _Replacing(graph, node)
    for tensor, output in zip(new.inputs, new.outputs, strict=True):
        new.end("Cast", new.add("Shape", tensor), output=output, to=new.dtype)


def _log1p(graph: Any, node: Any, _name: str, _args: Any) -> None:
    """log(1 + x) * x / ((1 + x) - 1), which has the digits of a small x: D. Goldberg, What Every Computer Scientist
    Should Know About Floating-Point Arithmetic, theorem 4. Where 1 + x is 1 it is x."""
    new = _Replacing(graph, node)
    (x,) = new.inputs
    one = new.constant(1)
    plus = new.add("Add", x, one)
    log, rest = new.add("Log", plus), new.add("Sub", plus, one)
    is_small = new.add("Equal", rest, new.constant(0))
    ratio = new.add("Div", x, new.add("Where", is_small, one, rest))
    # An infinite x has no ratio, and a large one has 1.
    ratio = new.add("Where", new.add("Less", x, one), ratio, one)
    new.end("Where", is_small, x, new.add("Mul", log, ratio))


def _sigmoid(graph: Any, node: Any, _name: str, _args: Any) -> None:
    """1 / (1 + exp(-x))"""
    new = _Replacing(graph, node)
    one = new.constant(1)
    new.end("Div", one, new.add("Add", one, new.add("Exp", new.add("Neg", *new.inputs))))


def _expm1(graph: Any, node: Any, _name: str, _args: Any) -> None:
    """2 * tanh(x / 2) / (1 - tanh(x / 2)) near 0, which has the digits of a small x, and exp(x) - 1 elsewhere."""
    new = _Replacing(graph, node)
    (x,) = new.inputs
    one, two = new.constant(1), new.constant(2)
    far = new.add("Sub", new.add("Exp", x), one)
    tanh = new.add("Tanh", new.add("Div", x, two))
    near = new.add("Div", new.add("Mul", two, tanh), new.add("Sub", one, tanh))
    new.end("Where", new.add("Less", new.add("Abs", x), one), near, far)


def _xlogy(graph: Any, node: Any, _name: str, _args: Any) -> None:
    """0 where x is 0, whatever y is; x * log(y) elsewhere."""
    new = _Replacing(graph, node)
    x, y = new.inputs
    zero = new.constant(0)
    is_zero = new.add("Equal", x, zero)
    product = new.add("Mul", x, new.add("Log", y))
    new.end("Where", is_zero, zero, product)


def _rint(graph: Any, node: Any, _name: str, _args: Any) -> None:
    """Both round halves to the even number."""
    new = _Replacing(graph, node)
    new.end("Round", *new.inputs)


def _broadcast_args(graph: Any, node: Any, _name: str, _args: Any) -> None:
    """The shape that tensors of two shapes have together: that of zeros of the one, expanded to the other."""
    from onnx import TensorProto

    new = _Replacing(graph, node)
    first, second = (new.add("Cast", shape, to=TensorProto.INT64) for shape in new.inputs)
    both = new.add("Expand", new.add("ConstantOfShape", first), second)
    new.end("Cast", new.add("Shape", both), to=new.dtype)


def _sparse_dense(op: str, graph: Any, node: Any, _name: str, _args: Any) -> None:
    """The values of a sparse tensor with those of a dense one at its indices, which is spread over the sparse shape.

    Source: tensorflow/core/kernels/sparse_dense_binary_op_shared.cc; only the dense side is broadcast.
    """
    from onnx import TensorProto

    new = _Replacing(graph, node)
    indices, values, shape, dense = new.inputs
    spread = new.add("Expand", dense, new.add("Cast", shape, to=TensorProto.INT64))
    new.end(op, values, new.add("GatherND", spread, new.add("Cast", indices, to=TensorProto.INT64)))


def _sparse_matmul(graph: Any, node: Any, _name: str, _args: Any) -> None:
    """The rows of the dense matrix that entries of the sparse one take, times their values, added up by the row.

    Source: tensorflow/core/kernels/sparse_tensor_dense_matmul_op.cc.
    """
    from onnx import TensorProto

    if graph.opset < 16:
        raise ValueError("a sum of scattered rows needs opset 16")
    adjoint_a, adjoint_b = (bool(node.get_attr_value(name, 0)) for name in ("adjoint_a", "adjoint_b"))
    new = _Replacing(graph, node)
    indices, values, shape, dense = new.inputs
    indices, shape = (new.add("Cast", tensor, to=TensorProto.INT64) for tensor in (indices, shape))
    dense = new.add("Transpose", dense, perm=[1, 0]) if adjoint_b else dense
    first, second = (new.constant([number], np.int64) for number in ((1, 0) if adjoint_a else (0, 1)))
    last = new.constant([-1], np.int64)
    taken = new.add("GatherND", dense, new.add("Gather", indices, second, axis=1))
    scaled = new.add("Mul", taken, new.add("Unsqueeze", values, last))
    width = new.add("Gather", new.add("Shape", dense), new.constant([1], np.int64))
    size = new.add("Concat", new.add("Gather", shape, first), width, axis=0)
    zeros = new.add("Expand", new.constant(0), size)
    new.end("ScatterND", zeros, new.add("Gather", indices, first, axis=1), scaled, reduction="add")


def _keep(_graph: Any, _node: Any, _name: str, _args: Any) -> None:
    """A table goes with its last look-up; one that is left over is found in the file, and refused."""


def _table_of(graph: Any, node: Any, tables: dict[str, Table]) -> tuple[Any, Table]:
    """The node of the table that a look-up takes, and what it holds. Raises ValueError where nobody knows that."""
    handle = graph.get_node_by_output(node.input[0], search_in_parent_graphs=True)
    while handle is not None and handle.type == "Identity":
        handle = handle.inputs[0]
    shared = handle.get_attr_value("shared_name") if handle is not None else None
    name = shared.decode() if isinstance(shared, bytes) else shared
    if name not in tables:
        raise ValueError("nothing in the graph tells what is in the table that it takes")
    return handle, tables[name]


def _look_up(tables: dict[str, Table], graph: Any, node: Any, _name: str, _args: Any) -> None:
    """A LabelEncoder, whose keys and values are strings, int64 or float; narrower integers are cast."""
    handle, table = _table_of(graph, node, tables)
    default = graph.get_node_by_output(node.input[2], search_in_parent_graphs=True)
    if default is None or not default.is_const():
        raise ValueError("the value for keys that the table lacks is no constant")
    value = np.asarray(default.get_tensor_value(as_list=False)).reshape(-1)[0]
    keys, values = _words(table.keys), _words(table.values)
    new = _Replacing(graph, node)
    content = {f"keys_{keys}s": _listed(table.keys, keys), f"values_{values}s": _listed(table.values, values)}
    content[f"default_{values}"] = _plain(value, values)
    new.shape = graph.get_shape(new.inputs[1])
    _encode(new, _cast_to(new, new.inputs[1], keys), values, content)
    _drop_unused(graph, handle)


def _encode(new: _Replacing, keys: str, values: str, content: dict[str, Any]) -> None:
    from onnx import TensorProto

    of_values = {_INT64: TensorProto.INT64, _FLOAT: TensorProto.FLOAT, _STRING: TensorProto.STRING}[values]
    if new.dtype == of_values:
        new.end("LabelEncoder", keys, domain="ai.onnx.ml", **content)
        return
    from tf2onnx import utils

    name = utils.make_name(f"{new.name}/LabelEncoder")
    found = new.graph.make_node(
        "LabelEncoder", [keys], name=name, attr=content, domain="ai.onnx.ml", dtypes=[of_values], shapes=[new.shape]
    )
    new.end("Cast", found.output[0], to=new.dtype)


def _cast_to(new: _Replacing, tensor: str, word: str) -> str:
    from onnx import TensorProto

    narrow = word == _INT64 and new.graph.get_dtype(tensor) != TensorProto.INT64
    return new.add("Cast", tensor, to=TensorProto.INT64) if narrow else tensor


def _words(array: Any) -> str:
    """What LabelEncoder's attributes call a dtype. Raises ValueError for one that none of them holds exactly."""
    if array.dtype.kind == "O":
        return _STRING
    if array.dtype.kind in "iub" and array.dtype != np.uint64:
        return _INT64
    if array.dtype == np.float32:
        return _FLOAT
    raise ValueError(f"a table of {array.dtype} does not fit into ONNX's LabelEncoder")


def _listed(array: Any, word: str) -> list[Any]:
    return [_plain(value, word) for value in array]


def _plain(value: Any, word: str) -> Any:
    if word == _STRING:
        return value if isinstance(value, bytes) else str(value).encode()
    return int(value) if word == _INT64 else float(value)


def _table_size(tables: dict[str, Table], graph: Any, node: Any, _name: str, _args: Any) -> None:
    handle, table = _table_of(graph, node, tables)
    new = _Replacing(graph, node)
    new.end("Identity", new.constant(len(set(table.keys.tolist())), np.int64))
    _drop_unused(graph, handle)


def _drop_unused(graph: Any, handle: Any) -> None:
    if handle.graph is graph and not graph.find_output_consumers(handle.output[0]):
        graph.remove_node(handle.name)
