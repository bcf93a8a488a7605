"""Bad input, all of it in one zoo: a clear row for each, nothing lost, and the good models done."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import SAMPLE_ZOO
from permafrost.graph.protos import meta_graph_pb2
from permafrost.outcome import CAUSES
from zoo_runs import Workspace

pytestmark = pytest.mark.slow

DATA, INDEX, META = "model.ckpt.data-00000-of-00001", "model.ckpt.index", "model.ckpt.meta"


def written(file: str, change):
    """A damage that replaces the content of `file` by change(content)."""

    def damage(directory: Path) -> None:
        path = directory / file
        path.write_bytes(change(path.read_bytes()))

    return damage


def empty(content: bytes) -> bytes:
    return b""


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def random(content: bytes) -> bytes:
    return np.random.default_rng(1).bytes(3000)


def flipped(at: float):
    """Flips the lowest bit of the byte at this part of the file."""

    def flip(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[int(len(changed) * at)] ^= 1
        return bytes(changed)

    return flip


def cyclic(content: bytes) -> bytes:
    meta_graph = meta_graph_pb2.MetaGraphDef.FromString(content)
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    nodes["cond/MatMul"].input[0] = "cond/Relu"
    return meta_graph.SerializeToString()


def shard_of_another_model(directory: Path) -> None:
    shutil.copy(SAMPLE_ZOO / "cond" / DATA, directory / DATA)


def shard_of_another_step(directory: Path) -> None:
    suffix = DATA.removeprefix("model.ckpt")
    shutil.copy(directory / f"model.ckpt-100{suffix}", directory / f"model.ckpt-300{suffix}")


def meta_graph_of_another_model(directory: Path) -> None:
    shutil.copy(SAMPLE_ZOO / "cond" / META, directory / META)


def link_to_the_zoo(directory: Path) -> None:
    (directory / "loop").symlink_to(directory.parent)
    (directory / "itself").symlink_to("itself")


def pipe_as_meta_graph(directory: Path) -> None:
    (directory / META).unlink()
    os.mkfifo(directory / META)


# name -> (sample that is damaged, the damage, stage and cause, what the message must name)
BROKEN = {
    "data_empty": ("resource_variables", written(DATA, empty), "import_meta", "truncated", DATA),
    "data_flipped": ("resource_variables", written(DATA, flipped(0.5)), "freeze", "corrupt", DATA),
    "data_of_another": ("resource_variables", shard_of_another_model, "import_meta", "truncated", DATA),
    "data_of_another_step": ("v1_and_v2", shard_of_another_step, "freeze", "corrupt", "model.ckpt-300.data"),
    "index_empty": ("resource_variables", written(INDEX, empty), "discover", "truncated", INDEX),
    "index_half": ("resource_variables", written(INDEX, half), "discover", "truncated", INDEX),
    "index_flipped": ("resource_variables", written(INDEX, flipped(0.2)), "discover", "corrupt", INDEX),
    "index_random": ("resource_variables", written(INDEX, random), "discover", "not_a_checkpoint", INDEX),
    "meta_empty": ("resource_variables", written(META, empty), "discover", "truncated", META),
    "meta_half": ("resource_variables", written(META, half), "import_meta", "bad_meta_graph", META),
    "meta_random": ("resource_variables", written(META, random), "import_meta", "bad_meta_graph", META),
    "meta_cyclic": ("cond", written(META, cyclic), "import_meta", "bad_meta_graph", "cond/MatMul"),
    "meta_of_another": ("resource_variables", meta_graph_of_another_model, "import_meta", "foreign_meta_graph", META),
    "meta_pipe": ("resource_variables", pipe_as_meta_graph, "discover", "no_meta_graph", META),
    "v1_empty": ("v1_format", written("model.ckpt-0", empty), "discover", "truncated", "model.ckpt-0"),
    "v1_half": ("v1_format", written("model.ckpt-0", half), "discover", "truncated", "model.ckpt-0"),
    "v1_flipped": ("v1_format", written("model.ckpt-0", flipped(0.3)), "import_meta", "corrupt", "model.ckpt-0"),
}
SETTINGS = """
models:
  "no_such_output/*": {outputs: [prediction]}
  "bad_shape/*": {outputs: [predictions], inputs: {input_holder: [1.0, 2.0, 3.0]}}
  "no_such_input/*": {inputs: {input: 1}}
"""
MISCONFIGURED = {
    "no_such_output": ("failed", "import_meta", "unknown_output", "predictions"),
    "bad_shape": ("unverifiable", "verify", "bad_feed", "input_holder"),
    "no_such_input": ("failed", "import_meta", "unknown_input", "input_holder"),
}


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("bad input"))
    for name, (sample, damage, *_) in BROKEN.items():
        shutil.copytree(SAMPLE_ZOO / sample, workspace.zoo / name)
        damage(workspace.zoo / name)
    for name in (*MISCONFIGURED, "good"):
        shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / name)
    link_to_the_zoo(workspace.zoo / "good")
    (workspace.directory / "settings.yaml").write_text(SETTINGS)
    run = workspace.run("--configfile", "settings.yaml")
    assert run.status == 1
    assert "Traceback" not in run.output
    assert not workspace.leftovers()
    assert [str(path.relative_to(workspace.frozen)) for path in workspace.frozen.rglob("*.pb")] == sorted(
        ["bad_shape/model.ckpt/frozen_graph.pb", "good/model.ckpt/frozen_graph.pb"]
    )
    return workspace.summary()


def row(summary, name: str):
    found = summary[summary.index.str.startswith(f"{name}/")]
    assert len(found) == 1
    assert not found["cause"].iloc[0] or found["cause"].iloc[0] in CAUSES
    return found.iloc[0]


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_model_is_a_row_with_its_cause(summary, name):
    _, _, stage, cause, named = BROKEN[name]
    found = row(summary, name)
    assert (found["status"], found["stage"], found["cause"]) == ("failed", stage, cause), found["message"]
    assert named in found["message"] and found["hint"]


@pytest.mark.parametrize("name", sorted(MISCONFIGURED))
def test_a_wrong_setting_is_a_row_with_its_cause(summary, name):
    *expected, named = MISCONFIGURED[name]
    found = row(summary, name)
    assert [found["status"], found["stage"], found["cause"]] == expected, found["message"]
    assert named in found["message"] + found["hint"]


def test_the_good_model_among_them_is_verified_once(summary):
    assert row(summary, "good")["status"] == "verified"
    assert len(summary) == len(BROKEN) + len(MISCONFIGURED) + 1


def test_directories_that_cannot_be_written_are_said_in_a_sentence(tmp_path):
    workspace = Workspace(tmp_path)
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / "linear")
    (tmp_path / "file").touch()
    for name in ("frozen", "reports"):
        run = workspace.run(**{name: "file/below"})
        assert run.status == 1 and "Traceback" not in run.output
        assert "file/below" in run.output and "Not a directory" in run.output


def test_an_empty_zoo_and_a_missing_one(tmp_path):
    workspace = Workspace(tmp_path)
    run = workspace.run()
    assert run.status == 0 and workspace.summary().empty and (workspace.reports / "zoo.csv").exists()
    run = workspace.run(zoo="not here")
    assert run.status == 1 and "not here" in run.output and "Traceback" not in run.output
