"""Records: what is one and what is not, what an internal error says, and which files may be deleted."""

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import HOME, SAMPLE_ZOO
from delete import delete
from permafrost import records, whole_files
from permafrost.outcome import MADE_FILES, Problem
from permafrost.workflow.pipeline import Pipeline


def test_a_record_is_read_back(tmp_path):
    written = records.write_record("freeze", "a/b", tmp_path / "r.json", lambda facts: facts.update(found=1))
    assert records.load(tmp_path / "r.json") == written
    assert written["status"] == "ok" and written["found"] == 1 and written["timing"]["stage"] == "freeze"


@pytest.mark.parametrize("field", sorted(records.success()))
def test_a_record_has_all_its_fields(tmp_path, field):
    path = tmp_path / "import.json"
    for change in ("drop", "null"):
        record = records.success()
        record.pop(field) if change == "drop" else record.update({field: None})
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=r"import\.json"):
            records.load(path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"status": "ok"}', "\x00", "[" * 100000, "\udcff"])
def test_what_is_no_record(tmp_path, content):
    path = tmp_path / "import.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError):
        records.load(path)


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


def fail(facts):
    facts["known"] = 1
    raise ZeroDivisionError("by nothing")


def test_an_internal_error_names_the_log(tmp_path):
    program = (
        "from permafrost import records\n"
        "def fail(facts): raise ZeroDivisionError('by nothing')\n"
        "records.write_record('verify', 'm', 'verify.json', fail)\n"
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
    record = records.load(tmp_path / "verify.json")
    assert record["cause"] == "internal" and record["hint"].endswith("logs here/verify.log")
    assert "ZeroDivisionError: by nothing" in log.read_text()


def test_facts_are_kept_when_a_stage_fails(tmp_path):
    record = records.write_record("verify", "m", tmp_path / "r.json", fail)
    assert record["cause"] == "internal" and record["known"] == 1 and not record["transient"]


@pytest.mark.parametrize(("fault", "cause"), [(ModuleNotFoundError("no numpy"), "internal"), (MemoryError(), "memory")])
def test_a_machine_that_can_be_mended_is_tried_again(tmp_path, fault, cause):
    def broken(facts):
        raise fault

    record = records.write_record("freeze", "m", tmp_path / "r.json", broken)
    assert record["cause"] == cause and record["transient"]


def test_what_json_has_no_text_for_is_a_record_as_well(tmp_path, capsys):
    record = records.write_record("import_meta", "m", tmp_path / "r.json", lambda facts: facts.update(bytes=10**5000))
    assert (record["status"], record["cause"], record["model"]) == ("failed", "internal", "m")
    assert records.load(tmp_path / "r.json") == record and "4300 digits" in capsys.readouterr().err


def test_a_full_disk_is_transient(tmp_path):
    def full(facts):
        raise OSError(errno.ENOSPC, "No space left on device", "a file")

    record = records.write_record("freeze", "m", tmp_path / "r.json", full)
    assert record["cause"] == "disk_full" and record["transient"] and "a file" in record["message"]


@pytest.fixture
def no_room(monkeypatch):
    """A disk on which there is no room for another file."""

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(records, "write_json", full)


def test_a_record_without_room_says_so_and_not_that_all_went_well(tmp_path, no_room):
    path = tmp_path / "provenance.json"
    records.reserve(path)
    assert records.load(path)["transient"]
    for work in (lambda facts: facts.update(tensors=["many"] * 9999), fail):
        written = records.write_record("freeze", "m", path, work)
        found = records.load(path)
        assert found == written and found["model"] == "m" and found["timing"]["stage"] == "freeze"
        assert (found["status"], found["cause"], found["transient"]) == ("failed", "disk_full", True)
        assert path.stat().st_size == 8192, "no more room than before"


def test_a_record_that_does_not_fit_into_its_place_is_not_cut(tmp_path, no_room):
    path = tmp_path / "provenance.json"
    records.reserve(path)
    before = path.read_bytes()
    with pytest.raises(OSError):
        records.write_record("freeze", "m" * 9999, path, lambda facts: None)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("name", "status"), sorted(records.WHOLE))
def test_a_record_that_lacks_what_its_readers_need_is_none(tmp_path, name, status):
    path = tmp_path / name
    whole = records.success(status) | dict.fromkeys(records.WHOLE[name, status])
    whole_files.write_json(path, whole)
    assert records.load(path) == whole == records.load_or_fail(path, "verify")
    for fact in records.WHOLE[name, status]:
        whole_files.write_json(path, {key: value for key, value in whole.items() if key != fact})
        with pytest.raises(ValueError, match=f"not a whole record, it lacks '{fact}'"):
            records.load(path)
        found = records.load_or_fail(path, "verify")
        assert (found["status"], found["cause"], found["transient"]) == ("failed", "io_error", True)
        assert str(path) in found["message"]
    path.unlink()
    assert "No such file" in records.load_or_fail(path, "verify")["message"]


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
        folder.mkdir(parents=True)
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
    assert len(delete(tmp_path, recursive=True)) == 2 * len(MADE_FILES)
    assert {path.name for path in (tmp_path / "theirs").iterdir()} == set(foreign)
    assert not (tmp_path / "all").exists()
