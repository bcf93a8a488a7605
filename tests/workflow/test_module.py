"""A workflow of somebody else's runs the pipeline as a module: once, or over several zoos, with rules of its own."""

import os
import shutil
from pathlib import Path

import pytest

import forked_snakemake
from conftest import HOME, SAMPLE_ZOO
from zoo_runs import Run, planned_jobs

pytestmark = pytest.mark.slow

MODULE = """
module {name}:
    snakefile: "{snakefile}"
    config: {{"zoo": "{zoo}", "frozen": "{name} made/frozen", "reports": "{name} made/reports", "models": {models}}}

use rule * from {name} as {name}_*

"""
OWN = """
rule count:
    default_target: True
    input: tables=[{tables}], gates=[{targets}]
    output: "count.txt"
    shell: "cat {{input.tables:q}} | grep -c bitwise > {{output}}"
"""


class Workflow:
    """A directory with a Snakefile that uses the pipeline, and zoos with two models each beside it."""

    def __init__(self, directory: Path):
        self.directory = directory / "some workflow"
        self.directory.mkdir()

    def zoo(self, name: str, *models: str) -> None:
        for model in models:
            shutil.copytree(SAMPLE_ZOO / model, self.directory / name / model)

    def write(self, modules: dict[str, str], models: str = "{}") -> None:
        text = "".join(
            MODULE.format(name=name, snakefile=HOME / "Snakefile", zoo=zoo, models=models)
            for name, zoo in modules.items()
        )
        tables = ", ".join(f'"{name} made/reports/summary.csv"' for name in modules)
        text += OWN.format(tables=tables, targets=", ".join(f"rules.{name}_gate.output" for name in modules))
        (self.directory / "Snakefile").write_text(text)

    def run(self, *arguments: str) -> Run:
        # Python looks into the working directory of the tests, in which permafrost is.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = forked_snakemake.run(["--cores", "2", *arguments], self.directory, joined=True, environment=environment)
        return Run(done.returncode, done.stdout, planned_jobs(done.stdout))


@pytest.fixture
def workflow(tmp_path) -> Workflow:
    return Workflow(tmp_path)


def test_one_zoo(workflow):
    workflow.zoo("models", "linear", "sum")
    workflow.write({"pf": "models"}, models="{'*': {'trials': 1}}")
    run = workflow.run()
    assert run.status == 0, run.output
    assert (run.jobs["pf_verify"], run.jobs["count"]) == (2, 1)
    assert (workflow.directory / "count.txt").read_text() == "2\n"
    made = workflow.directory / "pf made"
    assert (made / "frozen" / "sum" / "sum.ckpt" / "frozen_graph.pb").exists() and (
        made / "reports/index.html"
    ).exists()
    assert {path.name for path in workflow.directory.iterdir()} <= {
        "Snakefile", ".snakemake", "models", "pf made", "count.txt",
    }  # fmt: skip
    assert workflow.run().nothing_done
    (workflow.directory / "models/linear/model.ckpt.index").touch()
    assert workflow.run("-n").nothing_done and workflow.run("-n", "pf_all").jobs == {"pf_discover": 1, "pf_all": 1}


def test_two_zoos(workflow):
    workflow.zoo("models", "linear", "sum")
    workflow.zoo("others", "ema", "broken_truncated")
    workflow.write({"one": "models", "two": "others"}, models="{'*': {'expect': ['verified', 'failed']}}")
    run = workflow.run()
    assert run.status == 0, run.output
    assert (workflow.directory / "count.txt").read_text() == "3\n"
    assert workflow.run().nothing_done
    shutil.rmtree(workflow.directory / "others" / "ema")
    run = workflow.run()
    assert run.status == 0 and "one_discover" not in run.jobs and run.jobs["two_summarize"] == 1, run.output


def test_zoos_that_would_write_into_one_another_are_refused(workflow):
    workflow.zoo("models", "linear")
    workflow.write({"one": "models", "two": "models"})
    snakefile = workflow.directory / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace("two made/frozen", "one made/reports/models/frozen"))
    run = workflow.run("-n")
    assert run.status == 1 and "belong to two zoos of one workflow" in run.output


def test_two_copies_of_permafrost_are_refused(workflow):
    workflow.zoo("models", "linear")
    workflow.write({"one": "models", "two": "models"})
    copy = workflow.directory / "copy"
    ignored = shutil.ignore_patterns(".*", "models", "frozen", "reports", "tests", "docs", "__pycache__")
    shutil.copytree(HOME, copy, ignore=ignored)
    snakefile = workflow.directory / "Snakefile"
    snakefile.write_text(snakefile.read_text().replace(str(HOME / "Snakefile"), str(copy / "Snakefile"), 1))
    run = workflow.run("-n")
    assert run.status == 1 and "two copies of Permafrost" in run.output


def test_a_module_without_a_config_of_its_own_has_none_of_the_repository(workflow):
    snakefile = workflow.directory / "Snakefile"
    workflow.write({"pf": "models"})
    snakefile.write_text("\n".join(line for line in snakefile.read_text().splitlines() if "config:" not in line))
    run = workflow.run("-n", "pf_all")
    assert "linear/model.ckpt" not in run.output
