"""The cards: what they say, that names mark nothing up, and that their programs run."""

import os
import random
import re
import string
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest

from conftest import SAMPLE_ZOO
from fresh_process import in_fresh_process
from permafrost.model import About
from permafrost.report.cards import markdown, writing
from permafrost.report.cards.card import Card, Section, Snippet, Table
from permafrost.zoo import state_file
from written_records import export_of, records_of, write_zoo
from zoo_runs import Workspace

MODEL = "a/m"


def described(**facts) -> dict[str, dict]:
    """The records of a model that was frozen and verified."""
    records = records_of(MODEL, **facts)
    records["provenance"] |= {
        "outputs": ["predictions:0", "loss:1"],
        "inputs": {"x": "x:0", "y": "y:0"},
        "frozen_sha256": "ab" * 32,
        "sha256": {"m.index": "cd" * 32},
    }
    records["verify"] |= {"example": {"sha256": "ef" * 32, "bytes": 9, "changed": 1, "seed": 0, "batch": 2}}
    records["import"]["described"] = {
        "predictions": {"dtype": "float32", "shape": [None, 3], "meaning": "probabilities, which sum to 1"}
    }
    return records


def written(home: Path, records: dict[str, dict], **of_model) -> tuple[str, str]:
    """A model's card, and the page that leads to the cards."""
    write_zoo(home, {MODEL: records}, **of_model)
    state = state_file.read(home / "state.json")
    writing.write(state, str(home / "frozen"), str(home / "reports"), home / "reports" / "cards.md")
    card = home / "frozen" / MODEL / "card.md"
    return card.read_text() if card.exists() else "", (home / "reports" / "cards.md").read_text()


def test_what_a_card_says(tmp_path):
    about = About(title="Weather", task="say when it *freezes*", owner="Us", licence="MIT", notes="Since **1990**.")
    card, page = written(tmp_path, described(), about=about)
    assert card.startswith("# Weather\n\na/m: **verified**\n\nSince **1990**.\n")
    assert r"| task | say when it \*freezes\* |" in card
    assert r"| x:0 | x | float32 | \[?, 3\] |" not in card
    assert r"| x:0 | float32 | \[?, 3\] | 0 to 1 | floats |" in card
    assert r"| predictions:0 | float32 | \[?, 3\] | probabilities, which sum to 1 |" in card
    assert "75% sure: the only end." in card and "ab" * 32 in card and "cd" * 32 in card
    assert "[Weather](../frozen/a/m/card.md) | say when it" in page
    assert (
        tmp_path / "frozen/a/m/SHA256SUMS"
    ).read_text() == f"{'ab' * 32}  frozen_graph.pb\n{'ef' * 32}  example.npz\n"


def test_an_export_has_its_program_and_its_hash(tmp_path):
    made = {"files": {"model.onnx": "12" * 32}, "stamps": {"model.onnx": [700, 1]}, "frozen_sha256": "ab" * 32}
    records = described() | export_of(MODEL, "onnx", made)
    card, _ = written(tmp_path, records, exports={"onnx": "verified"})
    assert 'InferenceSession("model.onnx"' in card and "| model.onnx | 700 |" in card
    assert f"{'12' * 32}  model.onnx\n" in (tmp_path / "frozen/a/m/SHA256SUMS").read_text()


def test_without_an_example_its_programs_have_values_of_their_own(tmp_path):
    records = described()
    del records["verify"]["example"]
    card, _ = written(tmp_path, records | {"verify": records["verify"] | {"no_example": "all outputs are random"}})
    assert "all outputs are random" in card and "example[" not in card
    assert "    'x:0': np.zeros((1, 3), 'float32'),\n    'y:0': np.array(False, 'bool'),\n" in card


def test_who_was_not_verified_is_not_to_be_used(tmp_path):
    records = described(status="mismatch", cause="outputs_differ", message="out differs")
    card, _ = written(tmp_path, records)
    assert "a/m: **mismatch**" in card and "```" not in card and r"outputs\_differ: out differs" in card


def test_who_was_not_frozen_has_no_card_any_more(tmp_path):
    assert written(tmp_path, described())[0]
    records = described()
    records["provenance"] |= {"status": "failed", "cause": "corrupt"}
    assert written(tmp_path, records)[0] == ""
    assert not (tmp_path / "frozen/a/m/SHA256SUMS").exists()


def test_a_card_tells_what_speaks_for_each_output_in_words(tmp_path):
    records = described()
    records["import"]["outputs_ranking"] = [
        {"name": "predictions", "score": 2, "chosen": True, "reasons": ["named as an output (+1.4)", "late (-0.8)"]},
        {"name": "loss", "score": 1, "chosen": False, "reasons": ["could be fetched (+1.1)"]},
    ]
    card, _ = written(tmp_path, records)
    assert r"| probabilities, which sum to 1 | named as an output |" in card and "75% sure.\n" in card
    assert "Others that could be named under `outputs:` are loss." in card and "1.4" not in card


