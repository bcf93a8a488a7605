"""The whole pipeline under Snakemake: what runs when, what comes out, and what is left when it is stopped."""

import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import HOME, SAMPLE_ZOO
from permafrost.outcome import STATUSES
from permafrost.report.tables.summary import SUMMARY
from permafrost.report.tables.zoo import ZOO
from small_zoo import AGGREGATES, CHAIN, EXPECTED, MODELS, SUMMED_UP, small_zoo
from zoo_runs import Workspace, sample_settings

pytestmark = pytest.mark.slow(minutes=4)

# Names that shells, wildcards and paths trip over.
ODD_NAMES = (
    "new\nline", "quo'te\"s", "br{ace}s", "per%cent", "-dash", "{model}", "a<b>", "<results>", "$(touch x)",
    "`touch x`", "a; touch x", "${HOME}", "~", "a,b=c:d", "\\n", "[a]*?",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Workspace:
    """A small zoo over which the pipeline has run once."""
    workspace = small_zoo(tmp_path_factory.mktemp("zoo with spaces"))
    run = workspace.run()
    assert run.status == 0, run.output
    return workspace


@pytest.fixture
def workspace(finished, tmp_path) -> Workspace:
    """A copy of the finished workspace, times of files included, to be changed by a test."""
    shutil.copytree(finished.directory, tmp_path / "copy", symlinks=True)
    copy = Workspace(tmp_path / "copy", EXPECTED)
    assert copy.run().nothing_made
    return copy


def test_reports_of_a_first_run(finished):
    summary = pd.read_csv(finished.reports / "summary.csv", keep_default_na=False)
    assert tuple(summary.columns) == SUMMARY.header
    assert set(summary["status"]) <= set(STATUSES)
    found = dict(zip(summary["model"], summary["status"], strict=True))
    assert found == {
        "broken_truncated/model.ckpt": "failed",
        "linear/model.ckpt": "verified",
        "partitioned/model.ckpt": "verified",
        "spaces_and_text/my model v1.2": "verified",
        "v1_and_v2/model.ckpt": "verified",
    }
    zoo = pd.read_csv(finished.reports / "zoo.csv", keep_default_na=False)
    assert tuple(zoo.columns) == ZOO.header
    assert len(zoo) == 7, "each checkpoint found is a row: three steps of v1_and_v2 and four more"
    failed = finished.frozen / "broken_truncated" / "model.ckpt"
    assert (failed / "provenance.json").exists() and not (failed / "frozen_graph.pb").exists()
    ops = pd.read_csv(finished.reports / "models" / "linear" / "model.ckpt" / "frozen_ops.csv")
    assert len(ops) == 9 and list(ops.columns[:3]) == ["name", "type", "output"]
    assert not finished.leftovers()
    for name in ("import_meta", "freeze", "verify", "list_ops"):
        assert (finished.reports / "models" / "linear" / "model.ckpt" / f"{name}.log").exists()


def test_nothing_to_be_done_the_second_time(workspace):
    run = workspace.run()
    assert run.status == 0 and run.nothing_done and not run.jobs


def test_touched_files_rerun_nothing(workspace):
    for path in workspace.zoo.rglob("*"):
        os.utime(path)
    assert workspace.run().jobs == {"discover": 1}
    assert workspace.run().nothing_done


def linear(workspace: Workspace) -> Path:
    return workspace.zoo / "linear"


def new_step(workspace: Workspace) -> None:
    for part in (".meta", ".index", ".data-00000-of-00001"):
        shutil.copy(linear(workspace) / f"model.ckpt{part}", linear(workspace) / f"model.ckpt-8{part}")
    (linear(workspace) / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-8"\n')


def other_weights_in_place(workspace: Workspace) -> None:
    for part in (".index", ".data-00000-of-00001"):
        source = workspace.zoo / "v1_and_v2" / f"model.ckpt-100{part}"
        shutil.copy(source, workspace.zoo / "v1_and_v2" / f"model.ckpt-300{part}")


def new_model(workspace: Workspace) -> None:
    shutil.copytree(SAMPLE_ZOO / "ema", workspace.zoo / "deeper" / "ema")


def removed_model(workspace: Workspace) -> None:
    shutil.rmtree(workspace.zoo / "partitioned")


def test_changes_are_those_since_the_last_finished_run(workspace):
    before = workspace.changes()
    assert set(before["change"]) == {"new"} and len(before) == len(MODELS), "no run was finished before the first"
    new_step(workspace)
    shutil.rmtree(workspace.zoo / "partitioned")
    (linear(workspace) / "model.ckpt-8.index").write_bytes(b"")
    assert workspace.run().status == 1
    after = workspace.changes()
    worse = after[after["change"] == "worse"].to_numpy().tolist()
    assert worse == [["linear/model.ckpt", "worse", "status", "verified", "failed"]]
    assert after[after["change"] == "gone"]["model"].tolist() == ["partitioned/model.ckpt"]
    assert workspace.run().jobs == {"gate": 1}, "the gate fails again, and nothing else runs"
    assert workspace.changes().equals(after)
    other_weights_in_place(workspace)
    workspace.run()
    changed = workspace.changes()
    assert set(changed["model"]) == {"v1_and_v2/model.ckpt"} and set(changed["change"]) == {"changed"}
    assert "frozen_crc32c" in changed["column"].tolist()


def test_the_page_is_of_the_last_run(workspace):
    page = workspace.reports / "index.html"
    assert "All models are verified" not in page.read_text() and "4 of 5 models are verified" in page.read_text()
    assert str(workspace.directory) not in page.read_text(), "no path of this machine"
    removed_model(workspace)
    assert workspace.run().jobs == AGGREGATES
    assert "3 of 4 models are verified" in page.read_text() and "1 gone" in page.read_text()
    page.unlink()
    assert workspace.run().jobs == {"page": 1, "gate": 1}, "what was deleted is made again"


def test_no_name_stops_the_zoo(tmp_path):
    workspace = Workspace(tmp_path)
    for name in ODD_NAMES:
        shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / name)
    run = workspace.run()
    assert run.status == 0, run.output
    assert workspace.summary()["status"].tolist() == ["verified"] * len(ODD_NAMES)
    assert workspace.run().nothing_done


def test_links_out_of_the_zoo_are_said_and_are_followed_where_that_is_asked_for(tmp_path):
    workspace = Workspace(tmp_path)
    for name in ("own", "stored"):
        shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / name)
    (workspace.zoo / "everything").symlink_to("/")
    shard = workspace.zoo / "stored" / "model.ckpt.data-00000-of-00001"
    (tmp_path / "store").mkdir()
    shard.rename(tmp_path / "store" / "object")
    shard.symlink_to("../../store/object")
    run = workspace.run()
    assert run.status == 1 and "my zoo/everything leads out of the zoo, to /" in run.output, run.output
    summary = workspace.summary()
    assert summary["cause"].to_dict() == {"own/model.ckpt": "", "stored/model.ckpt": "outside_zoo"}
    zoo = pd.read_csv(workspace.reports / "zoo.csv", keep_default_na=False)
    assert zoo["prefix"][zoo["model"] == ""].tolist() == ["my zoo/everything"]
    run = workspace.run(zoo="[my zoo, store]")
    assert run.status == 0 and run.jobs["verify"] == 1, run.output
    (workspace.zoo / "everything").unlink()
    run = workspace.run(follow_links="true")
    assert run.status == 0 and run.jobs == AGGREGATES, "the same file, however it is reached, is the same model"


