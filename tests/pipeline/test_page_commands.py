"""The page's commands, the history and the report of real runs."""

import json
import shlex
import shutil
import zipfile
from pathlib import Path

import pytest

from conftest import SAMPLE_ZOO
from pages import data_of
from permafrost.report import csv_files
from zoo_runs import Workspace

pytestmark = pytest.mark.slow
NAMED = {"linear/model.ckpt": {"outputs": ["predictions"], "inputs": {"input_holder": [10.0]}}}


@pytest.fixture(scope="module")
def run_once(tmp_path_factory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("its runs"))
    for model in ("linear", "v1_and_v2"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    (workspace.directory / "my settings.yaml").write_text(json.dumps({"checkpoints": [100, 300], "models": NAMED}))
    text = json.dumps({"models": {**NAMED, "v1_and_v2/*": {"checkpoints": [100, 300]}}})
    (workspace.directory / "my settings.yaml").write_text(text)
    run = workspace.run("--configfile", "my settings.yaml")
    assert run.status == 0, run.output
    return workspace


def command_of(workspace: Workspace, target: str, stage: str) -> list[str]:
    """The words of the page's command, without the program."""
    told = data_of(workspace.reports / "index.html")["commands"]
    assert told["directory"] == str(workspace.directory)
    return shlex.split(f"{told['start']} {shlex.quote(target)} --forcerun {stage} {told['options']}")[1:]


def test_the_commands_of_the_page_are_true_as_they_stand(run_once):
    import forked_snakemake

    words = command_of(run_once, "my reports/models/linear/model.ckpt/verify.json", "verify")
    done = forked_snakemake.run([*words, "-n"], run_once.directory, joined=True)
    assert done.returncode == 0 and "verify" in done.stdout and "freeze" not in done.stdout, done.stdout
    assert "The settings are not those" not in done.stdout


def test_the_cards_of_the_page_lead_to_files_that_are_there(run_once):
    data = data_of(run_once.reports / "index.html")
    for model, detail in data["details"].items():
        for path in (*data["card_files"], data["example"]):
            assert (run_once.reports / path.replace("{model}", model)).is_file(), path
        card = (run_once.frozen / model / "card.md").read_text()
        assert detail["card"]["has_example"] and detail["card"]["chosen"].removesuffix(".") in card
        assert [each["code"].rstrip() in card for each in detail["card"]["programs"]] == [True]


def test_a_run_with_other_settings_says_so(run_once):
    said = run_once.run("-n").output
    assert "The settings are not those of the last run: `models` differs; that run had" in said
    assert "--configfile 'my settings.yaml'" in said


def test_a_finished_run_is_a_row_and_one_of_nothing_is_none(run_once):
    assert run_once.run("--configfile", "my settings.yaml").nothing_made
    (row,) = csv_files.read_rows(run_once.reports / "history.csv")
    assert (row["models"], row["verified"], row["not_as_expected"]) == ("3", "3", "0") and float(row["seconds"]) >= 0


def test_steps_of_a_series_are_compared(run_once):
    rows = csv_files.read_rows(run_once.reports / "models" / "v1_and_v2" / "model.ckpt-300" / "steps.csv")
    assert {(row["since"], row["change"], row["frozen"]) for row in rows} == {
        ("v1_and_v2/model.ckpt-100", "changed", "yes")
    }
    details = data_of(run_once.reports / "index.html")["details"]
    assert details["v1_and_v2/model.ckpt-300"]["steps"]["before"] == "v1_and_v2/model.ckpt-100"
    assert "steps" not in details["linear/model.ckpt"]


def test_the_report_opens_on_a_text_that_leads_to_the_page(run_once):
    run = run_once.run("--report", "report.zip", "--configfile", "my settings.yaml")
    assert run.status == 0, run.output
    with zipfile.ZipFile(run_once.directory / "report.zip") as report:
        names = {Path(name).name for name in report.namelist()}
        first = next(name for name in report.namelist() if Path(name).name == "report.html")
        text = report.read(first).decode("utf-8")
    assert {"index.html", "summary.md"} <= names
    assert "froze each checkpoint" in text and "showResultInfo" in text
