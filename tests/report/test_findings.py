"""What a careful colleague would warn about is found, and what is in order is not."""

import numpy as np
import pytest
import tensorflow as tf

import kinds
from baked_models import MODELS
from judged import saved
from permafrost import recording
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import graph_pb2
from permafrost.records import Provenance
from permafrost.report import graph_findings, state_findings
from permafrost.stages import list_model
from stages import frozen, imported

v1 = tf.compat.v1


def found(build, directory, **settings) -> dict[str, list[tuple[str, str]]]:
    """Finding -> (severity, node) of each, for a model that `build` makes."""
    record = imported(saved(build, directory), **settings)
    provenance, path = frozen(record, directory / "frozen", bake=settings.get("bake", False))
    graph_def = graph_pb2.GraphDef.FromString(path.read_bytes())
    rows = list_model.findings(record, provenance, list_model.meta_graph_of(record, []), graph_def, [])
    grouped: dict[str, list] = {}
    for row in rows:
        assert row.advice
        grouped.setdefault(row.finding, []).append((row.severity, row.node))
    return grouped


def head(x, name="out"):
    return tf.matmul(x, kinds.weights("w", [x.shape[1], 2]), name=name)


def test_a_plain_model_has_no_finding(tmp_path):
    assert found(kinds.plain(False), tmp_path, outputs=["out"]) == {}


def test_an_op_with_a_clock(tmp_path):
    def build():
        late = tf.cast(tf.raw_ops.Timestamp(name="now") > 4e9, tf.float32)
        tf.add(tf.matmul(kinds.features(), kinds.weights("w", [3, 2])), late, name="out")

    assert found(build, tmp_path, outputs=["out"])["stateful_op"] == [("warning", "now")]


def test_a_restore_that_computes(tmp_path):
    """After what it restores, the saver's restore assigns something of its own to a variable."""
    record = imported(saved(kinds.plain(False), tmp_path), outputs=["out"])
    meta_graph = read_meta_graph(record.meta)
    assert not list(state_findings.of_restore(meta_graph))
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    restored = next(node for node in nodes.values() if node.op == "Assign" and node.name.startswith("save/"))
    source, restored.input[1] = restored.input[1], "bomb"
    bomb = meta_graph.graph_def.node.add(name="bomb", op="AddV2", input=[source, source])
    bomb.attr["T"].CopyFrom(restored.attr["T"])
    (row,) = state_findings.of_restore(meta_graph)
    assert (row.finding, row.severity, row.node) == ("computed_restore", "warning", "bomb")
    assert restored.name in row.advice


def dropout(rate) -> None:
    head(tf.nn.dropout(kinds.features(), rate=rate, seed=1, name="drop"))


@pytest.mark.parametrize("is_fed", [True, False])
def test_dropout(is_fed, tmp_path):
    def build():
        dropout(1 - v1.placeholder_with_default(1.0, [], "keep_prob") if is_fed else 0.5)

    rows = found(build, tmp_path, outputs=["out"])
    assert rows["random_op"] == [("info" if is_fed else "warning", "drop/random_uniform/RandomUniform")]


def normalised(fused: bool, axes=(0,)) -> None:
    x = kinds.features(4)
    if fused:
        image = tf.reshape(x, [-1, 1, 1, 4])
        scale, offset = kinds.weights("gamma", [4]), kinds.weights("beta1", [4])
        y = tf.reshape(v1.nn.fused_batch_norm(image, scale, offset, name="bn")[0], [-1, 4])
    else:
        mean, variance = tf.nn.moments(x, list(axes), keepdims=True)
        y = (x - mean) / tf.sqrt(variance + 1e-3)
    head(y)


def test_batch_normalisation_in_training_mode(tmp_path):
    (fused,) = found(lambda: normalised(True), tmp_path, outputs=["out"])["batch_statistics"]
    assert fused == ("warning", "bn")


def test_batch_normalisation_by_hand_and_layer_normalisation(tmp_path):
    (tmp_path / "layer").mkdir()
    assert found(lambda: normalised(False), tmp_path, outputs=["out"])["batch_statistics"] == [
        ("warning", "moments/mean")
    ]
    assert "batch_statistics" not in found(lambda: normalised(False, axes=(1,)), tmp_path / "layer", outputs=["out"])


@pytest.mark.parametrize("value", [True, False])
def test_a_training_flag_that_is_baked_in(value, tmp_path):
    def build():
        x = kinds.features()
        with kinds.control_flow(1):
            y = v1.cond(tf.constant(value, name="is_training"), lambda: x * 2.0, lambda: x)
        head(y)

    rows = found(build, tmp_path, outputs=["out"])
    assert rows.get("training_flag") == ([("warning", "is_training")] if value else None)


def test_weights_that_are_no_numbers_or_zero(tmp_path):
    def build():
        bad = np.ones([3, 2], np.float32)
        bad[1, 1], bad[2, 0] = np.nan, np.inf
        nan = v1.get_variable("bad", initializer=bad, use_resource=False)
        zero = v1.get_variable("zero", [3, 2], initializer=v1.zeros_initializer(), use_resource=False)
        tf.add(tf.matmul(kinds.features(), nan), tf.matmul(kinds.features(), zero), name="out")

    rows = found(build, tmp_path, outputs=["out"])
    assert rows == {
        "nan_weights": [("error", "bad")],
        "infinite_weights": [("error", "bad")],
        "zero_weights": [("warning", "zero")],
    }


