"""A frozen graph with inputs baked: the judge finds it right where it is, and nothing else that it could have been."""

from unittest import mock

import pytest
import tensorflow as tf
from msgspec.structs import replace

from baked_models import MODELS, late_flag
from fresh_process import in_fresh_process
from judged import saved, verified
from permafrost import whole_files
from permafrost.judge import judging
from permafrost.outcome import MISMATCH, UNVERIFIABLE, VERIFIED
from stages import default_settings, frozen, imported

RUN = [
    "batch norm, 1, False, False", "batch norm, 1, True, True", "batch norm, 2, True, False", "slim arg, True",
    "functional slim arg, False", "learning phase, False", "functional learning phase, True", "cond in a loop, False",
    "If in functions, True", "If in functions, False", "case -1", "write under a flag, True", "dropout of 0.5",
    "dropout of 1.13", "dropout of this", "half of a dropout of 1.12", "dropout in a function",
    "dropout in a loop", "dropout after a write",
]  # fmt: skip


def made(name, directory, bake=None):
    directory.mkdir(exist_ok=True)
    build, chosen = MODELS[name]
    settings = {"outputs": ["out"], "bake": bake or chosen}
    record = imported(saved(build, directory), **settings)
    return record, *frozen(record, directory, **settings)


def all_verified(models: dict) -> dict:
    """What the judge finds of each; one process for all, since each runs its graphs in a child of its own."""
    return {name: verified(*model) for name, model in models.items()}


def test_what_is_baked_is_what_tensorflow_computes_on_the_value(tmp_path) -> None:
    models = {name: made(name, tmp_path / str(number)) for number, name in enumerate(RUN)}
    found = in_fresh_process(all_verified, models)
    assert {name: (each["status"], each.get("match")) for name, each in found.items()} == dict.fromkeys(
        RUN, (VERIFIED, "bitwise")
    ), found
    assert all(each["control"]["variable"] for each in found.values())


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_judge_derives_what_the_freezer_makes(name, tmp_path) -> None:
    assert structure_of(*made(name, tmp_path)) == ""


def structure_of(record, provenance, path) -> str:
    """What the structure layer says against a frozen graph."""
    graphs = judging.Graphs(record, provenance, str(path))
    try:
        judging._check_structure(graphs, record, provenance, {})
    except judging.Problem as problem:
        assert problem.cause == "structure_differs"
        return problem.message
    return ""


def without_structure(record, provenance, path) -> dict:
    with mock.patch.object(judging, "_check_structure", lambda *arguments: 0):
        return verified(record, provenance, path)


PAIRS = sorted({name.removesuffix(", True") for name in MODELS if name.endswith(", True")})


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_what_is_baked_with_another_value_is_noticed(name, other, tmp_path) -> None:
    record, provenance, _ = made(f"{name}, {not other}", tmp_path / "own")
    _, _, path = made(f"{name}, {other}", tmp_path / "other")
    assert structure_of(record, provenance, path)


def damaged(path, change, provenance):
    graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    change({node.name: node for node in graph_def.node}, graph_def)
    path.write_bytes(graph_def.SerializeToString())
    return replace(provenance, frozen_crc32c=whole_files.checksum(path))


def another_constant(nodes, graph_def) -> None:
    nodes["keep_prob"].attr["value"].tensor.tensor_content = b"\0\0\0\x3f"


def one_for_the_half(nodes, graph_def) -> None:
    nodes["keep_prob"].attr["value"].tensor.tensor_content = b"\0\0\x80\x3f"


def another_side(nodes, graph_def) -> None:
    """Each of two conds gives what the other one should."""
    first, second = nodes["cond/Merge"], nodes["cond/Merge_1"]
    first.input[0], second.input[0] = second.input[0], first.input[0]


def branch_of(nodes, graph_def) -> None:
    """The other branch of a Case."""
    call = next(node for node in graph_def.node if node.name.endswith("/taken"))
    function = next(f for f in graph_def.library.function if f.signature.name == call.attr["f"].func.name)
    value = next(node for node in function.node_def if node.op in ("Mul", "MatMul", "Tanh"))
    value.op = "AddV2"


def another_dropout(nodes, graph_def) -> None:
    """That which masks the half is left out."""
    mask = next(node for node in graph_def.node if node.op == "Mul" and node.input[0].startswith("RealDiv"))
    dtype = mask.attr["T"].type
    mask.op, mask.input[:] = "Identity", [mask.input[0]]
    mask.ClearField("attr")
    mask.attr["T"].type = dtype


def before_the_scale(nodes, graph_def) -> None:
    last = next(node for node in graph_def.node if node.op == "Identity" and node.input[0].startswith("RealDiv"))
    last.input[0] = nodes[last.input[0]].input[0]


def a_dead_node(nodes, graph_def) -> None:
    """One of the side that never runs, as it was in the meta graph."""
    graph_def.node.add(name="cond/switch_f", op="Identity", input=["cond/Switch"]).attr["T"].type = 10


DAMAGES = [
    (another_constant, "dropout of 1.12", False),
    (one_for_the_half, "half of a dropout of 1.12", True),
    (another_side, "batch norm, 1, False, False", True),
    (branch_of, "case 7", True),
    (another_dropout, "half of a dropout of 1.12", True),
    (before_the_scale, "dropout of 1.12", False),
    (a_dead_node, "learning phase, True", False),
]


@pytest.mark.parametrize(("damage", "name", "is_seen"), DAMAGES)
def test_damage_is_noticed(damage, name, is_seen, tmp_path) -> None:
    """`is_seen`: whether outputs can show it."""
    record, provenance, path = made(name, tmp_path)
    provenance = damaged(path, damage, provenance)
    assert structure_of(record, provenance, path)
    if is_seen:
        found = in_fresh_process(without_structure, record, provenance, path)
        assert (found["status"], found["cause"]) == (MISMATCH, "outputs_differ"), found


@pytest.mark.parametrize("name", ["functional learning phase", "learning phase", "cond in a loop"])
def test_outputs_show_another_value(name, tmp_path) -> None:
    record, provenance, _ = made(f"{name}, False", tmp_path / "own")
    _, other, path = made(f"{name}, True", tmp_path / "other")
    provenance = replace(provenance, frozen_crc32c=other.frozen_crc32c)
    found = in_fresh_process(without_structure, record, provenance, path)
    assert (found["status"], found["cause"]) == (MISMATCH, "outputs_differ"), found


def test_what_is_fed_behind_a_pipeline(tmp_path) -> None:
    settings = {"outputs": ["out"], "inputs": {"late": True}, "bake": {"late": True}}
    record = imported(saved(late_flag, tmp_path), **settings)
    found = in_fresh_process(verified, record, *frozen(record, tmp_path, **settings))
    assert (found["status"], found["match"]) == (VERIFIED, "bitwise"), found


def test_a_value_on_which_the_checkpoint_does_not_run(tmp_path) -> None:
    def build() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4], name="x")
        size = tf.compat.v1.placeholder_with_default(2, [], name="size")
        w = tf.compat.v1.get_variable("w", initializer=tf.ones([2, 3]))
        tf.matmul(tf.reshape(x, [-1, size]), w, name="out")

    record = imported(saved(build, tmp_path), outputs=["out"], bake={"size": 3})
    found = in_fresh_process(verified, record, *frozen(record, tmp_path, bake={"size": 3}), default_settings())
    assert (found["status"], found["cause"]) == (UNVERIFIABLE, "bad_setting"), found
    assert "input size:0" in found["message"]
