"""The pipeline over small checkpoints of the symptoms that people reported, and of what graphs may do: each is proven,
or refused for the true reason.

The checkpoints are made by the programs of a directory of cases; what is right for each stands in
tests/support/case_outcomes.csv.
"""

import csv
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from conftest import HOME, REAL_ZOO
from fresh_process import in_fresh_process
from zoo_runs import Workspace

pytestmark = pytest.mark.slow(minutes=3)

CASES = REAL_ZOO.parent / "cases"
# Zoo -> the program that makes it, its directory, and the settings of its models.
MAKERS = {
    "cases": ("make_cases.py", "zoo", ""),
    "small": ("options/mkmini.py", "mini/zoo", "mini/conf.yaml"),
    "small2": ("options/mkmini2.py", "mini/zoo2", ""),
    "small6": ("options/mkmini6.py", "mini/zoo6", "mini/conf6.yaml"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A directory in which all zoos were made."""
    if not (CASES / "make_cases.py").exists():
        pytest.skip(f"no programs that make cases at {CASES}")
    directory = tmp_path_factory.mktemp("made")
    for program, *_ in MAKERS.values():
        shutil.copy(CASES / program, directory)
    for program, *_ in MAKERS.values():
        subprocess.run(
            [sys.executable, Path(program).name], cwd=directory, check=True, capture_output=True, timeout=600
        )
    return directory


def settings(made: Path) -> dict[str, dict]:
    """The settings of all models that have some."""
    of_zoos = {name: made / conf for name, (_, _, conf) in MAKERS.items() if conf}
    found = {name: yaml.safe_load(path.read_text(encoding="utf-8"))["models"] for name, path in of_zoos.items()}
    return {f"{name}/{model}": chosen for name, models in found.items() for model, chosen in models.items()}


def expected() -> dict[str, tuple[str, str, str]]:
    """Model of the zoos -> status, cause, and what its message says."""
    with (HOME / "tests" / "support" / "case_outcomes.csv").open(encoding="utf-8", newline="") as file:
        return {row["model"]: (row["status"], row["cause"], row["says"]) for row in csv.DictReader(file)}


def pools_channels_first() -> bool:
    """Whether TensorFlow pools NCHW on this processor, as it does only where it has oneDNN on."""
    import tensorflow as tf

    try:
        tf.nn.max_pool2d(tf.zeros([1, 1, 2, 2]), 2, 2, "VALID", "NCHW")
    except tf.errors.OpError:
        return False
    return True


@pytest.mark.timeout(1200)
def test_each_case_ends_as_it_should(made, tmp_path):
    workspace = Workspace(tmp_path, settings(made))
    for name, (_, zoo, _) in MAKERS.items():
        shutil.move(made / zoo, workspace.zoo / name)
    done = subprocess.run(
        workspace.command(on_failure="report"),
        cwd=workspace.directory,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-4000:]
    ends, right = workspace.summary().to_dict("index"), expected()
    if not in_fresh_process(pools_channels_first):
        right["cases/nchw/model.ckpt"] = ("unverifiable", "run_failed", "only supports NHWC")
    other = {
        model: (end["status"], end["cause"], end["message"])
        for model, end in ends.items()
        if model not in right
        or (end["status"], end["cause"]) != right[model][:2]
        or right[model][2] not in f"{end['message']} {end['hint']}"
    }
    assert not other and not right.keys() - ends.keys(), (other, right.keys() - ends.keys())
    assert Counter(end["match"] for end in ends.values() if end["status"] == "verified").keys() == {"bitwise"}
