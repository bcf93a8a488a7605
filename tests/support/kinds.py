"""Small models of every kind that people have; each function builds one in the default graph.

SAME are those that TensorFlow's freeze_graph freezes right, REPAIRED those where it raises or writes a graph that
cannot be used, REFUSED (with the cause) those that nobody can freeze. All have outputs named `out`, or OUTPUTS says.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import control_flow_util, data_flow_ops

v1 = tf.compat.v1
raw = tf.raw_ops


@contextlib.contextmanager
def control_flow(version: int) -> Iterator[None]:
    """Conds and loops as Switch and Merge (1), or as functions (2)."""
    before = control_flow_util.ENABLE_CONTROL_FLOW_V2
    control_flow_util.ENABLE_CONTROL_FLOW_V2 = version == 2
    try:
        yield
    finally:
        control_flow_util.ENABLE_CONTROL_FLOW_V2 = before


def weights(name: str, shape: list[int], resource: bool = False, **options):
    """A float32 variable whose values differ from one another and by its name."""
    values = np.random.default_rng(len(name)).normal(size=shape).astype(np.float32)
    return v1.get_variable(name, initializer=values, use_resource=resource, **options)


def features(size: int = 3):
    return v1.placeholder(tf.float32, [None, size], name="x")


def plain(resource: bool) -> Callable[[], None]:
    def build() -> None:
        tf.nn.bias_add(tf.matmul(features(), weights("w", [3, 4], resource)), weights("b", [4], resource), name="out")

    return build


def gather() -> None:
    tf.gather(weights("table", [7, 3], True), v1.placeholder(tf.int32, [None], name="ids"), name="gathered")
    tf.identity(v1.get_default_graph().get_tensor_by_name("gathered:0"), name="out")


def gather_of_int64() -> None:
    ids = v1.placeholder(tf.int64, [None], name="ids")
    tf.identity(tf.nn.embedding_lookup(weights("table", [7, 3], True), ids), name="out")


def gather_nd() -> None:
    ids = v1.placeholder_with_default([[1, 2], [0, 1]], [None, 2], name="ids")
    tf.identity(tf.gather_nd(weights("table", [7, 3], True), ids), name="out")


def gather_with_batch_dims() -> None:
    ids = v1.placeholder_with_default([[1, 2], [0, 1]], [2, 2], name="ids")
    table = weights("table", [2, 3, 4], True)
    raw.ResourceGather(resource=table.handle, indices=ids, dtype=tf.float32, batch_dims=1, name="rows")
    tf.identity(v1.get_default_graph().get_tensor_by_name("rows:0"), name="out")


def partitioned(axis: int, parts: int) -> Callable[[], None]:
    def build() -> None:
        partitioner = v1.fixed_size_partitioner(parts, axis)
        w = v1.get_variable(
            "w", [6, 5], initializer=v1.random_normal_initializer(seed=1), partitioner=partitioner, use_resource=False
        )
        tf.matmul(features(6), tf.convert_to_tensor(w), name="out")

    return build


def while_loop(version: int, resource: bool) -> Callable[[], None]:
    def build() -> None:
        x, w = features(), weights("w", [3, 3], resource)
        with control_flow(version):
            result = v1.while_loop(
                lambda i, h: i < 3, lambda i, h: (i + 1, tf.tanh(tf.matmul(h, w))), [tf.constant(0), x]
            )
        tf.identity(result[1], name="out")

    return build


def cond(version: int, resource: bool) -> Callable[[], None]:
    def build() -> None:
        x, a, b = features(), weights("a", [3, 2], resource), weights("beta", [3, 2], resource)
        flag = v1.placeholder_with_default(True, [], name="flag")
        with control_flow(version):
            result = v1.cond(flag, lambda: tf.matmul(x, a), lambda: tf.matmul(x, b) + 1)
        tf.identity(result, name="out")

    return build


def read_through_a_loop() -> None:
    """A loop that was given a handle hands it on, and the variable is read through that."""
    kernel = weights("kernel", [3, 3], resource=True)
    with control_flow(2):
        _, state = tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, tf.tanh(s @ kernel)), [0, features()])
    loop = next(op for op in v1.get_default_graph().get_operations() if op.type in ("While", "StatelessWhile"))
    (handle,) = (output for output in loop.outputs if output.dtype == tf.resource)
    tf.matmul(state, tf.raw_ops.ReadVariableOp(resource=tf.identity(handle), dtype=tf.float32), name="out")


def nested_functions() -> None:
    """A cond in a loop, both functions, over resource variables."""
    x, a, b = features(), weights("a", [3, 3], True), weights("beta", [3, 3], True)
    with control_flow(2):
        result = v1.while_loop(
            lambda i, h: i < 4,
            lambda i, h: (
                i + 1,
                v1.cond(tf.equal(i % 2, 0), lambda: tf.matmul(h, a), lambda: tf.tanh(tf.matmul(h, b))),
            ),
            [tf.constant(0), x],
        )
    tf.identity(result[1], name="out")


def switch_case() -> None:
    x, a, b = features(), weights("a", [3, 2], True), weights("beta", [3, 2], True)
    which = v1.placeholder_with_default(1, [], name="which")
    with control_flow(2):
        result = tf.switch_case(which, [lambda: tf.matmul(x, a), lambda: tf.matmul(x, b), lambda: tf.matmul(x, a + b)])
    tf.identity(result, name="out")


def function_that_captures() -> None:
    """One that a graph calls twice."""
    w = weights("w", [3, 3], True)

    @tf.function
    def layer(x):
        return tf.nn.relu(tf.matmul(x, w))

    tf.identity(layer(layer(features())), name="out")


def gather_in_a_function() -> None:
    table = weights("table", [7, 3], True)

    @tf.function
    def look_up(ids):
        return tf.gather(table, ids)

    tf.identity(look_up(v1.placeholder(tf.int32, [None], name="ids")), name="out")


def gathers_beside_their_axes() -> None:
    """Nodes that are called as the axis of a converted gather would be, in the graph and in a function."""
    table, ids = weights("table", [7, 3], True), v1.placeholder(tf.int32, [None], name="ids")
    factor = tf.constant(2.0, name="rows/axis") + tf.constant(1.0, name="rows/axis_1")
    tf.constant(5.0, name="last/axis")  # that no output needs
    rows = raw.ResourceGather(resource=table.handle, indices=ids, dtype=tf.float32, name="rows")
    last = raw.ResourceGather(resource=table.handle, indices=ids, dtype=tf.float32, name="last")

    @tf.function
    def look_up(ids):
        again = raw.ResourceGather(resource=table.handle, indices=ids, dtype=tf.float32, name="again")
        return again * tf.identity(3.0, name="again/axis")

    tf.add(rows * factor + last, look_up(ids), name="out")


def unsigned_counts(dtype, resource: bool) -> Callable[[], None]:
    """Variables of a dtype that Add lacks are read after something was added to one, and taken from the other."""

    def build() -> None:
        x = features()
        more, less = (
            v1.get_variable(name, initializer=tf.constant([3, 4], dtype), use_resource=resource)
            for name in ("more", "less")
        )
        by = tf.cast(x[0, :2] * 0.0 + 2.0, dtype)
        with tf.control_dependencies([v1.assign_add(more, by).op, v1.assign_sub(less, by).op]):
            counts = [count.read_value() if resource else tf.identity(count._ref()) for count in (more, less)]
        factor = tf.add_n([tf.cast(count, tf.float32) for count in counts])
        tf.matmul(x, weights("w", [3, 2], True) * factor, name="out")

    return build


def old_variable_op() -> None:
    """The op of TensorFlow 0.x."""
    variable = raw.Variable(shape=[3, 2], dtype=tf.float32, name="w")
    v1.add_to_collection("to_run", raw.Assign(ref=variable, value=tf.random.stateless_normal([3, 2], [1, 2])).op)
    v1.add_to_collection("to_save", variable)
    tf.matmul(features(), raw.Identity(input=variable), name="out")


def is_initialized() -> None:
    """The output takes the variable's value only if it has one."""
    x, w = features(), weights("w", [3, 2])
    with control_flow(1):
        value = v1.cond(v1.is_variable_initialized(w), lambda: w.read_value(), lambda: w.initial_value)
    tf.matmul(x, value, name="out")


