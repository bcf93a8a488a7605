"""Random graphs with dropout, conds, loops and functions in each other, all decided by inputs that are to be baked."""

import random

import numpy as np
import tensorflow as tf

from baked_models import FORMS

v1 = tf.compat.v1


class Grower:
    """Grows one graph, with inputs `training`, `keep` and `level` that are to be baked."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.depth = 0

    def build(self) -> None:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        self.training = v1.placeholder(tf.bool, [], name="training")
        self.keep = v1.placeholder(tf.float32, [], name="keep")
        self.level = v1.placeholder(tf.int32, [], name="level")
        y = x
        for _ in range(self.random.randint(2, 5)):
            y = self.step(y)
        tf.identity(y, name="y")
        tf.stack([tf.cast(each, tf.float32) for each in (self.training, self.keep, self.level)], name="z")

    def step(self, x):
        kinds = [self.compute, self.compute, self.dropout, self.dropout, self.choice]
        if self.depth < 3:
            kinds += [self.cond, self.cond, self.loop, self.call, self.case]
        self.depth += 1
        made = self.random.choice(kinds)(x)
        self.depth -= 1
        return made

    def compute(self, x):
        product = tf.constant(np.arange(9).reshape(3, 3) - 4, tf.float32)
        ways = [lambda: x * 2 - 1, lambda: tf.nn.relu(x), lambda: tf.matmul(x, product), lambda: tf.reverse(x, [1])]
        return self.random.choice(ways)()

    def dropout(self, x):
        return self.random.choice([*FORMS.values()])(x, self.random.choice([self.keep, self.keep, tf.constant(1.0)]))

    def predicate(self, x):
        known = [
            lambda: self.training,
            lambda: tf.logical_not(self.training),
            lambda: self.keep > 0.5,
            lambda: tf.equal(self.level * 2, 4),
            lambda: tf.cast(self.level - 2, tf.bool),
            lambda: tf.logical_and(self.training, tf.reduce_sum(x) > 0),
        ]
        late = [lambda: tf.reduce_sum(x) > 0, lambda: tf.shape(x)[0] > 2]
        return self.random.choice([*known, *known, *late])()

    def choice(self, x):
        if self.random.random() < 0.5:
            return tf.where(self.predicate(x), x, 0.0)
        return v1.where(tf.fill(tf.shape(x), self.predicate(x)), x * 2, x)

    def cond(self, x):
        def noise():
            return x + tf.random.normal(tf.shape(x)) if self.random.random() < 0.2 else self.step(x)

        functional = self.random.random() < 0.5
        (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
        return v1.cond(self.predicate(x), lambda: self.step(self.step(x)), noise)

    def case(self, x):
        return tf.switch_case(self.level, [lambda: self.step(x), lambda: x - 3, lambda: self.step(x * 3)])

    def loop(self, x):
        functional = self.random.random() < 0.5
        (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
        shapes = [tf.TensorShape([]), tf.TensorShape([None, 3])]
        step = lambda i, a: (i + 1, self.step(a) * 0.5)  # noqa: E731
        return v1.while_loop(lambda i, a: i < 3, step, [tf.constant(0), x], shape_invariants=shapes)[1]

    def call(self, x):
        function = tf.function(lambda a: self.step(a), autograph=False)
        return function(x) + function(x) if self.random.random() < 0.3 else function(x)
