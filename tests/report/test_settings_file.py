"""The settings that are written say what was found: a run with them gives the same results."""

import shlex
import shutil

import pandas as pd
import pytest
import tensorflow as tf
import yaml
from msgspec.structs import replace

import forked_snakemake
import kinds
from conftest import SAMPLE_ZOO
from judged import saved
from permafrost import recording
from permafrost.input_kinds import Value
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, failure
from permafrost.report import settings_changes, settings_file
from permafrost.report.settings_file import Found
from stages import frozen, imported
from written_records import made
from zoo_runs import SNAKEFILE, Workspace

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
    content = settings_file.text("snakemake", {}, [Found("an/id: {odd}", first, {})])
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
    content = settings_file.text("snakemake", {}, [Found("m", record, {}), Found("n", failed, {})])
    assert yaml.safe_load(content) == {"models": {"m": {"outputs": ["a"], "inputs": {}}}}
    assert content.isascii()
    assert '# - "b\\n: \\xE9"  # not so?good ?' in content
    assert "# n: truncated: too?short" in content
    assert yaml.safe_load(settings_file.text("snakemake", {}, [Found("n", failed, {})])) == {"models": {}}


MINE = """
zoo: [my zoo, {directory: others, models: {"broken*": {expect: failed/truncated}}}]
frozen: my frozen
reports: my reports
checkpoints: all
on_failure: report
models:
  "*": {trials: 2}
  "my conv_batchnorm/*": {bake: {is_training: false}, tolerance: {rtol: 1.0e-6}}
  "my v1_and_v2/*": {checkpoints: latest}
"""


def command_in(path) -> list[str]:
    """The arguments of the command that stands in the head of a file of settings."""
    line = next(line for line in path.read_text().splitlines() if line.startswith("#     snakemake"))
    return shlex.split(line.removeprefix("#"))[1:]


@pytest.mark.slow
def test_the_command_in_the_file_gives_the_same_results_after_a_run_with_a_config_file(tmp_path):
    workspace = Workspace(tmp_path)
    for model in ("cond", "embedding", "conv_batchnorm", "v1_and_v2"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / f"my {model}")
    shutil.copytree(SAMPLE_ZOO / "broken_truncated", tmp_path / "others" / "broken_truncated")
    (tmp_path / "mine.yaml").write_text(MINE)
    arguments = [*SNAKEFILE, "--configfile", "mine.yaml"]
    assert forked_snakemake.run(arguments, tmp_path).returncode == 0
    done = forked_snakemake.run(["settings", *arguments], tmp_path)
    assert done.returncode == 0 and "my reports/settings.yaml has the settings of" in done.stdout

    for name in ("my frozen", "my reports"):
        shutil.copytree(tmp_path / name, tmp_path / "first" / name)
    found = workspace.reports / "settings.yaml"
    again = forked_snakemake.run(command_in(found), tmp_path)
    assert again.returncode == 0, again.stderr
    first, second = (pd.read_csv(at / "my reports" / "summary.csv") for at in (tmp_path / "first", tmp_path))
    of_choice = ["inputs_why", "outputs_why", "outputs_confidence", "weights_reached"]
    pd.testing.assert_frame_equal(first.drop(columns=of_choice), second.drop(columns=of_choice))
    assert (second["status"] == "verified").sum() == len(second) - 1 and (second["trials"].dropna() == 2).all()
    made = [path for name in ("*.pb", "verification.csv") for path in (tmp_path / "first").rglob(name)]
    assert len(made) == 2 * len(second) - 1
    for path in made:
        assert path.read_bytes() == (tmp_path / path.relative_to(tmp_path / "first")).read_bytes()


@pytest.mark.slow
def test_what_is_edited_is_neither_written_over_nor_deleted(tmp_path):
    workspace = Workspace(tmp_path)
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / "linear")
    assert workspace.run("settings").status == 0
    yours, found = workspace.reports / "settings.yaml", workspace.reports / "settings.found.yaml"
    assert yours.read_bytes() == found.read_bytes()
    edited = yours.read_text().replace("- predictions", "- add")
    yours.write_text(edited)
    run = workspace.run("settings")
    assert run.status == 0 and "which is other in: linear/model.ckpt (outputs)" in run.output
    assert yours.read_text() == edited and "- predictions" in found.read_text()
    yours.write_text("{")
    assert "is no YAML any more" in workspace.run("settings").output
    assert workspace.run("clean").status == 0
    assert [path.name for path in workspace.reports.iterdir()] == ["settings.yaml"] and yours.read_text() == "{"


def test_what_differs_is_named(tmp_path):
    yours, found = tmp_path / "settings.yaml", tmp_path / "found.yaml"
    found.write_text("on_failure: fail\nmodels: {a: {outputs: [x], seed: 1}, b: {}}")
    yours.write_text("on_failure: report\nmodels: {a: {outputs: [y], seed: 1}, c: {}}")
    said = settings_changes.sentence(yours, found)
    assert said.endswith("other in: on_failure; a (outputs); b (only found); c (only in yours)")
    shutil.copy(found, yours)
    assert "says the same" in settings_changes.sentence(yours, found)
    for strange in ("[]", "models: 3", "models: {a: 3}", ""):
        yours.write_text(strange)
        assert "other in" in settings_changes.sentence(yours, found)