def batch_norm(flag_is_fed: bool, version: int, resource: bool) -> Callable[[], None]:
    """Moving averages that are updated on the way to the output, where a flag says so."""

    def build() -> None:
        x = features()
        moving = weights("moving_mean", [3], resource, trainable=False)
        scale = weights("gamma", [3], resource)
        mean = tf.reduce_mean(x, 0)
        flag = v1.placeholder(tf.bool, [], name="is_training") if flag_is_fed else tf.constant(False)

        def update():
            with tf.control_dependencies([v1.assign(moving, moving * 0.9 + mean * 0.1)]):
                return tf.identity(mean)

        with control_flow(version):
            centre = v1.cond(flag, update, lambda: tf.identity(moving))
        tf.multiply(x - centre, scale, name="out")

    return build


def batch_norm_beside_its_cond() -> None:
    """The averages are updated in each run, and read in no order with that on the side of the cond that runs."""
    x, scale = features(300), weights("gamma", [300])
    moving = weights("moving_mean", [300], trainable=False)
    flag = v1.placeholder(tf.bool, [], name="is_training")
    mean = tf.reduce_mean(x, 0)
    update = v1.assign(moving, moving * 0.9 + mean * 0.1)

    def train():
        with tf.control_dependencies([update]):
            return (x - mean) * scale

    with control_flow(1):
        result = v1.cond(flag, train, lambda: (x - moving) * scale)
    tf.identity(result, name="out")


