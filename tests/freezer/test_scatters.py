"""Writes to a part of a variable, in every dtype and shape: the frozen graph gives bit by bit what TensorFlow gives."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import kinds
from permafrost.freezer import scatters
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.ops.variables import REF_SCATTERS
from permafrost.judge.structure import nodes, scattered
from stages import frozen, imported, problem_of, sources

v1, raw = tf.compat.v1, tf.raw_ops
FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTEGERS = ["int32", "int64", "uint8", "uint16", "int16", "uint32", "uint64", "int8"]
COMPLEX = ["complex64", "complex128"]
DTYPES = {
    "Update": [*FLOATS, *INTEGERS, *COMPLEX, "bool", "string"],
    "Add": [*FLOATS, *INTEGERS, *COMPLEX],
    "Sub": [*FLOATS, *INTEGERS, *COMPLEX],
    "Mul": [*FLOATS, *INTEGERS, *COMPLEX],
    "Div": [*FLOATS, *INTEGERS],
    "Min": [*FLOATS, *INTEGERS],
    "Max": [*FLOATS, *INTEGERS],
}
# Shape of a variable, of the indices, and whether a scalar is written to all of the rows.
ROWS = [([6], [], False), ([6], [4], True), ([5, 3], [2, 2], False), ([7, 2, 2], [3], False), ([5, 3], [0], False)]
ROWS += [([5, 17], [], True), ([5, 17], [3], False)]
POINTS = [([6], [4, 1]), ([5, 3], [2, 2, 2]), ([5, 3], [3, 1]), ([4, 2, 3], [2, 2]), ([5, 3], [0, 1])]


def values(dtype: str, shape: list[int], random: np.random.Generator, nonzero: bool = False):
    """Random values, NaN and negative zeros among those that are compared by order or written as they are."""
    if dtype == "string":
        return tf.constant(random.integers(0, 99, shape).astype(str).astype(object), tf.string)
    kind = tf.as_dtype(dtype)
    numbers = random.integers(0, 100, shape) if kind.is_integer or kind.is_bool else random.normal(size=shape) * 9
    numbers = numbers + 1j * random.normal(size=shape) if kind.is_complex else numbers
    numbers = np.asarray(numbers).astype(kind.as_numpy_dtype)
    if kind.is_floating and numbers.ndim:
        numbers[random.random(shape) < 0.1] = -0.0
        numbers[random.random(shape) < 0.1] = np.nan
    return tf.constant(np.where(numbers == 0, np.ones_like(numbers), numbers) if nonzero else numbers, kind)


def op_of(manner: str, resource: bool, points: bool):
    return getattr(raw, f"{'Resource' if resource else ''}Scatter{'Nd' if points else ''}{manner}")


def write(variable, resource: bool, manner: str, indices, updates, points: bool, name: str, **options):
    """The variable's value after a write, as an output `name`."""
    place = variable.handle if resource else variable._ref()
    key = {"resource" if resource and not points else "ref": place}
    written = op_of(manner, resource, points)(indices=indices, updates=updates, **key, **options)
    if not resource:
        return tf.identity(written, name=name)
    with tf.control_dependencies([written]):
        return tf.identity(variable.read_value(), name=name)


def drawn_cases(manner: str, resource: bool, points: bool) -> list[tuple[int, str]]:
    """(number of the shapes, dtype) of each variable: all shapes for some dtypes, and two for the others.

    The least and the greatest of rows of a reference variable are defined for few dtypes.
    """
    few = manner in ("Min", "Max") and not resource and not points
    known = [dtype for dtype in DTYPES[manner] if not few or dtype in (*FLOATS, "int32", "int64")]
    shapes = range(len(POINTS if points else ROWS))
    return [(k, dtype) for k in shapes for dtype in known if k in (1, 2) or dtype in ("float32", "float16", "string")]


def opened(tensor, is_open: bool):
    """A tensor, or one whose shape the graph does not tell."""
    return v1.placeholder_with_default(tensor, None) if is_open else tensor


