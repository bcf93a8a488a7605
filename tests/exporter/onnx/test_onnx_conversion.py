"""ONNX files of small graphs, under onnxruntime, against TensorFlow itself."""

import numpy as np
import onnx
import pytest
import tensorflow as tf

from kinds import control_flow
from permafrost.exporter.onnx import conversion
from permafrost.exporter.prepared import Refused
from permafrost.judge.exports.onnx_files import OnnxRuntime
from permafrost.model import OnnxOptions
from permafrost.outcome import Problem
from prepared_graphs import Made, is_right, numbers

v1 = tf.compat.v1


def dense() -> None:
    x = v1.placeholder(tf.float32, [None, 8], "x")
    tf.nn.softmax(tf.identity(tf.matmul(x, numbers(8, 4)) + numbers(4), "logits"), name="out")


def convolution() -> None:
    x = v1.placeholder(tf.float32, [None, 9, 9, 3], "x")
    y = tf.nn.conv2d(x, numbers(3, 3, 3, 5), 2, "SAME")
    offset, scale = numbers(5, seed=1), numbers(5, seed=2)
    y, *_ = v1.nn.fused_batch_norm(y, scale, offset, numbers(5), np.abs(numbers(5, seed=3)), is_training=False)
    y = tf.nn.relu(tf.nn.conv2d(y, numbers(2, 2, 5, 4), 1, "VALID"))
    tf.reduce_mean(tf.nn.depthwise_conv2d(y, numbers(2, 2, 4, 1), [1, 1, 1, 1], "SAME"), [1, 2], name="out")


def lstm() -> None:
    x = v1.placeholder(tf.float32, [None, 6, 3], "x")
    cell = _LstmCell(4)
    state = (tf.zeros([tf.shape(x)[0], 4]), tf.zeros([tf.shape(x)[0], 4]))
    step, count = tf.constant(0), tf.shape(x)[1]
    _, _, h = tf.while_loop(lambda i, c, h: i < count, lambda i, c, h: (i + 1, *cell(x[:, i], c, h)), [step, *state])
    tf.identity(h, "out")


class _LstmCell:
    """The arithmetic of tf.compat.v1.nn.rnn_cell.BasicLSTMCell."""

    def __init__(self, units: int):
        self.kernel, self.bias = numbers(3 + units, 4 * units), numbers(4 * units, seed=1)

    def __call__(self, x, c, h):
        i, j, f, o = tf.split(tf.concat([x, h], 1) @ self.kernel + self.bias, 4, 1)
        c = c * tf.sigmoid(f + 1) + tf.sigmoid(i) * tf.tanh(j)
        return c, tf.tanh(c) * tf.sigmoid(o)


def loop() -> None:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    tf.identity(tf.while_loop(lambda i, y: i < 5, lambda i, y: (i + 1, tf.tanh(y @ numbers(3, 3))), [0, x])[1], "out")


def branches() -> None:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    out = tf.cond(tf.reduce_sum(x) > 0, lambda: x @ numbers(3, 2), lambda: x @ numbers(3, 2, seed=1))
    tf.identity(out, "out")


def embedding() -> None:
    ids = v1.placeholder(tf.int32, [None, None], "x")
    tf.reduce_sum(tf.gather(numbers(11, 4), ids), 1, name="out")


def two_outputs() -> None:
    x = v1.placeholder(tf.float32, [None, 6], "x")
    values, _ = tf.nn.top_k(x @ numbers(6, 5), 2, name="top")
    tf.argmax(values, 1, name="out")


def small_numbers() -> None:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    tf.math.log1p(tf.abs(x) * 1e-6, name="out")
    tf.math.expm1(x * 1e-6, name="less")
    tf.math.xlogy(tf.nn.relu(x), tf.nn.relu(x), name="product")


def nothing_fed() -> None:
    tf.identity(tf.tanh(tf.constant(numbers(2, 3))) + 1, "out")


def unused_input() -> None:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    v1.placeholder(tf.float32, [None], "unused")
    tf.tanh(x, name="out")


def same_tensor_twice() -> None:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    tf.identity(tf.tanh(x, "out"), "less")


