"""What the page has of a model's card, and when it has none."""

from pathlib import Path

import pytest

from pages import data_of, mixed_zoo, page_written, write_page
from permafrost.model import About
from permafrost.report.page import card
from permafrost.zoo import state_file
from written_records import export_of, records_of, write_zoo

PRIVATE = "/Users/alice.smith/secret project/runs/model.ckpt"


def as_is(text: str) -> str:
    return text


def card_of(home: Path, records: dict[str, dict], **of_model) -> dict:
    """What the page has of the card of the model `a`; {} where that is nothing."""
    write_zoo(home, {"a": records}, **of_model)
    found = state_file.read(home / "state.json").models
    return card.of_models(found, str(home / "frozen"), str(home / "reports"), as_is)("a").get("card", {})


def test_a_card_has_a_program_for_the_frozen_graph_and_each_verified_export(tmp_path):
    exports = dict.fromkeys(("saved_model", "onnx", "tflite"), "verified")
    refused = {"status": "refused", "cause": "unsupported_op", "message": "no", "hint": "none"}
    records = records_of("a") | export_of("a", "onnx") | export_of("a", "saved_model")
    records |= export_of("a", "tflite", refused, **refused)
    shown = card_of(tmp_path, records, exports=exports)
    assert [each["what"] for each in shown["programs"]] == ["the frozen graph", "the SavedModel", "ONNX"]
    for each in shown["programs"]:
        compile(each["code"], each["what"], "exec")
    assert shown["about"] == {} and not shown["has_example"] and "made up" in shown["use"]


ODD_EXPORTS = (
    {"status": "refused", "signature": None},
    {"format": "tflite"},
    {
        "signature": {
            "inputs": [{"key": "x", "name": "x", "tensor": "gone:0", "source": "x", "dtype": "float32", "shape": [1]}],
            "outputs": [],
        }
    },
)


@pytest.mark.parametrize("changed", ODD_EXPORTS)
def test_an_export_whose_record_is_of_another_run_has_no_program(tmp_path, changed):
    records = records_of("a") | export_of("a", "onnx", changed)
    records["export_onnx"] = {key: value for key, value in records["export_onnx"].items() if value is not None}
    shown = card_of(tmp_path, records, exports={"onnx": "verified"})
    assert [each["what"] for each in shown["programs"]] == ["the frozen graph"]


def test_what_is_private_in_a_card_is_not_shown(tmp_path):
    records = records_of("a")
    records["import"]["inputs"]["x"] = {"kind": "value", "dtype": "string", "shape": [], "why": "a", "value": PRIVATE}
    records["provenance"]["inputs"] = {"x": "x:0"}
    path = write_page(tmp_path, {"a": records}, about=About(notes=f"{PRIVATE}, https://example.org/a/b/c"))
    shown = data_of(path)["details"]["a"]["card"]
    assert "alice" not in path.read_text(encoding="utf-8")
    assert "…/secret" in shown["programs"][0]["code"]
    assert shown["about"]["notes"].endswith("https://example.org/a/b/c")


@pytest.mark.parametrize("name", ["import", "provenance", "verify"])
def test_a_model_of_which_a_record_is_lacking_has_no_card(tmp_path, name):
    records = records_of("a")
    assert card_of(tmp_path, records)
    for path in tmp_path.rglob(f"{name}.json"):
        path.write_text("{")
    assert card_of(tmp_path, {key: found for key, found in records.items() if key != name}) == {}


def test_a_model_that_is_not_of_the_last_discovery_has_no_card(tmp_path):
    write_zoo(tmp_path, {"a": records_of("a")})
    assert card.of_models([], str(tmp_path / "frozen"), str(tmp_path / "reports"), as_is)("a") == {}


def test_without_a_state_file_there_is_no_page(tmp_path, capsys):
    html = mixed_zoo(tmp_path)
    (tmp_path / "state.json").unlink()
    assert page_written(html, tmp_path / "frozen", html.parent) == 1 and "state.json" in capsys.readouterr().err