def test_a_card_that_stays_the_same_is_not_written_again(tmp_path):
    written(tmp_path, described())
    before = (tmp_path / "frozen/a/m/card.md").stat().st_mtime_ns
    written(tmp_path, described())
    assert (tmp_path / "frozen/a/m/card.md").stat().st_mtime_ns == before


def unmarked(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


@pytest.mark.parametrize("seed", range(30))
def test_no_name_marks_anything_up(seed):
    chance = random.Random(seed)
    name = "".join(chance.choices(string.punctuation + "ab \n\t\x07é\udc80", k=chance.randint(1, 40)))
    escaped = markdown.escaped(name)
    assert "\n" not in escaped and not re.search(r"(?<!\\)(\\\\)*[|`*_<>\[\]#]", escaped)
    card = Card(
        model=name,
        title=name,
        status="verified",
        notes="",
        sections=[
            Section(title="One", text=[f"{name}."], table=Table(["a", "b"], [[name, name]])),
            Section(title="Two", snippets=[Snippet("this", "python", f"x = {name!r}")]),
        ],
    )
    lines = markdown.text(card).encode("utf-8", "backslashreplace").decode().splitlines()
    row = next(line for line in lines if line.startswith("| ") and "---" not in line and not line.startswith("| a | b"))
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3
    assert sum(line.startswith("# ") for line in lines) == 1
    fence = next(line for line in lines if line.startswith("```")).removesuffix("python")
    assert lines.count(fence) == 1


def test_a_card_can_be_shown_by_others(tmp_path):
    write_zoo(tmp_path, {MODEL: described()})
    (model,) = state_file.read(tmp_path / "state.json").models
    made = writing.of_model(model, str(tmp_path / "frozen"), str(tmp_path / "reports"))
    assert made is not None
    told = msgspec.to_builtins(made[0])
    assert [section["title"] for section in told["sections"]][:2] == ["What goes in", "What comes out"]


EXPORTED = "conv_batchnorm/model.ckpt"
RAN = {EXPORTED: ["saved_model", "onnx", "tflite"], "lookup_table/model.ckpt": ["saved_model"], "linear/model.ckpt": []}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Workspace:
    """A run over three models of the sample zoo, with cards and exports."""
    pytest.importorskip("permafrost.judge.exports.deciding")
    said = {model: {"export": forms} for model, forms in RAN.items()}
    said[EXPORTED]["title"] = "A small | network"
    workspace = Workspace(tmp_path_factory.mktemp("cards"), said)
    for model in RAN:
        (workspace.zoo / model).parent.symlink_to(SAMPLE_ZOO / Path(model).parent)
    done = workspace.run(follow_links="true")
    assert done.status == 0, done.output
    return workspace


def programs(card: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)


def wrong_in(directory: Path) -> list[str]:
    """What the programs of a card give that is no output of the example, within the rounding of other runtimes."""
    os.chdir(directory)
    with np.load("example.npz") as example:
        given = [example[name] for name in example.files]
    found = []
    for code in programs(directory / "card.md"):
        names: dict = {}
        exec(code, names)
        values = names["values"]
        for value in map(np.asarray, values.values() if isinstance(values, dict) else values):
            alike = [other for other in given if (other.shape, other.dtype) == (value.shape, value.dtype)]
            if not any(np.allclose(value, other, rtol=1e-4, atol=1e-6) for other in alike):
                found.append(f"{code}\n{value}")
    return found


@pytest.mark.slow
def test_the_programs_of_the_cards_run_and_give_what_the_example_has(run):
    for model, forms in RAN.items():
        directory = run.frozen / model
        assert len(programs(directory / "card.md")) == 1 + len(forms)
        assert in_fresh_process(wrong_in, directory) == []


@pytest.mark.slow
def test_the_lists_of_hashes_can_be_checked(run):
    for model in RAN:
        for listed, where in (("SHA256SUMS", run.frozen / model), ("checkpoint.sha256", (run.zoo / model).parent)):
            path = run.frozen / model / listed
            done = subprocess.run(["sha256sum", "-c", "--strict", path], cwd=where, capture_output=True, text=True)
            assert done.returncode == 0 and done.stdout.count(": OK") == len(path.read_text().splitlines()) > 1
        assert "data-00000" in (run.frozen / model / "checkpoint.sha256").read_text()


@pytest.mark.slow
def test_what_was_made_is_made_again_and_cleaned(run):
    (run.frozen / "linear/model.ckpt/example.npz").unlink()
    again = run.run(follow_links="true")
    assert again.status == 0 and again.jobs["verify"] == 1 and again.jobs["cards"] == 1
    with np.load(run.frozen / "linear/model.ckpt/example.npz") as example:
        assert len(example.files) == 2
    assert run.run(follow_links="true").nothing_done
    (run.reports / "cards.md").unlink()
    assert run.run(follow_links="true").jobs == {"cards": 1, "gate": 1}
    assert run.run("clean", follow_links="true").status == 0
    assert not run.frozen.exists() and not (run.reports / "cards.md").exists()
