"""Frozen graphs of other tools: TensorFlow's own right answers are verified, and its wrong ones are called so."""

import os
import shutil

from permafrost.model import Model, Settings

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import yaml

import kinds
from conftest import SAMPLE_ZOO
from fresh_process import in_fresh_process
from frozen_by_tensorflow import frozen_by_tensorflow
from permafrost import recording
from permafrost.outcome import Problem
from permafrost.records import JudgedFile
from permafrost.stages import judge_file
from stages import default_settings, sources
from zoo_runs import Workspace

v1 = tf.compat.v1


def judged(path: Path, source: Model, **settings) -> dict:
    """The outcome and facts of the stage."""
    return in_fresh_process(_judged, str(path), source, default_settings(timeout=120, **settings))


def _judged(path: str, source: Model, settings: Settings) -> dict:
    record = recording.begun(JudgedFile, "m")
    rows = judge_file.judge(path, source, settings, record)
    return recording.content(record) | {"rows": msgspec.to_builtins(rows)}


def theirs(source: Model, outputs: list[str], path: Path, change=None) -> Path:
    """What freeze_graph writes for a model, after change(GraphDef)."""
    content = frozen_by_tensorflow(source.prefix, source.meta, outputs)
    if change:
        graph_def = v1.GraphDef.FromString(content)
        change(graph_def)
        content = graph_def.SerializeToString(deterministic=True)
    path.write_bytes(content)
    return path


def kind(name: str, directory: Path) -> dict:
    (directory / "zoo").mkdir()
    kinds.save((kinds.SAME | kinds.REPAIRED)[name], directory / "zoo")
    (source,) = sources(directory / "zoo").values()
    return source


@pytest.mark.parametrize("name", kinds.SAME)
def test_right_answers_of_freeze_graph_are_verified(name, tmp_path):
    source = kind(name, tmp_path)
    found = judged(theirs(source, ["out"], tmp_path / "theirs.pb"), source)
    assert (found["status"], found["message"]) == ("verified", "")
    assert found["match"] == "bitwise" and found["outputs"] == ["out"]


# Their pipelines are still in the file, which is right where one feeds what comes out of them. Kind -> what to feed.
FED_INSIDE = {"queue": {"batch:0": {"shape": [2, 3]}}, "queue of batches": {}, "iterator": {}, "staging area": {}}


@pytest.mark.parametrize("name", kinds.REPAIRED)
def test_wrong_answers_of_freeze_graph_are_called_so(name, tmp_path):
    source = kind(name, tmp_path)
    try:
        path = theirs(source, ["out"], tmp_path / "theirs.pb")
    except (ValueError, KeyError, tf.errors.OpError):
        pytest.skip("freeze_graph itself refuses it")
    found = judged(path, source, inputs=FED_INSIDE.get(name, {}))
    if name in FED_INSIDE:
        assert found["status"] == "verified" and found["inputs"], found["message"]
    else:
        assert found["status"] == "mismatch" and found["message"], found


@pytest.fixture
def linear(tmp_path):
    return sources(SAMPLE_ZOO)["conv_batchnorm/model.ckpt"]


OUTPUTS = ["logits", "prediction"]


def node_of(graph_def, name: str):
    return next(node for node in graph_def.node if node.name == name)


def weight(graph_def):
    return next(node for node in graph_def.node if node.op == "Const" and node.name.endswith("weights"))


