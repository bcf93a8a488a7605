"""One checkpoint in place of a zoo: found by any of its names, with outputs of its own, and told in a few lines."""

import shutil

import pytest

import forked_snakemake
from conftest import SAMPLE_ZOO
from permafrost.outcome import Problem
from permafrost.workflow.pipeline import Pipeline
from permafrost.zoo import one_checkpoint
from zoo_runs import SNAKEFILE


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("conv_batchnorm/model.ckpt-1200", "model.ckpt-1200"),
        ("conv_batchnorm/model.ckpt-1200.index", "model.ckpt-1200"),
        ("conv_batchnorm/model.ckpt-1200.meta", "model.ckpt-1200"),
        ("conv_batchnorm/model.ckpt-1200.data-00000-of-00001", "model.ckpt-1200"),
        ("conv_batchnorm/model.ckpt", "model.ckpt"),
        ("v1_format/model.ckpt-0", "model.ckpt-0"),
        ("conv_batchnorm", None),
        ("conv_batchnorm/model", None),
        ("no_such/model.ckpt", None),
        ("no_name/", None),
    ],
)
def test_a_path_names_a_checkpoint(path, name):
    found = one_checkpoint.find(f"{SAMPLE_ZOO}/{path}")
    assert (found.name if found else None) == name


def test_outputs_have_a_place_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLE_ZOO / "v1_and_v2", "some {dir}")
    run = Pipeline({"zoo": "some {dir}/model.ckpt-100.meta"}, True, [])
    assert list(run.models) == ["model.ckpt-100"] and run.checkpoints == 1
    assert run.frozen == "permafrost.out/some__dir_/model.ckpt-100/frozen"
    assert list(Pipeline({"zoo": "some {dir}/model.ckpt"}, True, []).models) == ["model.ckpt"]
    assert Pipeline({"zoo": "some {dir}/model.ckpt", "frozen": "f"}, True, []).frozen == "f"
    with pytest.raises(Problem, match="no checkpoint has this prefix"):
        Pipeline({"zoo": "some {dir}/other"}, True, [])


def test_reports_of_another_checkpoint_are_not_taken_for_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for above in ("one", "two"):
        shutil.copytree(SAMPLE_ZOO / "linear", f"{above}/linear")
    Pipeline({"zoo": "one/linear/model.ckpt"}, True, []).begin()
    Pipeline({"zoo": "./one/linear/model.ckpt"}, True, [])
    with pytest.raises(Problem, match="has the reports of a checkpoint in one/linear"):
        Pipeline({"zoo": "two/linear/model.ckpt"}, True, [])


@pytest.mark.slow
def test_it_is_told_in_a_few_lines_what_was_done(tmp_path):
    shutil.copytree(SAMPLE_ZOO, tmp_path / "zoo")
    done = forked_snakemake.run([*SNAKEFILE, "--config", "zoo=zoo/conv_batchnorm/model.ckpt-1200"], tmp_path)
    made = "permafrost.out/conv_batchnorm/model.ckpt-1200"
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0].startswith("model.ckpt-1200: verified") and len(lines) < 16
    assert any(line.startswith("  frozen graph") for line in lines) and f"{made}/frozen/model.ckpt-1200" in done.stdout
    assert lines[-1] == f"Page: {made}/reports/index.html" and (tmp_path / made / "reports/index.html").exists()
    assert (tmp_path / made / "frozen/model.ckpt-1200/frozen_graph.pb").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"zoo", "permafrost.out", ".snakemake"}
    done = forked_snakemake.run([*SNAKEFILE, "--config", "zoo=zoo/broken_missing_shard/model.ckpt-10"], tmp_path)
    assert done.returncode == 1 and "model.ckpt-10: failed, missing_shard" in done.stdout
    assert "      -> " in done.stdout
