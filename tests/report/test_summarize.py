"""summary.csv, timings.csv and op_types.csv from records, whatever is in them or missing."""

import csv
import io
import time
from pathlib import Path

import pandas as pd
import pytest

import summarize
from permafrost.outcome import Problem
from permafrost.records import failure
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.op_types import OP_TYPES
from permafrost.report.tables.summary import SUMMARY
from permafrost.report.tables.timings import TIMINGS
from written_records import TABLES, records_of, said, write_zoo


def run(home: Path) -> int:
    outputs = [f"--{name.replace('_', '-')}={home / name}.csv" for name in TABLES]
    where = [f"--state={home / 'state.json'}", f"--frozen={home / 'frozen'}", f"--reports={home / 'reports'}"]
    return summarize.main([*where, *outputs])


def read(home: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(
        home / f"{name}.csv", keep_default_na=False, na_values={"max_abs_diff": [""], "tolerance_used": [""]}
    )


def test_a_verified_model(tmp_path):
    write_zoo(tmp_path, {"linear/model.ckpt": records_of("linear/model.ckpt")})
    assert run(tmp_path) == 0
    summary = read(tmp_path, "summary")
    assert tuple(summary.columns) == SUMMARY.header
    assert summary.loc[0].to_dict() == {
        "model": "linear/model.ckpt",
        "status": "verified",
        "stage": "",
        "cause": "",
        "message": "",
        "hint": "",
        "expect": "verified",
        "match": "tolerance",
        "behaviour": "random",
        "tolerance_used": 0.25,
        "prefix": "zoo/linear/model.ckpt",
        "step": 100,
        "format": "v2",
        "producer": 27,
        "tensorflow_version": "1.12.0",
        "inputs": "x; y",
        "inputs_why": "x: float32 [?, 3], floats; y: bool, a flag: false",
        "outputs": "predictions; loss:1",
        "outputs_why": "the only end",
        "outputs_confidence": 0.75,
        "weights_reached": 0.4,
        "nodes": 28,
        "frozen_nodes": 9,
        "variables": 2,
        "frozen_variables": 2,
        "checkpoint_bytes": 3_000_000_000,
        "frozen_bytes": 500,
        "frozen_crc32c": "0123abcd",
        "trials": 3,
        "max_abs_diff": 0.0,
        "repairs": "Assign -> Identity: a",
        "findings": "one; two",
        "exports": "",
    }
    timings = read(tmp_path, "timings")
    assert tuple(timings.columns) == TIMINGS.header
    assert timings["stage"].tolist() == ["import_meta", "freeze", "verify", "list_ops"]
    assert timings.loc[2].tolist() == ["linear/model.ckpt", "verify", 1.5, 1.0, 100.5]
    op_types = read(tmp_path, "op_types")
    assert tuple(op_types.columns) == OP_TYPES.header
    assert op_types[["op_type", "nodes", "frozen_nodes"]].values.tolist() == [
        ["Add", 3, 2],
        ["Const", 0, 2],
        ["SaveV2", 1, 0],
    ]


def test_a_failed_model_keeps_what_is_known(tmp_path):
    outcome = said(failure("import_meta", Problem("missing_shard", "shard 1 of 2 is missing"))) | {"hint": ""}
    timing = {"stage": "verify", "seconds": 0.1, "cpu_seconds": 0.1, "peak_mb": 10}
    write_zoo(
        tmp_path,
        {"m": {name: {**outcome, "timing": timing} for name in ("import", "provenance", "verify")}},
        expect=["failed/missing_shard", "verified"],
        step=5,
    )
    assert run(tmp_path) == 0
    row = read(tmp_path, "summary").loc[0]
    assert (row["status"], row["stage"], row["cause"]) == ("failed", "import_meta", "missing_shard")
    assert row["hint"].startswith("copy all .data") and row["expect"] == "failed/missing_shard; verified"
    assert (row["step"], row["checkpoint_bytes"], row["prefix"], row["trials"]) == (5, 7, "zoo/m", "")
    assert read(tmp_path, "op_types").empty


@pytest.mark.parametrize("file", ["import", "provenance", "verify"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_record_that_cannot_be_read_is_a_row(tmp_path, file, content):
    write_zoo(tmp_path, {"a": records_of("a"), "b": records_of("b")})
    path = next(tmp_path.glob(f"*/**/a/{file}.json"))
    path.unlink() if content is None else path.write_bytes(content)
    assert run(tmp_path) == 0
    summary = read(tmp_path, "summary")
    assert summary["status"].tolist() == ["failed", "verified"]
    assert summary["cause"].tolist() == ["internal", ""]
    assert str(path) in summary["message"][0] and summary["hint"][0]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_listing_without_a_record_has_no_time_and_changes_nothing_else(tmp_path, content):
    write_zoo(tmp_path, {"a": records_of("a")})
    assert run(tmp_path) == 0
    before = {name: (tmp_path / f"{name}.csv").read_text() for name in TABLES}
    path = tmp_path / "reports" / "models" / "a" / "list_ops.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert run(tmp_path) == 0
    after = {name: (tmp_path / f"{name}.csv").read_text() for name in TABLES}
    assert after.pop("timings") == before.pop("timings").replace("a,list_ops,1.5,1.0,100.5\n", "")
    assert after == before


@pytest.mark.parametrize("status", ["ok", "", None, ["verified"], {}])
def test_a_status_that_is_none_is_a_failure(tmp_path, status):
    write_zoo(tmp_path, {"a": records_of("a", status=status)})
    assert run(tmp_path) == 0
    row = read(tmp_path, "summary").loc[0]
    assert (row["status"], row["cause"]) == ("failed", "internal") and "verify.json" in row["message"]


ODD = {
    "import": (
        {"nodes": 1.5}, {"variables": 3}, {"op_types": [1]}, {"inputs": None}, {"step": "1"}, {"producer": True},
    ),
    "provenance": ({"frozen_nodes": None}, {"repairs": 5}, {"op_types": {"Add": "x"}}),
    "verify": ({"trials": "many"}, {"max_abs_diff": "big"}, {"message": ["x", None]}, {"timing": 7}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "changed"), [(name, changed) for name, found in ODD.items() for changed in found])
def test_a_record_with_a_field_of_an_odd_type_is_none(tmp_path, name, changed):
    records = records_of("a")
    records[name] |= changed
    write_zoo(tmp_path, {"a": records})
    assert run(tmp_path) == 0
    row = read(tmp_path, "summary").loc[0]
    assert (row["status"], row["cause"]) == ("failed", "internal")
    assert f"a/{name}.json cannot be read: it is not a record" in row["message"]


def test_a_number_that_no_column_holds_is_blank(tmp_path):
    records = records_of("a")
    records["import"] |= {"step": 10**30}
    write_zoo(tmp_path, {"a": records})
    assert run(tmp_path) == 0
    assert pd.isna(read(tmp_path, "summary").loc[0]["step"]) or read(tmp_path, "summary").loc[0]["step"] == ""


@pytest.mark.parametrize("value", [0.1, 1e-45, float("inf"), 3])
def test_differences_are_read_back_exactly(tmp_path, value):
    write_zoo(tmp_path, {"a": records_of("a", max_abs_diff=value), "b": records_of("b", max_abs_diff=None)})
    assert run(tmp_path) == 0
    column = read(tmp_path, "summary")["max_abs_diff"]
    assert column.dtype == "float64" and column[0] == value and pd.isna(column[1])


HOSTILE = [
    "=cmd|' /C calc'!A0",
    'a "quoted", name',
    "comma,comma",
    "two; parts",
    "NA",
    "007",
    "-1",
    "ü/日本",
    " space ",
]


def test_hostile_names_come_back_as_they_are(tmp_path):
    records = {name: records_of(name, message=name) for name in sorted(HOSTILE)}
    for name in HOSTILE:
        records[name]["import"]["outputs"] = [name]
    write_zoo(tmp_path, records)
    assert run(tmp_path) == 0
    summary = pd.read_csv(tmp_path / "summary.csv", keep_default_na=False, dtype=str)
    for column in ("model", "message", "outputs"):
        assert summary[column].tolist() == sorted(HOSTILE)


def test_every_row_is_one_line_without_control_characters(tmp_path):
    hostile = "a\nb\r\nc\x1b[2Jd\x00e\x9bf\u2028g\udc80h\ud800i"
    write_zoo(tmp_path, {"a": records_of("a", message=hostile), "b": records_of("b")})
    assert run(tmp_path) == 0
    content = (tmp_path / "summary.csv").read_bytes()
    lines = content.decode("utf-8").split("\n")
    assert len(lines) == 4 and lines[3] == "" and all(line.isprintable() for line in lines)
    rows = list(csv.reader(io.StringIO(content.decode()), strict=True))
    assert rows[1][4] == "a%0Ab%0D%0Ac%1B[2Jd%00e%C2%9Bf%E2%80%A8g%80h\ufffdi"


def test_the_summary_is_the_same_bytes_whatever_the_time(tmp_path):
    contents = []
    for seconds in (1.0, 2.0):
        write_zoo(tmp_path, {name: records_of(name, seconds) for name in ("b", "a/b", "a")})
        assert run(tmp_path) == 0
        contents.append([(tmp_path / f"{name}.csv").read_bytes() for name in TABLES])
    assert contents[0][0] == contents[1][0] and contents[0][1] != contents[1][1]
    assert read(tmp_path, "summary")["model"].tolist() == ["a", "a/b", "b"]


def test_findings_of_all_models_come_together(tmp_path):
    write_zoo(tmp_path, {"b": {}, "a": {}, "c": {}})
    text = ",".join(FINDINGS.header) + '\n{0},warning,random_op,drop/é,"one, two"\n'
    for model in "ab":
        path = tmp_path / "reports" / "models" / model / "findings.csv"
        path.write_text(text.format(model), encoding="utf-8")
    run(tmp_path)
    rows = read(tmp_path, "findings").to_numpy().tolist()
    assert rows == [[model, "warning", "random_op", "drop/é", "one, two"] for model in "ab"]


def test_no_models(tmp_path):
    write_zoo(tmp_path, {})
    assert run(tmp_path) == 0
    columns = (SUMMARY.header, TIMINGS.header, OP_TYPES.header, FINDINGS.header)
    for name, expected in zip(TABLES, columns, strict=True):
        assert (tmp_path / f"{name}.csv").read_text() == ",".join(expected) + "\n"


def test_a_state_that_cannot_be_read_is_said(tmp_path, capsys):
    assert run(tmp_path) == 1
    assert "state.json" in capsys.readouterr().err and not (tmp_path / "summary.csv").exists()


def test_a_table_that_cannot_be_written_is_said(tmp_path, capsys):
    write_zoo(tmp_path, {"a": records_of("a")})
    (tmp_path / "summary.csv").mkdir()
    assert run(tmp_path) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*.tmp"))


def test_help(capsys):
    with pytest.raises(SystemExit) as caught:
        summarize.main(["--help"])
    assert caught.value.code == 0 and "--op-types" in capsys.readouterr().out


def test_thousands_of_records_take_seconds(tmp_path):
    count = 1000
    write_zoo(tmp_path, {f"m{number:05}": records_of(f"m{number:05}") for number in range(count)})
    start = time.monotonic()
    assert run(tmp_path) == 0
    assert time.monotonic() - start < 10
    assert len(read(tmp_path, "summary")) == count and len(read(tmp_path, "timings")) == 4 * count