GRAPHS = {
    "dense": (dense, ["x"], ["out"], ["logits"], [{"x": numbers(3, 8)}, {"x": 50 * numbers(1, 8)}]),
    "convolution": (convolution, ["x"], ["out"], [], [{"x": numbers(2, 9, 9, 3)}]),
    "lstm": (lstm, ["x"], ["out"], [], [{"x": numbers(2, 6, 3)}, {"x": numbers(5, 6, 3)}]),
    "loop": (loop, ["x"], ["out"], [], [{"x": numbers(2, 3)}]),
    "branches": (branches, ["x"], ["out"], [], [{"x": np.ones((2, 3), "f")}, {"x": -np.ones((1, 3), "f")}]),
    "embedding": (embedding, ["x"], ["out"], [], [{"x": np.array([[1, 0], [10, 3], [2, 2]], np.int32)}]),
    "two_outputs": (two_outputs, ["x"], ["top:1", "out", "top"], [], [{"x": numbers(4, 6)}]),
    "small_numbers": (small_numbers, ["x"], ["out", "less", "product"], [], [{"x": numbers(4, 3)}]),
    "nothing_fed": (nothing_fed, [], ["out"], [], [{}]),
    "unused_input": (unused_input, ["x", "unused"], ["out"], [], [{"x": numbers(2, 3), "unused": numbers(7)}]),
    "same_tensor_twice": (same_tensor_twice, ["x"], ["out", "less"], [], [{"x": numbers(2, 3)}]),
    "an_input_is_the_output": (dense, ["x"], ["x", "out"], [], [{"x": numbers(2, 8)}]),
}


def converted(made: Made, directory, way="plain", **options) -> OnnxRuntime:
    path = str(directory / "model.onnx")
    return OnnxRuntime(path, conversion.convert(made.prepared(), OnnxOptions(**options), way, path, "5ac"))


def made(name: str) -> tuple[Made, list[dict]]:
    build, inputs, outputs, hidden, feeds = GRAPHS[name]
    return Made(build, inputs, outputs, hidden), feeds


WITH_CONTROL_FLOW = ("lstm", "loop", "branches")
VERSIONS = [(name, version) for name in GRAPHS for version in ((1, 2) if name in WITH_CONTROL_FLOW else (1,))]


@pytest.mark.parametrize("way", conversion.WAYS)
@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_the_file_computes_what_the_graph_computes(name, version, way, tmp_path):
    with control_flow(version):
        graph, feeds = made(name)
    runtime = converted(graph, tmp_path, way)
    for feed in feeds:
        assert is_right(graph.run(feed), runtime.run(feed))


@pytest.mark.parametrize("opset", [15, 16, 17, 18])
def test_each_opset_that_the_settings_know(opset, tmp_path):
    graph, feeds = made("convolution")
    runtime = converted(graph, tmp_path, opset=opset)
    versions = {each.domain: each.version for each in onnx.load(tmp_path / "model.onnx").opset_import}
    assert versions[""] == opset
    assert is_right(graph.run(feeds[0]), runtime.run(feeds[0]))


def test_keys_name_what_goes_in_and_out_and_open_dimensions_have_names(tmp_path):
    graph, _ = made("dense")
    converted(graph, tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    (x,), (out,) = model.graph.input, model.graph.output
    assert (x.name, out.name) == ("x", "out")
    assert [dim.dim_param or dim.dim_value for dim in x.type.tensor_type.shape.dim] == ["batch", 8]
    assert [dim.dim_param or dim.dim_value for dim in out.type.tensor_type.shape.dim] == ["batch", 4]


def test_a_first_dimension_that_is_not_the_batch_has_no_name(tmp_path):
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3], "x")
        tf.boolean_mask(x, x[:, 0] > 0, name="mask")
        tf.identity(v1.get_default_graph().get_tensor_by_name("mask/GatherV2:0"), "out")

    converted(Made(build, ["x"], ["out"]), tmp_path)
    (out,) = onnx.load(tmp_path / "model.onnx").graph.output
    assert [dim.dim_param or dim.dim_value for dim in out.type.tensor_type.shape.dim] == [0, 3]


def test_names_of_dimensions_and_a_fixed_batch(tmp_path):
    graph, feeds = made("embedding")
    runtime = converted(graph, tmp_path, batch=3, dynamic_axes={"x": {1: "words"}})
    (x,) = onnx.load(tmp_path / "model.onnx").graph.input
    assert [dim.dim_param or dim.dim_value for dim in x.type.tensor_type.shape.dim] == [3, "words"]
    assert runtime.signature.inputs[0].shape == [3, None]
    assert is_right(graph.run(feeds[0]), runtime.run(feeds[0]))


