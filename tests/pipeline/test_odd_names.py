"""A zoo with a model for each character, and for each pair that Snakemake, a shell or a CSV reader takes for its own.

The models cannot be used, so that they go through all of the pipeline's rules, and TensorFlow is not needed.
"""

from pathlib import Path

import pandas as pd
import pytest

from permafrost.zoo.names import model_id, step_id
from zoo_runs import Workspace

pytestmark = pytest.mark.slow(minutes=1)

CHARACTERS = sorted(set(map(chr, range(32, 127))) - {"/"})
# Path variables, wildcards with and without constraints, and formats of Snakemake; expansions, quotes and operators of
# shells; cells and formulas of CSV; what is encoded already; what paths give a meaning.
SEQUENCES = (
    "<x>", "<x", "x>", "<results>", "<X>", "<<x>>", "{x}", "{x,a+}", "{{x}}", "{}", "{0}", "{model}", "{x:q}", "{",
    "$(", "$(x)", "${", "${x}", "$x", "$$", "`x`", "~x", "~+", "!!", "&&", "||", ">>", "<<", "<(x)", "*?", "[a]",
    "[!a]", "{a,b}", "''", '""', '"x', "'x", "\\'", "\\", "\\n", "\\0", ',"', '",', ",,", ";;", "=1+1", "@x", "+1",
    "--x", "-", "%2F", "%", "%%", "%s", "%(x)s", "..", "...", ". ", " .", "  ", "#x", "x:y=z", "x=y,z=w", "a:b", "\t",
    "\n", *("w" * 60, "ab" * 30, "_" * 20),
)  # fmt: skip


def directory_of(name: str) -> str:
    """Directories with a name as theirs, where a directory can have it, and in, before and after what theirs is."""
    own = [] if name in (".", "..") else [name]
    return "/".join([*own, f"x{name}y", f"{name}a", f"b{name}"])


def put_unusable(zoo: Path, name: str) -> str:
    """Writes a checkpoint of which the index is empty under directories named so; returns its id."""
    directory, stem = directory_of(name), f"s{name}t"
    (zoo / directory).mkdir(parents=True)
    (zoo / directory / f"{stem}.index").touch()
    return model_id(directory, stem)


def put_repeated(zoo: Path) -> set[str]:
    """Writes unusable checkpoints whose names, directories or steps end in a repetition; returns their ids."""
    nested = zoo / "/".join("a" * 25)
    nested.mkdir(parents=True)
    (nested / "a.index").touch()
    (zoo / f"{'w' * 22}.index").touch()
    (zoo / f"m-{'0' * 26}.index").touch()
    deep = model_id("/".join("a" * 25), "a")
    return {deep, model_id("", "w" * 22), step_id(model_id("", "m"), "0" * 26)}


def test_no_repetition_stops_the_zoo(tmp_path):
    workspace = Workspace(tmp_path)
    models = put_repeated(workspace.zoo)
    run = workspace.run(on_failure="report", checkpoints="all")
    assert run.status == 0, run.output
    assert set(workspace.summary().index) == models
    assert workspace.run(on_failure="report", checkpoints="all").nothing_done


def test_no_character_and_no_pair_of_them_stops_the_zoo(tmp_path):
    workspace = Workspace(tmp_path)
    names = [*CHARACTERS, *SEQUENCES]
    models = {put_unusable(workspace.zoo, name) for name in dict.fromkeys(names)}
    assert len(models) == len(set(names)) > 150
    run = workspace.run(on_failure="report")
    assert run.status == 0, run.output
    summary = workspace.summary()
    assert set(summary.index) == models and set(summary["status"]) == {"failed"}
    assert set(summary["cause"]) == {"truncated"}
    zoo = pd.read_csv(workspace.reports / "zoo.csv", keep_default_na=False)
    assert set(zoo["model"]) == models
    made = {str(path.parent.relative_to(workspace.frozen)) for path in workspace.frozen.rglob("provenance.json")}
    assert made == models
    assert workspace.run(on_failure="report").nothing_done
    left = {path.name for path in workspace.directory.iterdir()}
    assert left == {".snakemake", "my zoo", "my frozen", "my reports"}, "no name was taken for a command or a path"
