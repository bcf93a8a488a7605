"""Inputs that are baked: constants, with what they switch off gone, and every change said."""

import pytest
import tensorflow as tf

from baked_models import FORMS, MODELS, batch_norm, dropout, late_flag, write_under_a_flag
from judged import saved
from kinds import control_flow, features, v1, weights
from permafrost.graph.calls import needed_functions
from permafrost.records import is_known
from stages import frozen, imported, problem_of

DECIDED = {"Switch", "Merge", "RefSwitch", "RefMerge", "If", "StatelessIf", "Case", "StatelessCase"}
STILL_DRAWING = {
    name
    for name in MODELS
    if name.startswith("half") or name.endswith(("learning phase, True", "dropout after a write"))
}
WITH_A_LOOP = {name for name in MODELS if "loop" in name}


def made(build, bake, directory, **settings):
    settings = {"outputs": ["out"], "bake": bake} | settings
    record = imported(saved(build, directory), **settings)
    provenance, path = frozen(record, directory, **settings)
    return record, provenance, tf.compat.v1.GraphDef.FromString(path.read_bytes())


def all_nodes(graph_def) -> list:
    functions = needed_functions(graph_def.node, graph_def.library)
    return [*graph_def.node, *(node for function in functions for node in function.node_def)]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_what_is_decided_is_gone(name, tmp_path) -> None:
    build, bake = MODELS[name]
    _, provenance, graph_def = made(build, bake, tmp_path)
    (input_name, value), ops = *bake.items(), {node.op for node in all_nodes(graph_def)}
    assert provenance.baked == {f"{input_name}:0": value}
    assert f"{input_name}:0" not in provenance.inputs
    assert input_name not in {node.name for node in graph_def.node if node.op.startswith("Placeholder")}
    if name == "If in functions, False" or name == "If in functions, True":
        assert "StatelessIf" in ops  # Of the call in which a tensor decides.
    elif name not in WITH_A_LOOP:
        assert not ops & DECIDED
    assert ("RandomUniform" in ops) == (name in STILL_DRAWING)
    assert provenance.repairs[0].repair == "baked input" and provenance.repairs[0].node == input_name


def test_names_stay(tmp_path) -> None:
    _, provenance, graph_def = made(batch_norm(1, False), {"is_training": False}, tmp_path)
    names = {node.name: node.op for node in graph_def.node}
    assert names["cond/Merge"] == names["cond/Merge_1"] == "Identity"
    assert ("Merge -> Identity, by a baked input", "cond/Merge") in {(r.repair, r.node) for r in provenance.repairs}


def test_without_bake_nothing_is_said(tmp_path) -> None:
    _, provenance, graph_def = made(batch_norm(1, True), False, tmp_path)
    assert not is_known(provenance.baked) and "is_training:0" in provenance.inputs
    assert any(node.op == "Merge" for node in graph_def.node)


def test_true_bakes_what_is_always_fed_the_same(tmp_path) -> None:
    record, provenance, graph_def = made(dropout(FORMS["1.12"]), True, tmp_path)
    assert record.inputs["keep_prob:0"].value == 1.0
    assert provenance.baked == {"keep_prob:0": 1.0} and provenance.inputs == {"x:0": "x:0"}


def test_a_dropout_in_a_shape_of_its_own_stays(tmp_path) -> None:
    """Its mask is spread over what it masks, which has one row more or less."""

    def build() -> None:
        x, keep = features(), v1.placeholder(tf.float32, [], name="keep_prob")
        drawn = tf.raw_ops.RandomUniform(shape=tf.shape(x)[:1], dtype=tf.float32)
        mask = tf.floor(keep + drawn)[:, None]
        tf.identity(tf.matmul(x / keep * mask, weights("w", [3, 3])), name="out")

    _, _, graph_def = made(build, {"keep_prob": 1.0}, tmp_path)
    assert any(node.op == "RandomUniform" for node in graph_def.node)


def test_what_decides_after_a_write_is_waited_for(tmp_path) -> None:
    def build() -> None:
        with control_flow(1):
            x, flag = features(), v1.placeholder(tf.bool, [], name="is_training")
            w, calls = weights("w", [3, 3], resource=True), weights("calls", [3], resource=True)
            with tf.control_dependencies([calls.assign_add(tf.reduce_sum(x, 0))]):
                late = tf.identity(flag)
            side = v1.cond(late, lambda: tf.matmul(x, w) + calls, lambda: tf.matmul(x, w) - calls)
            tf.identity(side, name="out")

    _, _, graph_def = made(build, {"is_training": True}, tmp_path)
    assert not DECIDED & {node.op for node in graph_def.node}


@pytest.mark.parametrize(
    ("bake", "named"),
    [
        ({"keep": 1.0}, "'keep', which is no input"),
        ({"keep_prob": [1.0, 1.0]}, "input keep_prob:0 a value of shape [2]"),
        ({"keep_prob": "much"}, "keep_prob:0"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(bake, named, tmp_path) -> None:
    problem = problem_of(made, dropout(FORMS["1.12"]), bake, tmp_path)
    assert problem.cause == "bad_setting" and named in problem.message


def test_an_output_on_the_other_side_is_refused(tmp_path) -> None:
    def build() -> None:
        with control_flow(1):
            x, flag = features(), v1.placeholder(tf.bool, [], name="flag")
            v1.cond(flag, lambda: tf.matmul(x, weights("w", [3, 3]), name="out_there"), lambda: x * 2)

    problem = problem_of(made, build, {"flag": False}, tmp_path, outputs=["cond/out_there"])
    assert problem.cause == "unsupported_op" and "'cond/out_there'" in problem.message


def test_who_asks_which_side_came_is_refused(tmp_path) -> None:
    def build() -> None:
        x, flag = features(), v1.placeholder(tf.bool, [], name="flag")
        no, yes = tf.raw_ops.Switch(data=tf.matmul(x, weights("w", [3, 3])), pred=flag)
        merged = tf.raw_ops.Merge(inputs=[no * 2, yes])
        tf.identity(merged.output * tf.cast(merged.value_index, tf.float32), name="out")

    problem = problem_of(made, build, {"flag": True}, tmp_path)
    assert problem.cause == "unsupported_op" and "Merge" in problem.message


@pytest.mark.parametrize("resource", [False, True])
def test_a_write_under_a_condition_is_no_hindrance_once_that_is_known(resource, tmp_path) -> None:
    (tmp_path / "baked").mkdir()
    assert problem_of(made, write_under_a_flag(resource), False, tmp_path).cause == "unsupported_op"
    made(write_under_a_flag(resource), {"is_training": False}, tmp_path / "baked")


def test_what_is_fed_behind_a_pipeline_can_be_baked(tmp_path) -> None:
    record, provenance, graph_def = made(late_flag, {"late": True}, tmp_path, inputs={"late": True})
    assert set(record.inputs) == {"x:0", "late:0"} and provenance.inputs == {"x:0": "x:0"}
    assert not {"Switch", "Merge", "Greater"} & {node.op for node in graph_def.node}
    assert [node.name for node in graph_def.node if node.op == "Placeholder"] == ["x"]
