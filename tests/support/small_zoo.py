"""A zoo of a few models of the sample zoo, with the jobs that a run over it has."""

import shutil
from pathlib import Path

from conftest import SAMPLE_ZOO
from zoo_runs import Workspace, sample_settings

MODELS = ("linear", "v1_and_v2", "partitioned", "spaces_and_text", "broken_truncated")
EXPECTED = sample_settings("broken_truncated")
CHAIN = {"import_meta": 1, "freeze": 1, "verify": 1, "list_ops": 1}
SUMMED_UP = {"summarize": 1, "changes": 1, "cards": 1, "page": 1, "gate": 1}
AGGREGATES = {"discover": 1, **SUMMED_UP}


def small_zoo(directory: Path) -> Workspace:
    workspace = Workspace(directory, EXPECTED)
    for model in MODELS:
        shutil.copytree(SAMPLE_ZOO / model, workspace.zoo / model)
    return workspace
