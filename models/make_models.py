"""Makes the sample zoo: small TensorFlow 1 checkpoints of the kinds that people have, and four broken ones.

    python models/make_models.py [DIRECTORY]        (default: the directory of this file)

Nothing is trained. Weights come from a generator seeded by the variable's name, so the same TensorFlow writes
the same bytes each time. Each network is a function that says what kind it stands for; ZOO, at the end, lists them.
"""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import shutil
from pathlib import Path

import tensorflow as tf
from tensorflow.python.training.saver import BaseSaverBuilder

import broken
from saving import dense, numbers, save, session_of_weights, variable, write_meta_graph, write_state

v1 = tf.compat.v1
raw = tf.raw_ops

FOREIGN_DIRECTORY = "/data/training/run7"


# The three classic ones.


def linear(directory: Path) -> None:
    """The first model of many tutorials: predictions = input_holder * W1 + B1 + 50, with W1 = 5 and B1 = 1."""
    x = v1.placeholder(tf.float32, [1], name="input_holder")
    w = v1.Variable([5.0], name="W1")
    b = v1.Variable([1.0], name="B1")
    product = raw.Mul(x=x, y=w, name="mul")
    raw.Add(x=raw.Add(x=product, y=b, name="add"), y=tf.constant(50.0, name="fifty"), name="predictions")
    save(directory, "model.ckpt", values={"W1": [5.0], "B1": [1.0]})


def sum_of_integers(directory: Path) -> None:
    """Integer variables, one assigned after it was initialised, one unused; the input's shape is not known."""
    var1 = v1.placeholder(tf.int32, name="var1")
    var2 = v1.Variable(20, name="var2")
    var3 = v1.Variable(30, name="var3")
    var4 = v1.Variable(40, name="var4")
    v1.Variable(0, name="sum")
    first = raw.Add(x=var1, y=var2, name="var1_var2")
    second = raw.Add(x=var3, y=var4, name="sum_var3")
    raw.Add(x=first, y=second, name="sum_operation")
    update = v1.assign(var4, 1000)
    saver = v1.train.Saver()
    with session_of_weights() as session:
        session.run(update)
        saver.save(session, str(directory / "sum.ckpt"), write_meta_graph=False, write_state=False)
    write_meta_graph(directory / "sum.ckpt.meta", saver)
    write_state(directory, ["sum.ckpt"])


def v1_and_v2(directory: Path) -> None:
    """Three steps of a run, the meta graph written with the first alone, the `checkpoint` file from another machine."""
    x = v1.placeholder(tf.float32, [3], name="x")
    first = v1.get_variable("v1", [3], initializer=v1.zeros_initializer())
    second = v1.get_variable("v2", [5], initializer=v1.zeros_initializer())
    step = [first.assign(first + 1), second.assign(second - 1)]
    tf.add(tf.reduce_sum(x * first), second, name="result")
    saver = v1.train.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for number in (100, 200, 300):
            session.run(step)
            prefix = str(directory / "model.ckpt")
            saver.save(session, prefix, global_step=number, write_meta_graph=False, write_state=False)
    write_meta_graph(directory / "model.ckpt-100.meta", saver)
    write_state(directory, [f"{FOREIGN_DIRECTORY}/model.ckpt-{number}" for number in (100, 200, 300)])


# Networks.


