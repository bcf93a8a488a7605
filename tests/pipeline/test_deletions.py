"""A training program deletes or replaces a checkpoint's files while they are read: `changed`, and tried again."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

import judge
import stages
from conftest import SAMPLE_ZOO
from permafrost import recording
from permafrost.checkpoint import sstable
from permafrost.graph import graph_sources
from permafrost.judge import sides
from permafrost.outcome import TRANSIENT
from permafrost.records import ImportRecord, JudgedFile, Provenance, Record, Verdict
from permafrost.sandbox import confinement
from permafrost.signature import foreign
from permafrost.stages import freeze_model, import_model, verify_model
from permafrost.zoo import overrides
from zoo_runs import Workspace

pytestmark = pytest.mark.forks

KINDS = ("two_shards", "v1_format", "spaces_and_text")


@pytest.fixture(params=KINDS)
def model(request, tmp_path, monkeypatch) -> "Model":
    shutil.copytree(SAMPLE_ZOO / request.param, tmp_path / "zoo" / "m")
    monkeypatch.chdir(tmp_path)
    return Model(tmp_path)


class Model:
    """A model of one checkpoint, and the stages as the pipeline calls them."""

    _frozen = Path("frozen_graph.pb")

    def __init__(self, directory: Path):
        (self.source,) = stages.sources(directory / "zoo").values()
        self.files = [Path(path) for path in self.source.files]
        self._settings = stages.default_settings()

    def delete(self) -> None:
        for path in self.files:
            path.unlink(missing_ok=True)

    def run(self, stage: str) -> Record:
        """The record of a stage; those before it have been run."""
        kind, work = {
            "import_meta": (ImportRecord, self._import),
            "freeze": (Provenance, self._freeze),
            "verify": (Verdict, self._verify),
        }[stage]
        with recording.recording(stage, recording.begun(kind, "m"), f"{stage}.json") as record:
            work(record)
        return record

    def _import(self, record: ImportRecord) -> None:
        import_model.import_and_rehearse(self.source, self._settings, record)

    def _freeze(self, record: Provenance) -> None:
        imported = recording.load("import_meta.json", ImportRecord)
        freeze_model.freeze(imported, self._settings, self._frozen, record)

    def _verify(self, record: Verdict) -> None:
        imported, frozen = recording.load("import_meta.json", ImportRecord), recording.load("freeze.json", Provenance)
        verify_model.verify(imported, frozen, self._frozen, self._settings, record)


def find_nothing(settings, record: ImportRecord) -> None:
    """What a trial run says that changes nothing."""
    record.batches, record.rehearsal, record.stale_shapes = [], "", ""


def judged_file() -> JudgedFile:
    return recording.load("judged.json", JudgedFile)


def is_to_be_tried_again(record: Record) -> bool:
    return record.cause == "changed" in TRANSIENT and record.transient


@pytest.mark.parametrize("stage", ["import_meta", "freeze", "verify"])
def test_each_file_that_is_gone_when_a_stage_begins(model, stage):
    order = ["import_meta", "freeze", "verify"]
    for earlier in order[: order.index(stage)]:
        assert model.run(earlier).cause == ""
    for path in model.files:
        path.rename("aside")
        record = model.run(stage)
        assert is_to_be_tried_again(record), (path, record)
        assert path.name in record.message and "deleted" in record.message
        os.rename("aside", path)
    assert model.run(stage).cause == ""


class Counter:
    """Does something at the n-th time that something of a checkpoint is opened or read."""

    def __init__(self, monkeypatch, count: int, harm):
        self.left, self._harm = count, harm
        for where, name in ((os, "open"), (os, "preadv"), (os, "listdir"), (os, "lstat"), (Path, "read_bytes")):
            monkeypatch.setattr(where, name, self._counting(getattr(where, name)))

    def _counting(self, real):
        def counting(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                self._harm()
            return real(*args, **kwargs)

        return counting


@pytest.mark.parametrize("stage", ["import_meta", "freeze"])
def test_files_that_are_deleted_at_any_moment(model, stage, monkeypatch, tmp_path):
    monkeypatch.setattr(import_model, "rehearse", find_nothing)
    if stage == "freeze":
        model.run("import_meta")
    shutil.copytree("zoo", "kept")
    count, ends = 0, set()
    while "undisturbed" not in ends:
        count += 1
        with monkeypatch.context() as patch:
            counter = Counter(patch, count, model.delete)
            record = model.run(stage)
        ends.add("undisturbed" if counter.left > 0 else record.cause)
        assert record.cause == "" or is_to_be_tried_again(record), (count, record)
        shutil.rmtree("zoo")
        shutil.copytree("kept", "zoo")
    assert count > 4 and "changed" in ends


@pytest.mark.parametrize("harm", ["delete", "replace"])
def test_files_that_change_while_tensorflow_restores_them(model, harm, monkeypatch):
    for stage in ("import_meta", "freeze"):
        assert model.run(stage).cause == ""
    real = sides.CheckpointSide._restore

    def restore(side, session):
        for path in model.files:
            if harm == "delete":
                path.unlink(missing_ok=True)
            elif path.exists():
                path.write_bytes(path.read_bytes()[::-1])
        real(side, session)

    with monkeypatch.context() as patch:
        patch.setattr(sides.CheckpointSide, "_restore", restore)
        patch.setattr(confinement, "keep_to_files", lambda *args: None)  # It is another process that does the harm.
        record = model.run("verify")
    assert is_to_be_tried_again(record), record


def test_a_trial_run_whose_files_are_deleted_is_tried_again(model, monkeypatch):
    real = sides.CheckpointSide._restore

    def restore(side, session):
        model.delete()
        real(side, session)

    monkeypatch.setattr(sides.CheckpointSide, "_restore", restore)
    monkeypatch.setattr(confinement, "keep_to_files", lambda *args: None)  # It is another process that deletes them.
    assert is_to_be_tried_again(model.run("import_meta"))


def test_a_checkpoint_that_is_written_anew_while_it_is_read_is_not_corrupt(tmp_path, monkeypatch):
    shutil.copytree(SAMPLE_ZOO / "linear", tmp_path / "zoo" / "m")
    monkeypatch.chdir(tmp_path)
    model = Model(tmp_path)
    model.run("import_meta")
    real = sstable.StoredFile.read_into

    def other_shard(file, offset, view):
        real(file, offset, view)
        if ".data-" in file.path:
            view[0] ^= 1
            os.utime(f"{model.source.prefix}.index")

    monkeypatch.setattr(sstable.StoredFile, "read_into", other_shard)
    assert is_to_be_tried_again(model.run("freeze"))


def test_a_frozen_graph_to_judge_that_is_gone(tmp_path, monkeypatch):
    shutil.copytree(SAMPLE_ZOO / "linear", tmp_path / "zoo" / "m")
    monkeypatch.chdir(tmp_path)
    model = Model(tmp_path)
    for stage in ("import_meta", "freeze"):
        model.run(stage)
    settings = json.dumps(msgspec.to_builtins(stages.default_settings(judge="frozen_graph.pb")))
    arguments = ["--model", "m", "--source", json.dumps(msgspec.to_builtins(model.source)), "--settings", settings]
    real = foreign.read
    with monkeypatch.context() as patch:
        patch.setattr(foreign, "read", lambda path: os.rename(path, "aside") or real(path))
        judge.main([*arguments, "judged.json", "judged.csv"])
    assert is_to_be_tried_again(judged_file())
    judge.main([*arguments, "judged.json", "judged.csv"])
    assert judged_file().cause == "unreadable", "it was not there when the run began"
    os.rename("aside", "frozen_graph.pb")
    judge.main([*arguments, "judged.json", "judged.csv"])
    assert judged_file().status == "verified"


@pytest.mark.parametrize("option", ["input_checkpoint", "input_meta_graph"])
def test_what_is_wrong_with_files_that_the_settings_name_is_no_change(tmp_path, monkeypatch, option):
    for name in ("linear", "v1_format"):
        shutil.copytree(SAMPLE_ZOO / name, tmp_path / "zoo" / name)
    monkeypatch.chdir(tmp_path)
    source, other = (stages.sources(tmp_path / "zoo")[name] for name in ("linear/model.ckpt", "v1_format/model.ckpt"))
    chosen = stages.default_settings(**{option: other.prefix if option == "input_checkpoint" else other.meta})
    source = overrides.apply(source, chosen)
    assert all(os.path.exists(path) for path in graph_sources.seen(source))
    with recording.recording("import_meta", recording.begun(ImportRecord, "m"), "r.json") as record:
        import_model.import_and_rehearse(source, chosen, record)
    assert record.cause not in ("", "changed") and not record.transient


@pytest.mark.slow
def test_a_step_that_is_deleted_after_it_was_found_does_not_stop_the_zoo(tmp_path):
    workspace = Workspace(tmp_path)
    for name in ("training", "other"):
        shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / name)
    process = subprocess.Popen(workspace.command(), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (workspace.reports / ".zoo.json").exists():
        time.sleep(0.005)
    for path in (workspace.zoo / "training").glob("model.ckpt.*"):
        path.rename(path.with_name(path.name.replace("model.ckpt", "model.ckpt-2")))
    assert process.wait(300) == 1
    summary = workspace.summary()
    assert summary["cause"].to_dict() == {"other/model.ckpt": "", "training/model.ckpt": "changed"}
    run = workspace.run()
    assert run.status == 0 and run.jobs["verify"] == 1, run.output
    assert str(workspace.summary().loc["training/model.ckpt", "step"]) == "2"
    assert workspace.run().nothing_done
