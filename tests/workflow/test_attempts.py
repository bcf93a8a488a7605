"""What does not hold any more gets a token, which stays the same until it is tried again; what holds has none."""

import json
import os
import shutil
from pathlib import Path

import pytest

from permafrost import whole_files
from permafrost.checkpoint.unchanged import stamp_of
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, JudgedFile, Provenance, Record, Verdict, failure
from permafrost.workflow.attempts import Attempts
from written_records import said, whole

MODELS = ("a/one", "a/two", "b")
STAGES = ("import_meta", "freeze", "verify", "judge", "list_ops")


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)


def make(model: str) -> None:
    """Writes what the pipeline makes of a model, as far as it is looked at."""
    graph = Path("frozen", model, "frozen_graph.pb")
    graph.parent.mkdir(parents=True)
    graph.write_bytes(f"graph of {model}".encode())
    described = {"frozen_bytes": graph.stat().st_size, "frozen_crc32c": whole_files.checksum(graph)}
    described["frozen_stamp"] = whole_files.stamp(graph)
    whole_files.write_json(graph.with_name("provenance.json"), whole(Provenance, model=model) | described)
    for name, kind in {"import.json": ImportRecord, "verify.json": Verdict}.items():
        whole_files.write_json(Path("reports", "models", model, name), whole(kind, model=model))


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def tokens() -> dict[tuple[str, str], str]:
    """The token of each stage of each model that has one, as a run finds them."""
    attempts = Attempts("frozen", "reports")
    found = {(stage, model): attempts.of(stage, model) for stage in STAGES for model in MODELS}
    return {job: token for job, token in found.items() if token}


def fail_for_now(model: str) -> str:
    path = Path("reports", "models", model, "import.json")
    whole_files.write_json(path, read(path) | {"transient": True})
    return "import_meta"


def cut_record(model: str) -> str:
    path = Path("reports", "models", model, "verify.json")
    path.write_text(path.read_text()[:-5])
    return "verify"


def lose_a_fact(model: str) -> str:
    path = Path("frozen", model, "provenance.json")
    record = read(path)
    del record["frozen_crc32c"]
    whole_files.write_json(path, record)
    return "freeze"


def change_graph(model: str) -> str:
    graph = Path("frozen", model, "frozen_graph.pb")
    graph.write_bytes(graph.read_bytes()[::-1])
    return "freeze"


def delete_graph(model: str) -> str:
    graph = Path("frozen", model, "frozen_graph.pb")
    graph.unlink()
    return "freeze"


def put_older_graph(model: str) -> str:
    graph = Path("frozen", model, "frozen_graph.pb")
    Path("older").write_bytes(b"x" * graph.stat().st_size)
    os.utime("older", (1e9, 1e9))
    os.rename("older", graph)
    return "freeze"


def fail_to_judge_for_now(model: str) -> str:
    return fail_with(Problem("killed", "from outside"), "judge", "judged.json", model)


def fail_to_list_for_now(model: str) -> str:
    return fail_with(Problem("timeout", "too slow"), "list_ops", "list_ops.json", model)


def fail_with(problem: Problem, stage: str, name: str, model: str) -> str:
    path = Path("reports", "models", model, name)
    whole_files.write_json(path, said(failure(stage, problem)) | {"model": model})
    return stage


def link_nowhere(model: str) -> str:
    graph = Path("frozen", model, "frozen_graph.pb")
    graph.unlink()
    graph.symlink_to("nowhere")
    return "freeze"


HARMS = [
    fail_for_now, fail_to_judge_for_now, fail_to_list_for_now, cut_record, lose_a_fact, change_graph, delete_graph,
    put_older_graph, link_nowhere,
]  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_what_does_not_hold_has_a_token_until_it_is_made_again(harm):
    for model in MODELS:
        make(model)
    assert tokens() == {}
    job = (harm("a/one"), "a/one")
    first = tokens()
    assert first.keys() == {job} and tokens() == first
    made_again("a/one", job[0], first[job])
    assert tokens() == first
    made_again("a/one", job[0], "")
    assert tokens() == {}


