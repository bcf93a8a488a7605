"""What the training graphs are made of: their registry, and layers under the names that libraries gave them."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
WANTED: dict[Callable[[], None], tuple[set[str], set[str]]] = {}


def model(outputs: str, inputs: str) -> Callable:
    """Registers a graph with the nodes that are wanted and those that may be fed, both separated by spaces."""

    def register(build: Callable[[], None]) -> Callable[[], None]:
        WANTED[build] = (set(outputs.split()), set(inputs.split()))
        return build

    return register


def get(name: str, shape: list[int], initializer=None, **options):
    initializer = initializer or v1.truncated_normal_initializer(stddev=0.3, seed=len(name))
    return v1.get_variable(name, shape, initializer=initializer, use_resource=False, **options)


def variable(value, name: str | None = None, **options):
    """A variable as v1.Variable made it before resources: `Variable`, `Variable_1`, ... where it has no name."""
    return v1.Variable(value, name=name, use_resource=False, **options)


def layer_scope(scope: str | None, default: str):
    """A layer's scope; without a name the next free one of its kind: dense, dense_1, ..."""
    return v1.variable_scope(scope, default, reuse=v1.AUTO_REUSE if scope else None)


def dense(x, units: int, scope: str | None = None, activation=None, names=("kernel", "bias")):
    """A layer as tf.layers, slim (weights, biases) and others build it: `<scope>/MatMul`, `<scope>/BiasAdd`."""
    with layer_scope(scope, "dense"):
        w = get(names[0], [x.shape[-1], units])
        b = get(names[1], [units], v1.zeros_initializer())
        y = tf.nn.bias_add(tf.matmul(x, w, name="MatMul"), b, name="BiasAdd")
        return activation(y) if activation else y


def conv(x, filters, scope=None, size=3, stride=1, activation=tf.nn.relu, names=("weights", "biases")):
    with layer_scope(scope, "conv2d"):
        w = get(names[0], [size, size, x.shape[-1], filters])
        b = get(names[1], [filters], v1.zeros_initializer())
        y = tf.nn.bias_add(tf.nn.conv2d(x, w, stride, "SAME", name="Conv2D"), b, name="BiasAdd")
        return activation(y) if activation else y


def deconv(x, filters: int, scope: str, size: int = 3, stride: int = 2, activation=None):
    """A transposed convolution, which makes each side of an image `stride` times as long."""
    with layer_scope(scope, "conv2d_transpose"):
        w = get("w", [size, size, filters, x.shape[-1]])
        shape = [tf.shape(x)[0], x.shape[1] * stride, x.shape[2] * stride, filters]
        y = v1.nn.conv2d_transpose(x, w, tf.stack(shape), [1, stride, stride, 1])
        y = tf.reshape(tf.nn.bias_add(y, get("biases", [filters], v1.zeros_initializer())), [-1, *shape[1:]])
        return activation(y) if activation else y


def flat(x, name=None):
    return tf.reshape(x, [-1, int(np.prod(x.shape[1:]))], name=name)


def train(loss, optimizer=None, variables=None) -> None:
    step = v1.train.get_or_create_global_step()
    (optimizer or v1.train.AdamOptimizer(1e-3)).minimize(loss, global_step=step, var_list=variables)
    v1.summary.scalar("loss_summary", loss)
    v1.summary.merge_all()


def cross_entropy(labels, logits, name=None):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits), name=name)


def lstm_step(x, h, c, scope="rnn/basic_lstm_cell"):
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
        kernel = get("kernel", [x.shape[-1] + h.shape[-1], 4 * h.shape[-1]])
        gates = tf.nn.bias_add(tf.matmul(tf.concat([x, h], 1), kernel), get("bias", [4 * h.shape[-1]]))
        i, j, f, o = tf.split(gates, 4, 1)
        c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
        return tf.tanh(c) * tf.sigmoid(o), c


class LSTM:
    """A cell for v1.nn.dynamic_rnn, as BasicLSTMCell: its state is (c, h)."""

    def __init__(self, units: int, scope: str = "basic_lstm_cell"):
        self.units, self.scope = units, scope

    @property
    def state_size(self):
        return (self.units, self.units)

    @property
    def output_size(self):
        return self.units

    def zero_state(self, batch_size, dtype):
        return tuple(tf.zeros(tf.stack([batch_size, self.units]), dtype) for _ in range(2))

    def __call__(self, x, state, scope=None):
        h, c = lstm_step(x, state[1], state[0], self.scope)
        return h, (c, h)
