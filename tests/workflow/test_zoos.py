"""Which settings a run has: those of the sample zoo go with the sample zoo, and another zoo comes without them."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import forked_snakemake
from conftest import HOME, SAMPLE_ZOO
from permafrost.outcome import Problem
from permafrost.workflow.pipeline import Pipeline
from zoo_runs import SNAKEFILE

LINEAR = "linear/model.ckpt"


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    """The working directory, with two zoos: `one` has linear and sum, `two` has a directory that is called sums."""
    for source, copy in (("linear", "one/linear"), ("sum", "one/sum"), ("sum", "two/sums")):
        shutil.copytree(SAMPLE_ZOO / source, tmp_path / copy)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry_run(cwd: Path, made: Path, *arguments: str, **config: str) -> subprocess.CompletedProcess:
    """`snakemake -n` in a directory, for outputs below `made`, with the commands of all jobs on stdout."""
    chosen = {"frozen": str(made / "frozen"), "reports": str(made / "reports"), **config}
    given = [f"{key}={value}" for key, value in chosen.items()]
    shown = ["--dry-run", "--quiet", "host", "--printshellcmds"]
    return forked_snakemake.run([*SNAKEFILE, *shown, *arguments, "--config", *given], cwd)


def settings_of(run: subprocess.CompletedProcess) -> dict[str, dict]:
    """Model id -> its settings for import_meta, from the commands that a dry run shows."""
    assert run.returncode == 0, run.stdout + run.stderr
    commands = [shlex.split(line) for line in run.stdout.splitlines() if " import_meta --model " in line]
    return {
        command[command.index("--model") + 1]: json.loads(command[command.index("--settings") + 1])
        for command in commands
    }


def write(path: Path, config: dict) -> str:
    path.write_text(json.dumps(config))
    return str(path)


@pytest.mark.slow
def test_the_sample_zoo_has_its_own_settings(tmp_path):
    found = settings_of(dry_run(HOME, tmp_path))
    assert len(found) == 22 and found[LINEAR]["outputs"] == ["predictions"]
    assert found["lookup_table/model.ckpt"]["inputs"] == {"words": [["ice", "snow", "fog"]]}


@pytest.mark.slow
def test_settings_without_a_zoo_are_laid_over_those_of_the_sample_zoo(tmp_path):
    mine = write(tmp_path / "mine.yaml", {"models": {"linear/*": {"seed": 3}, LINEAR: {"inputs": {}}}})
    found = settings_of(dry_run(HOME, tmp_path, "--configfile", mine))
    assert len(found) == 22
    assert [found[LINEAR][key] for key in ("outputs", "inputs", "seed")] == [["predictions"], {}, 3]
    refused = write(tmp_path / "mine.yaml", {"models": {"liner/*": {"seed": 3}}})
    run = dry_run(HOME, tmp_path, "--configfile", refused)
    assert run.returncode == 1
    assert f'config: models / "liner/*": no model has this id or matches this glob; the closest is "{LINEAR}"' in (
        run.stdout + run.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("zoo", ["one", ["one", "two"], [{"directory": "one"}]])
@pytest.mark.parametrize("is_option", [True, False])
def test_another_zoo_comes_without_the_settings_of_the_sample_zoo(own, zoo, is_option):
    if is_option:
        run = dry_run(own, own, zoo=json.dumps(zoo) if isinstance(zoo, list) else zoo)
    else:
        run = dry_run(own, own, "--configfile", write(own / "mine.yaml", {"zoo": zoo}))
    found = settings_of(run)
    assert found.keys() == {LINEAR, "sum/sum.ckpt"} | ({"sums/sum.ckpt"} if "two" in zoo else set())
    assert all(chosen["outputs"] == "auto" and chosen["inputs"] == {} for chosen in found.values())


@pytest.mark.slow
def test_a_zoo_on_the_command_line_replaces_a_zoo_with_all_its_settings(own):
    zoo = [
        {"directory": "one", "models": {"linear/*": {"seed": 3}}},
        {"directory": "two", "models": {"*": {"seed": 4}}},
    ]
    mine = write(own / "mine.yaml", {"zoo": zoo, "models": {"sum*": {"trials": 2, "timeout": 7}}})
    found = settings_of(dry_run(own, own, "--configfile", mine))
    assert {model: (chosen["seed"], chosen["timeout"]) for model, chosen in found.items()} == {
        LINEAR: (3, 300),
        "sum/sum.ckpt": (0, 7),
        "sums/sum.ckpt": (4, 7),
    }
    found = settings_of(dry_run(own, own, "--configfile", mine, zoo="two"))
    assert [(model, chosen["seed"], chosen["timeout"]) for model, chosen in found.items()] == [("sums/sum.ckpt", 0, 7)]


@pytest.mark.slow
def test_a_zoo_is_relative_to_where_the_run_is(own):
    run = dry_run(own, own)
    assert run.returncode == 1 and "the zoo models is not a directory" in run.stdout + run.stderr


def test_a_settings_file_inside_a_zoo_is_not_read(own):
    for name in ("config.yaml", "settings.yaml", "permafrost.yaml"):
        write(own / "one" / name, {"models": {"*": {"allow_ops": ["PyFunc"], "expect": "failed"}}})
    found = pipeline({"zoo": ["one"]})
    assert found.expected(LINEAR) == "verified"
    assert '"allow_ops": []' in found.settings("import_meta")(Wildcards(LINEAR))


class Wildcards:
    """A job's wildcards, as Snakemake hands them over."""

    def __init__(self, model: str):
        self.model = model