@pytest.mark.parametrize("is_updated", [True, False])
def test_moving_averages_that_were_never_updated(is_updated, tmp_path):
    def build():
        x = kinds.features()
        mean = v1.get_variable("bn/moving_mean", initializer=np.full(3, 0.1 if is_updated else 0.0, np.float32))
        variance = v1.get_variable("bn/moving_variance", initializer=np.ones(3, np.float32))
        head((x - mean) / tf.sqrt(variance + 1e-3))

    rows = found(build, tmp_path, outputs=["out"])
    assert rows.get("averages_not_updated") == (None if is_updated else [("warning", "bn/moving_mean")])


def test_variables_that_had_no_gradient(tmp_path):
    def build():
        x, a, b = kinds.features(), kinds.weights("a", [3, 2]), kinds.weights("idle", [3, 2])
        loss = tf.reduce_mean(tf.matmul(x, a) ** 2)
        for variable, value in ((a, 0.1), (b, 0.0)):
            v1.get_variable(f"{variable.op.name}/Adam", initializer=np.full([3, 2], value, np.float32))
        tf.add(tf.matmul(x, a), tf.matmul(x, b), name="out")
        return loss

    assert found(build, tmp_path, outputs=["out"])["never_trained"] == [("info", "idle")]


def test_averages_that_are_not_used(tmp_path):
    def build():
        tf.matmul(kinds.features(), kinds.weights("w", [3, 2]), name="out")
        kinds.weights("w/ExponentialMovingAverage", [3, 2])

    (tmp_path / "ema").mkdir()
    assert found(build, tmp_path, outputs=["out"])["averages_not_used"] == [("info", "w")]
    assert "averages_not_used" not in found(build, tmp_path / "ema", outputs=["out"], weights="ema")


@pytest.mark.parametrize(
    ("text", "is_private"),
    [
        ("/mnt/disks/alice/train.tfrecord", True),
        (r"C:\Users\bob\data", True),
        ("someone@example.org", True),
        ("save/part", False),
        ("a / b", False),
    ],
)
def test_strings_that_tell_of_people_and_machines(text, is_private, tmp_path):
    def build():
        kinds.plain(False)()
        tf.constant(["harmless", text], name="names")

    rows = found(build, tmp_path, outputs=["out"])
    assert rows.get("private_string") == ([("info", "names")] if is_private else None)


def test_ops_that_are_old_or_rare(tmp_path):
    rows = found(kinds.cond(1, False), tmp_path, outputs=["out"])
    ((severity, node),) = rows["rare_op"]
    assert severity == "info"
    assert "Merge" in node or "Switch" in node


def test_deprecated_ops():
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="bn", op="BatchNormWithGlobalNormalization")
    (row,) = graph_findings.of_frozen(graph_def, set())
    assert (row.severity, row.finding, row.node) == ("info", "deprecated_op", "bn")
    assert "tf.nn.batch_normalization" in row.advice


def test_a_variable_that_the_checkpoint_lacks(tmp_path):
    def build():
        kinds.plain(False)()
        local = kinds.weights("local", [2], collections=[v1.GraphKeys.LOCAL_VARIABLES])
        v1.add_to_collection("to_run", local.initializer)

    assert found(build, tmp_path, outputs=["out"])["variable_not_saved"] == [("info", "local")]


@pytest.mark.parametrize(("reached", "more"), [(0.1, "logits"), (0.4, ""), (0.5, ""), (None, "")])
def test_outputs_that_depend_on_few_weights(tmp_path, reached, more):
    record = imported(saved(kinds.plain(False), tmp_path))
    record.weights_reached, record.reaches_more = reached, more
    rows = [row for row in graph_findings.of_record(record) if row.finding == "few_weights"]
    if reached is None or reached >= 0.5:
        assert rows == []
    else:
        (row,) = rows
        assert (row.severity, row.node) == ("warning", more or record.outputs[0])
        assert f"{reached:.0%}" in row.advice and (more or "outputs.csv") in row.advice


def test_what_the_trial_run_found(tmp_path):
    record = imported(saved(kinds.plain(False), tmp_path), outputs=["out"])
    record.batches, record.rehearsal = [64], ""
    (row,) = list_model.findings(record, recording.begun(Provenance, "m"), None, None, [])
    assert (row.severity, row.finding) == ("warning", "fixed_batch")
    assert "64" in row.advice
    record.batches, record.rehearsal = [2, 3], "node 'a': bad"
    (row,) = list_model.findings(record, recording.begun(Provenance, "m"), None, None, [])
    assert row.finding == "did_not_run"


@pytest.mark.parametrize("attributes", [{}, {"api_implements": "doubling", "api_preferred_device": "CPU"}])
def test_a_function_that_the_optimisers_may_replace(tmp_path, attributes):
    def build():
        w = kinds.weights("w", [3], True)

        @tf.function(autograph=False, experimental_attributes=attributes)
        def doubled(x):
            return tf.identity(x * w * 2.0)

        tf.identity(doubled(kinds.features()), name="out")

    rows = found(build, tmp_path, outputs=["out"]).get("replaceable_function", [])
    assert [severity for severity, _ in rows] == ["warning"] * bool(attributes)


def test_what_is_baked_is_told(tmp_path):
    build, bake = MODELS["dropout of 1.12"]
    assert found(build, tmp_path, outputs=["out"], bake=bake) == {"baked_input": [("info", "keep_prob:0")]}
