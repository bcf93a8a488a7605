"""A run that exports: what is made again, and what is not, where settings or files change."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from conftest import SAMPLE_ZOO
from zoo_runs import Workspace

pytest.importorskip("permafrost.judge.exports.deciding")
pytestmark = pytest.mark.slow(minutes=2)

MODEL = "linear/model.ckpt"
SUMMED_UP = {"list_exports": 1, "summarize": 1, "cards": 1, "page": 1, "gate": 1}


class Exporting(Workspace):
    """A workspace of two models of the sample zoo, one of which is exported."""

    def __init__(self, directory: Path):
        super().__init__(directory, {MODEL: {}})
        for model in ("linear", "sum"):
            shutil.copytree(SAMPLE_ZOO / model, self.zoo / model)

    def set(self, **said) -> None:
        self.settings.write_text(json.dumps({"zoo": [{"directory": "my zoo", "models": {MODEL: said}}]}))

    def exports(self) -> pd.DataFrame:
        return pd.read_csv(self.reports / "exports.csv", keep_default_na=False).set_index("format")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Exporting:
    """A run that exported a SavedModel, and was to make ONNX of it too."""
    workspace = Exporting(tmp_path_factory.mktemp("exports"))
    workspace.set(export=["saved_model", "onnx"])
    run = workspace.run()
    assert run.jobs["export_saved_model"] == run.jobs["export_onnx"] == run.jobs["list_exports"] == 1
    assert run.jobs["judge_export"] == 2 and run.status == 0, run.output
    return workspace


def test_the_exported_files_are_verified_and_lie_beside_the_frozen_graph(finished):
    table = finished.exports()
    assert table["status"].to_dict() == {"saved_model": "verified", "onnx": "verified"}
    directory = finished.frozen / MODEL
    assert (directory / "saved_model" / "saved_model.pb").stat().st_size == table.loc["saved_model", "bytes"]
    assert (directory / "frozen_graph.pb").read_bytes() in (directory / "saved_model" / "saved_model.pb").read_bytes()
    assert finished.summary().loc[MODEL, "exports"] == "saved_model: verified; onnx: verified"
    assert finished.summary().loc["sum/sum.ckpt", "exports"] == "" and not (finished.frozen / "sum/model.onnx").exists()
    assert finished.leftovers() == []


def test_an_option_of_a_format_makes_that_format_again_and_no_other(finished):
    finished.set(export=["saved_model", "onnx"], onnx={"opset": 17})
    run = finished.run()
    expected = {"export_onnx": 1, "judge_export": 1, **SUMMED_UP}
    assert {rule: run.jobs[rule] for rule in expected} == expected and "changes" in run.jobs
    assert set(run.jobs) <= {*expected, "changes"} and run.status == 0
    assert finished.exports().loc["onnx", "opset"] == "17"


def test_what_is_expected_of_an_export_makes_no_export_again(finished):
    finished.set(export=["saved_model", "onnx"], onnx={"opset": 17, "expect": ["refused", "verified"]})
    run = finished.run()
    assert not {"export_onnx", "export_saved_model", "judge_export"} & set(run.jobs) and run.status == 0
    assert finished.exports().loc["onnx", "expect"] == "refused; verified"


@pytest.mark.parametrize(
    ("name", "rule"), [("saved_model/saved_model.pb", "export_saved_model"), ("model.onnx", "export_onnx")]
)
def test_a_file_that_is_gone_or_is_another_one_is_made_again(finished, name, rule):
    path = finished.frozen / MODEL / name
    before = path.read_bytes()
    if rule == "export_onnx":
        path.unlink()
    else:
        path.write_bytes(before[:-1] + b"\0")
    run = finished.run()
    made = {"export_onnx", "export_saved_model", "freeze", "verify"} & set(run.jobs)
    assert made == {rule} and run.jobs["judge_export"] == 1 and run.status == 0
    assert path.read_bytes() == before


def test_a_frozen_graph_that_is_made_again_is_exported_again(finished):
    os.utime(finished.frozen / MODEL / "frozen_graph.pb", (1, 1))
    run = finished.run()
    assert run.jobs["freeze"] == run.jobs["export_onnx"] == run.jobs["export_saved_model"] == 1
    assert run.jobs["judge_export"] == 2 and run.status == 0
    assert set(finished.exports()["status"]) == {"verified"}


def test_an_export_that_is_not_asked_for_any_more_goes_with_prune(finished):
    finished.set(export=["saved_model"])
    run = finished.run()
    assert "files are of exports that no settings ask for any more" in run.output and run.status == 0
    assert list(finished.exports().index) == ["saved_model"]
    there = finished.frozen / MODEL
    assert (there / "model.onnx").exists(), "nothing is deleted unless somebody says so"
    assert finished.run("prune").status == 0
    assert not (there / "model.onnx").exists() and not (there / "export_onnx.json").exists()
    assert (there / "saved_model" / "saved_model.pb").exists() and (there / "frozen_graph.pb").exists()
    assert not (finished.reports / "models" / MODEL / "judged_onnx.json").exists()
    assert finished.run().nothing_done


def test_a_model_as_target_is_exported_too(finished):
    shutil.rmtree(finished.frozen / MODEL / "saved_model")
    run = finished.run(f"my frozen/{MODEL}")
    assert run.jobs["export_saved_model"] == run.jobs["judge_export"] == 1 and "summarize" not in run.jobs
    assert (finished.frozen / MODEL / "saved_model" / "saved_model.pb").exists()


def test_an_export_that_is_not_as_expected_fails_the_run(finished):
    nowhere = {"inputs": {"x": "nowhere"}}
    finished.set(export=["saved_model"], signature=nowhere)
    run = finished.run()
    assert run.status == 1 and f"{MODEL} as saved_model: refused, bad_setting" in run.output
    assert "1 of 1 exports is not as expected" in run.output
    assert not (finished.frozen / MODEL / "saved_model").exists()
    finished.set(export=["saved_model"], signature=nowhere, saved_model={"expect": "refused/bad_setting"})
    assert finished.run().status == 0
