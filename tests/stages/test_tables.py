"""Lookup tables that are filled from text files and from checkpoints: the frozen graph holds what fills them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import lookup_ops

from fresh_process import in_fresh_process
from judged import saved, verified
from kinds import weights
from permafrost.records import ImportRecord
from permafrost.stages import import_model
from stages import default_settings, frozen, imported, problem_of

v1 = tf.compat.v1
raw = tf.raw_ops
WORDS = ["ice", "snow", "fog", "rain"]


def words():
    return v1.placeholder(tf.string, [None], name="words")


def scored(ids) -> None:
    tf.matmul(tf.nn.embedding_lookup(weights("rows", [9, 3]), tf.maximum(ids, 0)), weights("w", [3, 2]), name="out")


def from_file(path, **options):
    """A model whose words are looked up in a table that is filled from the file at `path`."""

    def build() -> None:
        scored(lookup_ops.index_table_from_file(str(path), num_oov_buckets=1, **options).lookup(words()))

    return build


def written(path: Path, lines=WORDS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def check(record: ImportRecord, directory: Path, **settings):
    """Freezes a model, and has it judged and run by itself; gives its provenance and its graph."""
    provenance, path = frozen(record, directory, **settings)
    found = in_fresh_process(_rehearsed, record, provenance, path, default_settings(timeout=120, **settings))
    assert (found["status"], found.get("match"), found["rehearsal"]) == ("verified", "bitwise", ""), found.get(
        "message"
    )
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    ops = {node.op for node in graph_def.node}
    assert not ops & {"RestoreV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}
    return provenance, graph_def


def _rehearsed(record, provenance, path, settings) -> dict:
    import_model.rehearse(settings, record)
    return verified(record, provenance, path, settings) | {"rehearsal": record.rehearsal}


def run(graph_def, provenance, feed):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=graph) as session:
            session.run(provenance.initializers)
            return session.run("out:0", feed)


@pytest.mark.parametrize("place", ["model/words.txt", "model/assets/words.txt", "trainer/words.txt"])
def test_a_vocabulary_becomes_a_constant(place, tmp_path):
    named = written(tmp_path / "trainer/words.txt")
    (tmp_path / "model").mkdir()
    source = saved(from_file(named), tmp_path / "model")
    allowed = {"allow_paths": [str(tmp_path / "trainer")]} if place.startswith("trainer") else {}
    if not allowed:
        written(tmp_path / place)
        named.unlink()
    record = imported(source, outputs=["out"], **allowed)
    provenance, graph_def = check(record, tmp_path / "frozen", outputs=["out"], **allowed)
    assert "words.txt" in provenance.sha256
    shutil.rmtree(tmp_path / "model")
    shutil.rmtree(tmp_path / "trainer")
    rows = run(graph_def, provenance, {"words:0": [b"ice", b"snow", b"ice", b"hail"]})
    assert (rows[0] == rows[2]).all() and not (rows[0] == rows[1]).any() and not (rows[0] == rows[3]).any()


def mutable(make):
    """A model with a table whose content training put there, and its saver saved."""

    def build() -> None:
        table = make()
        v1.add_to_collection("to_run", table.insert(tf.constant(WORDS), tf.constant([3, 2, 1, 0], tf.int64)))
        scored(table.lookup(words()))

    return build


def dense() -> None:
    table = lookup_ops.DenseHashTable(tf.int64, tf.int64, -1, empty_key=-2, deleted_key=-3, checkpoint=True)
    v1.add_to_collection("to_run", table.insert(tf.constant([5, 7], tf.int64), tf.constant([1, 2], tf.int64)))
    scored(table.lookup(v1.placeholder(tf.int64, [None], name="numbers")))


def rows_of_words() -> None:
    table = lookup_ops.MutableHashTable(tf.string, tf.float32, [0.5, 0.25, 1], checkpoint=True)
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    v1.add_to_collection("to_run", table.insert(tf.constant(WORDS), tf.constant(values)))
    tf.matmul(table.lookup(words()), weights("w", [3, 2]), name="out")


SAVED = {
    "words": mutable(lambda: lookup_ops.MutableHashTable(tf.string, tf.int64, -1, checkpoint=True)),
    "rows": rows_of_words,
}


@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.parametrize("sharded", [False, True])
def test_a_saved_table_becomes_constants(kind, sharded, tmp_path):
    record = imported(saved(SAVED[kind], tmp_path, sharded=sharded), outputs=["out"])
    provenance, _ = check(record, tmp_path / "frozen", outputs=["out"])
    assert [repair.repair for repair in provenance.repairs] == ["initializer kept", "table embedded"]
    assert {tensor.key.rpartition("-")[2] for tensor in provenance.tensors} >= {"keys", "values"}


def test_a_dense_table_that_is_saved_is_refused(tmp_path):
    """TensorFlow takes its keys as a column from a checkpoint, and only as a vector from a constant."""
    record = imported(saved(dense, tmp_path), outputs=["out"])
    problem = problem_of(frozen, record, tmp_path / "frozen", outputs=["out"])
    assert problem.cause == "unsupported_op" and "LookupTableImportV2" in problem.message
