"""What does not hold any more is given up before a run, however that came; what holds, or is not ours, stays."""

import os
import shutil
import time
from pathlib import Path

import pytest
from permafrost.spent import give_up

from permafrost import records
from permafrost.contract import VERIFIED, Problem
from permafrost.unchanged import stamp_of

MODELS = ("a/one", "a/two", "b")


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """An empty working directory, in which Snakemake's notes are, too."""
    monkeypatch.chdir(tmp_path)


def make(model: str) -> None:
    """Writes what the pipeline makes of a model, as far as it is looked at."""
    graph = Path("frozen", model, "frozen_graph.pb")
    graph.parent.mkdir(parents=True)
    graph.write_bytes(f"graph of {model}".encode())
    described = {"frozen_bytes": graph.stat().st_size, "frozen_crc32c": records.checksum(graph)}
    described["frozen_stamp"] = records.stamp(graph)
    records.write_json(graph.with_name("provenance.json"), whole("provenance.json", model) | described)
    for name in ("import.json", "verify.json"):
        records.write_json(Path("reports", "models", model, name), whole(name, model))


def whole(name: str, model: str) -> dict:
    """A record of that file name of a model with which all went well."""
    status = VERIFIED if name == "verify.json" else records.OK
    return records.success(status) | dict.fromkeys(records.WHOLE[name, status]) | {"model": model}


def left() -> set[str]:
    """The records that are there."""
    return {str(path) for root in ("frozen", "reports") for path in Path(root).rglob("*.json")}


def fail_for_now(model: str) -> str:
    path = Path("reports", "models", model, "import.json")
    records.write_json(path, records.load(path) | {"transient": True})
    return str(path)


def cut_record(model: str) -> str:
    path = Path("reports", "models", model, "verify.json")
    path.write_text(path.read_text()[:-5])
    return str(path)


def fail_to_judge_for_now(model: str) -> str:
    path = Path("reports", "models", model, "judged.json")
    records.write_json(path, records.failure("judge", Problem("killed", "from outside")) | {"model": model})
    return str(path)


def lose_a_fact(model: str) -> str:
    path = Path("frozen", model, "provenance.json")
    record = records.load(path)
    del record["frozen_crc32c"]
    records.write_json(path, record)
    return str(path)


def change_graph(model: str) -> str:
    graph = Path("frozen", model, "frozen_graph.pb")
    graph.write_bytes(graph.read_bytes()[::-1])
    return str(graph.with_name("provenance.json"))


def delete_graph(model: str) -> str:
    graph = Path("frozen", model, "frozen_graph.pb")
    graph.unlink()
    return str(graph.with_name("provenance.json"))


def put_older_graph(model: str) -> str:
    graph = Path("frozen", model, "frozen_graph.pb")
    Path("older").write_bytes(b"x" * graph.stat().st_size)
    os.utime("older", (1e9, 1e9))
    os.rename("older", graph)
    return str(graph.with_name("provenance.json"))


HARMS = [fail_for_now, fail_to_judge_for_now, cut_record, lose_a_fact, change_graph, delete_graph, put_older_graph]


def nothing_between(model: str) -> None:
    pass


def gone_for_a_run(model: str) -> None:
    give_up([other for other in MODELS if other != model], "frozen", "reports")


def frozen_elsewhere_for_a_run(model: str) -> None:
    give_up(MODELS, "other", "reports")


def run_with_a_fast_clock(model: str) -> None:
    give_up([other for other in MODELS if other != model], "frozen", "reports")
    os.utime("reports/.checked", (time.time() + 1e6, time.time() + 1e6))


@pytest.mark.parametrize(
    "between", [nothing_between, gone_for_a_run, frozen_elsewhere_for_a_run, run_with_a_fast_clock]
)
@pytest.mark.parametrize("harm", HARMS)
def test_what_does_not_hold_is_given_up_alone(harm, between):
    for model in MODELS:
        make(model)
    before = left()
    for _ in range(2):
        give_up(MODELS, "frozen", "reports")
        assert left() == before
    spent = harm("a/one")
    between("a/one")
    give_up(MODELS, "frozen", "reports")
    assert left() == before - {spent}


