"""The limits of a stage's own Python, and what each stage says where a model reaches one."""

import contextlib
import csv
import json
import resource
import signal
import time

import msgspec
import pytest
from msgspec.structs import replace

import freeze
import import_meta
import list_ops
import verify
from conftest import SAMPLE_ZOO
from permafrost import outcome, recording, settings, whole_files
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.protos import types_pb2
from permafrost.model import Limits
from permafrost.records import ImportRecord, Provenance, Record, Verdict
from permafrost.report.tables.outputs import OUTPUTS
from permafrost.sandbox import limits
from permafrost.stages import freeze_model, import_model, list_model, verify_model
from stages import default_settings, frozen, imported, problem_of, sources

pytestmark = pytest.mark.forks

SHORT = Limits(timeout=1, memory_mb=1000)


def endless(*_):
    while True:
        # What swallows faults of the graph must not swallow the limit.
        with contextlib.suppress(Exception):
            time.sleep(0.01)


def grown(*_):
    return [bytearray(1 << 20) for _ in range(1000)]


def at_once(*_):
    return bytearray(1 << 34)


def test_what_a_step_gives_and_raises_is_passed_on():
    assert limits.held(SHORT, max, 3, 4) == 4
    assert problem_of(limits.held, SHORT, problem).cause == "corrupt"


def problem():
    raise outcome.Problem("corrupt", "a file is corrupt")


@pytest.mark.parametrize(
    ("work", "chosen", "cause"),
    [
        (endless, {"timeout": 1}, "timeout"),
        (grown, {"memory_mb": 100}, "memory"),
        (at_once, {"memory_mb": 100}, "memory"),
    ],
)
def test_what_takes_too_much_is_stopped_and_nothing_is_left_of_it(work, chosen, cause):
    before = signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_DATA)
    found = problem_of(limits.held, Limits(**chosen), work)
    assert found.cause == cause and str(*chosen.values()) in found.message
    assert (signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_DATA)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_what_is_left_of_the_time():
    assert limits.left(Limits(timeout=60, file_mb=1), time.monotonic()) == Limits(timeout=60, file_mb=1)
    assert limits.left(Limits(timeout=60), time.monotonic() - 20.5) == Limits(timeout=40)
    assert limits.left(Limits(timeout=60), time.monotonic() - 100) == Limits(timeout=1)


def test_the_defaults_are_those_of_the_config():
    chosen = settings.for_model(settings.validate({}), "a", "a")
    assert {key: getattr(chosen, key) for key in Limits.__struct_fields__} == msgspec.to_builtins(Limits())


@pytest.mark.parametrize(
    ("work", "cause"),
    [(endless, "timeout"), (lambda *_: nested(), "bad_meta_graph"), (at_once, "memory")],
)
def test_a_stage_records_what_it_could_not_do(tmp_path, work, cause):
    chosen = Limits(timeout=1, memory_mb=100)
    path = tmp_path / "record.json"
    with recording.recording("freeze", recording.begun(Record, "a"), path) as record:
        limits.held(chosen, work)
    assert (record.status, record.cause) == ("failed", cause)
    assert recording.load(path, Record).cause == cause