@pytest.mark.parametrize(("batch", "shape"), [(None, [5, "batch", 3]), (2, [5, 2, 3])])
def test_the_batch_is_the_first_open_dimension(batch, shape, tmp_path):
    def build() -> None:
        tf.reduce_sum(v1.placeholder(tf.float32, [5, None, 3], "x"), 0, name="out")

    graph = Made(build, ["x"], ["out"])
    runtime = converted(graph, tmp_path, batch=batch)
    (x,) = onnx.load(tmp_path / "model.onnx").graph.input
    assert [dim.dim_param or dim.dim_value for dim in x.type.tensor_type.shape.dim] == shape
    assert is_right(graph.run({"x": numbers(5, 2, 3)}), runtime.run({"x": numbers(5, 2, 3)}))


@pytest.mark.parametrize(
    ("axes", "words"),
    [({"y": {0: "n"}}, "no input or output"), ({"x": {1: "n"}}, "always 8"), ({"x": {2: "n"}}, "axis 2")],
)
def test_dimensions_that_are_none_or_fixed(axes, words, tmp_path):
    with pytest.raises(Problem, match=words) as caught:
        converted(made("dense")[0], tmp_path, dynamic_axes=axes)
    assert caught.value.cause == "bad_setting"
    assert not list(tmp_path.iterdir())


def test_what_is_hidden_is_computed_and_is_no_output(tmp_path):
    graph, feeds = made("dense")
    runtime = converted(graph, tmp_path)
    assert [value.name for value in onnx.load(tmp_path / "model.onnx").graph.output] == ["out"]
    assert [end.key for end in runtime.signature.hidden] == ["logits"]
    assert len(runtime.run(feeds[0])) == 2


def test_the_metadata_tells_what_the_file_was_made_of(tmp_path):
    converted(made("dense")[0], tmp_path)
    metadata = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert metadata["permafrost.frozen_graph.sha256"] == "5ac"


TABLES = [
    (np.array([b"ice", b"snow"], object), np.array([3, 4], np.int64), -1, np.array([b"snow", b"?", b"ice"], object)),
    (np.array([3, 4], np.int64), np.array([b"ice", "sn\u00f6".encode()], object), "none", np.array([4, 9, 3])),
    (np.array([3, 4], np.int32), np.array([7, 8], np.int32), 0, np.array([4, 9, 3], np.int32)),
    (np.array([3, 4], np.int64), np.array([0.1, 8], np.float32), 0.5, np.array([4, 9, 3])),
]


@pytest.mark.parametrize("way", conversion.WAYS)
@pytest.mark.parametrize("number", range(len(TABLES)))
def test_tables(number, way, tmp_path):
    keys, values, default, fed = TABLES[number]

    def build() -> None:
        constants = [tf.constant(each) for each in (keys, values)]
        of_keys, of_values = (each.dtype for each in constants)
        x = v1.placeholder(of_keys, [None], "x")
        filling = tf.raw_ops.HashTableV2(key_dtype=of_keys, value_dtype=of_values, name="table")
        tf.raw_ops.InitializeTableV2(table_handle=filling, keys=constants[0], values=constants[1], name="fill")
        other = tf.constant(default, of_values)
        tf.raw_ops.LookupTableFindV2(table_handle=filling, keys=x, default_value=other, name="out")
        tf.raw_ops.LookupTableSizeV2(table_handle=filling, name="size")

    graph = Made(build, ["x"], ["out", "size"], initializers=["fill"])
    runtime = converted(graph, tmp_path, way)
    assert is_right(graph.run({"x": fed}), runtime.run({"x": fed}))


def test_a_large_weight_lies_beside_the_file(tmp_path):
    weight = numbers(600, 700)

    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 600], "x")
        tf.matmul(tf.matmul(x, tf.constant(weight, name="w")), numbers(700, 2), name="out")

    graph = Made(build, ["x"], ["out"])
    runtime = converted(graph, tmp_path)
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    (large,) = [each for each in model.graph.initializer if each.external_data]
    told = {each.key: each.value for each in large.external_data}
    assert told["location"] == "model.onnx.data"
    content = (tmp_path / "model.onnx.data").read_bytes()
    assert content[int(told["offset"]) :][: int(told["length"])] == weight.tobytes()
    assert (tmp_path / "model.onnx").stat().st_size < 10_000
    feed = {"x": numbers(2, 600, seed=2)}
    assert is_right(graph.run(feed), runtime.run(feed))