def batch_norm(x: tf.Tensor, is_training: tf.Tensor, name: str) -> tf.Tensor:
    """Batch normalisation over all but the last axis, with moving averages as UPDATE_OPS."""
    channels = [x.shape.as_list()[-1]]
    with v1.variable_scope(name):
        zeros, ones = v1.zeros_initializer(), v1.ones_initializer()
        gamma = v1.get_variable("gamma", channels, initializer=ones)
        beta = v1.get_variable("beta", channels, initializer=zeros)
        moving_mean = v1.get_variable("moving_mean", channels, initializer=v1.zeros_initializer(), trainable=False)
        moving_variance = v1.get_variable(
            "moving_variance", channels, initializer=v1.ones_initializer(), trainable=False
        )
        batch_mean, batch_variance = tf.nn.moments(x, list(range(x.shape.rank - 1)), name="moments")
        for average, batch in ((moving_mean, batch_mean), (moving_variance, batch_variance)):
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_sub(average, (average - batch) * 0.1))
        mean, variance = v1.cond(
            is_training,
            lambda: (tf.identity(batch_mean), tf.identity(batch_variance)),
            lambda: (tf.identity(moving_mean), tf.identity(moving_variance)),
        )
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def conv_batchnorm(directory: Path) -> None:
    """A convolutional classifier as its training script saved it: flags, loss, gradients, Adam's slots, summaries."""
    images = v1.placeholder(tf.float32, [None, 8, 8, 1], name="images")
    labels = v1.placeholder(tf.int64, [None], name="labels")
    is_training = v1.placeholder(tf.bool, [], name="is_training")
    keep_prob = v1.placeholder_with_default(1.0, [], name="keep_prob")
    step = v1.train.get_or_create_global_step()
    with v1.variable_scope("conv1"):
        net = v1.nn.conv2d(images, variable("weights", [3, 3, 1, 4]), strides=[1, 1, 1, 1], padding="SAME")
        net = tf.nn.relu(batch_norm(net, is_training, "batch_norm"))
        net = v1.nn.max_pool(net, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    net = v1.nn.dropout(tf.reshape(net, [-1, 64]), rate=1 - keep_prob)
    logits = tf.identity(dense(net, 3, "fc"), name="logits")
    tf.nn.softmax(logits, name="probabilities")
    prediction = tf.argmax(logits, 1, name="prediction")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits), name="loss")
    accuracy = tf.reduce_mean(tf.cast(tf.equal(prediction, labels), tf.float32), name="accuracy")
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        v1.train.AdamOptimizer(1e-3).minimize(loss, global_step=step, name="train_op")
    v1.summary.scalar("loss", loss)
    v1.summary.scalar("accuracy", accuracy)
    v1.summary.merge_all()
    norm = "conv1/batch_norm"
    values = {f"{norm}/moving_mean": numbers("mean", [4]), f"{norm}/moving_variance": numbers("variance", [4], 0.5, 2)}
    save(directory, "model.ckpt-1200", values={**values, "global_step": 1200})


def lstm_while(directory: Path) -> None:
    """A recurrent classifier: an LSTM cell in a while loop of Enter, Merge, Switch, NextIteration and Exit."""
    units = 8
    sequence = v1.placeholder(tf.float32, [None, None, 5], name="sequence")
    by_time = tf.transpose(sequence, [1, 0, 2])
    length, batch = tf.unstack(tf.shape(by_time)[:2])
    steps = tf.TensorArray(tf.float32, length).unstack(by_time)
    kernel = variable("rnn/lstm_cell/kernel", [5 + units, 4 * units])
    bias = variable("rnn/lstm_cell/bias", [4 * units])

    def cell(time, c, h):
        joined = tf.concat([steps.read(time), h], 1)
        i, j, f, o = tf.split(tf.nn.bias_add(tf.matmul(joined, kernel), bias), 4, axis=1)
        c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
        return time + 1, c, tf.sigmoid(o) * tf.tanh(c)

    zeros = tf.zeros([batch, units])
    shapes = [tf.TensorShape([]), tf.TensorShape([None, units]), tf.TensorShape([None, units])]
    _, _, state = v1.while_loop(
        lambda time, c, h: time < length, cell, [0, zeros, zeros], shape_invariants=shapes, name="rnn/while"
    )
    state.set_shape([None, units])
    tf.nn.softmax(dense(state, 3, "softmax"), name="probabilities")
    save(directory, "lstm.ckpt-50")


def cond(directory: Path) -> None:
    """Two branches with weights of their own, chosen by a flag: Switch and Merge."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    use_deep = v1.placeholder_with_default(True, [], name="use_deep")
    shallow = variable("shallow", [4, 2])
    hidden, top = variable("hidden", [4, 6]), variable("top", [6, 2])
    scores = v1.cond(use_deep, lambda: tf.matmul(tf.nn.relu(tf.matmul(x, hidden)), top), lambda: tf.matmul(x, shallow))
    tf.tanh(scores, name="scores")
    save(directory, "model.ckpt")


def embedding(directory: Path) -> None:
    """A text classifier over word numbers, with sparse gradients and Adagrad's slots."""
    words = v1.placeholder(tf.int32, [None, 6], name="words")
    labels = v1.placeholder(tf.float32, [None, 2], name="labels")
    mean = tf.reduce_mean(tf.nn.embedding_lookup(variable("embedding", [40, 8]), words), 1)
    logits = dense(mean, 2, "classifier")
    tf.nn.softmax(logits, name="probabilities")
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    v1.train.AdagradOptimizer(0.1).minimize(loss)
    save(directory, "text.ckpt-900")


