"""What the tables, the gate and the page say of exports."""

import json
from pathlib import Path

import pandas as pd
import pytest

import gate
import list_exports
from pages import data_of, write_page, write_tables
from permafrost.outcome import CAUSES, Problem, hint_of_export
from permafrost.records import failure
from permafrost.report import exports
from permafrost.report.page import exported
from permafrost.report.tables.exports import EXPORTS
from written_records import export_of, made, records_of, said

MODEL = "a/m"
REFUSED = said(failure("export_tflite", Problem("unsupported_op", "op Foo is not there", "leave Foo out"), "refused"))
INPUT = {"key": "x", "name": "x", "tensor": "x:0", "source": "x", "dtype": "float32", "shape": [2, 3]}


def zoo(home: Path, expect: str | list[str] = "verified", **of_saved_model) -> Path:
    """The page of two models, one of which is exported to all formats: verified, of a fixed batch, and refused."""
    onnx = {"signature": {"inputs": [INPUT], "outputs": []}, "baked": {"keep": 1.0}, "opset": 18}
    records = {MODEL: records_of(MODEL), "b/other": records_of("b/other")}
    records[MODEL] |= export_of(MODEL, "saved_model", **of_saved_model)
    records[MODEL] |= export_of(MODEL, "onnx", {"options": {"batch": None}, **onnx})
    records[MODEL] |= export_of(MODEL, "tflite", {**REFUSED, "op": "Foo", "node": "a/foo"}, **REFUSED)
    for model in records:
        (home / "reports" / "models" / model).mkdir(parents=True)
        write_tables(home, model)
    asked = {"tflite": expect, "onnx": "verified", "saved_model": "verified"}
    return write_page(home, records, exports=asked)