def test_the_data_of_an_earlier_file_goes(tmp_path):
    (tmp_path / "model.onnx.data").write_bytes(b"old")
    converted(made("dense")[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("way", conversion.WAYS)
def test_what_onnx_lacks_is_refused_by_its_node(way, tmp_path):
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 3, 3], "x")
        tf.identity(tf.raw_ops.Qr(input=x, name="factors")[0], "out")

    with pytest.raises(Refused) as caught:
        converted(Made(build, ["x"], ["out"]), tmp_path, way)
    assert (caught.value.cause, caught.value.op, caught.value.node) == ("unsupported_op", "Qr", "factors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("version", [1, 2])
def test_what_onnx_lacks_is_refused_in_a_loop(version, tmp_path):
    def build() -> None:
        x = v1.placeholder(tf.float32, [3, 3], "x")
        step = lambda i, y: (i + 1, tf.raw_ops.Qr(input=y)[0])  # noqa: E731
        tf.identity(tf.while_loop(lambda i, y: i < 5, step, [0, x])[1], "out")

    with control_flow(version):
        graph = Made(build, ["x"], ["out"])
    with pytest.raises(Refused) as caught:
        converted(graph, tmp_path)
    assert (caught.value.cause, caught.value.op) == ("unsupported_op", "Qr")


@pytest.mark.parametrize("way", conversion.WAYS)
@pytest.mark.parametrize("draw", ["dropout", "normal", "truncated", "multinomial"])
def test_random_ops_are_refused(draw, way, tmp_path):
    def build() -> None:
        x = v1.placeholder(tf.float32, [4, 3], "x")
        drawn = {
            "dropout": lambda: v1.nn.dropout(x, 0.5),
            "normal": lambda: x + tf.random.normal([4, 3]),
            "truncated": lambda: x + tf.random.truncated_normal([4, 3]),
            "multinomial": lambda: v1.multinomial(x, 2),
        }[draw]()
        tf.identity(drawn, "out")

    with pytest.raises(Refused) as caught:
        converted(Made(build, ["x"], ["out"]), tmp_path, way)
    assert caught.value.cause == "random_op"
    assert caught.value.op and caught.value.node


@pytest.mark.parametrize("way", conversion.WAYS)
def test_old_arrays_are_refused_by_their_node(way, tmp_path):
    """Their handles are references to strings, on which tf2onnx fails before it comes to any op."""

    graph, _ = made("same_tensor_twice")
    array = graph.graph_def.node.add(name="array", op="TensorArray", input=["size"])
    array.attr["dtype"].type = tf.float32.as_datatype_enum
    graph.graph_def.node.add(name="handle", op="Identity", input=["array"]).attr["T"].type = tf.string.as_datatype_enum
    size = graph.graph_def.node.add(name="size", op="Const")
    size.attr["dtype"].type = tf.int32.as_datatype_enum
    size.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1, tf.int32))
    graph.graph_def.versions.producer = 15
    next(node for node in graph.graph_def.node if node.name == "end_0").input.append("^handle")
    with pytest.raises(Refused) as caught:
        converted(graph, tmp_path, way)
    assert (caught.value.cause, caught.value.op, caught.value.node) == ("unsupported_op", "TensorArray", "array")


def test_a_table_that_nobody_fills_is_refused(tmp_path):
    def build() -> None:
        x = v1.placeholder(tf.int64, [None], "x")
        handle = tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.int64, name="table")
        tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=x, default_value=np.int64(0), name="out")

    with pytest.raises(Refused, match="in the table") as caught:
        converted(Made(build, ["x"], ["out"]), tmp_path)
    assert (caught.value.op, caught.value.node) == ("LookupTableFindV2", "out")


def test_an_input_that_the_preparation_has_left_out(tmp_path):
    graph, (feed,) = made("unused_input")
    nodes = [node for node in graph.graph_def.node if node.name != "unused"]
    expected = graph.run(feed)
    del graph.graph_def.node[:]
    graph.graph_def.node.extend(nodes)
    assert is_right(expected, converted(graph, tmp_path).run(feed))


def test_what_constant_strings_say_is_computed_before(tmp_path):
    def build() -> None:
        x = v1.placeholder(tf.float32, [None], "x")
        picture = tf.io.decode_raw(tf.identity(tf.constant([b"\xff\xd8"])), tf.uint8)
        tf.identity(x + tf.cast(picture, tf.float32)[0, 0], "out")

    graph, feed = Made(build, ["x"], ["out"]), {"x": numbers(3)}
    assert is_right(graph.run(feed), converted(graph, tmp_path).run(feed))