def made_again(model: str, stage: str, token: str) -> None:
    """Makes a model's files anew, the record of `stage` with the token of the attempt."""
    for root in ("frozen", "reports/models"):
        shutil.rmtree(Path(root, model))
    make(model)
    names = {"import_meta": "import.json", "verify": "verify.json", "judge": "judged.json", "list_ops": "list_ops.json"}
    path = Path("reports", "models", model, names.get(stage, ""))
    path = Path("frozen", model, "provenance.json") if stage == "freeze" else path
    record = read(path) if path.exists() else whole(Record, model=model)
    if stage == "judge":
        record = whole(JudgedFile, model=model)
    whole_files.write_json(path, record | ({"attempt": token} if token else {}))


def test_what_fails_again_gets_another_token():
    make("b")
    fail_for_now("b")
    first = tokens()["import_meta", "b"]
    path = Path("reports/models/b/import.json")
    whole_files.write_json(path, read(path) | {"attempt": first})
    assert tokens()["import_meta", "b"] not in ("", first)


def test_the_records_of_another_model_do_not_hold():
    for model in MODELS:
        make(model)
    for root in ("frozen", "reports/models"):
        shutil.copytree(f"{root}/b", f"{root}/a/one", dirs_exist_ok=True)
    assert tokens().keys() == {("import_meta", "a/one"), ("freeze", "a/one"), ("verify", "a/one")}


def test_a_copy_with_its_times_holds():
    make("b")
    shutil.copytree("frozen", "copied")
    shutil.rmtree("frozen")
    os.rename("copied", "frozen")
    assert tokens() == {}


@pytest.mark.parametrize("content", ["", "{}", '{"mine": 1}'])
def test_files_that_only_have_the_name_of_a_record_are_left_alone(content):
    make("b")
    own = [Path("frozen/b/import.json"), Path("frozen/b/verify.json"), Path("reports/models/b/provenance.json")]
    for path in own:
        path.write_text(content)
    assert tokens() == {} and all(path.read_text() == content for path in own)


def test_a_corrupt_checkpoint_is_tried_again_once_its_files_are_other_ones():
    for model in MODELS:
        make(model)
    shard = Path("model.data-00000-of-00001")
    shard.write_bytes(b"wrong")
    failed = said(failure("freeze", Problem("corrupt", ""))) | {"model": "b"}
    whole_files.write_json(Path("frozen/b/provenance.json"), failed | {"corrupt": {str(shard): stamp_of(shard)}})
    assert tokens() == {}
    mtime = shard.stat().st_mtime_ns
    shard.write_bytes(b"right")
    os.utime(shard, ns=(mtime, mtime))
    first = tokens()
    assert first.keys() == {("import_meta", "b"), ("freeze", "b")}
    # It is corrupt still: what the freezer then says holds until the files change again.
    again = failed | {"corrupt": {str(shard): stamp_of(shard)}, "attempt": first["freeze", "b"]}
    whole_files.write_json(Path("frozen/b/provenance.json"), again)
    assert tokens() == {("freeze", "b"): first["freeze", "b"]}


def test_what_a_killed_process_has_begun_to_write_goes_and_nothing_else(tmp_path):
    begun = [tmp_path / ".ops.csv.9.tmp", tmp_path / ".ops.csv.123456.tmp"]
    others = [tmp_path / name for name in (".mine.12.tmp", ".ops.csv.tmp", "ops.csv.9.tmp", ".frozen_ops.csv.9.tmp")]
    for path in (*begun, *others):
        path.touch()
    with whole_files.written_whole(tmp_path / "ops.csv") as temporary:
        temporary.touch()
    assert not any(path.exists() for path in begun) and all(path.exists() for path in others)


def test_an_example_that_is_gone_is_made_again():
    make("b")
    path = Path("reports/models/b/verify.json")
    example = Path("frozen/b/example.npz")
    example.write_bytes(b"arrays")
    stat = example.stat()
    said_of_it = {"sha256": "", "bytes": stat.st_size, "changed": stat.st_mtime_ns, "seed": 0, "batch": 2}
    whole_files.write_json(path, read(path) | {"example": said_of_it})
    assert tokens() == {}
    example.unlink()
    first = tokens()
    assert set(first) == {("verify", "b")} and tokens() == first
