"""Files that lie beside checkpoints fail no run: they are notes in zoo.csv."""

import shutil

import pandas as pd
import pytest

from conftest import SAMPLE_ZOO
from zoo_runs import Workspace

pytestmark = pytest.mark.slow

BESIDE = ("model.ckpt.md5", "model.ckpt.index.part", "._model.ckpt.index", "README.ckpt.md", "model.ckpt.meta~")


def test_files_beside_checkpoints_fail_no_run(tmp_path):
    workspace = Workspace(tmp_path)
    model = workspace.zoo / "linear"
    shutil.copytree(SAMPLE_ZOO / "linear", model)
    (workspace.zoo / "__MACOSX").mkdir()
    for name in BESIDE:
        for directory in (model, workspace.zoo / "__MACOSX"):
            (directory / name).write_bytes(b"\0\5\26\7" if name.startswith("._") else b"0123abc  model.ckpt\n")
    with (model / "checkpoint").open("a") as file:
        file.write('all_model_checkpoint_paths: "/gone/model_3.ckpt"\n')
    run = workspace.run()
    assert run.status == 0, run.output
    assert list(workspace.summary().index) == ["linear/model.ckpt"]
    zoo = pd.read_csv(workspace.reports / "zoo.csv", keep_default_na=False)
    noted = dict(zip(zoo["model"], zoo["findings"], strict=True))
    assert set(noted) == {"", "linear/model.ckpt"}
    assert all(name in findings for findings in noted.values() for name in BESIDE)
    assert "model_3.ckpt, of which nothing is there" in noted["linear/model.ckpt"]
    assert workspace.run().nothing_done