def of_rows(manner: str, resource: bool) -> list[str]:
    random, names = np.random.default_rng(1), []
    for number, dtype in drawn_cases(manner, resource, points=False):
        shape, of_indices, is_scalar = ROWS[number]
        name = f"{dtype}_{number}"
        start = v1.get_variable(f"v_{name}", initializer=values(dtype, shape, random), use_resource=resource)
        is_product = manner in ("Mul", "Div")
        count = int(np.prod(of_indices))
        drawn = random.permutation(shape[0])[:count] if is_product else random.integers(0, shape[0], count)
        indices = tf.constant(drawn.reshape(of_indices), tf.int64 if number % 2 else tf.int32)
        updates = values(dtype, [] if is_scalar else [*of_indices, *shape[1:]], random, nonzero=is_product)
        updates = opened(updates, manner != "Div" and dtype != "float32")
        write(start, resource, manner, opened(indices, not is_product), updates, False, name)
        names.append(name)
    return names


def of_points(manner: str, resource: bool) -> list[str]:
    random, names = np.random.default_rng(2), []
    for number, dtype in drawn_cases(manner, resource, points=True):
        shape, of_indices = POINTS[number]
        name, depth = f"{dtype}_{number}", of_indices[-1]
        start = v1.get_variable(f"v_{name}", initializer=values(dtype, shape, random), use_resource=resource)
        columns = [random.integers(0, size, of_indices[:-1]) for size in shape[:depth]]
        indices = tf.constant(np.stack(columns, -1), tf.int32 if number % 2 else tf.int64)
        updates = values(dtype, [*of_indices[:-1], *shape[depth:]], random)
        write(start, resource, manner, opened(indices, True), opened(updates, True), True, name)
        names.append(name)
    return names


CASES = [(of_rows, manner, resource) for manner in DTYPES for resource in (False, True)]
CASES += [
    (of_points, manner, resource) for manner in DTYPES if manner not in ("Mul", "Div") for resource in (False, True)
]


def made(build, directory, outputs):
    """The import record, the meta graph, the provenance and the frozen GraphDef of a graph."""
    kinds.save(build, directory)
    (source,) = sources(directory).values()
    record = imported(source, outputs=outputs)
    provenance, path = frozen(record, directory / "frozen", outputs=outputs)
    return record, read_meta_graph(record.meta), provenance, v1.GraphDef.FromString(path.read_bytes())


def results(record, graph_def, names: list[str]) -> list[list]:
    """What the checkpoint's graph and the frozen one give, without TensorFlow's optimisers."""
    config = v1.ConfigProto(intra_op_parallelism_threads=1)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = -1
    found = []
    for side in ("checkpoint", "frozen"):
        with tf.Graph().as_default() as graph:
            if side == "frozen":
                tf.import_graph_def(graph_def, name="")
            saver = v1.train.import_meta_graph(record.meta) if side == "checkpoint" else None
            with v1.Session(graph=graph, config=config) as session:
                if saver:
                    saver.restore(session, record.prefix)
                found.append(session.run([f"{name}:0" for name in names]))
    return found


@pytest.mark.parametrize(("build", "manner", "resource"), CASES)
def test_each_dtype_and_shape_gives_the_same_bits(build, manner, resource, tmp_path):
    names = []
    outputs = [f"{dtype}_{k}" for k, dtype in drawn_cases(manner, resource, points=build is of_points)]
    record, meta_graph, provenance, graph_def = made(lambda: names.extend(build(manner, resource)), tmp_path, outputs)
    assert names == outputs
    nodes.check(meta_graph, graph_def, provenance.cuts, record.outputs)
    assert not [node.op for node in graph_def.node if "Scatter" in node.op and not node.op.startswith("Tensor")]
    for name, theirs, ours in zip(names, *results(record, graph_def, names), strict=True):
        # The sign of a NaN depends on which of two operands a processor keeps.
        same = theirs.tobytes() == ours.tobytes() or np.array_equal(theirs, ours, equal_nan=theirs.dtype.kind in "fcV")
        assert theirs.dtype == ours.dtype and theirs.shape == ours.shape and same, (name, theirs, ours)