def assigned_on_the_way(op: str) -> Callable[[], None]:
    def build() -> None:
        x, state = features(), weights("state", [3])
        changed = {"assign": v1.assign, "add": v1.assign_add, "sub": v1.assign_sub}[op](state, state * 0.5)
        tf.add(x, changed, name="out")

    return build


def resource_assigned_on_the_way() -> None:
    x, state = features(), weights("state", [3], True)
    with tf.control_dependencies([state.assign_add(state * 0.5).op]):
        tf.add(x, state.read_value(), name="out")


def read_after_write(resource: bool) -> Callable[[], None]:
    """The output reads a variable that was changed just before, by as much as an input says."""

    def build() -> None:
        x, state = features(), weights("state", [3], resource)
        rate = v1.placeholder_with_default(0.0, [], name="rate")
        with tf.control_dependencies([v1.assign_sub(state, (state - tf.reduce_mean(x, 0)) * rate)]):
            tf.add(x, state.read_value(), name="out")

    return build


def alias_of_what_is_written() -> None:
    """An Identity that was there before the write, and may show it or not."""
    x, state = features(), weights("state", [3])
    before = tf.identity(state)
    with tf.control_dependencies([v1.assign_add(state, tf.ones([3]))]):
        tf.add(x, before, name="out")


def loop_that_writes(version: int) -> Callable[[], None]:
    """Each round reads what the round before it wrote."""

    def build() -> None:
        x, state = features(), weights("state", [3], True)

        def step(i, h):
            with tf.control_dependencies([state.assign_add(tf.ones([3]))]):
                return i + 1, h + state.read_value()

        with control_flow(version):
            result = v1.while_loop(lambda i, h: i < 3, step, [tf.constant(0), x])
        tf.identity(result[1], name="out")

    return build


def read_after_a_function_that_writes() -> None:
    x, state = features(), weights("state", [3], True)

    @tf.function
    def count():
        state.assign_add(tf.ones([3]))
        return tf.constant(1.0)

    with tf.control_dependencies([count()]):
        tf.add(x, state.read_value(), name="out")


def reads_between_writes() -> None:
    """Each read finds what the write before it left."""
    x, state = features(), weights("state", [3], True)
    with tf.control_dependencies([state.assign_sub(state * 0.5)]):
        first = state.read_value()
    with tf.control_dependencies([first]):
        second = state.assign_add(tf.ones([3]))
    with tf.control_dependencies([second]):
        tf.add(x * first, state.read_value(), name="out")


def only_overwritten(resource: bool) -> Callable[[], None]:
    """A variable that is written on the way, and that nothing reads; the checkpoint need not have it."""

    def build() -> None:
        x, w, last = features(), weights("w", [3]), weights("last", [3], resource)
        tf.add(x * w, v1.assign(last, tf.reduce_mean(x, 0)), name="out")

    return build


RANGES = {"w/min": -6.0, "w/max": 6.0, "h/min": -1.0, "h/max": 5.0}


def with_resources(build: Callable[[], None]) -> Callable[[], None]:
    def build_with_resources() -> None:
        with v1.variable_scope("", use_resource=True):
            build()

    return build_with_resources


def moved_range() -> None:
    """Quantisation in training: the range of a tensor is a moving average that each run moves and then uses."""
    x, w = features(), weights("w", [3, 2])
    low, high = (weights(name, [], trainable=False) for name in ("min", "max"))
    h = tf.matmul(x, w)
    moved = [
        v1.assign(variable, variable * 0.9 + value * 0.1)
        for variable, value in ((low, tf.reduce_min(h) - 1.0), (high, tf.reduce_max(h) + 1.0))
    ]
    tf.quantization.fake_quant_with_min_max_vars(h, *moved, name="out")


