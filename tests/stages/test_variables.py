"""Variables whose values do not come straight from the checkpoint: cast, shared, initial, or without one that fits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_input_forms import save_saved_model, the_source

import kinds
from fresh_process import in_fresh_process
from judged import initialized, saved, verified
from permafrost.freezer.initial_values import InitialValues
from permafrost.graph.metagraph import read_meta_graph
from permafrost.outcome import VERIFIED
from permafrost.records import Provenance
from stages import default_settings, frozen, imported, problem_of

v1, raw = tf.compat.v1, tf.raw_ops
GraphDef = tf.compat.v1.GraphDef


def judged(zoo: Path, directory: Path, **changes) -> tuple[dict, Provenance, Path]:
    """What the judge says of the only model of a zoo, once it is imported and frozen, and what was frozen."""
    record = initialized(the_source(zoo), **changes)
    provenance, path = frozen(record, directory, **changes)
    return in_fresh_process(verified, record, provenance, path), provenance, path


def check(zoo: Path, directory: Path, **changes) -> tuple[Provenance, Path]:
    """Freezes and verifies the only model of a zoo."""
    found, provenance, path = judged(zoo, directory, **changes)
    assert found["status"] == VERIFIED and found["match"] == "bitwise", found
    return provenance, path


def constant(path: Path, name: str) -> np.ndarray:
    (node,) = [node for node in GraphDef.FromString(path.read_bytes()).node if node.name == name]
    return tf.make_ndarray(node.attr["value"].tensor)


def export(build: Callable[[], None], zoo: Path, saver=None) -> None:
    """Puts another meta graph beside the checkpoint in a zoo: that of what `build` makes, with a Saver made for it.

    Args:
      saver: makes the Saver.
    """
    with tf.Graph().as_default():
        build()
        (saver or v1.train.Saver)().export_meta_graph(str(zoo / "model.ckpt.meta"))


# What the checkpoint lacks, or has with another shape or dtype.


def network(extra: Callable[[], None] | None = None, resource: bool = False, outputs: int = 2) -> Callable[[], None]:
    def build() -> None:
        hidden = tf.nn.relu(tf.matmul(kinds.features(), kinds.weights("w", [3, 4], resource)))
        tf.nn.softmax(tf.matmul(hidden, kinds.weights("last", [4, outputs], resource)), name="out")
        if extra:
            extra()

    return build


def trained() -> None:
    """With Adam's slots, and a step."""
    loss = tf.reduce_mean(tf.square(v1.get_default_graph().get_tensor_by_name("out:0")))
    v1.train.AdamOptimizer(0.1).minimize(loss, v1.train.get_or_create_global_step())


def step(dtype) -> Callable[[], None]:
    return lambda: v1.get_variable("global_step", initializer=np.array(7, dtype), trainable=False)


def head(size: int) -> Callable[[], None]:
    def build() -> None:
        last = v1.get_default_graph().get_tensor_by_name("Relu:0")
        tf.nn.softmax(tf.matmul(last, kinds.weights("auxiliary", [4, size])), name="beside")

    return build


BESIDE = {
    "slots": (None, trained, "lacks 7 of the 9 tensors"),
    "dtype": (step(np.int32), step(np.int64), "'global_step' is int64, but tensor 'global_step' is int32"),
    "head": (head(5), head(7), "'auxiliary' has shape [4, 7], but tensor 'auxiliary' has [4, 5]"),
}


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("kind", BESIDE)
def test_what_no_output_needs_need_not_fit(kind, resource, tmp_path):
    before, after, says = BESIDE[kind]
    zoo = tmp_path / "zoo"
    kinds.save(network(before, resource), zoo)
    export(network(after, resource), zoo)
    record = imported(the_source(zoo), outputs=["out"])
    (note,) = record.findings
    assert says in note and note.endswith("no output needs that")
    check(zoo, tmp_path / "named", outputs=["out"])
    record = imported(the_source(zoo))
    assert "out" in record.outputs and "beside" not in record.outputs
    check(zoo, tmp_path / "found")


