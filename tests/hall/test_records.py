"""Records: what is one and what is not, what an internal error says, and which files may be deleted."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import UNSET

from conftest import HOME, SAMPLE_ZOO
from delete import delete
from permafrost import recording, whole_files
from permafrost.layout import IN_DIRECTORIES, MADE_FILES
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, JudgedFile, Outcome, Provenance, Record, Verdict
from permafrost.workflow.pipeline import Pipeline
from written_records import made, whole

RECORDS = (ImportRecord, Provenance, Verdict, JudgedFile, Record)

# What an input says by its kind, and strings by their form.
KINDS = {
    "uniform": {"low": 0, "high": 0.5}, "integers": {"low": 0, "high": None}, "value": {"value": [[1, "a"], None]},
    "file": {"file": "a.npz", "key": None}, "indices": {"size": [None, 3]}, "sizes": {"size": [None]},
    "row_splits": {},
    "strings": {"content": {"form": "words"}}, "default": {},
}  # fmt: skip
INPUTS = {kind: {"kind": kind, "dtype": "x", "shape": [None], "why": ""} | KINDS[kind] for kind in KINDS}
CONTENTS = {
    "words": {"words": ["a"]}, "number": {}, "csv": {"fields": 2}, "raw": {"bytes": 2}, "wav": {"samples": 2},
    "image": {"channels": 3}, "example": {"features": [["key", "float32", 2], ["more", "string", 1]]},
}  # fmt: skip


def recorded(kind: type[Record], stage: str, path: Path, work: Callable, model: str = "m") -> Record:
    """The record of a stage that did work(record)."""
    with recording.recording(stage, recording.begun(kind, model), path) as record:
        work(record)
    return record


def find(record: Provenance) -> None:
    record.outputs = ["known"]


def fail(record: Provenance) -> None:
    find(record)
    raise ZeroDivisionError("by nothing")


def test_a_record_is_read_back(tmp_path):
    def work(record: Provenance) -> None:
        for field, value in whole(Provenance, outputs=["found:0"]).items():
            setattr(record, field, value)

    written = recorded(Provenance, "freeze", tmp_path / "r.json", work, "a/b")
    assert recording.load(tmp_path / "r.json", Provenance) == written
    assert written.status == "ok" and written.outputs == ["found:0"] and written.timing.stage == "freeze"
    said_first = ["status", "transient", "stage", "cause", "message", "hint", "model"]
    said = list(json.loads((tmp_path / "r.json").read_text()))
    assert said[:7] == said_first and said[-1] == "timing" and "attempt" not in said


def test_the_token_of_an_attempt_comes_last(tmp_path):
    with recording.recording("verify", recording.begun(Verdict, "m"), tmp_path / "r.json", "a token") as record:
        record.environment = {}
    said = list(json.loads((tmp_path / "r.json").read_text()))
    assert said[-3:] == ["environment", "timing", "attempt"]
    assert recording.load(tmp_path / "r.json", Verdict).attempt == "a token"


@pytest.mark.parametrize("field", Outcome.__struct_fields__)
def test_a_record_has_all_its_fields(tmp_path, field):
    path = tmp_path / "import.json"
    for change in ("drop", "null"):
        record = whole(ImportRecord)
        record.pop(field) if change == "drop" else record.update({field: None})
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=r"import\.json"):
            recording.load(path, ImportRecord)


def test_what_an_older_version_has_said_besides_is_passed_over(tmp_path):
    whole_files.write_json(tmp_path / "r.json", whole(Provenance, gone={"a": 1}))
    assert recording.load(tmp_path / "r.json", Provenance) == made(Provenance)


def test_a_fact_of_another_type_is_named(tmp_path):
    whole_files.write_json(tmp_path / "r.json", whole(ImportRecord, op_types={"Add": "x"}))
    with pytest.raises(ValueError, match=r"r\.json is not a record.*op_types.*delete it"):
        recording.load(tmp_path / "r.json", ImportRecord)


@pytest.mark.parametrize("form", INPUTS)
def test_an_input_is_read_back_with_the_same_keys(tmp_path, form):
    inputs = {"x:0": INPUTS[form], "y:0": INPUTS[form] | {"shape": None, "open": "rank"}}
    whole_files.write_json(tmp_path / "r.json", whole(ImportRecord, inputs=inputs))
    written = recording.content(recording.load(tmp_path / "r.json", ImportRecord))
    assert json.loads(json.dumps(written))["inputs"] == inputs


@pytest.mark.parametrize("form", INPUTS)
def test_an_input_that_is_damaged_is_refused(tmp_path, form):
    whole_input = INPUTS[form]
    damaged = [{key: value for key, value in whole_input.items() if key != lost} for lost in whole_input]
    damaged += [whole_input | change for change in ({"kind": "song"}, {"shape": [1.5]}, {"open": "all"}, {"dtype": 1})]
    for one in [*damaged, None, []]:
        whole_files.write_json(tmp_path / "r.json", whole(ImportRecord, inputs={"x:0": one}))
        with pytest.raises(ValueError, match=r"r\.json is not a record.*inputs.*delete it"):
            recording.load(tmp_path / "r.json", ImportRecord)


@pytest.mark.parametrize("form", CONTENTS)
def test_what_strings_say_is_read_back_or_refused(tmp_path, form):
    content = {"form": form} | CONTENTS[form]
    said = {"kind": "strings", "dtype": "string", "shape": [None], "why": ""}
    whole_files.write_json(tmp_path / "r.json", whole(ImportRecord, inputs={"x:0": said | {"content": content}}))
    written = recording.content(recording.load(tmp_path / "r.json", ImportRecord))
    assert json.loads(json.dumps(written))["inputs"]["x:0"]["content"] == content
    for wrong in ({}, content | {"form": "song"}, {"form": form} | dict.fromkeys(CONTENTS[form])):
        if wrong != content:
            whole_files.write_json(tmp_path / "r.json", whole(ImportRecord, inputs={"x:0": said | {"content": wrong}}))
            with pytest.raises(ValueError, match=r"r\.json is not a record.*content"):
                recording.load(tmp_path / "r.json", ImportRecord)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"status": "ok"}', "\x00", "[" * 100000, "\udcff"])
def test_what_is_no_record(tmp_path, content):
    path = tmp_path / "import.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError):
        recording.load(path, ImportRecord)


def test_a_changed_zoo_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"zoo": "zoo", "frozen": "frozen", "reports": "reports", "models": {}}

    def digests() -> tuple[str, str]:
        pipeline = Pipeline(config, scans=True, taken=[])
        assert list(tmp_path.iterdir()) == [tmp_path / "zoo"]
        return pipeline.zoo, pipeline.seen

    shutil.copytree(SAMPLE_ZOO / "linear", tmp_path / "zoo" / "linear")
    first = digests()
    assert digests() == first
    os.utime(tmp_path / "zoo" / "linear" / "model.ckpt.index")
    assert [new == old for new, old in zip(digests(), first, strict=True)] == [True, False]
    shutil.rmtree(tmp_path / "zoo" / "linear")
    assert [new == old for new, old in zip(digests(), first, strict=True)] == [False, False]


def test_an_internal_error_names_the_log(tmp_path):
    program = (
        "from permafrost import recording, records\n"
        "with recording.recording('verify', recording.begun(records.Verdict, 'm'), 'verify.json'):\n"
        "    raise ZeroDivisionError('by nothing')\n"
    )
    (tmp_path / "logs here").mkdir()
    log = tmp_path / "logs here" / "verify.log"
    with log.open("w") as stderr:
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            stderr=stderr,
            check=True,
            env=os.environ | {"PYTHONPATH": str(HOME / "scripts")},
        )
    record = recording.load(tmp_path / "verify.json", Verdict)
    assert record.cause == "internal" and record.hint.endswith("logs here/verify.log")
    assert "ZeroDivisionError: by nothing" in log.read_text()


def test_facts_are_kept_when_a_stage_fails(tmp_path):
    recorded(Provenance, "freeze", tmp_path / "r.json", fail)
    record = recording.load(tmp_path / "r.json", Provenance)
    assert record.cause == "internal" and record.outputs == ["known"] and not record.transient


@pytest.mark.parametrize(("fault", "cause"), [(ModuleNotFoundError("no numpy"), "internal"), (MemoryError(), "memory")])
def test_a_machine_that_can_be_mended_is_tried_again(tmp_path, fault, cause):
    def broken(record):
        raise fault

    record = recorded(Provenance, "freeze", tmp_path / "r.json", broken)
    assert record.cause == cause and record.transient


def test_what_json_has_no_text_for_is_a_record_as_well(tmp_path, capsys):
    def work(record: ImportRecord) -> None:
        record.checkpoint_bytes = 10**5000

    recorded(ImportRecord, "import_meta", tmp_path / "r.json", work)
    record = recording.load(tmp_path / "r.json", ImportRecord)
    assert (record.status, record.cause, record.model) == ("failed", "internal", "m")
    assert record.checkpoint_bytes is UNSET and "4300 digits" in capsys.readouterr().err


def test_a_full_disk_is_transient(tmp_path):
    def full(record):
        raise OSError(errno.ENOSPC, "No space left on device", "a file")

    record = recorded(Provenance, "freeze", tmp_path / "r.json", full)
    assert record.cause == "disk_full" and record.transient and "a file" in record.message


@pytest.fixture
def no_room(monkeypatch):
    """A disk on which there is no room for another file."""

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(recording, "write_json", full)


def test_a_record_without_room_says_so_and_not_that_all_went_well(tmp_path, no_room):
    path = tmp_path / "provenance.json"
    recording.reserve(path)
    assert recording.load(path, Provenance).transient
    for work in (find, fail):
        written = recorded(Provenance, "freeze", path, work)
        found = recording.load(path, Provenance)
        assert found.model == "m" and found.timing.stage == "freeze" and found.outputs is UNSET
        assert (found.status, found.cause, found.transient) == ("failed", "disk_full", True)
        assert (written.status, written.cause, written.message) == ("failed", "disk_full", found.message)
        assert path.stat().st_size == 8192, "no more room than before"


def test_a_record_that_does_not_fit_into_its_place_is_not_cut(tmp_path, no_room):
    path = tmp_path / "provenance.json"
    recording.reserve(path)
    before = path.read_bytes()
    with pytest.raises(OSError):
        recorded(Provenance, "freeze", path, find, "m" * 9999)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_that_lacks_what_its_readers_need_is_none(tmp_path, kind):
    path = tmp_path / "record.json"
    facts = whole(kind)
    whole_files.write_json(path, facts)
    assert recording.load(path, kind) == made(kind) == recording.load_or_fail(path, kind, "verify")
    for fact in kind.whole:
        whole_files.write_json(path, {key: value for key, value in facts.items() if key != fact})
        with pytest.raises(ValueError, match=f"not a whole record, it lacks '{fact}'"):
            recording.load(path, kind)
        found = recording.load_or_fail(path, kind, "verify")
        assert (found.status, found.cause, found.transient) == ("failed", "io_error", True)
        assert str(path) in found.message
    path.unlink()
    assert "No such file" in recording.load_or_fail(path, kind, "verify").message


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(Problem), whole_files.written_whole(path) as temporary:
        temporary.write_text("half")
        raise Problem("io_error", "interrupted")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_only_what_was_made_is_deleted(tmp_path):
    for name in MADE_FILES:
        folder = tmp_path / "all" / name
        if name in IN_DIRECTORIES:
            directory, record = IN_DIRECTORIES[name]
            whole_files.write_json(folder / record, {})
            folder /= directory
        folder.mkdir(parents=True, exist_ok=True)
        with whole_files.written_whole(folder / name) as temporary:
            temporary.write_text("")
        temporary.write_text("half")  # as a killed run leaves it
    foreign = [
        ".notes.tmp",
        ".notes.12.tmp",
        "ops.csv.12.tmp",
        ".ops.csv.x.tmp",
        ".ops.csv.tmp",
        "ops.csv.old",
        "x.log",
    ]
    (tmp_path / "theirs").mkdir()
    for name in foreign:
        (tmp_path / "theirs" / name).write_text("")
    assert len(delete(tmp_path, recursive=True)) == 2 * len(MADE_FILES) + len(IN_DIRECTORIES)
    assert {path.name for path in (tmp_path / "theirs").iterdir()} == set(foreign)
    assert not (tmp_path / "all").exists()