def quantised_in_training() -> None:
    """As contrib.quantize leaves it: the weights' range is overwritten, and that of a layer moves on, in each run."""
    x, w = features(), weights("w", [3, 2])
    ends = {name: v1.get_variable(name, initializer=value, trainable=False) for name, value in RANGES.items()}
    last = v1.assign(ends["w/min"], tf.reduce_min(w)), v1.assign(ends["w/max"], tf.reduce_max(w))
    quantised = tf.quantization.fake_quant_with_min_max_vars(w, *last, num_bits=8, narrow_range=True)
    h = tf.nn.relu(tf.matmul(x, quantised))
    low, high = ends["h/min"], ends["h/max"]
    moved = [
        v1.assign_sub(low, (low - tf.minimum(tf.reduce_min(h), 0.0)) * 0.001),
        v1.assign_sub(high, (high - tf.maximum(tf.reduce_max(h), 0.0)) * 0.001),
    ]
    tf.nn.softmax(tf.quantization.fake_quant_with_min_max_vars(h, *moved), name="out")


def scattered(op: str, resource: bool, scalar: bool = False) -> Callable[[], None]:
    """Rows of a variable are written on the way: some of them twice, where the order of the writes is certain."""

    def build() -> None:
        x, state = features(), weights("state", [5, 3], resource)
        rows = v1.placeholder_with_default([3, 0, 3], [None], name="rows")
        if op in ("mul", "div"):
            rows = tf.constant([[3], [0]])
        values = tf.reduce_mean(x) if scalar else tf.tile(tf.reduce_mean(x, 0)[None], [3, 1])
        if op == "mul":
            values = tf.reduce_mean(x)
        if op == "div":
            values = tf.constant([[[2.0, 3.0, 4.0]], [[5.0, 6.0, 7.0]]])
        written = getattr(v1, f"scatter_{op}")(state, rows, values)
        with tf.control_dependencies([written]):
            tf.add(tf.reduce_sum(state.read_value() if resource else tf.identity(state._ref()), 0), x, name="out")

    return build


def scattered_points(op: str, resource: bool) -> Callable[[], None]:
    def build() -> None:
        x, state = features(), weights("state", [5, 3], resource)
        points = v1.placeholder_with_default([[3, 1], [0, 2], [3, 1]], [None, 2], name="points")
        name = f"{'Resource' if resource else ''}ScatterNd{op}"
        handle = state.handle if resource else state._ref()
        values = tf.reduce_sum(x, 0)
        with tf.control_dependencies([getattr(raw, name)(ref=handle, indices=points, updates=values)]):
            tf.add(tf.reduce_sum(state.read_value() if resource else tf.identity(state._ref()), 0), x, name="out")

    return build


def padding_row() -> None:
    """The row of the padding is made zero in each run, and the table is looked up in after that."""
    ids, table = v1.placeholder(tf.int32, [None, None], name="ids"), weights("table", [7, 3])
    rows = tf.nn.embedding_lookup(v1.scatter_update(table, 0, tf.zeros([3])), ids)
    tf.reduce_mean(rows, 1, name="out")


def scattered_in_a_function() -> None:
    x, state = features(), weights("state", [5, 3], True)

    @tf.function(autograph=False)
    def count(x):
        state.scatter_nd_add([[1]], x[:1])
        state.scatter_sub(tf.IndexedSlices(x[:1], [3]))
        return tf.reduce_sum(state.read_value(), 0)

    tf.add(x, count(x), name="out")


def scattered_twice() -> None:
    """Two writes, each of which the next one finds, by the output of the first."""
    x, state = features(), weights("state", [5, 3])
    first = v1.scatter_add(state, [1, 2], tf.tile(tf.reduce_mean(x, 0)[None], [2, 1]))
    second = v1.scatter_update(first, [[2]], tf.reduce_max(x))
    tf.add(x, tf.reduce_sum(second, 0), name="out")


def scattered_in_a_loop() -> None:
    x, state = features(), weights("state", [5, 3], True)

    def step(i, h):
        with tf.control_dependencies([raw.ResourceScatterAdd(resource=state.handle, indices=[i], updates=h[:1])]):
            return i + 1, tf.identity(h)

    with control_flow(1):
        tf.identity(v1.while_loop(lambda i, h: i < 3, step, [0, x])[1], name="out")


def scattered_in_no_order(op: str) -> Callable[[], None]:
    """Rows that may be the same, multiplied or divided: the rounding depends on how many factors a row gets."""

    def build() -> None:
        x, state = features(), weights("state", [5, 3])
        rows = v1.placeholder_with_default([3, 0, 3], [None], name="rows")
        written = getattr(v1, f"scatter_{op}")(state, rows, tf.exp(tf.reduce_mean(x)))
        tf.add(x, tf.reduce_sum(written, 0), name="out")

    return build


