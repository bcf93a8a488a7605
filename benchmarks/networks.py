"""Makes the checkpoints that the benchmarks freeze: from a line of numbers to a gigabyte of weights.

python benchmarks/networks.py DIRECTORY [NAME ...]
"""

import argparse
import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import tensorflow as tf

v1 = tf.compat.v1


def variable(name: str, shape: list[int]):
    return v1.get_variable(name, shape, initializer=v1.random_normal_initializer(0, 0.05, seed=1), use_resource=False)


def dense(x, units: int, name: str):
    with v1.variable_scope(name):
        return tf.nn.bias_add(tf.matmul(x, variable("weights", [x.shape[-1], units])), variable("biases", [units]))


def tiny() -> None:
    """Two weights."""
    x = v1.placeholder(tf.float32, [None, 1], name="x")
    tf.add(x * variable("w", [1]), variable("b", [1]), name="out")


def lenet() -> None:
    """LeNet-5 with wider layers: 5 MB."""
    net = v1.placeholder(tf.float32, [None, 28, 28, 1], name="x")
    for number, filters in enumerate((32, 64)):
        filters_before = net.shape[-1]
        net = tf.nn.relu(tf.nn.conv2d(net, variable(f"conv{number}", [5, 5, filters_before, filters]), 1, "SAME"))
        net = tf.nn.max_pool2d(net, 2, 2, "SAME")
    net = tf.nn.relu(dense(tf.reshape(net, [-1, 7 * 7 * 64]), 384, "fc1"))
    tf.identity(dense(net, 10, "fc2"), name="out")


def lstm() -> None:
    """An LSTM cell of 256 units, unrolled by a while loop of Switch and Merge."""
    from tensorflow.python.ops import control_flow_util

    control_flow_util.ENABLE_CONTROL_FLOW_V2 = False
    x = v1.placeholder(tf.float32, [None, 64], name="x")
    kernel, bias = variable("kernel", [64 + 256, 1024]), variable("bias", [1024])
    zeros = tf.zeros([tf.shape(x)[0], 256])

    def step(i, c, h):
        gates = tf.split(tf.matmul(tf.concat([x, h], 1), kernel) + bias, 4, 1)
        c = tf.sigmoid(gates[0]) * c + tf.sigmoid(gates[1]) * tf.tanh(gates[2])
        return i + 1, c, tf.sigmoid(gates[3]) * tf.tanh(c)

    shapes = [tf.TensorShape([]), tf.TensorShape([None, 256]), tf.TensorShape([None, 256])]
    *_, h = v1.while_loop(lambda i, c, h: i < 20, step, [tf.constant(0), zeros, zeros], shape_invariants=shapes)
    tf.identity(h, name="out")


def training() -> None:
    """A training graph of about 6,000 nodes: gradients and Adam's slots for 100 layers."""
    net = v1.placeholder(tf.float32, [None, 64], name="x")
    for number in range(100):
        net = tf.nn.relu(dense(net, 64, f"layer{number}"))
    out = tf.identity(net, name="out")
    v1.train.AdamOptimizer().minimize(tf.reduce_mean(out**2))


def perceptron(width: int, layers: int):
    def build() -> None:
        net = v1.placeholder(tf.float32, [None, width], name="x")
        for number in range(layers):
            net = tf.nn.relu(dense(net, width, f"layer{number}"))
        tf.identity(net, name="out")

    return build


NETWORKS = {
    "tiny": tiny,
    "lenet": lenet,
    "lstm": lstm,
    "training": training,
    "200MB": perceptron(2048, 12),
    "600MB": perceptron(3873, 10),
    "1GB": perceptron(4096, 16),
}


def save(name: str, directory: Path) -> None:
    """Saves the network `name`, randomly initialised, as directory/name/model.ckpt."""
    with tf.Graph().as_default() as graph:
        NETWORKS[name]()
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(directory / name / "model.ckpt"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*", default=list(NETWORKS), help=f"of {', '.join(NETWORKS)}; by default all")
    args = parser.parse_args()
    for wanted in args.names:
        (args.directory / wanted).mkdir(parents=True, exist_ok=True)
        save(wanted, args.directory)