def test_outputs_of_a_removed_model_are_listed_and_pruned(workspace):
    removed_model(workspace)
    run = workspace.run()
    assert "snakemake prune" in run.output and "my frozen/partitioned" in run.output
    stale = workspace.frozen / "partitioned"
    assert stale.exists(), "nothing is deleted by surprise"
    assert workspace.run("prune").status == 0
    assert not stale.exists() and (workspace.frozen / "linear" / "model.ckpt" / "frozen_graph.pb").exists()
    assert workspace.run().nothing_done


def test_records_that_are_no_records_are_made_again(workspace):
    (workspace.reports / "models" / "linear" / "model.ckpt" / "import.json").write_text('{"status": "ok"}')
    run = workspace.run()
    assert run.status == 0 and run.jobs == CHAIN | SUMMED_UP, run.output
    assert workspace.run().nothing_done


def test_clean_leaves_what_is_not_its_own(workspace):
    others = [workspace.reports / ".notes.12.tmp", workspace.reports / ".summary.csv.old.tmp"]
    own = workspace.reports / ".summary.csv.4711.tmp"
    for path in [*others, own]:
        path.write_text("")
    assert workspace.run("clean").status == 0
    assert all(path.exists() for path in others) and not own.exists()


def test_frozen_graphs_that_were_mixed_up_are_frozen_again(workspace):
    one, other = (workspace.frozen / name / "model.ckpt" for name in ("linear", "partitioned"))
    for name in ("frozen_graph.pb", "provenance.json"):
        (one / name).rename(one / "aside")
        (other / name).rename(one / name)
        (one / "aside").rename(other / name)
    run = workspace.run()
    assert run.status == 0 and run.jobs["freeze"] == 2, run.output
    assert set(workspace.summary()["status"]) == {"verified", "failed"}


def test_a_frozen_graph_that_was_copied_back_is_known_by_its_time(workspace):
    path = workspace.frozen / "linear" / "model.ckpt" / "frozen_graph.pb"
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").rename(path)
    assert workspace.run().nothing_done
    os.utime(path)
    run = workspace.run()
    assert run.status == 0 and run.jobs["freeze"] == 1 and "import_meta" not in run.jobs, run.output
    assert workspace.run().nothing_done


