"""SavedModels of Estimators: serialized examples go in, and a main op fills tables from assets."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import estimator_export
from by_loaders import bits, by_the_frozen_graph, by_the_new_loader, by_the_old_loader, the_source
from estimator_export import example
from fresh_process import in_fresh_process
from judged import verified
from permafrost.stages import import_model
from stages import default_settings, frozen, imported, problem_of
from word_modules import WORDS, written

v1 = tf.compat.v1
INPUT = "input_example_tensor:0"


@pytest.fixture
def exported(tmp_path) -> Path:
    """A SavedModel of which the vocabulary that it was trained with is gone."""
    vocabulary = written(tmp_path / "trained", WORDS)
    directory = estimator_export.export(tmp_path / "zoo" / "1540000000", vocabulary)
    shutil.rmtree(tmp_path / "trained")
    return directory


def through_all_stages(directory: Path, frozen_in: Path) -> tuple:
    """The import record, the judge's word, and what the frozen graph and both loaders give for the same examples."""
    record = imported(the_source(directory))
    import_model.rehearse(default_settings(timeout=120), record)
    provenance, path = frozen(record, frozen_in)
    found = verified(record, provenance, path)
    rows = [example([1.0, -0.5, 2.0, 0.25], [b"ice", b"hail"], b"de"), example([0.5, 0.5, -1.0, 3.0], [b"fog"])]
    feed = {INPUT: np.array(rows, object)}
    outputs = ["logits:0", "probabilities:0", "ArgMax:0"]
    given = [by_the_frozen_graph(path, provenance, feed, outputs), by_the_old_loader(str(directory), feed, outputs)]
    names = ["logits", "probabilities", "class_ids"]
    given.append(by_the_new_loader(str(directory), "predict", {"examples": feed[INPUT]}, names))
    return record, found, provenance, [bits(values) for values in given]


def test_an_export_is_what_the_loaders_make_of_it(exported, tmp_path):
    record, found, provenance, given = in_fresh_process(through_all_stages, exported, tmp_path / "frozen")
    assert (record.rehearsal, found["status"], found["match"]) == ("", "verified", "bitwise"), found
    assert set(record.outputs_why.removeprefix("signature ").split(", ")) == {"predict", "serving_default"}
    assert list(record.inputs) == [INPUT] and "words.txt" in provenance.sha256
    assert given[0] == given[1] == given[2]
    graph_def = v1.GraphDef.FromString((tmp_path / "frozen" / "frozen_graph.pb").read_bytes())
    ops = Counter(node.op for node in graph_def.node)
    assert ops["InitializeTableV2"] == 1 and not {"InitializeTableFromTextFileV2", "VariableV2"} & set(ops)


def test_an_export_without_its_asset_is_refused(exported, tmp_path):
    (exported / "assets" / "words.txt").unlink()
    problem = problem_of(lambda: frozen(imported(the_source(exported)), tmp_path / "frozen"))
    assert problem.cause == "missing_vocabulary" and "words.txt" in problem.message