def test_both_sides_know_the_same_ops():
    assert set(scattered.REFERENCE_SCATTERS) == set(REF_SCATTERS)
    assert {*scattered.REFERENCE_SCATTERS, *scattered.HANDLE_SCATTERS} == set(scatters.SCATTERS)


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("resource", [False, True])
def test_an_index_out_of_range_is_an_error_in_both(points, resource, tmp_path):
    def build() -> None:
        state = kinds.weights("state", [4, 3], resource)
        rows = v1.placeholder_with_default([[4]], [1, 1])
        write(state, resource, "Update", rows, tf.ones([1, 3] if points else [1, 1, 3]), points, "out")

    record, _, _, graph_def = made(build, tmp_path, ["out"])
    for frozen_too in (False, True):
        with pytest.raises(tf.errors.InvalidArgumentError, match="indices"):
            alone = record if not frozen_too else None
            _run_one(alone, graph_def)


def _run_one(record, graph_def):
    with tf.Graph().as_default() as graph:
        if record is None:
            tf.import_graph_def(graph_def, name="")
        saver = v1.train.import_meta_graph(record.meta) if record else None
        with v1.Session(graph=graph) as session:
            if saver:
                saver.restore(session, record.prefix)
            session.run("out:0")


def test_a_policy_for_bad_indices_is_kept(tmp_path):
    def build() -> None:
        state, rows = kinds.weights("state", [4]), v1.placeholder_with_default([[9], [1]], [2, 1])
        write(state, False, "Add", rows, tf.ones([2]), True, "out", bad_indices_policy="IGNORE")

    record, meta_graph, provenance, graph_def = made(build, tmp_path, ["out"])
    nodes.check(meta_graph, graph_def, provenance.cuts, ["out"])
    theirs, ours = results(record, graph_def, ["out"])
    np.testing.assert_array_equal(theirs, ours)


def test_names_that_are_taken_are_left_alone(tmp_path):
    def build() -> None:
        state = kinds.weights("state", [4, 3])
        rows = tf.constant([2], name="write/indices")
        values = tf.ones([1, 3], name="write/updates") + tf.cast(rows, tf.float32)[:, None]
        tf.add(v1.scatter_add(state, rows, values, name="write"), 1.0, name="out")

    record, meta_graph, provenance, graph_def = made(build, tmp_path, ["out"])
    nodes.check(meta_graph, graph_def, provenance.cuts, ["out"])
    theirs, ours = results(record, graph_def, ["out"])
    np.testing.assert_array_equal(theirs, ours)


def sums_of_bools() -> None:
    state = v1.get_variable("state", initializer=[True, False], use_resource=True)
    write(state, True, "Add", [[1]], [True], True, "out")


def no_elements() -> None:
    state = v1.get_variable("state", initializer=np.zeros([4, 0], np.float32), use_resource=False)
    tf.identity(v1.scatter_update(state, [1], tf.zeros([1, 0])), name="out")


def a_divisor_that_may_be_zero() -> None:
    state, divisor = kinds.weights("state", [4]), v1.placeholder_with_default([2.0], [1])
    tf.identity(v1.scatter_div(state, [1], divisor), name="out")


@pytest.mark.parametrize("build", [sums_of_bools, no_elements, a_divisor_that_may_be_zero])
def test_what_no_other_op_does_in_the_same_way_is_refused(build, tmp_path, monkeypatch):
    problem = problem_of(made, build, tmp_path, ["out"])
    assert problem.cause == "unsupported_op" and "Scatter" in problem.message
    monkeypatch.setattr(scatters, "refuse", lambda *args: None)
    record, meta_graph, provenance, graph_def = made(build, tmp_path, ["out"])
    problem = problem_of(nodes.check, meta_graph, graph_def, provenance.cuts, ["out"])
    assert problem.cause == "structure_differs"