def test_inputs_from_a_file_that_changes_are_tried_again(workspace):
    (workspace.directory / "mine.yaml").write_text(
        'models:\n  "linear/model.ckpt": {outputs: [predictions], inputs: {input_holder: {file: feeds.npz}}}\n'
    )
    assert workspace.run("--configfile", "mine.yaml").status == 1
    assert workspace.summary().loc["linear/model.ckpt", "cause"] == "bad_feed"
    np.savez(workspace.directory / "feeds.npz", input_holder=np.array([10], np.float32))
    run = workspace.run("--configfile", "mine.yaml")
    assert run.status == 0 and run.jobs == CHAIN | SUMMED_UP, run.output


def test_prune_leaves_a_living_model_below_a_dead_one(tmp_path):
    workspace = Workspace(tmp_path)
    for directory in ("a", "a/model.ckpt"):
        (workspace.zoo / directory).mkdir()
        for path in (SAMPLE_ZOO / "linear").iterdir():
            shutil.copy(path, workspace.zoo / directory)
    assert workspace.run().status == 0
    for path in (workspace.zoo / "a").glob("*"):
        if path.is_file():
            path.unlink()
    assert workspace.run().status == 0
    assert workspace.run("prune").status == 0
    assert not (workspace.frozen / "a" / "model.ckpt" / "frozen_graph.pb").exists()
    assert (workspace.frozen / "a" / "model.ckpt" / "model.ckpt" / "frozen_graph.pb").exists()
    assert workspace.run().nothing_done


def test_settings_rerun_what_they_concern(workspace):
    settings = workspace.directory / "mine.yaml"
    settings.write_text('models:\n  "linear/*": {trials: 5}\n')
    run = workspace.run("--configfile", "mine.yaml")
    assert run.status == 0 and run.jobs == {"verify": 1, **SUMMED_UP}
    assert workspace.summary().loc["linear/model.ckpt", "trials"] == "5"
    settings.write_text('models:\n  "partitioned/*": {expect: failed}\n')
    run = workspace.run("--configfile", "mine.yaml")
    assert run.status == 1 and "partitioned/model.ckpt" in run.output
    assert not (workspace.reports / "gate.txt").exists()
    run = workspace.run("--configfile", "mine.yaml", on_failure="report")
    assert run.status == 0, run.output


def test_targets_and_options_of_snakemake(workspace):
    run = workspace.run("-n", "--forcerun", "verify")
    assert run.jobs == {"verify": len(MODELS), **SUMMED_UP}
    assert workspace.run().nothing_done, "a dry run changes nothing"
    run = workspace.run("my frozen/linear/model.ckpt", "--forcerun", "freeze")
    assert run.status == 0 and run.jobs.get("freeze") == 1, run.output
    run = workspace.run("--report", "report.html")
    assert run.status == 0 and (workspace.directory / "report.html").stat().st_size > 100_000
    assert workspace.run("--report", "report.zip").status == 0
    with zipfile.ZipFile(workspace.directory / "report.zip") as report:
        carried = {Path(name).name for name in report.namelist()}
    assert carried >= {f"{name}.csv" for name in ("summary", "changes", "findings", "timings", "op_types", "zoo")}
    assert "index.html" in carried
    run = workspace.run("--delete-all-output")
    assert run.status == 0 and not (workspace.reports / "summary.csv").exists()
    assert workspace.run("clean").status == 0
    assert not workspace.frozen.exists() and not workspace.reports.exists()
    assert (workspace.zoo / "linear" / "model.ckpt.index").exists()


def test_one_target_makes_one_model(tmp_path):
    workspace = small_zoo(tmp_path)
    run = workspace.run("my frozen/v1_and_v2/model.ckpt")
    assert run.status == 0, run.output
    assert [str(path.relative_to(workspace.frozen)) for path in workspace.frozen.rglob("*.pb")] == [
        "v1_and_v2/model.ckpt/frozen_graph.pb"
    ]


def test_two_runs_do_not_write_to_one_place(workspace):
    new_model(workspace)
    first = subprocess.Popen(
        workspace.command(), cwd=workspace.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    lock = (workspace.reports / ".lock").stat().st_ino
    deadline = time.monotonic() + 30
    taken = False
    while time.monotonic() < deadline and not taken and first.poll() is None:
        # To ask for the lock would be to take it, for a moment.
        taken = any(line.split()[5].endswith(f":{lock}") for line in Path("/proc/locks").read_text().splitlines())
        time.sleep(0.05)
    assert taken
    second = workspace.run()
    assert first.wait(120) == 0
    assert second.status == 1 and "another run" in second.output


def test_the_zoo_in_the_repository_is_what_its_config_expects(tmp_path):
    workspace = Workspace(tmp_path, sample_settings())
    workspace.zoo.rmdir()
    workspace.zoo.symlink_to(HOME / "models")
    run = workspace.run()
    assert run.status == 0, run.output
    summary = workspace.summary()
    assert (summary["status"] == "verified").sum() == 18 and (summary["status"] == "failed").sum() == 4
    assert set(summary["match"]) == {"bitwise", ""}