def gather_in_a_loop() -> None:
    ids, table = v1.placeholder(tf.int32, [None], name="ids"), weights("table", [5, 3], True)
    ids_in_range = tf.math.floormod(ids, 5)
    with control_flow(1):
        _, total = v1.while_loop(
            lambda i, h: i < 2,
            lambda i, h: (i + 1, h + tf.gather(table, ids_in_range)),
            [0, tf.zeros([tf.shape(ids)[0], 3])],
            shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, 3])],
        )
    tf.identity(total, name="out")


def gather_in_a_map() -> None:
    ids, table = v1.placeholder(tf.int32, [None, 4], name="ids"), weights("table", [5, 3], True)
    with control_flow(1):
        rows = v1.map_fn(lambda row: tf.nn.embedding_lookup(table, tf.math.floormod(row, 5)), ids, dtype=tf.float32)
    tf.reduce_mean(rows, 1, name="out")


def cond_that_only_writes() -> None:
    """Each branch writes a variable of its own and returns a number; nobody reads the variables."""
    x, w = features(), weights("w", [3])
    a, b = weights("a", [], True), weights("b", [], True)

    def branch(variable, value: float) -> Callable:
        def write():
            with tf.control_dependencies([variable.assign(value, read_value=False)]):
                return tf.constant(value)

        return write

    with control_flow(1):
        number = v1.cond(tf.reduce_sum(x) > 0, branch(a, 5.0), branch(b, 7.0))
    tf.add(x * w, number, name="out")


def value_and_update_of_a_metric() -> None:
    """Read and moved in no order where both are run, as tf.metrics has it; `out` alone runs no write."""
    x, w = features(), weights("w", [3])
    total, count = weights("total", [], True), weights("count", [], True)
    loss = tf.reduce_mean(x * w)
    tf.math.divide_no_nan(total.read_value(), count.read_value(), name="value")
    with tf.control_dependencies([total.assign_add(loss, read_value=False), count.assign_add(1.0, read_value=False)]):
        tf.math.divide_no_nan(total.read_value(), count.read_value(), name="update")
    tf.add(x, w, name="out")


def alias_through(share: Callable) -> Callable[[], None]:
    """A tensor in the variable's memory that is made before a write and used after it."""

    def build() -> None:
        x, state = features(), weights("state", [3])
        shared = share(tf.identity(state._ref()))
        with tf.control_dependencies([shared]):
            write = v1.assign_add(state, tf.where(tf.reduce_max(x) > 1000.0, tf.ones([3]), tf.zeros([3]))).op
        with tf.control_dependencies([write]):
            tf.add(x, shared * 2.0, name="out")

    return build


def conditional_write_before_a_read(resource: bool) -> Callable[[], None]:
    """The write happens for large inputs alone, and the read comes after the cond in any case."""

    def build() -> None:
        x, state = features(), weights("state", [3], resource)
        with control_flow(1):
            done = v1.cond(
                tf.reduce_max(x) > 1000.0, lambda: tf.identity(v1.assign(state, tf.ones([3]))), lambda: tf.zeros([3])
            )
        with tf.control_dependencies([done]):
            tf.add(x, state.read_value() if resource else tf.identity(state._ref()), name="out")

    return build


def write_under_another_name(resource: bool) -> Callable[[], None]:
    """Two nodes that are one variable by their shared_name: what the one writes, the other reads."""

    def build() -> None:
        x, state = features(), weights("state", [3], resource)
        if resource:
            twin = raw.VarHandleOp(dtype=tf.float32, shape=[3], shared_name="state", name="twin")
            write = raw.AssignVariableOp(resource=twin, value=tf.reduce_mean(x, 0))
        else:
            twin = raw.VariableV2(shape=[3], dtype=tf.float32, shared_name="state", name="twin")
            write = raw.Assign(ref=twin, value=tf.reduce_mean(x, 0)).op
        with tf.control_dependencies([write]):
            tf.add(x, state.read_value() if resource else tf.identity(state._ref()), name="out")

    return build


def ref_ops() -> None:
    """A reference goes through a cond as a reference."""
    x, w = features(), weights("w", [3, 2])
    flag = v1.placeholder_with_default(True, [], name="flag")
    off, on = raw.RefSwitch(data=w._ref(), pred=flag)
    merged = raw.RefMerge(inputs=[off, on]).output
    tf.matmul(x, raw.RefIdentity(input=merged), name="out")


