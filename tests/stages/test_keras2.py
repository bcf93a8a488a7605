"""SavedModels of Keras 2: what `save` writes, with its signatures, training functions and optimizers."""

import shutil

import pytest

import keras2_models
from by_loaders import check

# What of each is no weight that serves: an optimizer's slots and counts, and metrics.
_OTHERS = {"trained"}


@pytest.mark.parametrize("kind", keras2_models.MODELS)
def test_a_model_is_what_both_loaders_make_of_it(kind, tmp_path):
    directory = keras2_models.save(kind, tmp_path / "zoo" / "export")
    shutil.rmtree(tmp_path / "zoo" / "made", ignore_errors=True)
    record, provenance = check(directory, tmp_path / "frozen")
    assert record.outputs_why == "signature serving_default"
    assert len(record.inputs) == (2 if kind == "two inputs" else 1)
    assert len(record.outputs) == (2 if kind == "two inputs" else 1)
    assert (len(provenance.tensors) < len(record.variables)) or kind not in _OTHERS
    assert bool(provenance.initializers) == (kind in ("words", "texts"))
