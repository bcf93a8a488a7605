"""Outputs and inputs that nobody has named are found in training graphs as people write them, and they run."""

import csv
import os
from pathlib import Path

import pytest

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from msgspec.structs import replace

from exported import meta_graph_of
from permafrost.graph import pruning, static
from permafrost.graph.index import GraphIndex, tensor_name
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.ops.variables import VARIABLE_OPS, static_shape
from permafrost.input_kinds import Value
from permafrost.outcome import Problem
from permafrost.signature import feeds, inputs, outputs
from stages import problem_of

v1 = tf.compat.v1
ZOO = Path(os.environ.get("PERMAFROST_ZOO") or Path(__file__).parents[3] / "shared" / "zoo")


def variable(name, *shape):
    return v1.get_variable(
        name, shape, initializer=v1.random_normal_initializer(stddev=0.3, seed=1), use_resource=False
    )


def dense(x, units, name, activation=None):
    with v1.variable_scope(name):
        kernel, bias = variable("kernel", x.shape[-1], units), variable("bias", units)
    y = tf.nn.bias_add(tf.matmul(x, kernel), bias, name=f"{name}/BiasAdd")
    return activation(y) if activation else y


class Found:
    """What is found in the graph that `build` makes, saved and read as a meta graph."""

    def __init__(self, build, configured_outputs=None, configured_inputs=None):
        self.meta_graph = meta_graph_of(build)
        graph_def = self.meta_graph.graph_def
        self.index = GraphIndex(graph_def)
        self.variables = {node.name for node in graph_def.node if node.op in VARIABLE_OPS}
        self.choice = outputs.choose(self.meta_graph, self.index, self.variables, configured_outputs)
        self.outputs = set(self.choice.outputs)
        shapes = {name: list(static_shape(self.index.nodes[name])) for name in self.variables}
        self.inputs = inputs.describe(self.index, self.choice.outputs, configured_inputs or {}, shapes)
        self.fed = set(self.inputs)

    def run(self, batch=3, seed=1):
        """The outputs of a session with fresh variables, on made feeds, with input pipelines cut."""
        feed = feeds.make(self.inputs, seed, batch, ".")
        cut, names = pruning.cut_inputs(self.meta_graph.graph_def, list(feed), self.choice.outputs)
        cut_index = GraphIndex(cut)
        kept = pruning.needed(cut_index, [tensor_name(name)[0] for name in self.choice.outputs])
        assigns = [f"{name}/Assign" for name in self.variables & kept]
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(pruning.extract(cut_index, kept | pruning.needed(cut_index, assigns)), name="")
        with v1.Session(graph=graph) as session:
            session.run(assigns)
            fetches = [name if ":" in name else f"{name}:0" for name in self.choice.outputs]
            values = session.run(fetches, {names.get(name, name): value for name, value in feed.items()})
        return dict(zip(self.choice.outputs, values, strict=True))


def classifier():
    x = v1.placeholder(tf.float32, [None, 20], "x")
    y = v1.placeholder(tf.int64, [None], "y")
    logits = dense(dense(x, 8, "hidden", tf.nn.relu), 5, "last")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits), name="loss")
    v1.train.AdamOptimizer(v1.placeholder(tf.float32, [], "learning_rate")).minimize(loss)
    correct = tf.equal(tf.argmax(logits, 1, name="prediction"), y)
    accuracy = tf.reduce_mean(tf.cast(correct, tf.float32), name="accuracy")
    v1.summary.scalar("accuracy_summary", accuracy)
    v1.summary.histogram("logits_summary", logits)
    v1.train.get_or_create_global_step()


def test_classifier_with_adam_and_accuracy():
    found = Found(classifier)
    assert found.outputs == {"last/BiasAdd", "prediction"}
    assert found.fed == {"x:0"}
    assert found.inputs["x:0"].shape == [None, 20]
    values = found.run(batch=4)
    assert values["last/BiasAdd"].shape == (4, 5) and values["prediction"].shape == (4,)
    assert "labels" in found.choice.why


