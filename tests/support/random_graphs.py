"""Random small graphs that read and write variables in every way, for comparing frozen graphs with TensorFlow itself.

A graph has two reference variables and two resource variables of three numbers, an input `x`, and an output `y`. It
grows by random steps: reads, aliases of references, arithmetic, writes, conds, loops and functions, with control edges
between them. Some steps are taken only for large inputs, so that trials on small ones do not show what they do.
"""

import random
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

v1, raw = tf.compat.v1, tf.raw_ops
SIZE = 3
# What a graph is run on: small numbers, as trials feed them, and large ones.
FEEDS = [np.full(SIZE, value, np.float32) for value in (0.0, 0.5, -3.0, 50.0, 2000.0)]
FEEDS += [np.array(values, np.float32) for values in ([1, -2, 300], [-900, 2, 1], [0.1, 0.2, 0.3])]

ALIASES: list[Callable] = [
    tf.identity,
    tf.stop_gradient,
    lambda t: tf.reshape(t, [SIZE]),
    lambda t: tf.squeeze(tf.expand_dims(t, 0), [0]),
    lambda t: tf.slice(t, [0], [SIZE]),
    lambda t: tf.tile(t, [1]),
    lambda t: tf.pad(t, [[0, 0]]),
    lambda t: tf.bitcast(tf.bitcast(t, tf.int32), tf.float32),
    lambda t: raw.IdentityN(input=[t, tf.zeros([SIZE])])[0],
    lambda t: tf.transpose(t, [0]),
    lambda t: raw.Sum(input=t, axis=tf.zeros([0], tf.int32)),
    lambda t: tf.add_n([t]),
    lambda t: tf.cast(t, tf.float32),
    lambda t: tf.concat([t], 0),
    lambda t: tf.split(tf.reshape(t, [1, SIZE]), 1)[0][0],
]
COPIES: list[Callable] = [lambda t: t * 2.0, lambda t: t + 1.0, lambda t: tf.tanh(t), lambda t: t - 0.5, tf.negative]


