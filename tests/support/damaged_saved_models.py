"""Damages SavedModels in the ways of a mixed-up file or a bad disk, or of who edits one."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from damaged_weights import Files, bit_changed, kinds_of
from permafrost.graph.protos import saved_model_pb2

FILE = "saved_model/saved_model.pb"
OPS = {
    "Relu": "Tanh", "Tanh": "Sigmoid", "Sigmoid": "Tanh", "MaxPool": "AvgPool", "Add": "Sub", "AddV2": "Sub",
    "Mul": "AddV2", "Softmax": "LogSoftmax", "Mean": "Sum", "ArgMax": "ArgMin", "Less": "Greater",
}  # fmt: skip


class Damages:
    """All damages of one file; each method is a kind and gives files. signature: of the export."""

    def __init__(self, files: Files, signature: Any):
        self._content, self._signature = files[FILE] or b"", signature
        self._saved = saved_model_pb2.SavedModel.FromString(self._content)

    def _changed(self, change: Callable[[Any], None]) -> Files:
        saved = copy.deepcopy(self._saved)
        change(saved.meta_graphs[0])
        return {FILE: saved.SerializeToString(deterministic=True)}

    def _nodes(self, meta_graph: Any) -> list[Any]:
        graph = meta_graph.graph_def
        return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]

    def _of_nodes(self, change: Callable[[Any], Any], ops: Any = None) -> Iterator[Files]:
        for number, node in enumerate(self._nodes(self._saved.meta_graphs[0])):
            if ops is None or node.op in ops:
                yield self._changed(lambda meta_graph, n=number: change(self._nodes(meta_graph)[n]))

    def lowest_bit_of_a_weight(self) -> Iterator[Files]:
        yield from self._of_nodes(
            lambda node: _set(node, lambda value: bit_changed(value, value.size // 2, 0)), ["Const"]
        )

    def highest_bit_of_a_weight(self) -> Iterator[Files]:
        yield from self._of_nodes(
            lambda node: _set(node, lambda value: bit_changed(value, value.size // 2, 7)), ["Const"]
        )

    def weight_transposed(self) -> Iterator[Files]:
        yield from self._of_nodes(
            lambda node: _set(node, lambda value: np.ascontiguousarray(value.T).reshape(value.shape)), ["Const"]
        )

    def weight_zero(self) -> Iterator[Files]:
        yield from self._of_nodes(lambda node: _set(node, np.zeros_like), ["Const"])

    def op_replaced(self) -> Iterator[Files]:
        yield from self._of_nodes(lambda node: setattr(node, "op", OPS[node.op]), OPS)

    def attribute_changed(self) -> Iterator[Files]:
        for number, node in enumerate(self._nodes(self._saved.meta_graphs[0])):
            for name in node.attr:
                if node.attr[name].WhichOneof("value") in _CHANGES:
                    yield self._changed(
                        lambda meta_graph, n=number, a=name: _change(self._nodes(meta_graph)[n].attr[a])
                    )

    def inputs_exchanged(self) -> Iterator[Files]:
        for number, node in enumerate(self._nodes(self._saved.meta_graphs[0])):
            if len(node.input) > 1 and node.input[0] != node.input[1]:
                yield self._changed(lambda meta_graph, n=number: _swap(self._nodes(meta_graph)[n].input))

    def node_dropped(self) -> Iterator[Files]:
        for number in range(len(self._saved.meta_graphs[0].graph_def.node)):
            yield self._changed(lambda meta_graph, n=number: meta_graph.graph_def.node.pop(n))

    def node_added(self) -> Iterator[Files]:
        yield self._changed(lambda meta_graph: meta_graph.graph_def.node.add(name="more", op="NoOp"))

    def _maps(self, meta_graph: Any) -> list[Any]:
        signature = meta_graph.signature_def["serving_default"]
        return [signature.inputs, signature.outputs]

    def ends_exchanged(self) -> Iterator[Files]:
        for number, infos in enumerate(self._maps(self._saved.meta_graphs[0])):
            if len(infos) > 1:
                yield self._changed(lambda meta_graph, n=number: _exchange(self._maps(meta_graph)[n]))

    def end_renamed(self) -> Iterator[Files]:
        yield from self._of_ends(lambda infos, key: infos["renamed"].CopyFrom(infos.pop(key)))

    def output_left_out(self) -> Iterator[Files]:
        yield from self._of_ends(lambda infos, key: infos.pop(key))

    def dtype_of_an_end(self) -> Iterator[Files]:
        yield from self._of_ends(lambda infos, key: setattr(infos[key], "dtype", 2 if infos[key].dtype == 1 else 1))

    def shape_of_an_end(self) -> Iterator[Files]:
        yield from self._of_ends(lambda infos, key: infos[key].tensor_shape.dim.add(size=7))

    def _of_ends(self, change: Callable[[Any, str], Any]) -> Iterator[Files]:
        for number, infos in enumerate(self._maps(self._saved.meta_graphs[0])):
            for key in infos:
                yield self._changed(lambda meta_graph, n=number, k=key: change(self._maps(meta_graph)[n], k))

    def initializer(self) -> Iterator[Files]:
        """What the loader runs is nothing, or another node, or something where there was nothing."""
        key = "__saved_model_init_op"
        name = self._saved.meta_graphs[0].graph_def.node[-1].name

        def other(meta_graph: Any) -> None:
            meta_graph.signature_def[key].outputs[key].name = name

        yield self._changed(other)
        if key in self._saved.meta_graphs[0].signature_def:
            yield self._changed(lambda meta_graph: meta_graph.signature_def.pop(key))

    def tag_or_asset(self) -> Iterator[Files]:
        yield self._changed(lambda meta_graph: meta_graph.meta_info_def.tags.append("train"))
        yield self._changed(lambda meta_graph: meta_graph.meta_info_def.ClearField("tags"))
        yield self._changed(lambda meta_graph: meta_graph.asset_file_def.add(filename="words.txt"))

    def byte_of_the_file(self) -> Iterator[Files]:
        version = self._content.index(tf.__version__.encode())
        for at in np.random.default_rng(1).integers(0, len(self._content), 20):
            at = int(at)
            if not version <= at < version + len(tf.__version__):
                yield {FILE: self._content[:at] + bytes([self._content[at] ^ 1 << at % 8]) + self._content[at + 1 :]}

    def file_cut_off(self) -> Iterator[Files]:
        for share in (0, 0.5, 0.99):
            yield {FILE: self._content[: int(share * len(self._content))]}
        yield {FILE: self._content + b"\0"}


KINDS = kinds_of(Damages)


def _set(node: Any, change: Callable[[np.ndarray], np.ndarray]) -> None:
    value = tf.make_ndarray(node.attr["value"].tensor)
    if value.dtype != object and value.size:
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(change(np.array(value)), shape=value.shape))


def _swap(inputs: Any) -> None:
    inputs[0], inputs[1] = inputs[1], inputs[0]


def _exchange(infos: Any) -> None:
    first, second = sorted(infos)[:2]
    own = copy.deepcopy(infos[first])
    infos[first].CopyFrom(infos[second])
    infos[second].CopyFrom(own)


_CHANGES = {
    "b": lambda value: not value,
    "i": lambda value: value + 1,
    "f": lambda value: value + 0.001,
    "s": lambda value: {b"SAME": b"VALID", b"VALID": b"SAME"}.get(value, value + b"x"),
}


def _change(value: Any) -> None:
    kind = value.WhichOneof("value")
    setattr(value, kind, _CHANGES[kind](getattr(value, kind)))