def dropout_of_tflearn(saved: bool) -> Callable[[], None]:
    """tflearn keeps its training mode in a variable, and asks it in a cond."""

    def build() -> None:
        x, w = features(), weights("w", [3, 4])
        collections = None if saved else ["not saved"]
        training = v1.get_variable(
            "is_training", initializer=False, trainable=False, use_resource=False, collections=collections
        )
        v1.add_to_collection("to_run", training.initializer)
        v1.add_to_collection("is_training", training)
        hidden = tf.matmul(x, w)
        with control_flow(1):
            dropped = v1.cond(training, lambda: tf.nn.dropout(hidden, rate=0.5), lambda: hidden)
        tf.identity(dropped, name="out")

    return build


def collection_of_missing_ops() -> None:
    """What tflearn and other libraries leave behind: a collection that names what the graph lacks."""
    plain(False)()
    v1.add_to_collection("layers", "gone/before:0")


def table_of_constants() -> None:
    words = v1.placeholder(tf.string, [None], name="words")
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer([b"ice", b"snow"], np.array([1, 2], np.int64)), default_value=0
    )
    v1.add_to_collection("to_run", v1.tables_initializer())
    tf.identity(tf.nn.embedding_lookup(weights("embedding", [3, 4]), table.lookup(words)), name="out")


def table_by_reference() -> None:
    """As TensorFlow made it before there were handles of resources."""
    words = v1.placeholder(tf.string, [None], name="words")
    table = tf.raw_ops.HashTable(key_dtype=tf.string, value_dtype=tf.int64, shared_name="words")
    keys, values = tf.constant([b"ice", b"snow"]), tf.constant([1, 2], tf.int64)
    v1.add_to_collection("to_run", tf.raw_ops.InitializeTable(table_handle=table, keys=keys, values=values))
    found = tf.raw_ops.LookupTableFind(table_handle=table, keys=words, default_value=tf.constant(0, tf.int64))
    tf.identity(tf.nn.embedding_lookup(weights("embedding", [3, 4]), found), name="out")


def queue_input() -> None:
    queue = data_flow_ops.FIFOQueue(10, [tf.float32, tf.int32], shapes=[[3], []], name="queue")
    batch, _ = queue.dequeue_many(2, name="batch")
    tf.matmul(batch, weights("w", [3, 2]), name="out")


def queue_of_one() -> None:
    queue = data_flow_ops.FIFOQueue(10, [tf.float32], shapes=[[2, 3]], name="queue")
    tf.matmul(queue.dequeue(name="batch"), weights("w", [3, 2]), name="out")


def iterator_input() -> None:
    dataset = tf.data.Dataset.from_tensor_slices(np.eye(3, dtype=np.float32)).batch(2)
    batch = v1.data.make_initializable_iterator(dataset).get_next()
    tf.matmul(batch, weights("w", [3, 2]), name="out")


def staging_area_input() -> None:
    area = data_flow_ops.StagingArea([tf.float32], shapes=[[2, 3]])
    tf.matmul(area.get()[0], weights("w", [3, 2]), name="out")


def python_function() -> None:
    y = v1.py_func(lambda a: a, [tf.matmul(features(), weights("w", [3, 2]))], tf.float32)
    tf.identity(y, name="out")


def asked_for_product() -> None:
    asked_for(lambda: tf.matmul([[2.0]], [[3.0]]))


def unsaved_of_strings() -> None:
    words = tf.fill([2], "ab\0")
    local = v1.get_variable("local", initializer=words, use_resource=False, collections=[v1.GraphKeys.LOCAL_VARIABLES])
    v1.add_to_collection("to_run", local.initializer)
    lengths = tf.cast(tf.strings.length(local), tf.float32)
    tf.add(tf.matmul(features(), weights("w", [3, 2])), lengths, name="out")


def unsaved(initial: Callable[[], tf.Tensor], resource: bool = False) -> Callable[[], None]:
    """A local variable, which no Saver saves by itself, on the way to the output."""

    def build() -> None:
        w = weights("w", [3, 2])
        collections = [v1.GraphKeys.LOCAL_VARIABLES]
        local = v1.get_variable("local", initializer=initial, use_resource=resource, collections=collections)
        v1.add_to_collection("to_run", local.initializer)
        tf.add(tf.matmul(features(), w), local, name="out")

    return build


def copied() -> tf.Tensor:
    return v1.global_variables()[0].initialized_value()[0]