def test_hand_written_cross_entropy_over_softmax():
    def build():
        x, y = v1.placeholder(tf.float32, [None, 6], "x"), v1.placeholder(tf.float32, [None, 3], "labels")
        y_conv = tf.nn.softmax(dense(x, 3, "fc"), name="y_conv")
        loss = tf.reduce_mean(-tf.reduce_sum(y * v1.log(tf.clip_by_value(y_conv, 1e-10, 1.0)), axis=[1]))
        v1.train.GradientDescentOptimizer(0.1).minimize(loss)

    found = Found(build)
    assert found.choice.outputs[0] == "y_conv"
    assert found.fed == {"x:0"}
    np.testing.assert_allclose(found.run()["y_conv"].sum(axis=1), 1, rtol=1e-5)


def test_convolutions_with_dropout_and_unknown_image_size():
    def build():
        x, y = v1.placeholder(tf.float32, None, "images"), v1.placeholder(tf.int32, [None], "y")
        keep = v1.placeholder(tf.float32, [], "keep_prob")
        h = tf.nn.relu(tf.nn.conv2d(x, variable("filter", 3, 3, 2, 4), 1, "SAME"))
        h = tf.reduce_mean(h, axis=[1, 2])
        h = tf.reshape(h, [-1, 4])
        mask = tf.floor(keep + tf.random.uniform(tf.shape(h)))
        logits = dense(h / keep * mask, 3, "logits")
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
        v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss)

    found = Found(build)
    assert found.outputs == {"logits/BiasAdd"}
    assert found.fed == {"images:0", "keep_prob:0"}
    assert found.inputs["images:0"].shape[3] == 2 and len(found.inputs["images:0"].shape) == 4
    assert found.inputs["keep_prob:0"].value == 1.0
    assert found.run(batch=2)["logits/BiasAdd"].shape == (2, 3)


def test_regression_without_gradients():
    def build():
        x, y = v1.placeholder(tf.float32, name="X"), v1.placeholder(tf.float32, name="Y")
        prediction = tf.add(tf.multiply(x, variable("weight")), variable("bias"), name="add_it")
        tf.identity(tf.reduce_sum(tf.pow(prediction - y, 2)) / 20, name="cost")

    found = Found(build)
    assert found.outputs == {"add_it"}
    assert found.fed == {"X:0"}
    assert np.isfinite(found.run()["add_it"])


def test_embedding_indices_stay_inside_the_table():
    def build():
        words, y = v1.placeholder(tf.int32, [None, 7], "words"), v1.placeholder(tf.float32, [None, 1], "y")
        vectors = tf.nn.embedding_lookup(variable("table", 11, 4), words)
        score = tf.sigmoid(dense(tf.reduce_sum(vectors, axis=1), 1, "fc"), name="score")
        v1.train.AdagradOptimizer(0.1).minimize(tf.reduce_mean(tf.square(score - y)))

    found = Found(build)
    assert found.choice.outputs[0] == "score"
    assert found.inputs["words:0"].high == 11
    words = feeds.make(found.inputs, 1, 500, ".")["words:0"]
    assert words.min() == 0 and words.max() == 10 and words.dtype == np.int32
    found.run()


def test_two_heads_and_a_weight_penalty():
    def build():
        x = v1.placeholder(tf.float32, [None, 9], "x")
        trunk = dense(x, 6, "trunk", tf.nn.relu)
        policy = tf.nn.softmax(dense(trunk, 4, "policy"), name="probabilities")
        value = tf.squeeze(dense(trunk, 1, "value"), axis=1, name="state_value")
        action, reward = v1.placeholder(tf.int32, [None], "action"), v1.placeholder(tf.float32, [None], "reward")
        chosen = tf.reduce_sum(policy * tf.one_hot(action, 4), axis=1)
        loss = -tf.reduce_mean(v1.log(chosen) * tf.stop_gradient(reward - value))
        loss += tf.reduce_mean(tf.square(reward - value)) - 0.01 * tf.reduce_mean(policy * v1.log(policy))
        loss += 1e-4 * tf.add_n([tf.nn.l2_loss(weight) for weight in v1.trainable_variables()])
        v1.train.RMSPropOptimizer(0.01).minimize(loss)

    found = Found(build)
    assert {"probabilities", "state_value"} <= found.outputs <= {
        "probabilities", "policy/BiasAdd", "state_value", "value/BiasAdd",
    }  # fmt: skip
    assert found.fed == {"x:0"}
    found.run()