def resource_variables(directory: Path) -> None:
    """TF 1.15 with use_resource=True: VarHandleOp, ReadVariableOp and ResourceGather, trained by gradient descent."""
    words = v1.placeholder(tf.int32, [None, 4], name="words")
    targets = v1.placeholder(tf.float32, [None, 1], name="targets")
    table = variable("embedding", [20, 6], use_resource=True)
    mean = tf.reduce_mean(tf.nn.embedding_lookup(table, words), 1)
    score = tf.sigmoid(dense(mean, 1, "score", use_resource=True), name="output")
    v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(tf.square(score - targets)))
    save(directory, "model.ckpt")


def functions(directory: Path) -> None:
    """TF 1.15 with control flow v2: a loop and a cond whose bodies are functions that read the variables."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    steps = v1.placeholder_with_default(3, [], name="steps")
    kernel, bias = variable("kernel", [4, 4], use_resource=True), variable("bias", [4], use_resource=True)
    v1.enable_control_flow_v2()
    _, state = v1.while_loop(
        lambda step, state: step < steps, lambda step, state: (step + 1, tf.tanh(tf.matmul(state, kernel))), [0, x]
    )
    scores = v1.cond(steps > 1, lambda: tf.nn.relu(state + bias), lambda: state - bias)
    v1.disable_control_flow_v2()
    tf.nn.softmax(scores, name="probabilities")
    save(directory, "model.ckpt")


def partitioned(directory: Path) -> None:
    """Variables cut into three by a partitioner; the checkpoint holds each whole, under one key, in slices."""
    x = v1.placeholder(tf.float32, [None, 10], name="x")
    with v1.variable_scope("net", partitioner=v1.fixed_size_partitioner(3)):
        weights = variable("weights", [10, 4])
        biases = variable("biases", [4])
    tf.nn.relu(tf.matmul(x, tf.convert_to_tensor(weights)) + tf.convert_to_tensor(biases), name="output")
    save(directory, "model.ckpt")


def two_shard_network(directory: Path) -> None:
    """A network with variables on two parameter servers of a cluster: a sharded checkpoint, a graph full of devices."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    with tf.device("/cpu:0"):
        first = variable("first", [4, 5])
    with tf.device("/cpu:1"):
        second = variable("second", [5, 2])
    tf.matmul(tf.nn.relu(tf.matmul(x, first)), second, name="output")
    servers = {f"/device:CPU:{i}": f"/job:ps/task:{i}/device:CPU:0" for i in (0, 1)}
    save(directory, "model.ckpt-10", saver=v1.train.Saver(sharded=True), devices=servers)


class OldSaverBuilder(BaseSaverBuilder):
    """Writes the restore ops of TF before 0.12, a RestoreSlice for each variable; today's are one RestoreV2."""

    def restore_op(self, filename_tensor, saveable, preferred_shard):
        common = {"file_pattern": filename_tensor, "preferred_shard": preferred_shard}
        return [
            raw.RestoreSlice(tensor_name=spec.name, shape_and_slice=spec.slice_spec, dt=spec.dtype, **common)
            for spec in saveable.specs
        ]


def v1_format(directory: Path) -> None:
    """From before TF 0.12: the op `Variable`, SaveSlices and RestoreSlice, and a checkpoint that is one file."""
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    variables, reads, initialisers = {}, {}, {}
    for name, shape in (("W", [3, 2]), ("b", [2])):
        variables[name] = raw.Variable(shape=shape, dtype=tf.float32, name=name)
        zeros = tf.zeros(shape, name=f"{name}/initial_value")
        initialisers[name] = raw.Assign(ref=variables[name], value=zeros, name=f"{name}/Assign").op
        reads[name] = tf.identity(variables[name], name=f"{name}/read")
    tf.nn.softmax(raw.Add(x=tf.matmul(x, reads["W"]), y=reads["b"], name="add"), name="Softmax")
    saver = v1.train.Saver(variables, builder=OldSaverBuilder(write_version=v1.train.SaverDef.V1))
    with v1.Session() as session:
        for name, initialiser in initialisers.items():
            session.run(initialiser, {initialiser.inputs[1]: numbers(name, variables[name].shape.as_list())})
        saver.save(session, str(directory / "model.ckpt-0"), write_meta_graph=False, write_state=False)
    write_meta_graph(directory / "model.ckpt-0.meta", saver)
    write_state(directory, ["model.ckpt-0"])