def nested():
    return nested()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The source, import record and provenance of a model, and the directory that holds them."""
    directory = tmp_path_factory.mktemp("model")
    source = next(iter(sources(SAMPLE_ZOO / "linear").values()))
    record = imported(source)
    record.batches, record.rehearsal, record.stale_shapes = [2], "", ""
    provenance, _ = frozen(record, directory)
    whole_files.write_json(directory / "import.json", recording.content(record))
    whole_files.write_json(directory / "provenance.json", recording.content(provenance))
    return source, directory


def test_choosing_that_does_not_end(model, tmp_path, monkeypatch):
    source, _ = model
    monkeypatch.setattr(import_model.choosing, "choose", endless)
    chosen = default_settings(timeout=1)
    path = str(tmp_path / "import.json")
    said = [json.dumps(msgspec.to_builtins(told)) for told in (source, chosen)]
    arguments = ["--model", "a", "--source", said[0], "--settings", said[1]]
    assert import_meta.main([*arguments, path, str(tmp_path / "outputs.csv")]) == 0
    record = recording.load(path, ImportRecord)
    assert (record.stage, record.cause, record.transient) == ("import_meta", "timeout", True)
    assert record.nodes > 0
    assert (tmp_path / "outputs.csv").read_text() == ",".join(OUTPUTS.header) + "\n"


def test_planning_that_does_not_end(model, tmp_path, monkeypatch):
    _, directory = model
    monkeypatch.setattr(freeze_model.planning, "plan", endless)
    arguments = ["--model", "a", "--import-record", str(directory / "import.json")]
    arguments += ["--options", json.dumps(msgspec.to_builtins(default_settings(timeout=1)))]
    assert freeze.main([*arguments, str(tmp_path / "provenance.json")]) == 0
    record = recording.load(tmp_path / "provenance.json", Provenance)
    assert (record.stage, record.cause) == ("freeze", "timeout")
    assert not (tmp_path / "frozen_graph.pb").exists()


def test_the_limits_are_no_option_of_the_freezer(model):
    _, directory = model
    said = json.loads((directory / "provenance.json").read_text())
    assert said["options"] and not set(said["options"]) & set(Limits.__struct_fields__)


def test_comparing_files_that_does_not_end(model, tmp_path, monkeypatch):
    _, directory = model
    monkeypatch.setattr(verify_model.whole_files, "checksum", endless)
    arguments = ["--model", "a", "--import-record", str(directory / "import.json")]
    arguments += ["--provenance", str(directory / "provenance.json")]
    arguments += ["--settings", json.dumps(msgspec.to_builtins(default_settings(timeout=1)))]
    assert verify.main([*arguments, str(tmp_path / "verify.json"), str(tmp_path / "verification.csv")]) == 0
    record = recording.load(tmp_path / "verify.json", Verdict)
    assert (record.status, record.cause) == ("unverifiable", "timeout")


def test_ten_thousand_inputs_are_described_one_by_one(model, tmp_path):
    source, _ = model
    meta_graph = read_meta_graph(source.meta)
    nodes = meta_graph.graph_def.node
    end = next(node for node in reversed(nodes) if node.op in ("Add", "AddV2", "MatMul", "Mul", "BiasAdd"))
    names = [f"input_{number}" for number in range(10_000)]
    for name in names:
        nodes.add(name=name, op="Placeholder").attr["dtype"].type = types_pb2.DT_FLOAT
    total = nodes.add(name="total", op="AddN", input=names)
    total.attr["T"].type, total.attr["N"].i = types_pb2.DT_FLOAT, len(names)
    nodes.add(name="end", op="Add", input=[end.name, "total"]).attr["T"].type = types_pb2.DT_FLOAT
    (tmp_path / "many.meta").write_bytes(meta_graph.SerializeToString())
    found = limits.held(Limits(timeout=240), imported, replace(source, meta=str(tmp_path / "many.meta")))
    assert "end" in found.outputs and set(found.inputs) >= {f"{name}:0" for name in names}


def listed(directory, tmp_path, chosen):
    """Runs list_ops; the rows of each of its tables, and of the picture its text."""
    names = ("ops", "frozen-ops", "variables", "findings", "graph")
    arguments = ["--model", "a", "--import-record", str(directory / "import.json"), "--settings", json.dumps(chosen)]
    arguments += ["--provenance", str(directory / "provenance.json")]
    arguments += ["--frozen-graph", str(directory / "frozen_graph.pb")]
    for name in names:
        arguments += [f"--{name}", str(tmp_path / name)]
    arguments += ["--record", str(tmp_path / "list_ops.json")]
    assert list_ops.main(arguments) == 0
    rows = {name: list(csv.DictReader((tmp_path / name).open(encoding="utf-8"))) for name in names[:-1]}
    return rows, (tmp_path / "graph").read_text()


@pytest.mark.parametrize(
    ("module", "function", "empty"),
    [
        ("graph_findings", "of_frozen", "findings"),
        ("drawing", "picture", "graph"),
        ("graph_sources", "read", "ops"),
    ],
)
def test_listing_that_does_not_end_is_left_out_and_told(model, tmp_path, monkeypatch, capsys, module, function, empty):
    _, directory = model
    monkeypatch.setattr(getattr(list_model, module), function, endless)
    rows, graph = listed(directory, tmp_path, {"timeout": 1})
    told = [row for row in rows["findings"] if row["finding"] == "limit_reached"]
    assert [row["severity"] for row in told] == ["warning"] and "within 1 s" in told[0]["advice"]
    assert "`timeout:`" in told[0]["advice"] and "left out" in capsys.readouterr().err
    assert rows["variables"] and rows["frozen-ops"]
    assert bool(rows["ops"]) == (empty != "ops")
    assert ("not drawn in time" in graph) == (empty == "graph")


def test_a_listing_within_its_limits_tells_of_none(model, tmp_path):
    _, directory = model
    rows, graph = listed(directory, tmp_path, {})
    assert rows["ops"] and rows["frozen-ops"] and "left out" not in graph
    assert "limit_reached" not in [row["finding"] for row in rows["findings"]]


def test_an_import_that_does_not_end_leaves_what_the_graph_states(model, tmp_path, monkeypatch):
    from permafrost.report import op_listing

    _, directory = model
    monkeypatch.setattr(op_listing, "_imported", endless)
    rows, _ = listed(directory, tmp_path, {"timeout": 1})
    told = [row["advice"] for row in rows["findings"] if row["finding"] == "limit_reached"]
    assert len(told) == 1 and "tensors of the ops" in told[0] and "within 1 s" in told[0]
    assert rows["ops"] and not any(row["output"] for row in rows["ops"])
