"""The pipeline over a zoo of real checkpoints, which strangers trained and published."""

import pandas as pd
import pytest

from conftest import HOME
from frozen_by_tensorflow import frozen_by_tensorflow
from permafrost.outcome import Problem
from stages import frozen, imported, sources
from zoo_runs import Workspace

pytestmark = pytest.mark.slow(minutes=3)

# Directories that hold nothing that can be frozen, by the manifest's own words.
NOT_FREEZABLE = {
    "index_only_vae_compression__xyp8023", "outliers_pointcn__XiaoyingGong", "pointnet2_customops_nodata__alleboudy",
    "tf2_sharded_wireless__Lmy0217", "vae_lfs_pointer__DexiongYung", "visualizing_cnn__Qin-Folks",
}  # fmt: skip


@pytest.fixture(scope="module")
def manifest(real_zoo) -> pd.DataFrame:
    return pd.read_csv(real_zoo / "MANIFEST.tsv", sep="\t", keep_default_na=False).set_index("name")


@pytest.mark.timeout(900)  # Forty models of strangers, on a machine that does other things as well.
def test_every_directory_ends_in_a_true_status(real_zoo, manifest, tmp_path):
    workspace = Workspace(tmp_path)
    run = workspace.run("--configfile", str(HOME / "tests" / "support" / "real_zoo.yaml"), zoo=str(real_zoo))
    assert run.status == 0, run.output
    summary = workspace.summary().reset_index()
    summary["directory"] = summary["model"].str.partition("/")[0]
    assert set(summary["directory"]) == set(manifest.index)
    freezable = summary[~summary["directory"].isin(NOT_FREEZABLE)]
    verified = set(freezable[freezable["status"] == "verified"]["directory"])
    assert verified == set(manifest.index) - NOT_FREEZABLE
    assert set(freezable["match"]) == {"bitwise"}
    assert "internal" not in set(summary["cause"])
    assert not workspace.leftovers()


def test_same_bytes_as_tensorflow_where_its_answer_is_right(real_zoo, manifest, tmp_path):
    """Where no repair was needed, the file is freeze_graph's; where one was, freeze_graph fails or writes another."""
    equal, repaired = [], []
    for id, source in sources(real_zoo).items():
        directory = id.partition("/")[0]
        if directory in NOT_FREEZABLE:
            continue
        outputs = [name.strip() for name in manifest.loc[directory, "outputs"].split(",")]
        try:
            record = imported(source, outputs=outputs)
        except Problem as problem:
            assert problem.cause == "unknown_output", (id, problem.message)  # another of several networks
            continue
        provenance, path = frozen(record, tmp_path)
        if provenance.repairs:
            repaired.append(id)
            continue
        nodes = [name.partition(":")[0] for name in outputs]
        assert path.read_bytes() == frozen_by_tensorflow(record.prefix, record.meta, nodes), id
        equal.append(id)
    assert len({id.partition("/")[0] for id in equal}) >= 12, (equal, repaired)