def ema(directory: Path) -> None:
    """Trained with moving averages; the graph for inference restores these into the raw variables' places."""

    def network():
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        tf.nn.softmax(dense(x, 3, "net"), name="probabilities")
        return tf.train.ExponentialMovingAverage(0.99)

    with tf.Graph().as_default():
        network().apply(v1.trainable_variables())
        averages = {"net/weights": [4, 3], "net/biases": [3]}
        suffix = "ExponentialMovingAverage"
        save(directory, "model.ckpt-700", values={f"{k}/{suffix}": numbers(suffix + k, averages[k]) for k in averages})
    write_meta_graph(directory / "model.ckpt-700.meta", v1.train.Saver(network().variables_to_restore()))


def lookup_table(directory: Path) -> None:
    """Strings in: a hash table, filled by an initialiser that no checkpoint holds, then an embedding."""
    words = v1.placeholder(tf.string, [None, 3], name="words")
    vocabulary = tf.constant(["ice", "snow", "water", "steam"], name="vocabulary")
    table = raw.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="vocabulary", name="hash_table")
    numbering = tf.constant([1, 2, 3, 4], tf.int64, name="numbering")
    fill = raw.InitializeTableV2(table_handle=table, keys=vocabulary, values=numbering, name="fill_table")
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, fill)
    v1.tables_initializer("init_all_tables")
    ids = raw.LookupTableFindV2(table_handle=table, keys=words, default_value=tf.constant(0, tf.int64))
    ids.set_shape(words.shape)
    mean = tf.reduce_mean(tf.nn.embedding_lookup(variable("embedding", [5, 4]), ids), 1)
    tf.identity(dense(mean, 2, "scores"), name="output")
    save(directory, "model.ckpt")


def two_networks(directory: Path) -> None:
    """Two networks of one program side by side in a directory, each with its own meta graph; reinforcement learning."""
    with tf.Graph().as_default():
        state = v1.placeholder(tf.float32, [None, 4], name="state")
        tf.nn.softmax(dense(tf.tanh(dense(state, 6, "hidden")), 2, "policy"), name="action")
        save(directory, "actor-5")
    with tf.Graph().as_default():
        state = v1.placeholder(tf.float32, [None, 4], name="state")
        action = v1.placeholder(tf.float32, [None, 2], name="action")
        tf.identity(dense(tf.tanh(dense(tf.concat([state, action], 1), 6, "hidden")), 1, "q"), name="value")
        save(directory, "critic-5")
    write_state(directory, ["actor-5", "critic-5"])


def spaces_and_text(directory: Path) -> None:
    """A prefix with spaces and dots, and a meta graph in text form."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    tf.sigmoid(dense(x, 1, "unit"), name="output")
    save(directory, "my model v1.2", text=True)


def no_name(directory: Path) -> None:
    """Saved to a directory as if it were a prefix: files called `-300.index` and so on, and no `checkpoint` file."""
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    tf.sigmoid(dense(x, 1, "unit"), name="output")
    save(directory, "-300")
    (directory / "checkpoint").unlink()


def one_unit(directory: Path) -> None:
    """The least network that has weights, for checkpoints that are going to be broken."""
    x = v1.placeholder(tf.float32, [None, 8], name="x")
    tf.sigmoid(dense(x, 4, "unit"), name="output")
    save(directory, "model.ckpt")


# Directory -> what writes it, in this order.
ZOO = {
    "linear": [linear],
    "sum": [sum_of_integers],
    "v1_and_v2": [v1_and_v2],
    "conv_batchnorm": [conv_batchnorm],
    "lstm_while": [lstm_while],
    "cond": [cond],
    "embedding": [embedding],
    "resource_variables": [resource_variables],
    "functions": [functions],
    "partitioned": [partitioned],
    "two_shards": [two_shard_network],
    "v1_format": [v1_format],
    "ema": [ema],
    "lookup_table": [lookup_table],
    "two_networks": [two_networks],
    "spaces_and_text": [spaces_and_text],
    "no_name": [no_name],
    "broken_lfs_pointer": [one_unit, broken.lfs_pointer],
    "broken_missing_shard": [two_shard_network, broken.missing_shard],
    "broken_truncated": [one_unit, broken.truncated],
    "broken_tf2": [broken.tf2],
}


def make(zoo: Path) -> None:
    """Writes every directory of ZOO below `zoo`; those that are there already are replaced."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    v1.disable_resource_variables()
    v1.disable_control_flow_v2()
    for name, writers in ZOO.items():
        directory = zoo / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for write in writers:
            with tf.Graph().as_default():
                write(directory)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=Path(__file__).resolve().parent)
    make(parser.parse_args().directory)
