"""Clocks and the dates of files decide nothing but whether to look again, and a change without a date is noticed."""

import os
import shutil
from pathlib import Path

import pytest

from conftest import SAMPLE_ZOO
from zoo_runs import Workspace

pytestmark = pytest.mark.slow(minutes=2)

FUTURE, EPOCH, BEFORE = 2_208_988_800, 0, -1_000_000_000  # 2040, 1970 and 1938
SUMMED_UP = {"summarize": 1, "changes": 1, "cards": 1, "page": 1, "gate": 1}


def date(root: Path, seconds: float) -> None:
    """Dates a directory and all below it."""
    for path in [root, *root.rglob("*")]:
        os.utime(path, (seconds, seconds))


def test_checkpoints_of_any_date_are_frozen_and_nothing_is_done_again(tmp_path):
    workspace = Workspace(tmp_path)
    for name, seconds in (("future", FUTURE), ("epoch", EPOCH), ("before", BEFORE), ("step", FUTURE)):
        shutil.copytree(SAMPLE_ZOO / ("v1_and_v2" if name == "step" else "linear"), workspace.zoo / name)
        date(workspace.zoo / name, seconds)
    run = workspace.run()
    assert run.status == 0, run.output
    assert workspace.summary()["status"].tolist() == ["verified"] * 4
    assert workspace.run().nothing_done
    date(workspace.zoo, EPOCH)
    assert workspace.run().nothing_made, "a date alone makes no model anew"
    for part in (".index", ".data-00000-of-00001"):
        source, target = (workspace.zoo / "step" / f"model.ckpt-{step}{part}" for step in (100, 300))
        target.write_bytes(source.read_bytes())
        os.utime(target, (BEFORE, BEFORE))
    run = workspace.run()
    assert run.status == 0 and run.jobs["verify"] == 1, "other weights of an old date are noticed"
    assert workspace.run().nothing_done


@pytest.mark.parametrize("seconds", [FUTURE, EPOCH])
def test_what_was_made_while_the_clock_was_wrong_does_not_stop_a_run(tmp_path, seconds):
    workspace = Workspace(tmp_path)
    shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / "linear")
    assert workspace.run().status == 0
    for root in (workspace.frozen, workspace.reports):
        date(root, seconds)
    (tmp_path / "mine.yaml").write_text('models: {"*": {trials: 2}}')
    run = workspace.run("--configfile", "mine.yaml")
    assert run.status == 0 and run.jobs["verify"] == 1, run.output
    assert workspace.summary().loc["linear/model.ckpt", "trials"] == 2
    workspace.run("--configfile", "mine.yaml")
    assert workspace.run("--configfile", "mine.yaml").nothing_done


def overwrite(path: Path, content: bytes) -> None:
    """Writes other content of the same size into a file, and puts its mtime back."""
    before = path.stat()
    assert len(content) == before.st_size and content != path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_shard_that_changes_in_place_is_noticed_and_so_is_its_repair(tmp_path):
    workspace = Workspace(tmp_path)
    for name in ("was good", "was damaged", "untouched"):
        shutil.copytree(SAMPLE_ZOO / "linear", workspace.zoo / name)
    good, damaged = (workspace.zoo / name / "model.ckpt.data-00000-of-00001" for name in ("was good", "was damaged"))
    content = good.read_bytes()
    overwrite(damaged, bytes([content[0] ^ 1]) + content[1:])
    assert workspace.run().status == 1
    assert workspace.summary()["cause"].to_dict() == {
        "untouched/model.ckpt": "", "was damaged/model.ckpt": "corrupt", "was good/model.ckpt": "",
    }  # fmt: skip
    assert workspace.run().jobs == {"gate": 1}, "nothing has changed"
    overwrite(good, bytes([content[0] ^ 1]) + content[1:])
    overwrite(damaged, content)
    run = workspace.run()
    assert run.status == 1 and run.jobs["verify"] == 2, run.output
    assert workspace.summary()["cause"].to_dict() == {
        "untouched/model.ckpt": "", "was damaged/model.ckpt": "", "was good/model.ckpt": "corrupt",
    }  # fmt: skip
    overwrite(good, content)
    run = workspace.run()
    assert run.status == 0 and run.jobs["verify"] == 1, run.output
    assert workspace.run().nothing_done
