"""In which order jobs are begun: larger checkpoints first, so that none that takes long is left for the end."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from permafrost import layout
from small_zoo import small_zoo

pytestmark = pytest.mark.slow(minutes=0.3)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A zoo of which the largest checkpoint has the last name."""
    workspace = small_zoo(tmp_path_factory.mktemp("ordered"))
    (workspace.zoo / "partitioned").rename(workspace.zoo / "zzz")
    return workspace


@pytest.mark.parametrize("chosen_from", (1, 2, 50), ids="from_{}".format)
def test_the_jobs_of_a_larger_checkpoint_are_begun_before_those_of_a_smaller(workspace, chosen_from):
    """However few of the jobs Snakemake chooses from."""
    for directory in (workspace.frozen, workspace.reports):
        shutil.rmtree(directory, ignore_errors=True)
    run = workspace.run("--cores", "1", "--scheduler-subsample", str(chosen_from))
    assert run.status == 0, run.output
    sizes = pd.read_csv(workspace.reports / "zoo.csv").set_index("model")["bytes"]
    assert sizes.nunique() > 2
    records = [
        (Path(layout.of_model(workspace.reports, model, name)).stat().st_mtime_ns, size)
        for model, size in sizes.items()
        for name in (layout.IMPORT, "verify.json")
    ]
    begun = [size for _, size in sorted(records)]
    assert begun == sorted(begun, reverse=True)
