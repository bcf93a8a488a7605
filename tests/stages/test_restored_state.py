"""Savers that restore more than variables and tables: what no output needs is left out, and that alone."""

import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.python.ops import lookup_ops
from tensorflow.python.training.saving.saveable_object import SaveableObject, SaveSpec

import kinds
from fresh_process import in_fresh_process
from judged import saved, verified
from kinds import weights
from permafrost.graph.index import GraphIndex
from permafrost.graph.metagraph import read_meta_graph
from permafrost.judge.partial_restore import roots
from permafrost.stages import import_model
from stages import default_settings, frozen, imported, problem_of, sources

v1 = tf.compat.v1
raw = tf.raw_ops


def network(values=None) -> None:
    taken = kinds.features() if values is None else v1.placeholder_with_default(values, [None, 3], name="x")
    tf.nn.bias_add(tf.matmul(taken, weights("w", [3, 4])), weights("b", [4], True), name="out")


def counted():
    """A saved iterator."""
    rows = tf.data.Dataset.from_tensor_slices(tf.ones([6, 3])).batch(2)
    iterator = v1.data.make_initializable_iterator(rows)
    v1.add_to_collection("to_run", iterator.initializer)
    v1.add_to_collection(v1.GraphKeys.SAVEABLE_OBJECTS, tf.data.experimental.make_saveable_from_iterator(iterator))
    return iterator


class ReaderState(SaveableObject):
    """Saves how far a reader has come."""

    def __init__(self, reader):
        state = raw.ReaderSerializeStateV2(reader_handle=reader)
        super().__init__(reader, [SaveSpec(state, "", "reader", tf.string)], "reader")

    def restore(self, restored_tensors, restored_shapes):
        return raw.ReaderRestoreStateV2(reader_handle=self.op, state=restored_tensors[0])


def saved_reader():
    reader = raw.IdentityReaderV2(container="", shared_name="")
    v1.add_to_collection(v1.GraphKeys.SAVEABLE_OBJECTS, ReaderState(reader))
    return reader


def iterator_beside() -> None:
    counted()
    network()


def iterator_before_the_input() -> None:
    network(counted().get_next())


def reader_beside() -> None:
    saved_reader()
    network()


def iterator_and_table() -> None:
    counted()
    table = lookup_ops.MutableHashTable(tf.string, tf.int64, -1, checkpoint=True)
    v1.add_to_collection("to_run", table.insert(tf.constant(["ice", "fog"]), tf.constant([1, 2], tf.int64)))
    ids = tf.maximum(table.lookup(v1.placeholder(tf.string, [None], name="words")), 0)
    tf.identity(tf.nn.embedding_lookup(weights("rows", [4, 3]), ids), name="out")


UNNEEDED = {
    "an iterator": iterator_beside,
    "an iterator that is cut off": iterator_before_the_input,
    "a reader": reader_beside,
    "an iterator and a table": iterator_and_table,
}


def check(record, directory: Path) -> None:
    """Freezes a model whose restore cannot run as it is, tries it and has it judged."""
    provenance, path = frozen(record, directory, outputs=["out"])
    found = in_fresh_process(_rehearsed, record, provenance, path, default_settings(timeout=120, outputs=["out"]))
    assert (found["status"], found.get("match"), found["rehearsal"]) == ("verified", "bitwise", ""), found.get(
        "message"
    )
    assert found["behaviour"] == "deterministic"


def _rehearsed(record, provenance, path, settings) -> dict:
    import_model.rehearse(settings, record)
    return verified(record, provenance, path, settings) | {"rehearsal": record.rehearsal}


@pytest.mark.parametrize(
    ("kind", "sharded"), [*((kind, False) for kind in UNNEEDED), ("an iterator and a table", True)]
)
def test_what_no_output_needs_is_not_restored(kind, sharded, tmp_path):
    check(imported(saved(UNNEEDED[kind], tmp_path, sharded=sharded), outputs=["out"]), tmp_path / "frozen")


def test_a_checkpoint_that_lacks_what_is_not_restored_is_whole(tmp_path):
    """As one that was written before the iterator was saved, beside the graph of a later step."""
    saved(iterator_beside, tmp_path / "later")
    saved(network, tmp_path / "zoo")
    shutil.copy(tmp_path / "later/model.ckpt.meta", tmp_path / "zoo/model.ckpt.meta")
    check(imported(sources(tmp_path / "zoo")["model.ckpt"], outputs=["out"]), tmp_path / "frozen")