def read(home: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(home / "reports" / f"{name}.csv", keep_default_na=False, dtype=str)


@pytest.fixture
def home(tmp_path) -> Path:
    zoo(tmp_path)
    return tmp_path


def test_a_row_for_each_format_that_is_asked_for(home):
    table = read(home, "exports")
    assert tuple(table.columns) == EXPORTS.header
    of_model = table[table["model"] == MODEL].set_index("format")
    assert list(of_model.index) == ["saved_model", "onnx", "tflite"]
    assert of_model["status"].tolist() == ["verified", "verified", "refused"]
    onnx, tflite = of_model.loc["onnx"], of_model.loc["tflite"]
    assert (onnx["opset"], onnx["baked"], onnx["bytes"]) == ("18", "keep=1.0", "700")
    assert (onnx["changes"], onnx["versions"], onnx["max_abs_diff"]) == ("1 x Switch; 2 x Merge", "onnx 1.2.3", "0.5")
    assert (tflite["cause"], tflite["op"], tflite["node"]) == ("unsupported_op", "Foo", "a/foo")
    assert tflite["hint"] == "leave Foo out"


def test_what_cannot_be_read_is_told_as_a_fault_of_permafrost(home):
    table = read(home, "exports")
    other = table[table["model"] == "b/other"]
    assert set(other["status"]) == {"unverifiable"} and set(other["cause"]) == {"internal"}
    assert all("cannot be read: No such file" in message for message in other["message"])


def test_the_summary_says_it_in_short_and_changes_follows(home):
    summary = read(home, "summary").set_index("model")
    assert summary.loc[MODEL, "exports"] == "saved_model: verified; onnx: verified; tflite: refused"
    timings = read(home, "timings")
    assert {"export_onnx", "judge_onnx"} <= set(timings[timings["model"] == MODEL]["stage"])


def test_what_a_colleague_would_say_of_exported_files(tmp_path):
    zoo(tmp_path, usual_match="tolerance", usual_max_abs_diff=0.25)
    found = read(tmp_path, "findings")
    rows = found[(found["model"] == MODEL) & (found["finding"] != "random_op")].set_index("finding")
    assert rows["severity"].to_dict() == {
        "export_differs_by_default": "info", "baked_input": "info", "fixed_batch": "warning",
    }  # fmt: skip
    assert "by up to 0.25" in rows.loc["export_differs_by_default", "advice"]
    assert rows.loc["baked_input", "node"] == "keep" and "always is 1.0" in rows.loc["baked_input", "advice"]
    assert "x of the sizes [2, 3] alone" in rows.loc["fixed_batch", "advice"]


@pytest.mark.parametrize(("batch", "severities"), [(None, ["warning"]), (2, ["info"])])
def test_a_batch_that_the_settings_fix_is_no_warning(batch, severities):
    records = export_of(MODEL, "onnx", {"options": {"batch": batch}, "signature": {"inputs": [INPUT], "outputs": []}})
    record, verdict = made(exports.ExportRecord, **records["export_onnx"]), made(exports.ExportVerdict)
    imported = made(exports.ImportRecord, **records_of(MODEL)["import"])
    export = exports.Export(MODEL, "onnx", "verified", record, verdict, verdict)
    assert [finding.severity for finding in exports.findings([export], imported)] == severities


@pytest.mark.parametrize(
    ("expect", "status", "bad"), [("verified", 1, "1 of 3 exports is not as expected"), ("refused", 0, "")]
)
def test_the_exit_status_knows_of_exports(tmp_path, capsys, expect, status, bad):
    zoo(tmp_path, expect)
    reports = tmp_path / "reports"
    for name in ("summary", "exports"):
        table = read(tmp_path, name)
        table[table["model"] == MODEL].to_csv(reports / f"{name}.csv", index=False)
    capsys.readouterr()
    done = gate.main([f"--exports={reports}/exports.csv", str(reports / "summary.csv"), str(reports / "gate.txt")])
    out = capsys.readouterr().out
    assert done == status and (reports / "gate.txt").exists() == (status == 0)
    assert bad in out and ("a/m as tflite: refused, unsupported_op" in out) == bool(bad)
    lines = [line.split() for line in out.splitlines()]
    first = lines.index(["exports", "expected"])
    assert lines[first : first + 5] == [
        ["exports", "expected"], ["verified", "2", "2"], ["mismatch", "0", "0"], ["unverifiable", "0", "0"],
        ["refused", "1", str(int(not status))],
    ]  # fmt: skip


def test_without_exports_the_gate_says_nothing_of_them(tmp_path, capsys):
    records = {MODEL: records_of(MODEL)}
    (tmp_path / "reports" / "models" / MODEL).mkdir(parents=True)
    write_page(tmp_path, records)
    reports = tmp_path / "reports"
    assert (reports / "exports.csv").read_text().count("\n") == 1
    capsys.readouterr()
    assert gate.main([f"--exports={reports}/exports.csv", str(reports / "summary.csv"), str(reports / "gate")]) == 0
    assert "exports" not in capsys.readouterr().out
    assert "exports-title" not in (reports / "index.html").read_text()


@pytest.mark.parametrize("content", ["", "model,format\n", "a,b\n"])
def test_a_table_that_is_none_ends_the_gate_with_a_sentence(home, capsys, content):
    reports = home / "reports"
    (reports / "exports.csv").write_text(content)
    assert gate.main([f"--exports={reports}/exports.csv", str(reports / "summary.csv"), str(reports / "gate")]) == 1
    assert "gate: " in capsys.readouterr().err


def test_the_page_shows_them(home):
    html = home / "reports" / "index.html"
    text, data = html.read_text(), data_of(html)
    assert "op Foo is not there" in text and "4 exports are not as expected" in text
    columns = data["export_columns"]
    assert [row[columns.index("format")] for row in data["exports"][MODEL]] == ["saved_model", "onnx", "tflite"]
    assert data["export_files"]["onnx"][0] == "../frozen/{model}/model.onnx"


def test_the_program_says_what_it_cannot_read(tmp_path, capsys):
    (tmp_path / "state.json").write_text(json.dumps({"version": 0}))
    arguments = [f"--state={tmp_path}/state.json", "--frozen=f", "--reports=r", str(tmp_path / "exports.csv")]
    assert list_exports.main(arguments) == 1
    assert "list_exports: " in capsys.readouterr().err and not (tmp_path / "exports.csv").exists()


def test_an_export_of_a_model_that_is_not_verified_says_nothing_beside_it(tmp_path, capsys):
    zoo(tmp_path)
    reports = tmp_path / "reports"
    for name in ("summary", "exports"):
        table = read(tmp_path, name)
        table = table[table["model"] == MODEL]
        if name == "exports":
            table.loc[table["format"] == "tflite", "cause"] = "not_verified"
        table.to_csv(reports / f"{name}.csv", index=False)
    assert gate.main([f"--exports={reports}/exports.csv", str(reports / "summary.csv"), str(reports / "gate.txt")]) == 0
    out = capsys.readouterr().out
    assert "not as expected" not in out and "\n1 of these is of models that are not verified\n" in out


def test_the_page_lists_what_ended_otherwise_than_well_and_counts_the_rest(home):
    table = read(home, "exports")
    table.loc[table["model"] == "b/other", ["status", "cause"]] = ["refused", "not_verified"]
    table.loc[table["format"] == "tflite", ["max_abs_diff", "tolerance_used"]] = ["1.23456e-05", "2.3456"]
    verified, mismatch, unverifiable, refused, others = 1, 0, 0, 0, 1
    assert exported.counts(table) == [
        {"format": "saved_model", "counts": [verified, mismatch, unverifiable, refused], "others": others},
        {"format": "onnx", "counts": [verified, mismatch, unverifiable, refused], "others": others},
        {"format": "tflite", "counts": [0, mismatch, unverifiable, 1], "others": others},
    ]
    (row,) = exported.worst_first(table)
    assert (row["model"], row["format"]) == (MODEL, "tflite") and exported.not_well(table) == 1
    assert (row["max_abs_diff"], row["tolerance_used"]) == ("1.23e-05", "2.35")


def test_what_is_to_be_done_about_an_export_is_said_of_its_file():
    for cause in ("outputs_differ", "structure_differs", "not_importable", "insensitive", "run_failed", "too_large"):
        assert hint_of_export(cause) and "frozen graph" not in hint_of_export(cause)
    assert hint_of_export("timeout") == CAUSES["timeout"] and hint_of_export("none of them") == ""


@pytest.mark.parametrize(("usual", "said"), [("not loaded", "TensorFlow Serving do"), ("not run", "`memory_mb`")])
def test_what_became_of_a_saved_model_that_tensorflow_by_itself_does_not_run(tmp_path, usual, said):
    zoo(tmp_path, usual_match=usual)
    found = read(tmp_path, "findings")
    (advice,) = found[(found["model"] == MODEL) & (found["finding"] == "export_differs_by_default")]["advice"]
    assert said in advice