def test_what_an_output_may_need_is_not_said_to_be_needed_by_none(tmp_path):
    zoo = tmp_path / "zoo"
    kinds.save(network(head(5)), zoo)
    export(network(head(7)), zoo)
    assert not imported(the_source(zoo), outputs=["out", "beside"]).findings


def test_what_is_overwritten_before_it_is_read_need_not_fit(tmp_path):
    def build(shape: list[int]) -> Callable[[], None]:
        def extra() -> None:
            out = v1.get_default_graph().get_tensor_by_name("out:0")
            state = kinds.weights("state", shape, True)
            raw.AssignVariableOp(resource=state.handle, value=tf.zeros(shape), name="reset")
            with tf.control_dependencies(["reset"]):
                tf.add(out, state.read_value()[0], name="sum")

        return network(extra)

    kinds.save(build([2]), tmp_path / "zoo")
    export(build([3]), tmp_path / "zoo")
    check(tmp_path / "zoo", tmp_path / "frozen", outputs=["sum"])


def test_without_a_saver_variables_go_by_their_names(tmp_path):
    zoo = tmp_path / "zoo"
    kinds.save(network(head(5)), zoo)

    def build() -> None:
        network(head(7))()
        tf.identity(kinds.weights("more", [2]), name="more_out")

    with tf.Graph().as_default() as graph:
        build()
        (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    chosen = {"input_graph": str(tmp_path / "graph.pb"), "outputs": ["out"]}
    record = imported(the_source(zoo, **chosen), **chosen)
    found = in_fresh_process(verified, record, *frozen(record, tmp_path / "frozen", **chosen))
    assert found["status"] == VERIFIED, found
    chosen["outputs"] = ["out", "more_out"]
    problem = problem_of(lambda: frozen(imported(the_source(zoo, **chosen), **chosen), tmp_path / "frozen"))
    assert problem.cause == "missing_variable" and "'more'" in problem.message


@pytest.mark.parametrize("options", [{"write_version": v1.train.SaverDef.V1}, {"sharded": True}])
def test_the_others_are_restored_whatever_the_form(options, tmp_path):
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    kinds.save(kinds.partitioned(0, 3), zoo, **options)

    def more() -> None:
        kinds.partitioned(0, 3)()
        kinds.weights("more", [2])

    export(more, zoo, lambda: v1.train.Saver(**options))
    check(zoo, tmp_path / "frozen", outputs=["out"])


@pytest.mark.parametrize("resource", [False, True])
def test_what_an_output_needs_has_to_fit(resource, tmp_path):
    def more() -> None:
        out = v1.get_default_graph().get_tensor_by_name("out:0")
        tf.add(out, kinds.weights("more", [2], resource), name="more_out")

    zoo = tmp_path / "zoo"
    kinds.save(network(resource=resource), zoo)
    export(network(resource=resource, outputs=3), zoo)
    problem = problem_of(lambda: frozen(imported(the_source(zoo), outputs=["out"]), tmp_path))
    assert problem.cause == "shape_mismatch" and "'last' has shape [4, 3]" in problem.message
    export(network(more, resource), zoo)
    problem = problem_of(lambda: frozen(imported(the_source(zoo), outputs=["more_out"]), tmp_path))
    assert problem.cause == "foreign_meta_graph" and "'more'" in problem.message


def test_outputs_that_need_nothing_of_the_checkpoint_do_not_make_a_meta_graph_its_own(tmp_path):
    zoo = tmp_path / "zoo"
    kinds.save(network(step(np.int64)), zoo)

    def other() -> None:
        step(np.int64)()
        tf.matmul(kinds.features(), kinds.weights("kernel", [3, 2]), name="logits")
        tf.nn.softmax(v1.get_default_graph().get_tensor_by_name("x:0"), name="plain")

    export(other, zoo)
    for outputs in ("auto", ["plain"]):
        problem = problem_of(imported, the_source(zoo), outputs=outputs)
        assert problem.cause == "foreign_meta_graph" and "kernel" in problem.message


# What the graph's restore casts.


def save_cast(zoo: Path, values: np.ndarray, dtype, resource: bool, part: str = "") -> None:
    """A checkpoint of `values`, and a meta graph whose saver casts them to `dtype` before it assigns them."""
    zoo.mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", initializer=values)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(zoo / "model.ckpt"), write_meta_graph=False, write_state=False)
    with tf.Graph().as_default():
        shape = [2, 3] if part else values.shape
        w = v1.get_variable("w", shape, dtype, initializer=v1.zeros_initializer(), use_resource=resource)
        prefix = v1.placeholder_with_default("model", [], name="prefix")
        (restored,) = raw.RestoreV2(prefix=prefix, tensor_names=["w"], shape_and_slices=[part], dtypes=[values.dtype])
        v1.group(v1.assign(w, tf.cast(tf.identity(restored), dtype)), name="restore_all")
        numbers = tf.cast(w, tf.float32)
        tf.add(v1.placeholder(tf.float32, name="x"), numbers, name="out")
        saver_def = v1.train.SaverDef(filename_tensor_name="prefix:0", restore_op_name="restore_all", version=2)
        v1.train.export_meta_graph(str(zoo / "model.ckpt.meta"), saver_def=saver_def)


NUMBERS = np.array([[0.1, -2.5, 65519.5], [3.0, 1e-41, 1e-7], [1e4, -0.0, np.inf], [1.0, np.nan, 7.0]])
CASTS = [
    (NUMBERS.astype(np.float16), tf.float32), (NUMBERS.astype(np.float32), tf.float16), (NUMBERS, tf.float32),
    (NUMBERS.astype(np.float32), tf.bfloat16), (np.arange(-6, 6).reshape(4, 3), tf.int32),
    (np.arange(12).reshape(4, 3) << 35, tf.float32), (np.eye(4, 3, dtype=np.float32), tf.bool),
    (np.eye(4, 3, dtype=bool), tf.float32), (np.array(5, np.int32), tf.int64),
    (np.random.default_rng(1).normal(size=(300, 1001)), tf.float32),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("number", range(len(CASTS)))
def test_a_restore_may_cast(number, tmp_path):
    values, dtype = CASTS[number]
    save_cast(tmp_path / "zoo", values, dtype, bool(number % 2))
    provenance, path = check(tmp_path / "zoo", tmp_path, outputs=["out"], inputs={"x": 1.0})
    assert constant(path, "w").dtype == dtype.as_numpy_dtype and constant(path, "w").shape == values.shape
    assert ("cast as the saver casts it", "w") in [(repair.repair, repair.node) for repair in provenance.repairs]


def test_a_restore_may_cast_a_part(tmp_path):
    save_cast(tmp_path / "zoo", NUMBERS, tf.float32, True, "4 3 1,2:-")
    _, path = check(tmp_path / "zoo", tmp_path, outputs=["out"], inputs={"x": 1.0})
    assert constant(path, "w").shape == (2, 3)


def test_a_cast_to_what_cannot_hold_the_numbers_is_refused(tmp_path):
    save_cast(tmp_path / "zoo", NUMBERS, tf.int32, False)
    problem = problem_of(judged, tmp_path / "zoo", tmp_path / "frozen", outputs=["out"])
    assert problem.cause == "unsupported_op" and "int32" in problem.message
    assert not list(tmp_path.glob("frozen/*.pb"))


# Two nodes that are one variable.


def twin(shape=(3, 4), dtype=tf.float32, name="w", reference=False):
    if reference:
        return raw.VariableV2(shape=shape, dtype=dtype, shared_name=name, name="again")
    handle = raw.VarHandleOp(dtype=dtype, shape=shape, shared_name=name, name="again")
    return raw.ReadVariableOp(resource=handle, dtype=dtype)


@pytest.mark.parametrize("reference", [False, True])
def test_another_node_of_a_variable_has_its_value(reference, tmp_path):
    def build() -> None:
        w = kinds.weights("w", [3, 4], not reference)
        tf.matmul(kinds.features(), w, name="first")
        tf.matmul(v1.get_default_graph().get_tensor_by_name("x:0"), twin(reference=reference), name="second")

    kinds.save(build, tmp_path / "zoo")
    for outputs in (["second"], ["first", "second"], "auto"):
        _, path = check(tmp_path / "zoo", tmp_path / "-".join(outputs), outputs=outputs)
        assert np.array_equal(constant(path, "again"), np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32))


def test_another_node_of_a_variable_that_is_another_one_is_refused(tmp_path):
    def build() -> None:
        tf.matmul(kinds.features(), kinds.weights("w", [3, 4], True), name="first")
        tf.identity(twin((4, 3)), name="second")

    kinds.save(build, tmp_path / "zoo")
    problem = problem_of(lambda: frozen(imported(the_source(tmp_path / "zoo"), outputs=["second"]), tmp_path))
    assert problem.cause == "shape_mismatch" and "'again'" in problem.message
    check(tmp_path / "zoo", tmp_path / "frozen", outputs=["first"])


def test_one_variable_of_two_tensors_is_refused(tmp_path):
    def build() -> None:
        kinds.plain(True)()
        kinds.weights("other", [3, 4], True)

    path = kinds.save(build, tmp_path / "zoo").with_suffix(".ckpt.meta")
    meta_graph = read_meta_graph(path)
    next(node for node in meta_graph.graph_def.node if node.name == "other").attr["shared_name"].s = b"w"
    path.write_bytes(meta_graph.SerializeToString())
    problem = problem_of(lambda: frozen(imported(the_source(tmp_path / "zoo"), outputs=["out"]), tmp_path))
    assert problem.cause == "bad_meta_graph" and "'w' and 'other'" in problem.message


@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_arrays_of_other_dtypes_are_fed(dtype, tmp_path):
    np.savez(tmp_path / "feeds.npz", x=np.array([[1.1, 2.2, 3.3]]).astype(dtype))
    kinds.save(network(), tmp_path / "zoo")
    check(tmp_path / "zoo", tmp_path, outputs=["out"], inputs={"x": {"file": str(tmp_path / "feeds.npz")}})


# What no saver restores.


def test_an_initial_value_is_told(tmp_path):
    kinds.save(kinds.unsaved_averages(True), tmp_path / "zoo")
    provenance, path = check(tmp_path / "zoo", tmp_path, outputs=["out"])
    initial = [repair.node for repair in provenance.repairs if repair.repair.startswith("initial value")]
    assert initial == ["moving_mean", "moving_variance"]
    assert constant(path, "moving_variance").tolist() == [1, 1]


def test_initial_values_can_be_refused(tmp_path):
    source = saved(kinds.unsaved_averages(False), tmp_path)
    problem = problem_of(lambda: frozen(imported(source, outputs=["out"], unsaved_variables="refuse"), tmp_path))
    assert problem.cause == "missing_variable"
    assert "'moving_mean'" in problem.message and "unsaved_variables: refuse" in problem.message


REASONS = {
    "unsaved variable, random": "is random",
    "unsaved variable, of another": "another variable, 'w'",
    "unsaved variable, fed": "depends on what is fed to",
    "unsaved variable, of files": "reads files",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_value_that_is_not_the_graphs_own_is_refused_by_its_reason(kind, tmp_path):
    source = saved(kinds.REFUSED[kind][0], tmp_path)
    problem = problem_of(lambda: frozen(imported(source, outputs=["out"]), tmp_path / "frozen"))
    assert "'local'" in problem.message and REASONS[kind] in problem.message


def filled_by_hand() -> None:
    """As pretrained embeddings are given to a graph."""
    kinds.unsaved(lambda: tf.zeros([2]))()
    (local,) = v1.local_variables()
    local.assign(v1.placeholder(tf.float32, [2], name="pretrained"))


def copied_by_hand() -> None:
    """As the weights of a network are given to its slower twin."""
    kinds.unsaved(lambda: tf.zeros([2]), True)()
    kinds.weights("b", [2], True)
    v1.local_variables()[0].assign(v1.global_variables()[1])


def saved_by_another_saver() -> None:
    """The saver of the meta graph is one of a part; the checkpoint has more."""
    kinds.unsaved(lambda: tf.zeros([2]))()
    v1.add_to_collection("to_save", v1.global_variables()[0])
    v1.add_to_collection("to_save", v1.local_variables()[0])


def test_a_value_that_programs_give_otherwise_is_refused(tmp_path):
    source = saved(filled_by_hand, tmp_path / "filled")
    problem = problem_of(lambda: frozen(imported(source, outputs=["out"]), tmp_path / "frozen"))
    assert problem.cause == "missing_variable" and "'pretrained'" in problem.message
    source = saved(copied_by_hand, tmp_path / "copied")
    problem = problem_of(lambda: frozen(imported(source, outputs=["out"]), tmp_path / "frozen"))
    assert problem.cause == "missing_variable" and "to copy variable 'b'" in problem.message
    zoo = tmp_path / "saved"
    kinds.save(saved_by_another_saver, zoo)
    export(kinds.unsaved(lambda: tf.zeros([2])), zoo)
    problem = problem_of(lambda: frozen(imported(the_source(zoo), outputs=["out"]), tmp_path / "frozen"))
    assert problem.cause == "missing_variable" and "has a tensor of its name" in problem.message


def test_what_a_metric_counts_is_an_output_where_it_is_named(tmp_path):
    def build() -> None:
        network()()
        labels = v1.placeholder(tf.int64, [None], name="labels")
        v1.metrics.accuracy(labels, tf.argmax(v1.get_default_graph().get_tensor_by_name("out:0"), 1))
        for variable in v1.local_variables():
            v1.add_to_collection("to_run", variable.initializer)

    kinds.save(build, tmp_path / "zoo")
    assert "accuracy/value" not in imported(the_source(tmp_path / "zoo")).outputs
    check(tmp_path / "zoo", tmp_path, outputs=["out", "accuracy/value"])


def test_a_variable_that_stays_one_has_its_initial_value_on_both_sides(tmp_path):
    kinds.save(kinds.unsaved(lambda: tf.constant([2.0, 3.0])), tmp_path / "zoo")
    _, path = check(tmp_path / "zoo", tmp_path, outputs=["out"], variable_names_denylist=["local"])
    assert "local" in [node.name for node in GraphDef.FromString(path.read_bytes()).node if node.op == "VariableV2"]


@pytest.mark.parametrize("resource", [False, True])
def test_a_loader_may_initialize_what_is_not_saved(resource, tmp_path):
    def main_op():
        out = v1.get_default_graph().get_tensor_by_name("out:0")
        options = {"collections": [v1.GraphKeys.LOCAL_VARIABLES], "use_resource": resource}
        scale = v1.get_variable("scale", initializer=np.float32(3), **options)
        tf.multiply(out, scale, name="scaled")
        return v1.local_variables_initializer()

    save_saved_model(tmp_path / "zoo" / "export", [["serve"]], resource, main_op)
    _, path = check(tmp_path / "zoo", tmp_path, outputs=["scaled"])
    assert constant(path, "scale") == 3


def test_the_judge_finds_a_wrong_initial_value(tmp_path, monkeypatch):
    kinds.save(kinds.unsaved(lambda: tf.constant([2.0, 3.0])), tmp_path / "zoo")
    right = InitialValues._value
    monkeypatch.setattr(InitialValues, "_value", lambda self, name: right(self, name) + np.float32(1))
    found, _, _ = judged(tmp_path / "zoo", tmp_path, outputs=["out"])
    assert found["cause"] == "weights_differ" and "'local'" in found["message"]


def test_the_setting_is_a_model_setting():
    assert default_settings().unsaved_variables == "initial"
    assert problem_of(default_settings, unsaved_variables="ignore").cause == "bad_setting"