def pipeline(config: dict) -> Pipeline:
    return Pipeline(config, scans=True, taken=[])


def test_what_is_expected_and_which_steps_are_made_go_by_the_zoo(own):
    for step in (1, 2):
        for path in (own / "two" / "sums").glob("sum.ckpt.*"):
            shutil.copy(path, path.with_name(path.name.replace("sum.ckpt", f"sum.ckpt-{step}")))
    zoo = [
        {"directory": "one", "models": {"*": {"expect": "failed"}}},
        {"directory": "two", "models": {"sums/*": {"checkpoints": [1, 2]}, "sums/sum.ckpt-2": {"seed": 9}}},
    ]
    found = pipeline({"zoo": zoo})
    assert sorted(found.models) == [LINEAR, "sum/sum.ckpt", "sums/sum.ckpt-1", "sums/sum.ckpt-2"]
    assert [found.expected(model) for model in sorted(found.models)] == ["failed"] * 2 + ["verified"] * 2
    assert json.loads(found.settings("import_meta")(Wildcards("sums/sum.ckpt-2")))["seed"] == 9
    assert found.zoos == ["one", "two"]
    assert found.step_before == {"sums/sum.ckpt-2": "sums/sum.ckpt-1"}
    assert found.for_steps("x/{model}.csv") == ["x/sums/sum.ckpt-2.csv"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"zoo": [{"directory": "two", "models": {"linear/*": {}}}, "one"]},
            'config: zoo[0] / models / "linear/*": no model below "two" has this id or matches this glob; '
            'the closest is "sums/sum.ckpt"',
        ),
        (
            {"zoo": ["one", {"directory": "./two", "models": {"sum/*": {}}}]},
            'config: zoo[1] / models / "sum/*": no model below "./two" has this id or matches this glob; '
            'the closest is "sums/sum.ckpt"',
        ),
        (
            {"zoo": [{"directory": "one", "models": {"linear/*": {}}}, "two"], "models": {"lin": {}}},
            f'config: models / "lin": no model has this id or matches this glob; the closest is "{LINEAR}"',
        ),
        (
            {"zoo": ["one", {"directory": "one/sum", "models": {"*": {}}}]},
            'config: zoo[1] / models / "*": no model below "one/sum" has this id or matches this glob; '
            '"one/sum" has no models',
        ),
    ],
)
def test_a_pattern_that_matches_nothing_is_said_with_its_place(own, config, said):
    with pytest.raises(Problem) as caught:
        pipeline(config)
    assert caught.value.cause == "bad_setting" and caught.value.message == said


def test_settings_of_a_zoo_do_not_make_one_of_two_models_with_an_id(own):
    shutil.copytree(own / "one" / "sum", own / "two" / "sum")
    with pytest.raises(Problem, match="one/sum and two/sum both have a model with the id sum/sum.ckpt"):
        pipeline({"zoo": [{"directory": "one", "models": {"sum/*": {"seed": 1}}}, "two"]})
