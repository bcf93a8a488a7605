"""What all exports have in common: what is refused, what the record says, and that after a failure there is no file."""

import json
from functools import partial
from pathlib import Path

import pytest

from permafrost import export_packages, recording, whole_files
from permafrost.export_records import ONNX, SAVED_MODEL, ExportRecord, ExportVerdict, Signature
from permafrost.exporter.prepared import Refused
from permafrost.model import OnnxOptions, SavedModelOptions, Settings, SignatureNames, TfliteOptions
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Provenance, Verdict, failure
from permafrost.stages import export_model, export_saved_model, freeze_model, judge_export
from written_records import said, whole

SETTINGS = Settings(
    signature=SignatureNames(),
    saved_model=SavedModelOptions(),
    onnx=OnnxOptions(expect="refused"),
    tflite=TfliteOptions(),
    allow_ops=[],
    allow_paths=[],
    seed=0,
    trials=3,
)
MADE = export_model.Made(Signature(inputs=[], outputs=[]), {"keep:0": 1.0}, ["one change"], "plain")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A directory with the records of a verified model and its frozen graph."""
    monkeypatch.chdir(tmp_path)
    graph = Path("frozen_graph.pb")
    graph.write_bytes(b"graph")
    described = {"frozen_bytes": 5, "frozen_crc32c": whole_files.checksum(graph)}
    for name, kind, facts in (
        ("import.json", ImportRecord, {}),
        ("provenance.json", Provenance, described),
        ("verify.json", Verdict, {}),
    ):
        whole_files.write_json(name, whole(kind, model="m") | facts)
    return tmp_path


def write(task: export_model.Task, names=("model.onnx",), raised: Exception | None = None) -> export_model.Made:
    for name in names:
        (task.directory / name).parent.mkdir(exist_ok=True)
        (task.directory / name).write_bytes(b"exported")
    if raised:
        raise raised
    return MADE


def run(make=write, form=ONNX, settings=SETTINGS) -> ExportRecord:
    records = export_model.Records("import.json", Path("provenance.json"), "verify.json")
    path = Path(f"export_{form}.json").absolute()
    export_model.run(form, make, "m", "token", records, settings, path)
    return recording.load(path, ExportRecord)


def test_the_record_describes_the_files(home):
    record = run(partial(write, names=("model.onnx", "model.onnx.data")))
    assert (record.status, record.attempt, record.way, record.baked) == ("ok", "token", "plain", {"keep:0": 1.0})
    assert record.files == {name: whole_files.sha256(name) for name in ("model.onnx", "model.onnx.data")}
    assert record.bytes == 16 and record.frozen_sha256 == whole_files.sha256("frozen_graph.pb")
    assert record.stamps["model.onnx"] == (8, Path("model.onnx").stat().st_mtime_ns)
    assert "expect" not in record.options and record.options["opset"] == 18
    assert record.versions["onnx"] and record.timing.stage == "export_onnx"


def test_what_a_format_cannot_hold_is_named_and_leaves_no_file(home):
    record = run(partial(write, raised=Refused("unsupported_op", "op Foo is not there", "Foo", "a/foo")))
    assert (record.status, record.cause, record.op, record.node) == ("refused", "unsupported_op", "Foo", "a/foo")
    assert not Path("model.onnx").exists()


@pytest.mark.parametrize("raised", [Problem("timeout", "too long"), ValueError("odd"), OSError(28, "full")])
def test_whatever_fails_is_a_record_without_a_file(home, raised):
    record = run(partial(write, names=("saved_model/saved_model.pb",), raised=raised), SAVED_MODEL)
    assert record.status == "refused" and record.cause in ("timeout", "internal", "disk_full")
    assert record.transient == (record.cause != "internal")
    assert not Path("saved_model").exists()


@pytest.mark.parametrize(
    ("name", "kind", "ended"),
    [
        ("verify.json", Verdict, failure("verify", Problem("outputs_differ", "out differs"), "mismatch")),
        ("verify.json", Verdict, failure("verify", Problem("random", "it is random"), "unverifiable")),
        ("provenance.json", Provenance, failure("freeze", Problem("corrupt", "a checksum"))),
        ("import.json", ImportRecord, failure("import_meta", Problem("no_output", "no output"))),
    ],
)
def test_only_what_is_verified_is_exported(home, name, kind, ended):
    Path("model.onnx").write_bytes(b"of a run before")
    whole_files.write_json(name, said(ended) | {"model": "m"})
    record = run(pytest.fail)
    assert (record.status, record.cause) == ("refused", "not_verified")
    assert not Path("model.onnx").exists()


def test_another_frozen_graph_is_not_exported_and_it_is_tried_again(home):
    Path("frozen_graph.pb").write_bytes(b"another")
    record = run(pytest.fail)
    assert (record.status, record.cause, record.transient) == ("refused", "changed", True)


def test_packages_that_are_missing_are_all_named_and_it_is_tried_again(home, monkeypatch):
    needed = {"no_such_module": "no-such-package", "json": "there", "nor_this_one": "nor-this"}
    monkeypatch.setitem(export_packages.NEEDED, ONNX, needed)
    record = run(pytest.fail)
    assert (record.status, record.cause, record.transient) == ("refused", "missing_package", True)
    assert "no-such-package, nor-this" in record.message and "there" not in record.message
    assert "make exports" in record.hint


def test_a_saved_model_bakes_no_input_that_there_is_not(home):
    settings = Settings(saved_model=SavedModelOptions(bake={"keep": 1.0}), signature=SignatureNames())
    record = run(export_saved_model.make, SAVED_MODEL, settings)
    assert (record.status, record.cause) == ("refused", "bad_setting") and "`bake:` names 'keep'" in record.message


def test_what_is_frozen_again_takes_its_exports_with_it(home):
    theirs = Path("saved_model", "notes.txt")
    run(partial(write, names=("saved_model/saved_model.pb",)), SAVED_MODEL)
    run()
    theirs.write_text("")
    record = recording.begun(Provenance, "m")
    failed = recording.begun(ImportRecord, "m", failure("import_meta", Problem("no_output", "none")))
    freeze_model.freeze(failed, SETTINGS, Path("frozen_graph.pb").absolute(), record)
    assert not Path("model.onnx").exists() and list(Path("saved_model").iterdir()) == [theirs]


def judged() -> ExportVerdict:
    paths = judge_export.Paths("import.json", "provenance.json", "verify.json", Path("export_onnx.json").absolute())
    judge_export.run(ONNX, "m", "", paths, SETTINGS, "judged_onnx.json", "export_onnx.csv")
    assert Path("export_onnx.csv").read_text().startswith("output,trial,")
    return recording.load("judged_onnx.json", ExportVerdict)


def test_how_an_export_was_refused_is_how_its_judging_ends(home):
    run(partial(write, raised=Refused("string_input", "strings")))
    verdict = judged()
    assert (verdict.status, verdict.cause, verdict.stage) == ("refused", "string_input", "export_onnx")


@pytest.mark.parametrize("harm", ["unlink", "write", "truncate"])
def test_another_file_than_the_record_describes_is_not_judged(home, harm):
    whole_files.write_json("import.json", whole(ImportRecord, model="m") | {"prefix": "m", "vocabularies": []})
    run()
    if harm == "unlink":
        Path("model.onnx").unlink()
    else:
        Path("model.onnx").write_bytes(b"exporteD" if harm == "write" else b"")
    verdict = judged()
    assert (verdict.status, verdict.cause, verdict.transient) == ("unverifiable", "changed", True)
    assert "model.onnx" in verdict.message and "run again" in verdict.hint


def test_a_record_that_cannot_be_read_is_tried_again(home):
    run()
    Path("export_onnx.json").write_text(json.dumps({"status": 3}))
    verdict = judged()
    assert (verdict.status, verdict.cause, verdict.transient) == ("unverifiable", "io_error", True)
