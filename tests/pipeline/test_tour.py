"""What docs/tour.md says is run: its commands on a zoo of two models, and its questions to the tables."""

import re
import shlex
import subprocess
from pathlib import Path

import pandas as pd

import forked_snakemake
from conftest import HOME
from zoo_runs import SNAKEFILE

PAGE = (HOME / "docs" / "tour.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line != "make"]


def run(command: str, directory: Path) -> tuple[int, str]:
    """The exit status of one line of the page, and what it printed; Snakemake is not started anew for it."""
    name, *arguments = shlex.split(command)
    if name == "snakemake":
        done = forked_snakemake.run([*SNAKEFILE, *arguments], directory, joined=True)
        return done.returncode, done.stdout
    return subprocess.run(command, shell=True, cwd=directory, check=True).returncode, ""


def test_the_tour_goes_as_it_says(tmp_path, monkeypatch, capsys):
    (tmp_path / "models").symlink_to(HOME / "models")
    (tmp_path / "reports").symlink_to(tmp_path / "tour-reports")
    told = []
    for command in commands():
        status, printed = run(command.replace("/tmp/tour", str(tmp_path / "tour")), tmp_path)
        if command.startswith("snakemake"):
            changes = pd.read_csv(tmp_path / "reports" / "changes.csv", dtype=str, keep_default_na=False)
            rows = changes[changes["column"] == "status"][["model", "change", "before", "after"]]
            told.append((status, "failed, truncated" in printed, sorted(map(tuple, rows.values.tolist()))))
    assert told == [
        (0, False, [(f"{model}/model.ckpt", "new", "", "verified") for model in ("ema", "linear")]),
        (1, True, [("ema/model.ckpt", "worse", "verified", "failed")]),
        (0, False, [("ema/model.ckpt", "better", "failed", "verified")]),
    ]
    (questions,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(questions, {})
    assert "verified  V2" in capsys.readouterr().out
