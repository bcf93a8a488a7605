"""The settings that are written say what was found: a run with them gives the same results."""

import shutil

import pandas as pd
import pytest
import tensorflow as tf
import yaml
from msgspec.structs import replace

import kinds
from conftest import SAMPLE_ZOO
from judged import saved
from permafrost import recording
from permafrost.input_kinds import Value
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, failure
from permafrost.report import settings_file
from stages import frozen, imported
from written_records import made
from zoo_runs import Workspace

v1 = tf.compat.v1


def head(x, name="out"):
    tf.nn.softmax(tf.matmul(x, kinds.weights("w", [x.shape[1], 2])), name=name)


def sparse() -> None:
    x = v1.sparse_placeholder(tf.float32, [None, None], "x")
    tf.nn.softmax(tf.sparse.sparse_dense_matmul(x, kinds.weights("w", [6, 2])), name="out")


def sequence() -> None:
    ids = v1.placeholder(tf.int32, [None, None], "ids")
    lengths = v1.placeholder(tf.int32, [None], "lengths")
    words = tf.gather(kinds.weights("table", [9, 4]), ids)
    head(tf.reduce_sum(tf.reverse_sequence(words, lengths, seq_axis=1), 1))


def flags_and_rates() -> None:
    keep, training = v1.placeholder(tf.float32, [], "keep_prob"), v1.placeholder(tf.bool, [], "training")
    x = tf.nn.dropout(kinds.features(), rate=1 - keep)
    with kinds.control_flow(1):
        x = v1.cond(training, lambda: x * 2.0, lambda: x)
    head(tf.reshape(x, [-1, 3]) + v1.placeholder_with_default(tf.zeros([3]), [3], "offset"))


def text() -> None:
    words = v1.placeholder(tf.string, [None], "words")
    head(tf.gather(kinds.weights("table", [7, 3]), tf.strings.to_hash_bucket_fast(words, 7)))


KINDS = {"sparse": sparse, "sequence": sequence, "flags": flags_and_rates, "text": text, "queue": kinds.queue_input}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_found_again_with_the_settings_is_the_same(kind, tmp_path):
    source = saved(KINDS[kind], tmp_path)
    first = imported(source)
    content = settings_file.text("settings.yaml", [("an/id: {odd}", first)])
    found = yaml.safe_load(content)["models"]["an/id: {odd}"]
    second = imported(source, **found)
    assert second.outputs == first.outputs
    assert second.inputs.keys() == first.inputs.keys()
    for name, spec in first.inputs.items():
        again = second.inputs[name]
        assert type(again) is type(spec)
        if isinstance(spec, Value):
            assert again.value == spec.value
        else:
            assert replace(again, why="", open=[]) == replace(spec, why="", open=[])
    frozen_bytes = [
        frozen(record, tmp_path / f"frozen {n}")[1].read_bytes() for n, record in enumerate((first, second))
    ]
    assert frozen_bytes[0] == frozen_bytes[1]


def test_alternatives_and_failures_are_comments():
    record = made(
        ImportRecord,
        outputs=["a"],
        outputs_ranking=[
            {"name": "a", "score": 5, "chosen": True, "reasons": ["good"]},
            {"name": "b\n: é", "score": 1, "chosen": False, "reasons": ["not so\ngood é"]},
        ],
        inputs={"x:0": {"kind": "default", "dtype": "float32", "shape": [], "why": "has a default"}},
        rehearsal="it\nfailed",
    )
    failed = recording.begun(ImportRecord, "n", failure("import_meta", Problem("truncated", "too\nshort")))
    content = settings_file.text("s.yaml", [("m", record), ("n", failed)])
    assert yaml.safe_load(content) == {"models": {"m": {"outputs": ["a"], "inputs": {}}}}
    assert content.isascii()
    assert '# - "b\\n: \\xE9"  # not so?good ?' in content
    assert "# n: truncated: too?short" in content
    assert yaml.safe_load(settings_file.text("s.yaml", [("n", failed)])) == {"models": {}}


@pytest.mark.slow
def test_a_run_with_the_settings_gives_the_same_results(tmp_path):
    workspace = Workspace(tmp_path)
    for model in ("cond", "ema", "embedding", "lstm_while", "resource_variables", "broken_truncated"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / f"my {model}")
    workspace.run(on_failure="report")
    assert workspace.run("settings", on_failure="report").status == 0
    found = workspace.reports / "settings.yaml"
    again = workspace.run("--configfile", str(found), frozen="frozen 2", reports="reports 2", on_failure="report")
    assert again.status == 0, again.output
    tables = [pd.read_csv(tmp_path / name / "summary.csv") for name in ("my reports", "reports 2")]
    same = [
        table.drop(columns=["inputs_why", "outputs_why", "outputs_confidence", "weights_reached"]) for table in tables
    ]
    pd.testing.assert_frame_equal(*same)
    assert (tables[0]["status"] == "verified").sum() == 5
    for path in workspace.frozen.rglob("*.pb"):
        assert path.read_bytes() == (tmp_path / "frozen 2" / path.relative_to(workspace.frozen)).read_bytes()
    for path in workspace.reports.rglob("verification.csv"):
        assert path.read_bytes() == (tmp_path / "reports 2" / path.relative_to(workspace.reports)).read_bytes()
