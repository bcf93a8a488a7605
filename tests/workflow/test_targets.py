"""What a command line names: models by their ids, and what is said of a name that is none."""

import shutil

import pytest

from conftest import SAMPLE_ZOO
from permafrost.outcome import Problem
from permafrost.workflow import targets
from zoo_runs import Workspace

MODELS = ["lenet/model.ckpt", "page", "lstm/m-5"]
RULES = {"page", "verify", "all"}


def test_a_model_is_named_by_its_id_or_by_its_frozen_directory():
    arguments = ["lenet/model.ckpt", "made/frozen/lstm/m-5/", "page", "made/frozen/page", "zoo=x", "frozen/lstm/m-5"]
    assert targets.of_models(arguments, MODELS, "made/frozen", RULES) == {
        "lenet/model.ckpt": "lenet/model.ckpt",
        "made/frozen/lstm/m-5/": "lstm/m-5",
        "made/frozen/page": "page",
    }


@pytest.mark.parametrize("option", ["--forcerun", "-R"])
def test_a_model_behind_an_option_that_takes_rules_is_refused(option):
    with pytest.raises(Problem, match=r"takes 'lenet/model.ckpt' for a rule.* all models"):
        targets.refuse_forced([option, "verify", "lenet/model.ckpt"], MODELS)
    targets.refuse_forced(["lenet/model.ckpt", option, "verify", "--cores", "2"], MODELS)
    targets.refuse_forced([option, "verify", "--", "lenet/model.ckpt"], MODELS)


def test_a_typo_is_told_with_the_nearest_names():
    said = "MissingRuleException:\nNo rule to produce lenett/model.ckpt (if you use input functions make sure ...)."
    assert targets.correction(said, MODELS) == "nothing makes 'lenett/model.ckpt'; is lenet/model.ckpt meant?"
    assert "a model's id, all" in targets.correction("No rule to produce xyz (if you use input functions", MODELS)
    assert targets.correction("WorkflowError: something", MODELS) == ""


@pytest.mark.slow
def test_one_model_is_judged_anew_and_no_other(tmp_path):
    workspace = Workspace(tmp_path)
    for model in ("linear", "sum"):
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    typo = workspace.run("linaer/model.ckpt")
    assert typo.status == 1 and "nothing makes 'linaer/model.ckpt'; is linear/model.ckpt meant?" in typo.output
    assert "MissingRule" not in typo.output and not workspace.frozen.exists()
    run = workspace.run("linear/model.ckpt")
    assert run.status == 0 and run.jobs["verify"] == run.jobs["freeze"] == 1
    assert "\nlinear/model.ckpt: verified\n" in run.output
    assert workspace.run().status == 0
    run = workspace.run("linear/model.ckpt", "--forcerun", "verify")
    assert run.status == 0 and run.jobs == {"verify": 1, "linear/model.ckpt": 1}
    run = workspace.run("--forcerun", "verify", "linear/model.ckpt")
    assert run.status == 1 and "name the model first" in run.output