def read_from_a_file() -> tf.Tensor:
    eight = tf.strings.substr(tf.io.read_file(__file__), 0, 8)
    return tf.reshape(tf.io.decode_raw(eight, tf.float32), [2])


def computed() -> tf.Tensor:
    ones = tf.ones_like(tf.fill([2], 3.0))
    return tf.cast(tf.stack([tf.constant(7, tf.int64), 9]), tf.float32) * 0.1 / 3.0 - (ones + tf.zeros([2]))


def unsaved_averages(resource: bool) -> Callable[[], None]:
    """A Saver of the trainable variables alone leaves out what a batch normalisation keeps."""

    def build() -> None:
        hidden = tf.matmul(features(), weights("w", [3, 2], resource))
        kept = {"trainable": False, "use_resource": resource}
        mean = v1.get_variable("moving_mean", [2], initializer=v1.zeros_initializer(), **kept)
        variance = v1.get_variable("moving_variance", [2], initializer=v1.ones_initializer(), **kept)
        v1.add_to_collections(v1.GraphKeys.UPDATE_OPS, v1.assign_sub(mean, 0.1 * (mean - tf.reduce_mean(hidden, 0))))
        normal = tf.nn.batch_normalization(hidden, mean, variance, weights("beta", [2], resource), None, 1e-3)
        tf.identity(normal, name="out")
        for variable in v1.trainable_variables():
            v1.add_to_collection("to_save", variable)

    return build


def unsaved_counter() -> None:
    count = v1.get_variable("count", initializer=5.0, use_resource=True, collections=[v1.GraphKeys.LOCAL_VARIABLES])
    v1.add_to_collection("to_run", count.initializer)
    with tf.control_dependencies([count.assign_add(1.0)]):
        tf.add(tf.matmul(features(), weights("w", [3, 2])), count.read_value(), name="out")


def asked_for(initial=lambda: tf.constant(5.0)) -> None:
    """Programs that run the initializers find the variable initialized."""
    local = v1.get_variable("local", initializer=initial, use_resource=True, collections=[v1.GraphKeys.LOCAL_VARIABLES])
    v1.add_to_collection("to_run", local.initializer)
    known = tf.cast(v1.is_variable_initialized(local), tf.float32)
    tf.add(tf.matmul(features(), weights("w", [3, 2])), known, name="out")