def test_models_under_another_name_are_given_up():
    for model in MODELS:
        make(model)
    give_up(MODELS, "frozen", "reports")
    for root in ("frozen", "reports/models"):
        os.rename(f"{root}/a", f"{root}/c")
    give_up(("c/one", "c/two", "b"), "frozen", "reports")
    assert {path for path in left() if "/c/" in path} == set()
    assert len(left()) == 3


def test_another_directory_in_the_place_of_a_frozen_one_is_noticed():
    for model in MODELS:
        make(model)
    shutil.copytree("frozen", "other")
    change_graph("b")
    os.rename("frozen", "changed")
    os.rename("other", "frozen")
    give_up(MODELS, "frozen", "reports")
    assert len(left()) == 9
    os.rename("frozen", "other")
    os.rename("changed", "frozen")
    give_up(MODELS, "frozen", "reports")
    assert len(left()) == 8


@pytest.mark.parametrize("content", ["", "{}", '{"mine": 1}'])
def test_files_that_only_have_the_name_of_a_record_are_left_alone(content):
    make("b")
    own = [Path("frozen/b/import.json"), Path("frozen/b/verify.json"), Path("reports/models/b/provenance.json")]
    for path in own:
        path.write_text(content)
    give_up(["b"], "frozen", "reports")
    assert all(path.read_text() == content for path in own)


def test_tables_of_a_listing_that_failed_for_now_are_made_again():
    for model in MODELS:
        make(model)
        fault = records.failure("list_ops", Problem("timeout", "too slow")) if model == "b" else records.success()
        records.write_json(f"reports/models/{model}/list_ops.json", fault | {"model": model})
    give_up(MODELS, "frozen", "reports")
    assert sorted(map(str, Path("reports").rglob("list_ops.json"))) == [
        f"reports/models/{model}/list_ops.json" for model in MODELS[:2]
    ]
    assert len(left()) == 4 * len(MODELS) - 1


def test_what_a_killed_process_has_begun_to_write_goes_and_nothing_else():
    make("b")
    begun = [
        Path("frozen/b/.frozen_graph.pb.12.tmp"),
        Path("reports/models/b/.ops.csv.9.tmp"),
        Path("reports/.zoo.csv.7.tmp"),
    ]
    others = [Path("frozen/b/.mine.12.tmp"), Path("reports/.ops.csv.tmp"), Path("reports/models/b/ops.csv.9.tmp")]
    for path in (*begun, *others):
        path.touch()
    give_up(["b"], "frozen", "reports")
    assert not any(path.exists() for path in begun) and all(path.exists() for path in others)


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "\0"])
def test_what_was_looked_at_is_looked_at_again_where_that_is_not_known(content):
    make("b")
    give_up(["b"], "frozen", "reports")
    spent = fail_for_now("b")
    Path("reports/.checked").write_text(content)
    give_up(["b"], "frozen", "reports")
    assert spent not in left()


def test_a_link_that_leads_nowhere_is_no_frozen_graph():
    make("b")
    Path("frozen/b/frozen_graph.pb").unlink()
    Path("frozen/b/frozen_graph.pb").symlink_to("nowhere")
    give_up(["b"], "frozen", "reports")
    assert "frozen/b/provenance.json" not in left() and len(left()) == 2


def test_a_corrupt_checkpoint_is_tried_again_once_its_files_are_other_ones():
    for model in MODELS:
        make(model)
    shard = Path("model.data-00000-of-00001")
    shard.write_bytes(b"wrong")
    path = Path("frozen/b/provenance.json")
    failed = records.failure("freeze", Problem("corrupt", "")) | {
        "model": "b",
        "corrupt": {str(shard): stamp_of(shard)},
    }
    records.write_json(path, failed)
    before = left()
    for _ in range(2):
        give_up(MODELS, "frozen", "reports")
        assert left() == before
    mtime = shard.stat().st_mtime_ns
    shard.write_bytes(b"right")
    os.utime(shard, ns=(mtime, mtime))
    give_up(MODELS, "frozen", "reports")
    assert left() == {name for name in before if "b/" not in name}
