"""Records and a state file as the stages write them, made up."""

import json
import os
from pathlib import Path

from permafrost.records import success
from permafrost.zoo import state_file

TABLES = ("summary", "timings", "op_types", "findings")


def records_of(model: str, seconds: float = 1.5, **changes) -> dict[str, dict]:
    """The records of a model that was verified; `changes` are to its verify.json."""
    timing = {"cpu_seconds": 1.0, "peak_mb": 100.5, "seconds": seconds}
    imported = {
        **success(),
        "model": model,
        "prefix": f"zoo/{model}",
        "step": 100,
        "format": "v2",
        "tensorflow_version": "1.12.0",
        "producer": 27,
        "nodes": 28,
        "variables": [{"variable": "W1"}, {"variable": "B1"}],
        "op_types": {"Add": 3, "SaveV2": 1},
        "inputs": {
            "x": {"kind": "uniform", "dtype": "float32", "shape": [None, 3], "why": "floats"},
            "y": {"kind": "value", "dtype": "bool", "shape": None, "why": "a flag: false"},
        },
        "outputs": ["predictions", "loss:1"],
        "outputs_why": "the only end",
        "checkpoint_bytes": 3_000_000_000,
        "findings": ["one", "two"],
        "graph": {},
        "batches": [2, 3],
        "rehearsal": "",
        "timing": {"stage": "import_meta", **timing},
    }
    provenance = {
        **success(),
        "model": model,
        "frozen_nodes": 9,
        "frozen_variables": 2,
        "frozen_bytes": 500,
        "frozen_crc32c": "0123abcd",
        "op_types": {"Add": 2, "Const": 2},
        **{"outputs": [], "inputs": {}, "sha256": {}, "tensors": [], "initializers": [], "cuts": {}},
        "repairs": [{"repair": "Assign -> Identity", "node": "a"}, "devices cleared"],
        "timing": {"stage": "freeze", **timing},
    }
    verified = {
        **success("verified"),
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
        "list_ops": {**success(), "model": model, "timing": {"stage": "list_ops", **timing}},
    }


def write_zoo(home: Path, records: dict[str, dict[str, dict]], **of_model) -> None:
    for model, found in records.items():
        reports, frozen = home / "reports" / "models" / model, home / "frozen" / model
        for directory in (reports, frozen):
            os.makedirs(directory, exist_ok=True)
        for name, record in found.items():
            path = frozen / "provenance.json" if name == "provenance" else reports / f"{name}.json"
            path.write_text(json.dumps(record))
    models = [
        {"id": model, "series": model, "prefix": f"zoo/{model}", "step": None, "format": "v2", "bytes": 7}
        | {"findings": [], "problem": None, **of_model}
        for model in reversed(records)
    ]
    state_file.keep(
        state_file.handed({"version": 1, "candidates": [], "models": models, "cache": {}}), home / "state.json"
    )