def test_an_autoencoder_is_compared_with_its_own_input():
    def build():
        x = v1.placeholder(tf.float32, [None, 12], "x")
        code = dense(x, 3, "encoder", tf.nn.tanh)
        decoded = tf.sigmoid(dense(code, 12, "decoder"), name="decoded")
        v1.train.AdamOptimizer().minimize(tf.reduce_mean(tf.pow(x - decoded, 2)))

    found = Found(build)
    assert "decoded" in found.outputs and len(found.outputs) <= 3
    assert found.fed == {"x:0"}


def test_both_towers_of_a_siamese_network():
    def build():
        left, right = v1.placeholder(tf.float32, [None, 5], "left"), v1.placeholder(tf.float32, [None, 5], "right")
        same = v1.placeholder(tf.float32, [None], "same")
        kernel, bias = variable("kernel", 5, 2), variable("bias", 2)
        a = tf.nn.bias_add(tf.matmul(left, kernel), bias, name="tower_a")
        b = tf.nn.bias_add(tf.matmul(right, kernel), bias, name="tower_b")
        with v1.name_scope("contrastive_loss"):
            distance = tf.reduce_sum(tf.square(a - b), 1)
            far = tf.square(tf.maximum(1.0 - tf.sqrt(distance), 0))
            loss = tf.reduce_mean(same * distance + (1 - same) * far)
        v1.train.GradientDescentOptimizer(0.1).minimize(loss)

    found = Found(build)
    assert {"tower_a", "tower_b"} <= found.outputs
    assert found.fed == {"left:0", "right:0"}
    assert len(found.outputs) <= 3


def test_recurrent_network_in_a_loop_with_lengths():
    def build():
        x, lengths = v1.placeholder(tf.float32, [None, 6, 3], "x"), v1.placeholder(tf.int32, [None], "seq_len")
        y = v1.placeholder(tf.int64, [None], "y")
        kernel = variable("cell", 7, 4)
        steps = tf.transpose(x, [1, 0, 2])

        def step(time, state):
            new = tf.tanh(tf.matmul(tf.concat([steps[time], state], 1), kernel))
            return time + 1, v1.where(time < lengths, new, state)

        _, state = tf.while_loop(lambda time, _: time < 6, step, [0, tf.zeros([tf.shape(x)[0], 4])])
        logits = dense(tf.reshape(state, [-1, 4]), 3, "out")
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
        v1.train.AdamOptimizer().minimize(loss)

    def build_with_enter_and_exit():
        v1.disable_control_flow_v2()
        try:
            build()
        finally:
            v1.enable_control_flow_v2()

    found = Found(build_with_enter_and_exit)
    assert "Enter" in {node.op for node in found.index.graph_def.node}
    assert found.outputs == {"out/BiasAdd"}
    assert found.fed == {"x:0", "seq_len:0"}
    assert (found.inputs["seq_len:0"].low, found.inputs["seq_len:0"].high) == (1, 7)
    found.run()


def test_estimator_reads_inputs_and_labels_from_one_iterator():
    def build():
        data = v1.data.Dataset.from_tensor_slices((np.zeros([8, 4], np.float32), np.zeros([8], np.int32))).batch(2)
        features, labels = v1.data.make_one_shot_iterator(data).get_next()
        logits = dense(features, 3, "logits")
        tf.nn.softmax(logits, name="head/predictions/probabilities")
        loss = v1.losses.sparse_softmax_cross_entropy(labels, logits)
        step = v1.train.get_or_create_global_step()
        v1.train.AdagradOptimizer(0.1).minimize(loss, global_step=step)
        v1.metrics.accuracy(labels, tf.argmax(logits, 1))

    found = Found(build)
    assert {"head/predictions/probabilities", "logits/BiasAdd"} <= found.outputs <= {
        "head/predictions/probabilities", "logits/BiasAdd", "ArgMax",
    }  # fmt: skip
    assert found.fed == {"IteratorGetNext:0"}
    assert found.inputs["IteratorGetNext:0"].shape == [None, 4]
    assert found.run(batch=5)["logits/BiasAdd"].shape == (5, 3)