class Grower:
    """Grows one graph; `tensors` and `operations` are what steps may use where they stand."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.tensors: list = []
        self.operations: list = []
        self.depth = 0

    def build(self) -> None:
        """Makes the graph in the default graph."""
        self.x = v1.placeholder(tf.float32, [SIZE], name="x")
        start = [np.arange(SIZE) + 1.0, np.arange(SIZE) * 10.0 - 5, np.full(SIZE, 7.0), np.arange(SIZE) * 0.25]
        self.references = [self._variable(f"ref{k}", start[k], False) for k in range(2)]
        self.handles = [self._variable(f"res{k}", start[2 + k], True) for k in range(2)]
        steady = self._variable("steady", np.array([0.125, 0.25, 0.5]), True)
        self.tensors = [self.x]
        for _ in range(self.random.randint(3, 12)):
            self.step()
        chosen = self.random.sample(self.tensors, min(len(self.tensors), self.random.randint(1, 3)))
        with self._controls(0.4):
            y = self.x + self.random.choice(self.references) if self.random.random() < 0.3 else self.x * 1.0
            for tensor in chosen:
                y = y + tensor
        y = self.random.choice(self.tensors) if self.random.random() < 0.1 else y + steady
        with self._controls(0.3):
            tf.identity(y, name="y")

    @staticmethod
    def _variable(name: str, value: np.ndarray, is_handle: bool):
        return v1.get_variable(name, initializer=value.astype(np.float32), use_resource=is_handle)

    @contextmanager
    def _controls(self, chance: float):
        some = self.operations if self.random.random() < chance else []
        with tf.control_dependencies(self.random.sample(some, min(len(some), self.random.randint(1, 2)))):
            yield

    def step(self) -> None:
        """Adds something random."""
        kinds = [self.read, self.read, self.alias, self.alias, self.compute, self.write, self.write, self.write]
        if self.depth < 2:
            kinds += [self.cond, self.cond, self.loop, self.function_cond, self.call]
        with self._controls(0.5):
            tensor = self.random.choice(kinds)()
        if isinstance(tensor, tf.Tensor) and tensor.dtype.base_dtype == tf.float32:
            self.tensors.append(tensor)
            self.operations.append(tensor.op)
        elif tensor is not None:
            self.operations.append(tensor if isinstance(tensor, tf.Operation) else tensor.op)

    def _some(self):
        return self.random.choice(self.tensors)

    def read(self):
        if self.random.random() < 0.5:
            return self.random.choice(self.handles).read_value()
        reference = self.random.choice(self.references)
        return self.random.choice([lambda: reference._ref(), reference.read_value, reference.value])()

    def alias(self):
        return self.random.choice(ALIASES)(self._some())

    def compute(self):
        if self.random.random() < 0.5:
            return self.random.choice(COPIES)(self._some())
        return self._some() + self._some() * 0.5

    def write(self):
        value = self._some() if self.random.random() < 0.7 else tf.constant([3.0, 1.0, 4.0])
        if self.random.random() < 0.35:
            return self._scatter(value)
        kind = self.random.choice(["assign", "assign_add", "assign_sub"])
        if self.random.random() < 0.5:
            written = getattr(v1, kind)(self.random.choice(self.references), value)
            return written if self.random.random() < 0.5 else written.op
        return getattr(self.random.choice(self.handles), kind)(value, read_value=False)

    def _scatter(self, value):
        """Some elements of a variable are written to, one of them twice, or where the input says."""
        late = tf.cast(self.x[0] > 1000.0, tf.int32)
        rows = self.random.choice([lambda: tf.constant([0, 2, 0]), lambda: tf.stack([late, 2, late]), lambda: late])()
        values = value[0] if rows.shape.rank == 0 or self.random.random() < 0.3 else value
        variable = self.random.choice([*self.references, *self.handles])
        manner = self.random.choice(["update", "add", "sub", "max"])
        written = getattr(v1, f"scatter_{manner}")(variable, rows, values)
        return written if variable in self.references and self.random.random() < 0.5 else written.op

    def _predicate(self):
        return tf.reduce_sum(self._some()) > self.random.choice([-50.0, 0.0, 2.0, 100.0, 1000.0])

    def _branch(self, steps: int) -> Callable:
        def branch():
            kept = list(self.tensors), list(self.operations)
            self.depth += 1
            for _ in range(steps):
                self.step()
            result = self._some() if self.random.random() < 0.7 else tf.constant([1.0, 2.0, 3.0])
            with self._controls(0.6):
                result = tf.identity(result)
            self.depth -= 1
            self.tensors, self.operations = kept
            return result

        return branch

    def cond(self):
        steps = self.random.randint(0, 3), self.random.randint(0, 3)
        return v1.cond(self._predicate(), self._branch(steps[0]), self._branch(steps[1]))

    def loop(self):
        steps = self.random.randint(0, 2)

        def body(i, h):
            kept = list(self.tensors), list(self.operations)
            self.tensors, self.operations = [*self.tensors, h], []
            self.depth += 1
            for _ in range(steps):
                self.step()
            result = h * 0.5 + self._some()
            self.depth -= 1
            self.tensors, self.operations = kept
            return i + 1, result

        rounds = self.random.randint(1, 3)
        return v1.while_loop(lambda i, h: i < rounds, body, [tf.constant(0), self._some() + 0.0])[1]

    def _body_of_function(self, h):
        variable = self.random.choice(self.handles)
        kind = self.random.randrange(4)
        if kind == 0:
            return h + variable.read_value()
        if kind == 1:
            with tf.control_dependencies([variable.assign_add(h, read_value=False)]):
                return tf.identity(h)
        if kind == 2:
            with tf.control_dependencies([variable.assign(h * 2.0, read_value=False)]):
                return variable.read_value() + h
        return h * 3.0

    def function_cond(self):
        """A cond of functions, as control flow v2 has it."""
        predicate, given = self._predicate(), self._some() + 0.0
        v1.enable_control_flow_v2()
        try:
            return v1.cond(predicate, lambda: self._body_of_function(given), lambda: self._body_of_function(given))
        finally:
            v1.disable_control_flow_v2()

    def call(self):
        return tf.function(self._body_of_function)(self._some() + 0.0)


def build(seed: int) -> None:
    """Makes the random graph of a seed in the default graph."""
    v1.disable_control_flow_v2()
    Grower(seed).build()