def flip(graph_def) -> None:
    tensor = weight(graph_def).attr["value"].tensor
    values = np.frombuffer(tensor.tensor_content, np.float32).copy()
    values.view(np.uint32)[len(values) // 2] ^= 1
    tensor.tensor_content = values.tobytes()


def drop_identities(graph_def) -> None:
    """As optimize_for_inference does: reads of weights go, what they read stays."""
    reads = {node.name: node.input[0] for node in graph_def.node if node.op == "Identity" and "/read" in node.name}
    assert reads
    for node in graph_def.node:
        for at, text in enumerate(node.input):
            node.input[at] = reads.get(text, text)
    kept = [node for node in graph_def.node if node.name not in reads]
    del graph_def.node[:]
    graph_def.node.extend(kept)


def another_shift(graph_def) -> None:
    """Changes a constant that was none of the variables, as a tool with a slip in its arithmetic does."""
    node = next(n for n in graph_def.node if n.op == "Const" and n.attr["value"].tensor.float_val and "/y" in n.name)
    node.attr["value"].tensor.float_val[0] *= 1.5


def rename_the_input(graph_def) -> None:
    node_of(graph_def, "images").name = "pictures"
    for node in graph_def.node:
        node.input[:] = ["pictures" if text == "images" else text for text in node.input]


def test_another_bit_of_a_weight_is_noticed(linear, tmp_path):
    found = judged(theirs(linear, OUTPUTS, tmp_path / "a.pb", flip), linear)
    assert (found["status"], found["cause"]) == ("mismatch", "weights_differ")


def test_a_graph_that_was_simplified_is_judged_by_what_it_computes(linear, tmp_path):
    found = judged(theirs(linear, OUTPUTS, tmp_path / "a.pb", drop_identities), linear)
    assert found["status"] == "verified" and found["match"] == "bitwise", found["message"]
    assert found["structure"] != "same" and found["weights"] > 0


def test_a_constant_that_differs_is_noticed_by_what_it_does(linear, tmp_path):
    found = judged(theirs(linear, OUTPUTS, tmp_path / "a.pb", another_shift), linear)
    assert (found["status"], found["cause"]) == ("mismatch", "outputs_differ")
    assert "the first tensor that differs is" in found["message"]
    assert any(row["first_tensor"] for row in found["rows"] if "first_tensor" in row)


def test_an_input_that_is_not_in_the_meta_graph_is_named(linear, tmp_path):
    with pytest.raises(Problem, match="the placeholder 'pictures', which the meta graph does not have"):
        judged(theirs(linear, OUTPUTS, tmp_path / "a.pb", rename_the_input), linear)


def test_ops_that_the_file_has_beside_the_meta_graph_are_not_run(linear, tmp_path):
    canary = tmp_path / "canary"

    def write(graph_def) -> None:
        for name in ("filename", "contents"):
            node = graph_def.node.add(name=name, op="Const")
            node.attr["dtype"].type = tf.string.as_datatype_enum
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(canary)))
        graph_def.node.add(name="write", op="WriteFile", input=["filename", "contents"])
        node_of(graph_def, "logits").input.append("^write")

    found = judged(theirs(linear, OUTPUTS, tmp_path / "a.pb", write), linear)
    assert (found["status"], found["cause"]) == ("unverifiable", "unsafe_op") and not canary.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x0a\x05abc"])
def test_a_file_that_is_no_graph_is_a_mismatch(content, linear, tmp_path):
    (tmp_path / "a.pb").write_bytes(content)
    found = judged(tmp_path / "a.pb", linear)
    assert (found["status"], found["cause"]) == ("mismatch", "not_importable") and "a.pb" in found["message"]


@pytest.mark.slow
def test_the_target_lists_all_files_and_fails_for_a_wrong_one(tmp_path):
    workspace = Workspace(tmp_path)
    for name in ("linear", "v1_format", "sum"):
        shutil.copytree(SAMPLE_ZOO / name, workspace.zoo / name)
    found = sources(workspace.zoo)
    theirs(found["linear/model.ckpt"], ["predictions"], tmp_path / "good one.pb")
    theirs(found["v1_format/model.ckpt"], ["Softmax"], tmp_path / "bad.pb")
    models = {"linear/*": {"judge": "good one.pb"}, "v1_format/*": {"judge": "bad.pb"}}
    (tmp_path / "judge.yaml").write_text(yaml.safe_dump({"models": models}))
    run = workspace.run("judge", "--configfile", "judge.yaml")
    table = pd.read_csv(workspace.reports / "judged.csv", keep_default_na=False).set_index("model")
    assert run.status != 0 and "not_frozen" in run.output and run.jobs["judge_file"] == 2
    assert table["status"].to_dict() == {"linear/model.ckpt": "verified", "v1_format/model.ckpt": "mismatch"}
    (tmp_path / "judge.yaml").write_text(yaml.safe_dump({"models": {"linear/*": {"judge": "good one.pb"}}}))
    assert workspace.run("judge", "--configfile", "judge.yaml").status == 0
    assert workspace.run("judge", "--configfile", "judge.yaml").nothing_done
    refused = workspace.run("judge")
    assert refused.status != 0 and "no model's settings name a frozen graph to judge" in refused.output