def changed(source, change) -> None:
    """Changes the GraphDef of a saved model's meta graph."""
    meta_graph = read_meta_graph(source.meta)
    change({node.name: node for node in meta_graph.graph_def.node})
    Path(source.meta).write_bytes(meta_graph.SerializeToString())


def unknown(nodes) -> None:
    """A resource of a library that is not here."""
    for node in nodes.values():
        node.op = {"IteratorV2": "ForestHandle", "DeserializeIterator": "GrowForest"}.get(node.op, node.op)


def unknown_with(variable: str):
    def change(nodes) -> None:
        unknown(nodes)
        grow = next(node for node in nodes.values() if node.op == "GrowForest")
        grow.input.append(f"{variable}:0")

    return change


def saved_unknown(directory: Path, change):
    source = saved(iterator_beside, directory)
    changed(source, change)
    (source,) = sources(directory).values()
    return imported(source, outputs=["out"])


def test_what_an_unknown_op_restores_for_no_output_is_left_out(tmp_path):
    check(saved_unknown(tmp_path, unknown), tmp_path / "frozen")


@pytest.mark.parametrize("variable", ["w", "b"])
def test_an_unknown_op_that_gets_a_variable_is_refused(variable, tmp_path):
    record = saved_unknown(tmp_path, unknown_with(variable))
    problem = problem_of(frozen, record, tmp_path / "frozen", outputs=["out"])
    assert problem.cause == "unsupported_op" and "GrowForest" in problem.message


# What the outputs need


def reader_needed() -> None:
    """How many records were read is a part of the output."""
    network()
    number = raw.ReaderNumRecordsProducedV2(reader_handle=saved_reader())
    tf.add(v1.get_default_graph().get_tensor_by_name("out:0"), tf.cast(number, tf.float32), name="sum")


def test_what_the_outputs_need_is_refused(tmp_path):
    """By the freezer, and by the judge, who runs the whole restore then, or rather does not."""
    source = saved(reader_needed, tmp_path)
    problem = problem_of(lambda: frozen(imported(source, outputs=["sum"]), tmp_path / "frozen", outputs=["sum"]))
    assert problem.cause == "unsupported_op" and "ReaderRestoreStateV2" in problem.message
    index = GraphIndex(read_meta_graph(source.meta).graph_def)
    found = {name: roots(index, "save/restore_all", "save/Const:0", index.reach([name])) for name in ("sum", "out")}
    assert found["sum"] == ["save/restore_all"]
    assert sorted(index.ops[name] for name in found["out"]) == ["Assign", "AssignVariableOp"]


def test_an_iterator_that_goes_by_a_name_may_be_any(tmp_path):
    def build() -> None:
        iterator_beside()
        by_name = raw.IteratorFromStringHandleV2(
            string_handle=v1.placeholder(tf.string, [], name="handle"), output_types=[tf.float32], output_shapes=[None]
        )
        raw.IteratorGetNext(iterator=by_name, output_types=[tf.float32], output_shapes=[None], name="next")

    index = GraphIndex(read_meta_graph(saved(build, tmp_path).meta).graph_def)
    assert roots(index, "save/restore_all", "save/Const:0", index.reach(["out"])) != ["save/restore_all"]
    assert roots(index, "save/restore_all", "save/Const:0", index.reach(["next"])) == ["save/restore_all"]


def test_an_assignment_that_waits_for_an_unsafe_op_is_refused(tmp_path):
    """The assignment is needed, and with it all before it."""

    def build() -> None:
        network()
        tf.identity(raw.ReadFile(filename=tf.constant("/gone")), name="read")

    def waits(nodes) -> None:
        next(node for node in nodes.values() if node.name.startswith("save/Assign")).input.append("^read")

    source = saved(build, tmp_path)
    changed(source, waits)
    record = imported(sources(tmp_path)["model.ckpt"], outputs=["out"])
    provenance, path = frozen(record, tmp_path / "frozen", outputs=["out"])
    found = in_fresh_process(verified, record, provenance, path)
    assert (found["status"], found["cause"]) == ("unverifiable", "unsafe_op")
