"""A SavedModel is judged as it lies there: verified where it is right, and told apart in every way that it is not."""

import msgspec
import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import verified
from permafrost import recording
from permafrost.export_records import SAVED_MODEL, ExportRecord, ExportVerdict
from permafrost.exporter.saved_model import FILE
from permafrost.judge.exports import deciding
from permafrost.judge.exports.trials import Exported
from permafrost.outcome import MISMATCH, VERIFIED
from permafrost.records import Verdict
from saved_models import FramedModel
from stages import default_settings


def dense_with_classes() -> None:
    x = tf.compat.v1.placeholder(tf.float32, [None, 3], "x")
    scores = tf.matmul(x, kinds.weights("w", [3, 4]))
    tf.argmax(scores, 1, name="out")


def decided(model: FramedModel, **settings) -> dict:
    """What judged_saved_model.json says of a model's SavedModel, with the rows of its table."""
    chosen = default_settings(timeout=120, **settings)
    verdict = verified(model.record, model.provenance, model.frozen, chosen)
    assert verdict["status"] == VERIFIED, verdict
    export = recording.begun(ExportRecord, "m")
    export.format, export.signature, export.baked = SAVED_MODEL, model.signature, {}
    export.files = {f"saved_model/{FILE}": ""}
    paths = str(model.frozen), export, str(model.directory.parent)
    exported = Exported(model.record, model.provenance, msgspec.convert(verdict, Verdict), *paths)
    record = recording.begun(ExportVerdict, "m")
    rows = deciding.decide("judge_export", exported, chosen, record)
    return recording.content(record) | {"rows": msgspec.to_builtins(rows)}


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> FramedModel:
    return FramedModel(tmp_path_factory.mktemp("classes"), dense_with_classes)


def test_a_saved_model_is_verified_under_both_loaders_and_changes_with_a_weight(classes):
    found = in_fresh_process(decided, classes)
    assert found["status"] == VERIFIED and found["match"] == "bitwise", found
    assert found["control"]["variable"] == "w" and found["control"]["output"]
    assert found["usual_match"] in ("bitwise", "tolerance")
    assert {row["output"] for row in found["rows"]} == {"out:0", "MatMul:0"}
    assert found["trials"] == len(found["batches"]) == 3


@pytest.mark.parametrize("part", ["graph", "signature"])
def test_a_damaged_file_is_not_verified(part, classes):
    whole = classes.path.read_bytes()
    try:
        if part == "graph":
            at = whole.index(b"MatMul") + 1
            classes.path.write_bytes(whole[:at] + b"o" + whole[at + 1 :])
        else:
            at = whole.rindex(b"serving_default")
            classes.path.write_bytes(whole[:at] + b"Serving_default" + whole[at + 15 :])
        found = in_fresh_process(decided, classes)
    finally:
        classes.path.write_bytes(whole)
    assert (found["status"], found["cause"]) == (MISMATCH, "structure_differs"), found


def test_random_numbers_are_the_same_on_both_sides(tmp_path):
    def build():
        x = tf.compat.v1.placeholder(tf.float32, [None, 3], "x")
        noise = tf.random.normal(tf.shape(x))
        tf.matmul(x + noise, kinds.weights("w", [3, 4]), name="out")

    found = in_fresh_process(decided, FramedModel(tmp_path, build))
    assert found["status"] == VERIFIED and found["match"] == "bitwise", found


def test_a_table_is_filled_when_the_file_is_loaded(tmp_path):
    found = in_fresh_process(decided, FramedModel(tmp_path, kinds.table_of_constants))
    assert found["status"] == VERIFIED, found
