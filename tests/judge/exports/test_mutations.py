"""Exported files that were damaged are told from those that are right, in each format and each way."""

import msgspec
import numpy as np
import pytest
import tensorflow as tf

import damaged_onnx
import damaged_saved_models
import damaged_tflite
import kinds
from fresh_process import in_fresh_process
from judged import saved, verified
from permafrost import recording
from permafrost.export_records import ONNX, SAVED_MODEL, TFLITE, ExportRecord, ExportVerdict
from permafrost.judge.exports import deciding
from permafrost.judge.exports.trials import Exported
from permafrost.outcome import VERIFIED
from permafrost.records import Verdict
from permafrost.stages import export_model, export_onnx, export_saved_model, export_tflite
from stages import default_settings, frozen, imported

v1 = tf.compat.v1
DAMAGES = {SAVED_MODEL: damaged_saved_models, ONNX: damaged_onnx, TFLITE: damaged_tflite}
MAKERS = {SAVED_MODEL: export_saved_model.make, ONNX: export_onnx.make, TFLITE: export_tflite.make}
# What may end in the bits as they were: a bit below the tolerance, or of a name that nothing reads.
MAY_PASS = ("lowest_bit_of_a_weight", "byte_of_the_file")


def layers() -> None:
    """A small convolution, two outputs and a class."""
    x = v1.placeholder(tf.float32, [None, 6, 6, 2], "x")
    below = tf.nn.relu(tf.nn.conv2d(x, kinds.weights("w", [3, 3, 2, 4]), 1, "VALID"))
    flat = tf.reshape(tf.nn.max_pool2d(below, 2, 2, "VALID"), [-1, 16])
    logits = tf.matmul(flat, kinds.weights("v", [16, 4])) + kinds.weights("b", [4])
    tf.nn.softmax(logits, name="out")
    tf.argmax(logits, 1, name="best")


def words() -> None:
    """Words of a table, of which each trial feeds few, and rows for each of them."""
    keys = [f"word{number}" for number in range(60)]
    filling = tf.lookup.KeyValueTensorInitializer(keys, np.arange(60, dtype=np.int64)[::-1])
    table = tf.lookup.StaticHashTable(filling, 60)
    ids = table.lookup(v1.placeholder(tf.string, [None], "words"))
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, table._init_op)
    rows = tf.gather(kinds.weights("rows", [61, 8]), ids)
    tf.matmul(rows, kinds.weights("v", [8, 3]), name="out")


PROGRAMS = {"layers": (layers, ["out", "best"]), "words": (words, ["out"])}


class Models:
    """The two models, frozen, verified and exported once, each when it is first asked for."""

    def __init__(self, directory):
        self._directory, self._exported, self._models = directory, {}, {}

    def exported(self, name: str, form: str) -> tuple[Exported, dict]:
        """What the judge is given of a model, and the files as they are without damage."""
        if (name, form) not in self._exported:
            record, provenance, path, verdict = self._model(name)
            export = recording.begun(ExportRecord, name)
            settings = default_settings(timeout=120)
            task = export_model.Task(record, provenance, verdict, path, "", settings, path.parent)
            in_fresh_process_export = in_fresh_process(_export, form, task, export)
            files = {each: (path.parent / each).read_bytes() for each in in_fresh_process_export.files}
            given = Exported(record, provenance, verdict, str(path), in_fresh_process_export, str(path.parent))
            self._exported[name, form] = given, files
        return self._exported[name, form]

    def _model(self, name: str):
        if name not in self._models:
            build, outputs = PROGRAMS[name]
            (zoo := self._directory / name).mkdir()
            record = imported(saved(build, zoo), outputs=outputs)
            provenance, path = frozen(record, self._directory / f"frozen_{name}", outputs=outputs)
            said = in_fresh_process(verified, record, provenance, path)
            assert said["status"] == VERIFIED, said
            self._models[name] = record, provenance, path, msgspec.convert(said, Verdict)
        return self._models[name]


def _export(form: str, task: export_model.Task, record: ExportRecord) -> ExportRecord:
    export_model.export(form, MAKERS[form], task, record)
    return record


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


def causes(exported: Exported, several: list[dict]) -> list[str]:
    """Of each of several sets of files, the cause for which they are not verified, or `verified`."""
    found = []
    for files in several:
        _place(exported.directory, files)
        export = msgspec.structs.replace(exported.export, files=dict.fromkeys(files, ""))
        record = recording.begun(ExportVerdict, "m")
        deciding.decide("judge_export", exported._replace(export=export), default_settings(timeout=120), record)
        found.append(record.cause or record.status)
    return found


def _place(directory: str, files: dict) -> None:
    from pathlib import Path

    for name, content in files.items():
        Path(directory, name).unlink(missing_ok=True)
        if content is not None:
            Path(directory, name).write_bytes(content)


def check(models: Models, name: str, form: str, kinds_: list[str], most: int = 1) -> None:
    """Judges the whole file, which is right, and the last damages of each kind, which are not."""
    exported, files = models.exported(name, form)
    damages = DAMAGES[form].Damages(files, exported.export.signature)
    chosen = [(kind, each) for kind in kinds_ for each in [*getattr(damages, kind)()][-most:] if each != files]
    found = in_fresh_process(causes, exported, [files, *(each for _, each in chosen)])
    assert found[0] == VERIFIED, found[0]
    assert len(chosen) >= len(kinds_) // 2
    passed = [kind for (kind, _), cause in zip(chosen, found[1:], strict=True) if cause == VERIFIED]
    assert not set(passed) - set(MAY_PASS), passed


@pytest.mark.parametrize("form", DAMAGES)
def test_a_damaged_network_is_never_verified(form, models):
    skipped = {"table_entry_changed", "external_data", "activation_bounded", "input_of_another_tensor"}
    check(models, "layers", form, [kind for kind in DAMAGES[form].KINDS if kind not in skipped])


@pytest.mark.parametrize("form", [ONNX, TFLITE])
def test_each_entry_of_a_table_and_each_row_counts(form, models):
    check(models, "words", form, ["table_entry_changed", "highest_bit_of_a_weight", "two_rows_swapped"], most=4)


@pytest.mark.parametrize("form", [ONNX, TFLITE])
def test_a_bound_that_usual_inputs_do_not_reach_is_noticed(form, models):
    check(models, "layers", form, ["activation_bounded"])


def test_weights_in_a_file_of_their_own(models):
    exported, files = models.exported("layers", ONNX)
    apart = damaged_onnx.externalized(files)
    damaged = [*damaged_onnx.Damages(apart, exported.export.signature).external_data()]
    bits = [each for each in damaged if len(each["model.onnx.data"] or b"") == len(apart["model.onnx.data"])]
    lowest = [each for each in bits if each["model.onnx"] == apart["model.onnx"]][::2]
    found = in_fresh_process(causes, exported, [apart, *(each for each in damaged if each not in lowest)])
    assert found[0] == VERIFIED
    assert VERIFIED not in found[1:], found
