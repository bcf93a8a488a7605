"""Models with inputs that inference always feeds the same, and what the frozen graph is to be without them.

Each function builds a model whose outputs end in `out`; MODELS has the value of the input that is baked.
"""

from collections.abc import Callable

import tensorflow as tf

from dropout_forms import FORMS, of_1_12, uniform
from kinds import control_flow, features, raw, v1, weights


def _flag(name: str = "is_training"):
    return v1.placeholder(tf.bool, [], name=name)


def batch_norm(version: int, resource: bool) -> Callable[[], None]:
    """As tf.layers and slim write it: moments and updates on one side of a cond, the averages on the other."""

    def build() -> None:
        with control_flow(version):
            x, flag = features(), _flag()
            w = weights("kernel", [3, 3], resource)
            mean, variance = weights("mean", [3], resource), weights("var", [3], resource)
            h = tf.matmul(x, w)
            now = tf.reduce_mean(h, 0), tf.math.reduce_variance(h, 0)

            def train():
                done = [old.assign(0.9 * old + 0.1 * new) for old, new in ((mean, now[0]), (variance, now[1]))]
                with tf.control_dependencies(done):
                    return tf.identity(now[0]), tf.identity(now[1])

            used = v1.cond(flag, train, lambda: (mean.read_value(), variance.read_value()))
            tf.identity((h - used[0]) * tf.math.rsqrt(used[1] ** 2 + 1e-3), name="out")

    return build


def slim_arg(version: int) -> Callable[[], None]:
    """The flag goes through a logical op, and decides conds one in the other."""

    def build() -> None:
        with control_flow(version):
            _slim_arg()

    return build


def _slim_arg() -> None:
    x, flag = features(), _flag("phase_train")
    a, b = weights("a", [3, 3]), weights("b", [3, 3])
    evaluating = tf.logical_not(flag)
    inner = lambda: v1.cond(evaluating, lambda: tf.matmul(x, a), lambda: tf.matmul(x, b))  # noqa: E731
    h = v1.cond(flag, lambda: tf.matmul(x, b) * 2, inner)
    tf.identity(h + v1.cond(tf.equal(tf.cast(flag, tf.int32), 1), lambda: h, lambda: tf.tanh(h)), name="out")


def learning_phase(version: int) -> Callable[[], None]:
    def build() -> None:
        with control_flow(version):
            x = features()
            phase = v1.placeholder_with_default(False, [], name="keras_learning_phase")
            h = tf.matmul(x, weights("w", [3, 3]))
            tf.identity(v1.cond(phase, lambda: tf.nn.dropout(h, rate=0.5), lambda: tf.identity(h)) + 1, name="out")

    return build


def cond_in_a_loop() -> None:
    with control_flow(1):
        x, flag, w = features(), _flag(), weights("w", [3, 3])

        def body(i, h):
            return i + 1, v1.cond(flag, lambda: tf.matmul(h, w), lambda: tf.tanh(h))

        tf.identity(v1.while_loop(lambda i, h: i < 3, body, [0, tf.matmul(x, w)])[1], name="out")


def if_in_functions() -> None:
    """An If in a function in a function; another call of the same function decides nothing."""
    with control_flow(2):
        x, flag, w = features(), _flag(), weights("w", [3, 3], resource=True)

        @tf.function
        def inner(h, training):
            return v1.cond(training, lambda: tf.tanh(h) * 2, lambda: tf.matmul(h, h, transpose_a=True))

        @tf.function
        def outer(h, training):
            return inner(h, tf.logical_not(training)) + tf.matmul(inner(h, training)[:1], tf.ones([3, 3]))

        h = tf.matmul(x, w)[:3]
        tf.identity(outer(h, flag)[:1] + outer(h, tf.reduce_sum(x) > 0)[:1], name="out")


def write_under_a_flag(resource: bool) -> Callable[[], None]:
    """A read that comes after a cond finds what was written on one side of it."""

    def build() -> None:
        with control_flow(1):
            x, flag, w = features(), _flag(), weights("w", [3, 3], resource)
            done = v1.cond(flag, lambda: tf.group(w.assign_add(tf.ones([3, 3]))), tf.no_op)
            with tf.control_dependencies([done]):
                tf.identity(tf.matmul(x, w.read_value()), name="out")

    return build