SAME = {
    "reference variables": plain(False),
    "resource variables": plain(True),
    "gather": gather,
    "gather, int64": gather_of_int64,
    "gather_nd": gather_nd,
    "slices by row": partitioned(0, 3),
    "slices by column": partitioned(1, 5),
    "loop": while_loop(1, False),
    "loop over resources": while_loop(1, True),
    "functional loop over references": while_loop(2, False),
    "cond": cond(1, False),
    "cond over resources": cond(1, True),
    "functional cond": cond(2, False),
    "functional cond over resources": cond(2, True),
    "functional switch": switch_case,
    "function that captures": function_that_captures,
    "collection of missing ops": collection_of_missing_ops,
}
REPAIRED = {
    "old Variable op": old_variable_op,
    "gather with batch_dims": gather_with_batch_dims,
    "gather in a function": gather_in_a_function,
    "gathers beside their axes": gathers_beside_their_axes,
    "functional loop over resources": while_loop(2, True),
    "read through a loop": read_through_a_loop,
    "cond in a loop, functional": nested_functions,
    "is initialized": is_initialized,
    "uint16 counts": unsigned_counts(tf.uint16, True),
    "uint32 counts": unsigned_counts(tf.uint32, True),
    "uint64 counts": unsigned_counts(tf.uint64, True),
    "uint16 counts, references": unsigned_counts(tf.uint16, False),
    "batch norm, fed flag, references": batch_norm(True, 1, False),
    "batch norm, fed flag, resources": batch_norm(True, 1, True),
    "batch norm, fed flag, functional, resources": batch_norm(True, 2, True),
    "batch norm, constant flag, references": batch_norm(False, 1, False),
    "batch norm beside its cond": batch_norm_beside_its_cond,
    "assign on the way": assigned_on_the_way("assign"),
    "assign_add on the way": assigned_on_the_way("add"),
    "assign_sub on the way": assigned_on_the_way("sub"),
    "resource assigned on the way": resource_assigned_on_the_way,
    "read after a write": read_after_write(False),
    "read after a write, resource": read_after_write(True),
    "reads between writes": reads_between_writes,
    "only overwritten": only_overwritten(False),
    "only overwritten, resource": only_overwritten(True),
    "moved range": moved_range,
    "quantised in training": quantised_in_training,
    "quantised in training, resources": with_resources(quantised_in_training),
    "padding row": padding_row,
    "scattered twice": scattered_twice,
    "scattered in a function": scattered_in_a_function,
    "scattered scalar": scattered("add", False, scalar=True),
    "scattered scalar, resource": scattered("update", True, scalar=True),
    **{
        f"scatter_{op}{', resource' if resource else ''}": scattered(op, resource)
        for op in ("update", "add", "sub", "mul", "div", "min", "max")
        for resource in (False, True)
    },
    **{
        f"ScatterNd{op}{', resource' if resource else ''}": scattered_points(op, resource)
        for op in ("Update", "Add", "Sub", "Min", "Max")
        for resource in (False, True)
    },
    "gather in a loop": gather_in_a_loop,
    "gather in a map": gather_in_a_map,
    "cond that only writes": cond_that_only_writes,
    "reference ops": ref_ops,
    "tflearn's dropout": dropout_of_tflearn(True),
    "tflearn's dropout, unsaved": dropout_of_tflearn(False),
    "unsaved variable": unsaved(lambda: tf.constant([2.0, 3.0])),
    "unsaved variable, resource": unsaved(lambda: tf.constant([2.0, 3.0]), True),
    "unsaved variable, computed": unsaved(computed, True),
    "unsaved averages": unsaved_averages(False),
    "unsaved averages, resources": unsaved_averages(True),
    "unsaved counter, written": unsaved_counter,
    "unsaved variable, asked for": asked_for,
    "unsaved variable of strings": unsaved_of_strings,
    "lookup table": table_of_constants,
    "lookup table by reference": table_by_reference,
    "queue": queue_input,
    "queue of batches": queue_of_one,
    "iterator": iterator_input,
    "staging area": staging_area_input,
}
REFUSED = {
    "python function": (python_function, "unsupported_op"),
    "alias of what is written": (alias_of_what_is_written, "unsupported_op"),
    "alias by reshape": (alias_through(lambda t: tf.reshape(t, [1, 3])), "unsupported_op"),
    "alias by expand_dims": (alias_through(lambda t: tf.expand_dims(t, 0)), "unsupported_op"),
    "alias by bitcast": (alias_through(lambda t: tf.bitcast(tf.bitcast(t, tf.int32), tf.float32)), "unsupported_op"),
    "alias by a sum over nothing": (alias_through(lambda t: tf.reduce_sum(t, axis=[])), "unsupported_op"),
    "alias by a cond": (alias_through(lambda t: v1.cond(tf.constant(True), lambda: t, lambda: t)), "unsupported_op"),
    "write under a condition": (conditional_write_before_a_read(False), "unsupported_op"),
    "write under a condition, resource": (conditional_write_before_a_read(True), "unsupported_op"),
    "write under another name": (write_under_another_name(False), "unsupported_op"),
    "write under another name, resource": (write_under_another_name(True), "unsupported_op"),
    "loop that writes": (loop_that_writes(1), "unsupported_op"),
    "functional loop that writes": (loop_that_writes(2), "unsupported_op"),
    "write of rows in a loop": (scattered_in_a_loop, "unsupported_op"),
    "write of rows that may be the same, product": (scattered_in_no_order("mul"), "unsupported_op"),
    "write of rows that may be the same, quotient": (scattered_in_no_order("div"), "unsupported_op"),
    "read after a function that writes": (read_after_a_function_that_writes, "unsupported_op"),
    "unsaved variable of a product, asked for": (asked_for_product, "unsupported_op"),
    "unsaved variable, random": (unsaved(lambda: tf.random.uniform([2], seed=3)), "missing_variable"),
    "unsaved variable, of another": (unsaved(copied), "missing_variable"),
    "unsaved variable, fed": (unsaved(lambda: v1.placeholder_with_default([1.0, 2.0], [2])), "missing_variable"),
    "unsaved variable, of files": (unsaved(read_from_a_file), "missing_variable"),
}


def save(build: Callable[[], None], directory: Path, **options) -> Path:
    """Builds a model in a graph of its own, initialises it, saves it, and gives its prefix.

    Args:
      options: of the Saver.
    """
    prefix = directory / "model.ckpt"
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(1)
        build()
        saver = v1.train.Saver(v1.get_collection("to_save") or None, **options)
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            for operation in v1.get_collection("to_run"):
                session.run(operation)
            graph.clear_collection("to_run")
            graph.clear_collection("to_save")
            saver.save(session, str(prefix), write_state=False)
    return prefix
