"""What the jobs of exports depend on: their own format's settings, and files that are those of their records."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from permafrost import export_packages, whole_files
from permafrost.export_records import ExportRecord, ExportVerdict
from permafrost.outcome import Problem
from permafrost.workflow import announcing
from permafrost.workflow.attempts import Attempts
from permafrost.workflow.pipeline import Pipeline
from written_records import whole

PREFIX = "model.ckpt"


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """A working directory with a zoo of two models that look like checkpoints."""
    monkeypatch.chdir(tmp_path)
    for model in ("a", "b"):
        for ending in ("index", "meta", "data-00000-of-00001"):
            path = Path("zoo", model, f"{PREFIX}.{ending}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(model.encode())


def passed(run: Pipeline, stage: str, model: str = f"a/{PREFIX}", form: str = "") -> dict:
    return json.loads(run.settings(stage)(SimpleNamespace(model=model, format=form)))


def test_each_stage_is_told_of_its_own_format_and_not_what_is_expected():
    said = {"onnx": {"opset": 17, "expect": "refused", "tolerance": 0.5}, "export": ["onnx"]}
    run = Pipeline({"zoo": "zoo", "models": {"*": said}}, True, [])
    told = passed(run, "export_onnx")
    assert told["onnx"] == {"opset": 17, "bake": True, "batch": None, "dynamic_axes": {}, "tolerance": 0.5}
    assert told["signature"] == {"inputs": {}, "outputs": {}} and "tflite" not in told and "export" not in told
    judge = passed(run, "judge_{format}", form="onnx")
    assert judge["onnx"] == {"tolerance": 0.5} and "trials" not in judge
    assert "onnx" not in passed(run, "judge_{format}", form="saved_model")
    for stage in ("import_meta", "freeze", "verify", "list_ops", "export_saved_model"):
        assert "onnx" not in passed(run, stage), "an option of a format makes nothing else again"


def test_each_model_is_exported_to_what_its_settings_ask_for():
    models = {"*": {"export": ["saved_model"]}, f"b/{PREFIX}": {"export": ["onnx", "saved_model"]}}
    run = Pipeline({"zoo": "zoo", "models": models}, True, [])
    pattern = "{model}/{format}"
    assert run.exports_of(f"a/{PREFIX}", pattern) == [f"a/{PREFIX}/saved_model"]
    assert run.exports_of(f"b/{PREFIX}", pattern) == [f"b/{PREFIX}/saved_model", f"b/{PREFIX}/onnx"]
    assert len(run.for_exports("{model}/{format}", "other/{model}/{format}")) == 6
    assert run.expected(f"b/{PREFIX}", "onnx") == run.expected(f"a/{PREFIX}", "onnx") == "verified"
    assert Pipeline({"zoo": "zoo"}, True, []).for_exports(pattern) == []


def test_what_is_asked_for_without_its_packages_ends_before_any_job(monkeypatch):
    monkeypatch.setitem(export_packages.NEEDED, "tflite", {"no_such_module": "no-such-package"})
    with pytest.raises(Problem) as raised:
        Pipeline({"zoo": "zoo", "models": {"b/*": {"export": ["tflite"]}}}, True, [])
    assert "no-such-package" in raised.value.message and "`make exports`" in raised.value.hint
    Pipeline({"zoo": "zoo", "models": {"b/*": {"export": ["onnx"]}}}, True, [])


def made(model: str, form: str, *names: str) -> Path:
    """Files of an export with its records; returns the first file."""
    frozen, reports = Path("frozen", model), Path("reports", "models", model)
    for path in [frozen / name for name in names]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"exported")
    stamps = {name: (8, os.stat(frozen / name).st_mtime_ns) for name in names}
    record = whole(ExportRecord, files={}, model=model) | {"stamps": stamps}
    whole_files.write_json(frozen / f"export_{form}.json", record)
    whole_files.write_json(reports / f"judged_{form}.json", whole(ExportVerdict, model=model))
    for directory, name in ((frozen, "provenance.json"), (reports, "import.json")):
        whole_files.write_json(directory / name, {})
    return frozen / names[0]


def token(stage: str, model: str = "m") -> str:
    return Attempts("frozen", "reports").of(stage, model)


def test_what_is_there_as_it_was_made_has_no_token():
    made("m", "onnx", "model.onnx", "model.onnx.data")
    made("m", "saved_model", "saved_model/saved_model.pb")
    assert [token(f"{what}_{form}") for what in ("export", "judge") for form in ("onnx", "saved_model")] == [""] * 4


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"exporteX"), lambda path: path.touch()])
@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_a_file_that_is_another_one_has_it_made_again(name, harm):
    path = made("m", "onnx", "model.onnx", "model.onnx.data").with_name(name)
    harm(path)
    assert token("export_onnx") and token("export_onnx") == token("export_onnx")
    assert token("judge_onnx") == ""


@pytest.mark.parametrize("record", ["frozen/m/export_onnx.json", "reports/models/m/judged_onnx.json"])
def test_what_failed_for_now_is_tried_again(record):
    made("m", "onnx", "model.onnx")
    stage = "export_onnx" if "export" in record else "judge_onnx"
    content = json.loads(Path(record).read_text())
    whole_files.write_json(record, content | {"transient": True})
    assert token(stage)
    whole_files.write_json(record, content | {"model": "another"})
    assert token(stage)
    Path(record).write_text("{")
    assert token(stage)
    whole_files.write_json(record, content | {"attempt": "kept"})
    assert token(stage) == "kept"


def test_exports_that_nobody_asks_for_any_more_are_found():
    for model in (f"a/{PREFIX}", f"b/{PREFIX}", "gone"):
        made(model, "onnx", "model.onnx")
        made(model, "saved_model", "saved_model/saved_model.pb")
    Path(f"frozen/b/{PREFIX}/notes.txt").write_text("")
    run = Pipeline(
        {"zoo": "zoo", "models": {"a/*": {"export": ["saved_model", "onnx"]}, "b/*": {"export": ["onnx"]}}}, True, []
    )
    assert run.stale == ["frozen/gone", "reports/models/gone"]
    assert run.unasked == [
        f"frozen/b/{PREFIX}/export_saved_model.json",
        f"frozen/b/{PREFIX}/saved_model/saved_model.pb",
        f"reports/models/b/{PREFIX}/judged_saved_model.json",
    ]
    assert any("3 files are of exports that no settings ask for any more" in told for told in announcing.warnings(run))


def test_a_model_whose_id_ends_as_the_directory_of_a_saved_model_is_left_alone():
    made(f"a/{PREFIX}/saved_model", "onnx", "model.onnx")
    run = Pipeline({"zoo": "zoo"}, True, [])
    assert run.unasked == [] and f"frozen/a/{PREFIX}/saved_model" in run.stale