@pytest.mark.parametrize("way", conversion.WAYS)
def test_no_file_is_read_while_a_graph_is_converted(way, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\x01")

    def build() -> None:
        x = v1.placeholder(tf.float32, [None], "x")
        content = tf.io.decode_raw(tf.io.read_file(str(secret), name="read"), tf.uint8)
        tf.identity(x + tf.cast(content, tf.float32)[0], "out")

    with pytest.raises(Refused) as caught:
        converted(Made(build, ["x"], ["out"]), tmp_path, way)
    assert (caught.value.cause, caught.value.op) == ("unsupported_op", "ReadFile")


def test_bytes_that_are_no_text_are_refused_by_their_constant(tmp_path):
    def build() -> None:
        x = v1.placeholder(tf.int32, [None], "x")
        tf.gather(tf.constant([b"\xff\xd8", b"ice"], name="picture"), x, name="out")

    with pytest.raises(Refused, match="no text") as caught:
        converted(Made(build, ["x"], ["out"]), tmp_path)
    assert caught.value.node == "picture"


def test_a_table_whose_numbers_the_graph_counts(tmp_path):
    def build() -> None:
        x = v1.placeholder(tf.string, [None], "x")
        handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, name="table")
        words = tf.constant(["ice", "snow", "firn"])
        numbers = tf.cast(tf.range(tf.size(words)), tf.int64)
        tf.raw_ops.LookupTableImportV2(table_handle=handle, keys=words, values=numbers, name="fill")
        tf.raw_ops.LookupTableFindV2(table_handle=handle, keys=x, default_value=np.int64(-1), name="out")

    graph = Made(build, ["x"], ["out"], initializers=["fill"])
    feed = {"x": np.array([b"firn", b"rain", b"ice"], object)}
    assert is_right(graph.run(feed), converted(graph, tmp_path).run(feed))


def sparse() -> None:
    indices = v1.placeholder(tf.int64, [None, 2], "indices")
    values = v1.placeholder(tf.float32, [None], "values")
    matrix = tf.sparse.SparseTensor(indices, values, [4, 3])
    tf.sparse.sparse_dense_matmul(matrix, numbers(3, 5), name="out")
    tf.sparse.sparse_dense_matmul(matrix, numbers(4, 5), adjoint_a=True, name="turned")
    tf.sparse.sparse_dense_matmul(matrix, numbers(5, 3), adjoint_b=True, name="across")
    tf.identity((matrix * numbers(4, 1)).values, "product")


def test_sparse_matrices(tmp_path):
    outputs = [f"{name}/SparseTensorDenseMatMul" for name in ("out", "turned", "across")] + ["product"]
    graph = Made(sparse, ["indices", "values"], outputs)
    feed = {"indices": np.array([[0, 1], [2, 0], [2, 2], [3, 1]]), "values": numbers(4)}
    assert is_right(graph.run(feed), converted(graph, tmp_path).run(feed))


def test_the_digits_of_a_small_sigmoid(tmp_path):
    def build() -> None:
        tf.sigmoid(v1.placeholder(tf.float32, [None], "x"), name="out")

    graph, feed = Made(build, ["x"], ["out"]), {"x": np.array([-40, -25, -30], "f")}
    assert not is_right(graph.run(feed), converted(graph, tmp_path, "plain").run(feed))
    assert is_right(graph.run(feed), converted(graph, tmp_path, "precise").run(feed))


@pytest.mark.parametrize(("way", "count"), [("plain", 0), ("precise", 1)])
def test_the_changes_say_what_is_computed_by_other_ops(way, count, tmp_path):
    def build() -> None:
        tf.sigmoid(v1.placeholder(tf.float32, [None], "x"), name="out")

    prepared = Made(build, ["x"], ["out"]).prepared()
    conversion.convert(prepared, OnnxOptions(), way, str(tmp_path / "model.onnx"))
    assert [change.split(" as ")[0] for change in prepared.changes] == ["1 Sigmoid computed"] * count


def test_bodies_whose_nodes_have_the_names_of_others(tmp_path):
    with control_flow(2):
        graph, feeds = made("lstm")
    names = {node.name for node in graph.graph_def.node}
    assert any(node.name in names for function in graph.graph_def.library.function for node in function.node_def)
    assert is_right(graph.run(feeds[0]), converted(graph, tmp_path).run(feeds[0]))


@pytest.mark.parametrize("name", ["convolution", "lstm"])
def test_the_same_graph_gives_the_same_bytes(name, tmp_path):
    """Their order would be another in each conversion, since it follows from where objects lie."""
    graph, _ = made(name)
    first, second = tmp_path / "1", tmp_path / "2"
    for directory in (first, second):
        directory.mkdir()
        converted(graph, directory, "grappler")
    assert (first / "model.onnx").read_bytes() == (second / "model.onnx").read_bytes()
