"""Records and a state file as the stages write them, made up."""

import json
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from permafrost.export_records import ExportRecord, ExportVerdict
from permafrost.model import Model
from permafrost.records import ImportRecord, Outcome, Provenance, Record, Verdict, success
from permafrost.zoo import state_file

R = TypeVar("R", bound=Record)

TABLES = ("summary", "timings", "op_types", "findings")


# The least that a record says where all went well, field by field.
_LEAST = {
    "prefix": "", "files": [], "graph": {"form": "meta_graph", "path": ""}, "variables": [], "outputs": [],
    "inputs": {}, "op_types": {}, "checkpoint_bytes": 0, "findings": [], "batches": [], "stale_shapes": "",
    "rehearsal": "", "sha256": {},
    "frozen_bytes": 0, "frozen_crc32c": "", "frozen_nodes": 0, "frozen_variables": 0, "tensors": [], "initializers": [],
    "cuts": {}, "repairs": [], "match": "", "behaviour": "", "trials": 0, "max_abs_diff": None,
    "format": "onnx", "frozen_sha256": "", "signature": {"inputs": [], "outputs": []}, "baked": {}, "bytes": 0,
    "stamps": {},
}  # fmt: skip


_MODEL = {"zoo": "zoo", "directory": "zoo", "step": None, "format": "v2", "bytes": 7, "meta": "", "files": []}


def said(outcome: Outcome) -> dict:
    """What a file says of how a stage ended."""
    return msgspec.to_builtins(outcome)


def whole(kind: type[Record], **facts) -> dict:
    """The least that the file of a record of this kind says where all went well, with some facts more."""
    return said(success(kind.good)) | {field: _LEAST[field] for field in sorted(kind.whole)} | facts


def made(kind: type[R], **facts) -> R:
    """Such a record."""
    return msgspec.convert(whole(kind, **facts), kind)


def variable(name: str, **facts) -> dict:
    """A variable of an import record."""
    return {"variable": name, "op": "VariableV2", "dtype": "float32", "dtype_enum": 1, "shape": []} | facts


def model_of(name: str, **facts) -> Model:
    """A model as discovery found it."""
    return Model(**_MODEL | {"id": name, "series": name, "prefix": f"zoo/{name}"} | facts)


def records_of(model: str, seconds: float = 1.5, **changes) -> dict[str, dict]:
    """The records of a model that was verified; `changes` are to its verify.json."""
    timing = {"cpu_seconds": 1.0, "peak_mb": 100.5, "seconds": seconds}
    imported = {
        **whole(ImportRecord),
        "model": model,
        "prefix": f"zoo/{model}",
        "step": 100,
        "format": "v2",
        "tensorflow_version": "1.12.0",
        "producer": 27,
        "nodes": 28,
        "variables": [variable("W1"), variable("B1")],
        "op_types": {"Add": 3, "SaveV2": 1},
        "inputs": {
            "x": {"kind": "uniform", "dtype": "float32", "shape": [None, 3], "why": "floats", "low": 0, "high": 1},
            "y": {"kind": "value", "dtype": "bool", "shape": None, "why": "a flag: false", "value": False},
        },
        "outputs": ["predictions", "loss:1"],
        "outputs_why": "the only end",
        "outputs_confidence": 0.75,
        "weights_reached": 0.4,
        "reaches_more": "logits",
        "checkpoint_bytes": 3_000_000_000,
        "findings": ["one", "two"],
        "batches": [2, 3],
        "rehearsal": "",
        "timing": {"stage": "import_meta", **timing},
    }
    provenance = {
        **whole(Provenance),
        "model": model,
        "frozen_nodes": 9,
        "frozen_variables": 2,
        "frozen_bytes": 500,
        "frozen_crc32c": "0123abcd",
        "op_types": {"Add": 2, "Const": 2},
        "repairs": [{"repair": "Assign -> Identity", "node": "a"}],
        "timing": {"stage": "freeze", **timing},
    }
    verified = {
        **whole(Verdict),
        "model": model,
        "match": "tolerance",
        "behaviour": "random",
        "tolerance_used": 0.25,
        "trials": 3,
        "max_abs_diff": 0.0,
    }
    return {
        "import": imported,
        "provenance": provenance,
        "verify": {**verified, "timing": {"stage": "verify", **timing}, **changes},
        "list_ops": {**whole(Record), "model": model, "timing": {"stage": "list_ops", **timing}},
    }


def export_of(model: str, form: str, made: dict | None = None, **changes) -> dict[str, dict]:
    """The records of an export that was verified; `made` are changes to the export's, `changes` to the judge's."""
    timing = {"seconds": 2.5, "cpu_seconds": 1.0, "peak_mb": 100.5}
    record = {
        **whole(ExportRecord, files={}),
        "model": model,
        "format": form,
        "way": "plain",
        "versions": {"onnx": "1.2.3"},
        "bytes": 700,
        "changes": ["1 x Switch", "2 x Merge"],
        "timing": {"stage": f"export_{form}", **timing},
    }
    verdict = {**whole(ExportVerdict), "model": model, "format": form, "match": "tolerance", "max_abs_diff": 0.5}
    judged = {**verdict, "timing": {"stage": f"judge_{form}", **timing}, **changes}
    return {f"export_{form}": record | (made or {}), f"judged_{form}": judged}


def write_zoo(home: Path, records: dict[str, dict[str, dict]], **of_model) -> None:
    for model, found in records.items():
        reports, frozen = home / "reports" / "models" / model, home / "frozen" / model
        for directory in (reports, frozen):
            os.makedirs(directory, exist_ok=True)
        for name, record in found.items():
            is_beside = name == "provenance" or name.startswith("export_")
            path = (frozen if is_beside else reports) / f"{name}.json"
            path.write_text(json.dumps(record))
    write_state(home, list(records), **of_model)


def write_state(home: Path, names: list[str], **of_model) -> None:
    """The state file in `home`, of models as `model_of` makes them."""
    models = [model_of(name, **of_model) for name in reversed(names)]
    state = state_file.State(version=state_file.VERSION, candidates=[], models=models, cache={})
    state_file.keep(state_file.handed(state), home / "state.json")