def test_batch_normalisation_updates_are_no_outputs():
    def build():
        x, y = v1.placeholder(tf.float32, [None, 6], "x"), v1.placeholder(tf.float32, [None, 1], "y")
        training = v1.placeholder(tf.bool, [], "is_training")
        h = dense(x, 4, "fc")
        mean, variance = tf.nn.moments(h, [0])
        moving = v1.get_variable("moving_mean", [4], trainable=False, use_resource=False)
        v1.assign_sub(moving, (moving - mean) * 0.1)
        used = tf.where(training, mean, moving)
        h = tf.nn.batch_normalization(h, used, variance, variable("beta", 4), variable("gamma", 4), 1e-3)
        prediction = dense(tf.nn.relu(h), 1, "out")
        average = tf.train.ExponentialMovingAverage(0.9)
        loss = v1.losses.mean_squared_error(y, prediction)
        with tf.control_dependencies([v1.train.GradientDescentOptimizer(0.1).minimize(loss)]):
            average.apply([loss])

    found = Found(build)
    assert found.outputs == {"out/BiasAdd"}
    assert found.fed == {"x:0", "is_training:0"}
    assert replace(found.inputs["is_training:0"], why="") == Value("bool", [], "", [], value=False)


def test_integers_that_are_added_up():
    def build():
        a = v1.placeholder(tf.int32, [], "var1")
        for number in (2, 3, 4):
            a = tf.add(a, v1.get_variable(f"var{number}", [], tf.int32, use_resource=False), name=f"sum{number}")
        v1.get_variable("sum", [], tf.int32, use_resource=False)

    found = Found(build)
    assert found.outputs == {"sum4"}
    assert found.fed == {"var1:0"}
    assert found.run()["sum4"].dtype == np.int32


def test_the_copy_without_dropout_is_chosen():
    def build():
        x, y = v1.placeholder(tf.float32, [None, 6], "x"), v1.placeholder(tf.int64, [None], "y")
        kernel = variable("kernel", 6, 3)
        trained = tf.matmul(tf.nn.dropout(x, rate=0.5), kernel, name="trained")
        tf.matmul(x, kernel, name="served")
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=trained))
        v1.train.GradientDescentOptimizer(0.1).minimize(loss)

    assert Found(build).choice.outputs[0] == "served"


def test_signatures_come_first():
    found = Found(classifier)
    signature = found.meta_graph.signature_def["serving_default"]
    signature.outputs["scores"].name = "hidden/BiasAdd:0"
    choice = outputs.choose(found.meta_graph, found.index, found.variables, None)
    assert choice.outputs == ["hidden/BiasAdd"] and "serving_default" in choice.why
    signature.outputs["nothing"].name = "hidden/BiasAdd:1"
    assert outputs.choose(found.meta_graph, found.index, found.variables, None).outputs == ["hidden/BiasAdd"]


def test_configured_names():
    found = Found(classifier, configured_outputs=["last/BiasAdd:0", "hidden/BiasAdd"])
    assert found.choice.outputs == ["last/BiasAdd", "hidden/BiasAdd"]
    with pytest.raises(Problem) as caught:
        Found(classifier, configured_outputs=["last/BiasAd"])
    assert caught.value.cause == "unknown_output" and "last/BiasAdd" in caught.value.hint
    with pytest.raises(Problem) as caught:
        Found(classifier, configured_inputs={"xx": 1.0})
    assert caught.value.cause == "unknown_input" and "x" in caught.value.hint


def test_names_in_the_settings_leave_the_alternatives_to_be_seen():
    free, named = Found(classifier), Found(classifier, configured_outputs=["hidden/BiasAdd"])
    assert named.outputs == {"hidden/BiasAdd"} and named.choice.confidence == 1 and named.choice.reach is None
    assert [entry.name for entry in named.choice.ranking] == [entry.name for entry in free.choice.ranking]
    assert {entry.name for entry in named.choice.ranking if entry.chosen} <= {"hidden/BiasAdd"}
    assert free.outputs & {entry.name for entry in named.choice.ranking}


def test_names_in_the_settings_hold_where_nothing_could_be_ranked():
    found = Found(lambda: v1.placeholder(tf.float32, [None], name="x"), configured_outputs=["x"])
    assert found.outputs == {"x"} and found.choice.ranking == []


def test_configured_inputs_win():
    settings = {"x": {"shape": [2, 20], "range": [3, 4]}}
    values = feeds.make(Found(classifier, configured_inputs=settings).inputs, 1, 9, ".")["x:0"]
    assert values.shape == (2, 20) and 3 <= values.min() < values.max() <= 4
    inner = Found(classifier, configured_inputs={"Relu:0": {"shape": [None, 8], "range": [0, 1]}})
    assert inner.fed == {"Relu:0"}
    for wrong in ({"shap": [2]}, {"range": [1]}, {"shape": 3}, {}):
        with pytest.raises(Problem) as caught:
            Found(classifier, configured_inputs={"x": wrong})
        assert caught.value.cause == "bad_setting"


