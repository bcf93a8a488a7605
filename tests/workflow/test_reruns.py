"""A change of a zoo of twenty models, or of what is said of them, reruns what it concerns and nothing else."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from conftest import HOME, SAMPLE_ZOO
from zoo_runs import Workspace

pytestmark = pytest.mark.slow(minutes=2)

# Directory -> the one of the sample zoo that it is a copy of.
KINDS = {
    "linear": "linear", "last year": "linear", "steps": "v1_and_v2", "in place": "v1_and_v2", "renamed": "partitioned",
    "moved": "partitioned", "no index": "embedding", "broken_missing_shard": "broken_missing_shard", "meta": "ema",
    "removed": "ema", "no frozen graph": "linear", "edited": "linear", "no table": "linear",
}  # fmt: skip
COPIES = 7
SUMMED_UP = {"summarize": 1, "changes": 1, "cards": 1, "page": 1, "gate": 1}
ALL = len(KINDS) + COPIES
RECORDS = {"import_meta": "import.json", "verify": "verify.json", "list_ops": "variables.csv"}
ZOOS = "[my zoo, other zoo]"
PARTS = (".meta", ".index", ".data-00000-of-00001")
BROKEN = "broken_missing_shard/model.ckpt"


class Zoos(Workspace):
    """A workspace with two zoos and a copy of the pipeline's code, `code`."""

    def __init__(self, directory: Path):
        super().__init__(directory)
        self.other, self.code = directory / "other zoo", directory / "code"
        self.settings = directory / "settings.yaml"

    def again(self, *arguments: str):
        return self.run(
            *arguments, "--snakefile", str(self.code / "Snakefile"), "--configfile", str(self.settings), zoo=ZOOS
        )

    def set(self, **models: dict) -> None:
        self.settings.write_text(yaml.safe_dump({"models": {BROKEN: {"expect": ["failed", "verified"]}, **models}}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Zoos:
    zoos = Zoos(tmp_path_factory.mktemp("twenty models"))
    for name, kind in KINDS.items():
        shutil.copytree(SAMPLE_ZOO / kind, zoos.zoo / name)
    for number in range(COPIES):
        shutil.copytree(SAMPLE_ZOO / "linear", (zoos.other if number % 2 else zoos.zoo) / f"copy {number}")
    for name in ("Snakefile", "config.yaml", "config.schema.yaml"):
        zoos.code.mkdir(exist_ok=True)
        shutil.copy(HOME / name, zoos.code)
    for name in ("scripts", "rules", "profiles", "captions"):
        shutil.copytree(HOME / name, zoos.code / name, ignore=shutil.ignore_patterns("__pycache__"))
    zoos.set()
    run = zoos.again()
    assert run.status == 0 and run.jobs["verify"] == ALL == 20, run.output
    return zoos


@pytest.fixture
def zoos(finished, tmp_path) -> Zoos:
    """A copy of the finished zoos, times of files included."""
    shutil.copytree(finished.directory, tmp_path / "copy", symlinks=True)
    copy = Zoos(tmp_path / "copy")
    assert copy.again().nothing_made
    return copy


def new_step(zoos: Zoos) -> str:
    return _new_step(zoos.zoo / "linear")


def _new_step(directory: Path) -> str:
    for part in PARTS:
        shutil.copy(directory / f"model.ckpt{part}", directory / f"model.ckpt-8{part}")
    (directory / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-8"\n')
    return f"{directory.name}/model.ckpt"


def new_step_of_last_year(zoos: Zoos) -> str:
    model = _new_step(zoos.zoo / "last year")
    for path in (zoos.zoo / "last year").iterdir():
        os.utime(path, (1.7e9, 1.7e9))
    return model


def older_step_by_the_checkpoint_file(zoos: Zoos) -> str:
    (zoos.zoo / "steps" / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model.ckpt-200"\n')
    return "steps/model.ckpt"


def other_weights_in_place(zoos: Zoos) -> str:
    directory = zoos.zoo / "in place"
    for part in PARTS[1:]:
        shutil.copy(directory / f"model.ckpt-100{part}", directory / f"model.ckpt-300{part}")
    return "in place/model.ckpt"


def shard_added(zoos: Zoos) -> str:
    for path in (SAMPLE_ZOO / "two_shards").glob("*.data-*"):
        missing = zoos.zoo / "broken_missing_shard" / path.name
        if not missing.exists():
            shutil.copy(path, missing)
    return BROKEN


def new_model(zoos: Zoos) -> str:
    shutil.copytree(SAMPLE_ZOO / "ema", zoos.zoo / "deeper" / "new")
    return "deeper/new/model.ckpt"


def removed_model(zoos: Zoos) -> str:
    shutil.rmtree(zoos.zoo / "removed")
    return ""


def renamed_model(zoos: Zoos) -> str:
    (zoos.zoo / "renamed").rename(zoos.zoo / "in parts")
    return "in parts/model.ckpt"


def moved_to_the_other_zoo(zoos: Zoos) -> str:
    (zoos.zoo / "moved").rename(zoos.other / "moved")
    return "moved/model.ckpt"


def deleted_index(zoos: Zoos) -> str:
    next((zoos.zoo / "no index").glob("*.index")).unlink()
    return "no index/text.ckpt"


def changed_meta_graph(zoos: Zoos) -> str:
    path = next((zoos.zoo / "meta").glob("*.meta"))
    path.write_bytes(path.read_bytes() + b"\x22\x00")  # an empty entry of collection_def
    return "meta/model.ckpt"


def deleted_frozen_graph(zoos: Zoos) -> str:
    (zoos.frozen / "no frozen graph" / "model.ckpt" / "frozen_graph.pb").unlink()
    return "no frozen graph/model.ckpt"


def edited_frozen_graph(zoos: Zoos) -> str:
    path = zoos.frozen / "edited" / "model.ckpt" / "frozen_graph.pb"
    path.write_bytes(path.read_bytes()[::-1])
    return "edited/model.ckpt"


def deleted_table(zoos: Zoos) -> str:
    (zoos.reports / "models" / "no table" / "model.ckpt" / "variables.csv").unlink()
    return "no table/model.ckpt"


# What each changes -> the first stage that runs again.
CHANGES = {
    new_step: "import_meta", new_step_of_last_year: "import_meta", older_step_by_the_checkpoint_file: "import_meta",
    other_weights_in_place: "import_meta", shard_added: "import_meta", new_model: "import_meta",
    renamed_model: "import_meta", moved_to_the_other_zoo: "import_meta", deleted_index: "import_meta",
    changed_meta_graph: "import_meta", deleted_frozen_graph: "freeze", edited_frozen_graph: "freeze",
    deleted_table: "list_ops",
}  # fmt: skip


def written(zoos: Zoos) -> dict[str, dict[str, int]]:
    """Stage -> model -> when its record was written (ns)."""
    roots = {name: (zoos.reports / "models", file) for name, file in RECORDS.items()}
    roots["freeze"] = (zoos.frozen, "provenance.json")
    return {
        stage: {str(path.parent.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob(file)}
        for stage, (root, file) in roots.items()
    }


def test_each_change_reruns_its_own_models_and_no_other(zoos):
    before = written(zoos)
    models = {change(zoos): first for change, first in CHANGES.items()}
    assert removed_model(zoos) == ""
    run = zoos.again()
    after = written(zoos)
    for stage, firsts in {
        "import_meta": {"import_meta"},
        "freeze": {"import_meta", "freeze"},
        "verify": {"import_meta", "freeze", "verify"},
        "list_ops": {"import_meta", "freeze", "list_ops"},
    }.items():
        changed = {model for model, when in after[stage].items() if before[stage].get(model) != when}
        assert changed == {model for model, first in models.items() if first in firsts}, stage
        assert run.jobs[stage] == len(changed)
    assert {rule: run.jobs[rule] for rule in ("discover", *SUMMED_UP)} == {"discover": 1, **SUMMED_UP}
    summary = zoos.summary()
    assert len(summary) == ALL and not {"removed/model.ckpt", "renamed/model.ckpt"} & set(summary.index)
    assert summary.loc[summary["status"] != "verified", "cause"].to_dict() == {"no index/text.ckpt": "no_index"}
    assert not (zoos.frozen / "no index" / "text.ckpt" / "frozen_graph.pb").exists()
    assert run.status == 1 and "snakemake prune" in run.output
    again = zoos.again()
    assert again.jobs == {"gate": 1} and written(zoos) == after


def deleted_page(zoos: Zoos) -> None:
    (zoos.reports / "index.html").unlink()


def deleted_summary(zoos: Zoos) -> None:
    (zoos.reports / "summary.csv").unlink()


def edited_what_is_the_users(zoos: Zoos) -> None:
    assert zoos.again("settings").status == 0
    settings, notes = zoos.reports / "settings.yaml", zoos.reports / "notes.csv"
    settings.write_text(settings.read_text() + "# mine\n")
    notes.write_text("mine")
    (zoos.reports / "models" / os.fsdecode(b"\xdc.csv")).touch()
    (zoos.reports / "loop.csv").symlink_to("loop.csv")
    assert zoos.again().nothing_done
    assert settings.read_text().endswith("# mine\n") and notes.exists()


def copied_without_times(zoos: Zoos) -> None:
    for root in (zoos.frozen, zoos.reports):
        for path in sorted(root.rglob("*"), key=lambda path: path.name):
            os.utime(path)


def settings_of_one(zoos: Zoos) -> None:
    zoos.set(**{"linear/*": {"trials": 5}})


def settings_of_all(zoos: Zoos) -> None:
    zoos.set(**{"*": {"trials": 2}})


def edited_judge(zoos: Zoos) -> None:
    with open(zoos.code / "scripts" / "permafrost" / "judge" / "negative_control.py", "a") as file:
        file.write("\nADDED = 1\n")


def edited_freezer(zoos: Zoos) -> None:
    with open(zoos.code / "scripts" / "freeze.py", "a") as file:
        file.write("\nADDED = 1\n")


def touched(zoos: Zoos) -> None:
    for root in (zoos.zoo, zoos.other, zoos.code):
        for path in root.rglob("*"):
            os.utime(path)


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        (touched, {"discover": 1}),
        (deleted_page, {"page": 1, "gate": 1}),
        (deleted_summary, SUMMED_UP),
        (copied_without_times, {"freeze": ALL - 1, "verify": ALL - 1, "list_ops": ALL - 1, **SUMMED_UP}),
        (edited_what_is_the_users, {}),
        (settings_of_one, {"verify": 1, **SUMMED_UP}),
        (settings_of_all, {"verify": ALL, **SUMMED_UP}),
        (edited_judge, {"verify": ALL, **SUMMED_UP}),
        (edited_freezer, {"freeze": ALL, "verify": ALL, "list_ops": ALL, **SUMMED_UP}),
    ],
)
def test_what_is_said_and_done_reruns_what_it_concerns(zoos, change, jobs):
    change(zoos)
    run = zoos.again()
    assert run.status == 0 and run.jobs == jobs, run.output
    summary = zoos.summary()
    assert len(summary) == ALL and (summary["status"] == "verified").sum() == ALL - 1
    assert zoos.again().nothing_done
