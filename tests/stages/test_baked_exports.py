"""A SavedModel that bakes: a second frozen graph in a frame, judged by itself, beside what else is made of a model."""

from pathlib import Path

import msgspec
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from baked_models import MODELS
from fresh_process import in_fresh_process
from judged import saved, verified
from permafrost import recording
from permafrost.export_records import SAVED_MODEL, ExportRecord, ExportVerdict
from permafrost.outcome import MISMATCH, OK, REFUSED, VERIFIED, Problem
from permafrost.records import Verdict, failure
from permafrost.stages import export_model, export_saved_model, judge_export
from stages import default_settings, frozen, imported

FILE = Path("saved_model/saved_model.pb")


class Exported:
    """A model that was frozen with some inputs baked, and exported with others. `bake`: of the SavedModel."""

    def __init__(self, directory: Path, name: str, own: object, bake: object):
        build, _ = MODELS[name]
        (directory / "zoo").mkdir()
        self.settings = default_settings(outputs=["out"], bake=own, saved_model={"bake": bake}, timeout=120)
        self.record = imported(saved(build, directory / "zoo"), outputs=["out"], bake=own)
        self.provenance, self.path = frozen(self.record, directory, bake=own)

    def export(self) -> ExportRecord:
        """Exports and judges; to be called in a fresh process."""
        verdict = msgspec.convert(
            {key: value for key, value in verified(self.record, self.provenance, self.path).items() if key != "rows"},
            Verdict,
        )
        task = export_model.Task(self.record, self.provenance, verdict, self.path, "", self.settings, self.path.parent)
        self.verdict, self.made = verdict, recording.begun(ExportRecord, "m")
        try:
            export_model.export(SAVED_MODEL, export_saved_model.make, task, self.made)
        except Problem as problem:
            self.made.end(failure("export_saved_model", problem, REFUSED))
        return self.made

    def judge(self) -> ExportVerdict:
        found = recording.begun(ExportVerdict, "m")
        earlier = judge_export.Earlier(self.record, self.provenance, self.verdict, self.made)
        judge_export.judge(earlier, self.path.parent, self.settings, found)
        return found


def exported_and_judged(model: Exported) -> tuple[ExportRecord, dict]:
    made = model.export()
    return made, recording.content(model.judge()) if made.status == OK else {}


def held(directory: Path):
    (meta_graph,) = saved_model_pb2.SavedModel.FromString((directory / FILE).read_bytes()).meta_graphs
    return meta_graph


@pytest.mark.parametrize(
    ("name", "own", "bake", "baked"),
    [
        ("batch norm, 1, False, False", False, {"is_training": False}, {"is_training:0": False}),
        ("dropout of 1.12", False, True, {"keep_prob:0": 1.0}),
        ("functional learning phase, False", {"keras_learning_phase": False}, True, {}),
    ],
)
def test_it_is_verified_and_has_the_inputs_that_are_left(name, own, bake, baked, tmp_path) -> None:
    model = Exported(tmp_path, name, own, bake)
    made, found = in_fresh_process(exported_and_judged, model)
    assert (made.status, made.baked) == (OK, baked), made
    assert (found["status"], found["match"]) == (VERIFIED, "bitwise"), found
    meta_graph = held(tmp_path)
    assert list(meta_graph.signature_def["serving_default"].inputs) == ["x"]
    assert not {"Switch", "Merge", "RandomUniform"} & {node.op for node in meta_graph.graph_def.node}


def damaged_and_judged(model: Exported, said: dict) -> dict:
    model.export()
    model.made.baked = said
    return recording.content(model.judge())


def test_another_graph_in_it_is_noticed(tmp_path) -> None:
    """Baked with another value than its record says."""
    model = Exported(tmp_path, "batch norm, 1, False, False", False, {"is_training": False})
    found = in_fresh_process(damaged_and_judged, model, {"is_training:0": True})
    assert (found["status"], found["cause"]) == (MISMATCH, "structure_differs"), found


def test_another_value_than_in_the_frozen_graph_is_refused(tmp_path) -> None:
    model = Exported(tmp_path, "batch norm, 1, False, False", {"is_training": False}, {"is_training": True})
    made, _ = in_fresh_process(exported_and_judged, model)
    assert (made.status, made.cause) == (REFUSED, "bad_setting") and "is_training:0" in made.message