def late_flag() -> None:
    """The flag is computed, and fed all the same; it goes into the output as well."""
    with control_flow(1):
        x, step, w = features(), v1.placeholder(tf.int32, [], name="step"), weights("w", [3, 3])
        late = tf.greater(step, 10, name="late")
        tf.identity(v1.cond(late, lambda: tf.matmul(x, w), lambda: x) + tf.cast(late, tf.float32), name="out")


def case() -> None:
    with control_flow(2):
        x, branch = features(), v1.placeholder(tf.int32, [], name="branch")
        w = weights("w", [3, 3], resource=True)
        sides = [lambda: tf.matmul(x, w), lambda: tf.tanh(x), lambda: x * 2]
        tf.identity(tf.matmul(tf.switch_case(branch, sides), w), name="out")


def dropout(form: Callable, in_function: bool = False) -> Callable[[], None]:
    """One in the middle of a network, and one that masks what is fed."""

    def build() -> None:
        x, keep = features(), v1.placeholder(tf.float32, [], name="keep_prob")
        drop = tf.function(form) if in_function else form
        h = drop(tf.nn.relu(tf.matmul(x, weights("w", [3, 3])) + 1), keep)
        tf.identity(tf.matmul(h, weights("last", [3, 3])) + drop(x, keep), name="out")

    return build


def dropout_in_a_loop() -> None:
    """Of what a loop reads from a TensorArray, into which something else has written: both wait for that."""
    with control_flow(1):
        x, keep, w = features(), v1.placeholder(tf.float32, [], name="keep_prob"), weights("w", [3, 3])
        rows = tf.TensorArray(tf.float32, 3, element_shape=[None, 3]).unstack(tf.stack([x, x * 2, x + 1]))

        def body(i, h):
            return i + 1, tf.matmul(h, w) + of_1_12(rows.read(i), keep)

        shapes = [tf.TensorShape([]), tf.TensorShape([None, 3])]
        tf.identity(v1.while_loop(lambda i, h: i < 3, body, [0, x], shapes)[1], name="out")


def dropout_after_a_write() -> None:
    """The mask waits for a write into a TensorArray, for which what it masks does not wait."""
    x, keep = features(), v1.placeholder(tf.float32, [], name="keep_prob")
    box = raw.TensorArrayV3(size=2, dtype=tf.float32)
    h = tf.nn.relu(tf.matmul(x, weights("w", [3, 3])))
    written = raw.TensorArrayWriteV3(handle=box[0], index=0, value=h, flow_in=box[1])
    with tf.control_dependencies([written]):
        late = tf.identity(keep)
    mask = raw.Floor(x=raw.Add(x=late, y=uniform(h)))
    tf.identity(raw.Mul(x=raw.RealDiv(x=h, y=keep), y=mask), name="out")


MODELS: dict[str, tuple[Callable[[], None], dict[str, object]]] = {
    f"{name}, {value}": (build, {flag: value})
    for name, build, flag in (
        *(
            (f"batch norm, {version}, {resource}", batch_norm(version, resource), "is_training")
            for version, resource in ((1, False), (1, True), (2, True))
        ),
        ("slim arg", slim_arg(1), "phase_train"),
        ("functional slim arg", slim_arg(2), "phase_train"),
        ("learning phase", learning_phase(1), "keras_learning_phase"),
        ("functional learning phase", learning_phase(2), "keras_learning_phase"),
        ("cond in a loop", cond_in_a_loop, "is_training"),
        ("If in functions", if_in_functions, "is_training"),
        ("write under a flag", write_under_a_flag(False), "is_training"),
        ("write to a resource under a flag", write_under_a_flag(True), "is_training"),
    )
    for value in (False, True)
}
MODELS |= {f"case {branch}": (case, {"branch": branch}) for branch in (-1, 0, 1, 7)}
MODELS |= {f"dropout of {name}": (dropout(form), {"keep_prob": 1.0}) for name, form in FORMS.items()}
MODELS |= {f"half of a dropout of {name}": (dropout(form), {"keep_prob": 0.5}) for name, form in FORMS.items()}
MODELS["dropout in a function"] = (dropout(of_1_12, in_function=True), {"keep_prob": 1.0})
MODELS["dropout in a loop"] = (dropout_in_a_loop, {"keep_prob": 1.0})
MODELS["dropout after a write"] = (dropout_after_a_write, {"keep_prob": 1.0})
