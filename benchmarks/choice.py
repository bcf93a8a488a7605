"""How long it takes to choose the outputs of a graph, once it is read.

    python benchmarks/choice.py [ZOO ...] [--nodes N]

Prints nodes, candidates and CPU seconds (the median of three) of training graphs of at least N nodes, dense, recurrent
and convolutional ones with Adam; and of the slowest ten of the meta graphs in each ZOO.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from labelled_graphs import registry
from permafrost.graph.index import GraphIndex
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.graph.protos import MetaGraphDef
from permafrost.outcome import Problem
from permafrost.signature import outputs

v1 = tf.compat.v1
SLOWEST = 10


def train(loss) -> None:
    v1.train.AdamOptimizer().minimize(loss)


def weights(name: str, shape: list[int]):
    return v1.get_variable(name, shape)


def dense(layers: int) -> None:
    x, labels = v1.placeholder(tf.float32, [None, 32]), v1.placeholder(tf.float32, [None, 32])
    for number in range(layers):
        with v1.variable_scope(f"layer_{number}"):
            x = tf.nn.relu(tf.matmul(x, weights("kernel", [32, 32])) + weights("bias", [32]))
    train(tf.reduce_mean(tf.square(x - labels)))


def recurrent(steps: int) -> None:
    x, labels = v1.placeholder(tf.float32, [None, steps, 8]), v1.placeholder(tf.float32, [None, 8])
    kernel, state = weights("kernel", [24, 16]), tf.zeros([tf.shape(x)[0], 16])
    for number in range(steps):
        state = tf.tanh(tf.matmul(tf.concat([x[:, number], state], 1), kernel))
    logits = tf.matmul(state, weights("logits", [16, 8]))
    train(v1.losses.softmax_cross_entropy(labels, logits))


def convolutional(layers: int) -> None:
    x, labels = v1.placeholder(tf.float32, [None, 32, 32, 8]), v1.placeholder(tf.float32, [None, 8])
    training = v1.placeholder_with_default(False, [])
    for number in range(layers):
        with v1.variable_scope(f"layer_{number}"):
            made = tf.nn.conv2d(x, weights("kernel", [3, 3, 8, 8]), 1, "SAME")
            mean, variance = tf.nn.moments(made, [0, 1, 2])
            mean, variance = tf.cond(training, lambda m=mean, v=variance: (m, v), lambda: (tf.zeros(8), tf.ones(8)))
            x += tf.nn.relu(tf.nn.batch_normalization(made, mean, variance, None, weights("scale", [8]), 1e-3))
    logits = tf.matmul(tf.reduce_mean(x, [1, 2]), weights("logits", [8, 8]))
    train(v1.losses.softmax_cross_entropy(labels, logits))


def made(build: Callable[[int], None], nodes: int) -> MetaGraphDef:
    """The graph of `build` with at least so many nodes, of which each unit has the same number."""
    few, more = (len(exported(build, units).graph_def.node) for units in (4, 8))
    return exported(build, 4 + 4 * -(-(nodes - few) // (more - few)))


def exported(build: Callable[[int], None], units: int) -> MetaGraphDef:
    with tf.Graph().as_default():
        build(units)
        written = v1.train.export_meta_graph(saver_def=v1.train.Saver().as_saver_def()).SerializeToString()
    return MetaGraphDef.FromString(written)


def measured(name: str, meta_graph: MetaGraphDef) -> tuple[float, str]:
    """(CPU seconds, a line of the table) of choosing a graph's outputs."""
    index, seconds = GraphIndex(meta_graph.graph_def), []
    variables = {node for node, op in index.ops.items() if op in VARIABLE_OPS}
    meta_graph.ClearField("signature_def")
    for _ in range(3):
        began = time.process_time()
        try:
            chosen = len(outputs.choose(meta_graph, GraphIndex(meta_graph.graph_def), variables, None).outputs)
        except Problem:
            chosen = 0
        seconds.append(time.process_time() - began)
    took = statistics.median(seconds)
    return took, f"{name[-60:]:60} {len(index.nodes):6} nodes {chosen:4} chosen {took:6.2f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", type=Path, nargs="*", metavar="ZOO")
    parser.add_argument("--nodes", type=int, default=20_000, metavar="N")
    args = parser.parse_args()
    registry.load()
    gc.freeze()  # as the stages' worker does
    for build in (dense, recurrent, convolutional):
        print(measured(build.__name__, made(build, args.nodes))[1], flush=True)
    for zoo in args.zoos:
        found = []
        for path in sorted(zoo.rglob("*.meta")):
            try:
                found.append(measured(str(path.relative_to(zoo)), read_meta_graph(path)))
            except Problem as problem:
                print(f"{path}: {problem.message}")
        print("\n".join(line for _, line in sorted(found, reverse=True)[:SLOWEST]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
