"""A zoo that has lost its models: an error that leaves everything as it was, until that is said to be meant."""

import shutil
from pathlib import Path

import pytest
import yaml

import forked_snakemake
from conftest import SAMPLE_ZOO
from zoo_runs import SNAKEFILE, Workspace

pytestmark = pytest.mark.slow

LOGS = ("discover.log", "prune.log")


def contents(workspace: Workspace) -> dict[Path, bytes]:
    """All that was made, but for the log of what looks at the zoo."""
    made = [path for root in (workspace.frozen, workspace.reports) for path in root.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in made if path.name not in LOGS}


def test_a_zoo_that_is_not_mounted_changes_nothing(tmp_path):
    workspace = Workspace(tmp_path)
    for model in ("linear", "sum"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    assert workspace.run().status == 0
    before = contents(workspace)
    mounted = workspace.zoo.rename(tmp_path / "elsewhere")
    workspace.zoo.mkdir()
    for _ in range(2):
        run = workspace.run()
        assert run.status == 1 and "no model is left in my zoo, where the last run found 2" in run.output
        assert "prune" not in run.output and contents(workspace) == before
    quiet = forked_snakemake.run(workspace.arguments("--quiet", "all"), tmp_path)
    assert quiet.returncode == 1 and "where the last run found 2" in quiet.stderr
    assert "0 files deleted" in workspace.run("prune").output and contents(workspace) == before
    workspace.zoo.rmdir()
    mounted.rename(workspace.zoo)
    assert workspace.run().nothing_done
    shutil.rmtree(workspace.zoo)
    workspace.zoo.mkdir()
    run = workspace.run(allow_empty="true")
    assert run.status == 0 and workspace.summary().empty
    assert workspace.changes()["change"].tolist() == ["gone", "gone"]
    assert workspace.run().status == 0


def test_each_directory_counts_by_itself_and_settings_of_what_is_gone_are_no_error(tmp_path):
    workspace = Workspace(tmp_path)
    for name, model in (("my zoo", "linear"), ("my zoo", "sum"), ("others", "ema")):
        shutil.copytree(SAMPLE_ZOO / model, tmp_path / name / model)
    config = {
        "zoo": [{"directory": "my zoo", "models": {"sum/sum.ckpt": {"trials": 1}}}, "others"],
        "frozen": "my frozen",
        "reports": "my reports",
        "models": {"ema/*": {"trials": 1}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))

    def run(*arguments: str):
        return forked_snakemake.run([*arguments, *SNAKEFILE, "--configfile", "mine.yaml"], tmp_path, joined=True)

    assert run().returncode == 0
    shutil.rmtree(workspace.zoo / "sum")
    for _ in range(2):  # The summary of the last run has it no longer.
        done = run()
        assert done.returncode == 0, done.stdout
        assert "The settings of sum/sum.ckpt are of no use" in done.stdout
    shutil.rmtree(tmp_path / "others" / "ema")
    done = run()
    assert done.returncode == 1 and "no model is left in others, where the last run found 1" in done.stdout
    config["models"]["emma/model.ckpt"] = {"trials": 1}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    done = run()
    assert done.returncode == 1 and "no model has this id" in done.stdout


def test_what_would_be_deleted_is_listed(tmp_path):
    workspace = Workspace(tmp_path)
    for model in ("linear", "sum"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    assert workspace.run().status == 0
    (workspace.reports / "mine.txt").touch()
    shutil.rmtree(workspace.zoo / "sum")
    for rule in ("prune", "clean"):
        before = contents(workspace)
        planned = forked_snakemake.run(workspace.arguments(rule, "-n"), tmp_path).stdout
        listed = {tmp_path / line.strip() for line in planned.splitlines() if line.startswith("  my ")}
        assert contents(workspace) == before
        there = [path for root in (workspace.frozen, workspace.reports) for path in root.rglob("*") if path.is_file()]
        assert workspace.run(rule).status == 0
        gone = {path for path in there if not path.exists()}
        assert listed == gone and gone and f"{rule} would delete {len(gone)} files:" in planned
    assert [path.name for path in workspace.reports.iterdir()] == ["mine.txt"]