def test_a_graph_of_constants_has_no_output():
    with pytest.raises(Problem) as caught:
        Found(lambda: tf.raw_ops.Add(x=tf.constant([1.0]), y=tf.constant([1.0])))
    assert caught.value.cause == "no_output"


def test_a_graph_without_weights_has_one():
    assert Found(lambda: tf.add(v1.placeholder(tf.float32, [], "x"), 1.0, name="more")).outputs == {"more"}


@pytest.mark.parametrize(("producer", "shape"), [(21, [None, 6]), (27, [])])
def test_an_empty_shape_in_an_old_graph_is_an_unknown_one(producer, shape):
    def build():
        x = v1.placeholder(tf.float32, None, "x")
        tf.matmul(tf.reshape(x, [-1, 2 * 3]), variable("w", 6, 2), name="y")

    graph_def = Found(build).meta_graph.graph_def
    graph_def.versions.producer = producer
    for node in graph_def.node:
        node.attr.pop("_output_shapes", None)
        if node.name == "x":
            node.attr["shape"].shape.Clear()
    specs = inputs.describe(GraphIndex(graph_def), ["y"], {}, {"w": [6, 2]})
    assert specs["x:0"].shape == shape


def test_constants_are_read_as_tensorflow_reads_them():
    values = [np.arange(6, dtype=np.int32).reshape(2, 3), np.full([4], 0.5, np.float16), np.array(True), np.int64(-3)]
    for value in [*values, np.zeros([2, 0], np.float32), np.ones([3, 2], np.float64)]:
        node = v1.NodeDef(name="c", op="Const")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        read = static.constant(node)
        assert read.dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(read, value)


def test_manifest_outputs_are_among_those_chosen(capsys):
    manifest = ZOO / "MANIFEST.tsv"
    if not manifest.exists():
        pytest.skip(f"no zoo at {ZOO}")
    csv.field_size_limit(1 << 30)
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if (row["outputs"] or "").strip()]
    complete, found, wanted, sizes = 0, 0, 0, []
    for row in rows:
        directory = ZOO / row["name"]
        paths = list(directory.rglob(f"{row['prefix_used']}.meta")) or sorted(directory.rglob("*.meta"))
        meta_graph = read_meta_graph(paths[0])
        variables = {node.name for node in meta_graph.graph_def.node if node.op in VARIABLE_OPS}
        choice = outputs.choose(meta_graph, GraphIndex(meta_graph.graph_def), variables, None)
        names = [name.strip() for name in row["outputs"].split(",")]
        hits = sum(name in choice.outputs for name in names)
        assert hits, f"{row['name']}: none of {names} in {choice.outputs}"
        complete, found, wanted = complete + (hits == len(names)), found + hits, wanted + len(names)
        sizes.append(len({tensor_name(name)[0] for name in choice.outputs}) / len(names))
    with capsys.disabled():
        print(f"\n{found} of {wanted} outputs found, all of them in {complete} of {len(rows)} models;", end=" ")
        print(f"{np.median(sizes)} times as many chosen as named in the median")
    assert complete >= 0.9 * len(rows)


def test_a_damaged_graph_does_not_hang():
    found = Found(classifier)
    graph_def = found.meta_graph.graph_def
    for node in graph_def.node:
        if node.name == "last/BiasAdd":
            del node.input[:]
            node.op, node.input[:] = "Identity", ["prediction"]
        if node.name == "prediction":
            node.op, node.input[:] = "Identity", ["last/BiasAdd", "absent"]
    with pytest.raises(Problem) as caught:
        outputs.choose(found.meta_graph, GraphIndex(graph_def), found.variables, None)
    assert caught.value.cause == "bad_meta_graph" and "depends on itself" in caught.value.message


def test_an_op_without_a_value_belongs_under_another_setting():
    with tf.Graph().as_default() as graph:
        tf.no_op(name="init_all_tables")
        index = GraphIndex(graph.as_graph_def())
    problem = problem_of(outputs.choose, v1.MetaGraphDef(), index, set(), ["init_all_tables"])
    assert problem.cause == "unknown_output" and "initializer_nodes" in problem.hint
