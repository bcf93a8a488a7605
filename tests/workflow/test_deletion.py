"""What `prune` and `clean` delete: what was made, with its own directories, and nothing of anybody else's."""

from pathlib import Path

import pytest

from permafrost import layout
from permafrost.workflow.deletion import delete, delete_files


@pytest.fixture
def made(tmp_path) -> Path:
    """A model with all of its exports, `a`, above another one whose id ends as the directory of a SavedModel."""
    for model in ("a", "a/saved_model"):
        names = [name for export in layout.EXPORTED for name in layout.beside_frozen(export)]
        for name in (*layout.OF_FROZEN, *layout.OF_GRAPH, *names):
            path = tmp_path / model / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    return tmp_path


def left(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_all_goes_and_the_directories_with_it(made):
    delete(made, recursive=True)
    assert not made.exists()


def test_the_exports_of_a_model_go_with_it_and_another_model_below_stays(made):
    below = left(made / "a" / "saved_model") - {"saved_model.pb"}
    delete(made / "a", recursive=False)
    assert left(made) == {f"a/saved_model/{name}" for name in below}


def test_the_exports_of_a_model_above_stay(made):
    above = {name for name in left(made) if not name.startswith("a/saved_model/")} | {"a/saved_model/saved_model.pb"}
    delete(made / "a" / "saved_model", recursive=False)
    assert left(made) == above


def test_what_somebody_put_there_stays(made):
    theirs = [
        "a/saved_model/variables/variables.index",
        "a/notes.txt",
        "b/saved_model/saved_model.pb",
        "saved_model.pb",
    ]
    for name in theirs:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("")
    delete(made, recursive=True)
    assert left(made) == set(theirs)


def test_what_a_killed_run_left_goes(made):
    half = made / "a" / "saved_model" / ".saved_model.pb.123.tmp"
    half.write_text("")
    delete(made / "a", recursive=False)
    assert not half.exists()


def test_single_files_go_with_the_directory_that_is_empty_then(made):
    named = [str(made / "a/saved_model/saved_model/saved_model.pb"), str(made / "a/model.onnx"), str(made / "gone")]
    assert delete_files(named) == named[:2]
    assert not (made / "a/saved_model/saved_model").exists() and (made / "a/saved_model/model.onnx").exists()
