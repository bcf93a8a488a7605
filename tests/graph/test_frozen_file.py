"""The judge's reader of frozen graphs gives what TensorFlow's own parser gives."""

from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from permafrost.encoding import varint
from permafrost.graph import frozen_file

v1 = tf.compat.v1
LARGE = (1 << 18) + 3  # elements of four bytes


def graph_of(*arrays: np.ndarray):
    """A GraphDef with each of the arrays as a Const, a node between them, and a function."""
    graph_def = v1.GraphDef()
    for number, array in enumerate(arrays):
        node = graph_def.node.add(name=f"w{number}", op="Const")
        node.attr["dtype"].type = tf.as_dtype(array.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
        graph_def.node.add(name=f"i{number}", op="Identity", input=[f"w{number}"])
    graph_def.library.function.add().signature.name = "f"
    graph_def.versions.producer = 27
    return graph_def


def put_back(graph_def, values: dict) -> None:
    """Puts the large weights back, each in the place of its name."""
    nodes = {node.name: node for node in graph_def.node}
    for name, value in values.items():
        nodes[name].attr["value"].tensor.tensor_content = value.tobytes()
    ordered = [nodes[f"{kind}{at}"] for at in range(len(nodes) // 2) for kind in "wi"]
    copies = [node.SerializeToString(deterministic=True) for node in ordered]
    del graph_def.node[:]
    for copy in copies:
        graph_def.node.add().ParseFromString(copy)


@pytest.mark.parametrize("dtype", ["float32", "int64", "float16", "uint8", "bool"])
def test_nothing_is_lost(dtype, tmp_path):
    rng = np.random.default_rng(0)
    large = rng.integers(0, 2, 8 * LARGE).astype(dtype)
    written = graph_of(large, large[:5], large.reshape(2, -1))
    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(written.SerializeToString(deterministic=True))
    graph_def, values = frozen_file.read(str(path), {"w0", "w1", "w2"})
    # TensorFlow writes bools one by one, and they stay where they are.
    assert values.keys() == (set() if dtype == "bool" else {"w0", "w2"})
    for value in values.values():
        assert value.ctypes.data % 64 == 0 and not value.flags.writeable
        np.testing.assert_array_equal(value, large.reshape(value.shape))
    assert not [node for node in graph_def.node if node.name in values and node.ByteSize() > 1000]
    put_back(graph_def, values)
    assert (graph_def.SerializeToString(deterministic=True) == path.read_bytes()) is True


def test_only_weights_are_kept_apart(tmp_path):
    path = tmp_path / "frozen_graph.pb"
    written = graph_of(np.ones(LARGE, np.float32), np.zeros(LARGE, np.float32))
    path.write_bytes(written.SerializeToString(deterministic=True))
    graph_def, values = frozen_file.read(str(path), {"w1"})
    assert list(values) == ["w1"] and len(graph_def.node[0].attr["value"].tensor.tensor_content) == 4 * LARGE
    assert frozen_file.read(str(path))[1].keys() == {"w0", "w1"}


def test_a_name_that_comes_twice_stays_twice(tmp_path):
    path = tmp_path / "frozen_graph.pb"
    content = graph_of(np.ones(LARGE, np.float32)).SerializeToString(deterministic=True)
    path.write_bytes(content + content)
    graph_def, _ = frozen_file.read(str(path), {"w0"})
    assert [node.name for node in graph_def.node].count("w0") == 2


def test_a_value_that_does_not_fill_its_shape_is_refused(tmp_path):
    graph_def = graph_of(np.ones(LARGE, np.float32))
    graph_def.node[0].attr["value"].tensor.tensor_shape.dim[0].size += 1
    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(graph_def.SerializeToString())
    with pytest.raises(DecodeError, match="'w0'"):
        frozen_file.read(str(path))


CONTENT = graph_of(np.arange(LARGE, dtype=np.float32), np.arange(9)).SerializeToString(deterministic=True)


def of_tensorflow(content: bytes):
    try:
        return v1.GraphDef.FromString(content)
    except DecodeError:
        return None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_as_tensorflow_reads_it_or_refused(data):
    content = bytearray(CONTENT)
    # The header of the large node, and what follows its value: a byte within the value is no matter of the reader.
    interesting = st.one_of(st.integers(0, 80), st.integers(len(content) - 400, len(content) - 1))
    for at in data.draw(st.lists(interesting, max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.one_of(interesting, st.just(len(content))))])
    expected = of_tensorflow(content)
    with NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        try:
            graph_def, values = frozen_file.read(file.name)
        except DecodeError:
            return
    assert expected is not None
    if len({node.name for node in expected.node}) < len(expected.node):
        return  # Values are told by their nodes' names; two of one name cannot be imported.
    for node in graph_def.node:
        if node.name in values:
            node.attr["value"].tensor.tensor_content = values[node.name].tobytes()

    expected.DiscardUnknownFields()  # Nothing in TensorFlow reads them, and the copy of a large node has none.
    graph_def.DiscardUnknownFields()

    def by_name(nodes):
        return sorted(node.SerializeToString(deterministic=True) for node in nodes)

    assert (by_name(graph_def.node) == by_name(expected.node)) is True
    assert graph_def.library == expected.library and graph_def.versions == expected.versions


def test_a_whole_file_is_never_refused(tmp_path):
    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(CONTENT)
    assert frozen_file.read(str(path))[1].keys() == {"w0"}


def test_a_value_that_is_written_twice_stays_where_it_is(tmp_path):
    """The last one counts, as in each protocol buffer."""
    node = graph_of(np.ones(LARGE, np.float32)).node[0]
    other = v1.NodeDef()
    other.attr["value"].tensor.tensor_content = np.zeros(LARGE, np.float32).tobytes()
    payload = node.SerializeToString() + other.SerializeToString()
    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(b"\x0a" + varint(len(payload)) + payload)
    graph_def, values = frozen_file.read(str(path))
    assert not values
    assert graph_def == v1.GraphDef.FromString(path.read_bytes())


def test_a_node_that_is_cut_off_inside_is_refused(tmp_path):
    payload = graph_of(np.ones(LARGE, np.float32)).node[0].SerializeToString()[:-100]
    path = tmp_path / "frozen_graph.pb"
    path.write_bytes(b"\x0a" + varint(len(payload)) + payload)
    with pytest.raises(DecodeError):
        frozen_file.read(str(path))
