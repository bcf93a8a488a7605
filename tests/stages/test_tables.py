"""Lookup tables that are filled from text files and from checkpoints: the frozen graph holds what fills them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import lookup_ops
from tensorflow.python.training.saving.saveable_object import SaveableObject, SaveSpec

import kinds
from fresh_process import in_fresh_process
from judged import saved, verified
from kinds import weights
from permafrost import recording, whole_files
from permafrost.graph import text_tables
from permafrost.graph.metagraph import read_meta_graph
from permafrost.graph.vocabularies import FROM_FILES
from permafrost.records import ImportRecord
from permafrost.stages import import_model
from permafrost.workflow.attempts import Attempts
from stages import default_settings, frozen, imported, problem_of, sources

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
    assert not ops & {"RestoreV2", *FROM_FILES}
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


def by_reference(path, key_dtype, value_dtype, default, **columns):
    """A model whose table is of TensorFlow's first ops, which go by references to strings."""

    def build() -> None:
        table = raw.HashTable(key_dtype=key_dtype, value_dtype=value_dtype)
        filling = raw.InitializeTableFromTextFile(table_handle=table, filename=str(path), **columns)
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, filling)
        asked = v1.placeholder(key_dtype, [None], name="asked")
        found = raw.LookupTableFind(table_handle=table, keys=asked, default_value=tf.constant(default, value_dtype))
        if value_dtype == tf.string:
            found = tf.strings.length(found)
        if value_dtype.is_integer or value_dtype == tf.string:
            scored(tf.cast(found, tf.int64))
        else:
            tf.multiply(tf.cast(found, tf.float32)[:, None], weights("w", [1, 2]), name="out")

    return build


TEXTS = {
    "numbers of lines": (tf.string, tf.int64, -1, {"key_index": -2, "value_index": -1}, WORDS),
    "words of lines": (tf.int64, tf.string, "-", {"key_index": -1, "value_index": -2}, WORDS),
    "columns": (tf.string, tf.int64, -1, {"key_index": 1, "value_index": 0, "delimiter": ","}, ["4,ice", "2,fog"]),
    "floats": (tf.int64, tf.float32, 0.5, {"key_index": 0, "value_index": 1, "delimiter": " "}, ["3 0.1", "1 2e-3"]),
    "some lines": (tf.string, tf.int64, -1, {"key_index": -2, "value_index": -1, "vocab_size": 2}, WORDS),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_table_by_reference_is_filled_as_tensorflow_fills_it(kind, tmp_path):
    *table, columns, lines = TEXTS[kind]
    path = written(tmp_path / "words.txt", lines)
    record = imported(saved(by_reference(path, *table, **columns), tmp_path), outputs=["out"])
    asked = np.array(["ice", "fog", "hail"], object) if table[0] == tf.string else np.int64([3, 1, 9])
    expected = restored(record.prefix, asked)
    provenance, graph_def = check(record, tmp_path / "frozen", outputs=["out"])
    path.unlink()
    assert {"HashTable", "InitializeTable", "LookupTableFind"} <= {node.op for node in graph_def.node}
    assert (run(graph_def, provenance, {"asked:0": asked}) == expected).all()


def restored(prefix: str, asked):
    """What TensorFlow makes of a checkpoint and its graph."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(f"{prefix}.meta").restore(session, prefix)
        session.run(v1.tables_initializer())
        return session.run("out:0", {"asked:0": asked})


def test_two_nodes_that_are_one_table_by_reference(tmp_path):
    """The one is filled, the other is looked up in: nothing in a frozen graph may fill it by another name."""

    def build() -> None:
        filled, asked = (raw.HashTable(key_dtype=tf.string, value_dtype=tf.int64, shared_name="t") for _ in range(2))
        path = str(written(tmp_path / "words.txt"))
        filling = raw.InitializeTableFromTextFile(table_handle=filled, filename=path, key_index=-2, value_index=-1)
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, filling)
        scored(raw.LookupTableFind(table_handle=asked, keys=words(), default_value=tf.constant(-1, tf.int64)))

    problem = problem_of(frozen, imported(saved(build, tmp_path), outputs=["out"]), tmp_path / "f", outputs=["out"])
    assert problem.cause == "unsupported_op" and "InitializeTableFromTextFile" in problem.message


def mutable(make):
    """A model with a table whose content training put there, and its saver saved."""

    def build() -> None:
        table = make()
        v1.add_to_collection("to_run", table.insert(tf.constant(WORDS), tf.constant([3, 2, 1, 0], tf.int64)))
        scored(table.lookup(words()))

    return build


def dense() -> None:
    """One entry was removed again, and leaves its mark."""
    table = lookup_ops.DenseHashTable(tf.int64, tf.int64, -1, empty_key=-2, deleted_key=-3, checkpoint=True)
    keys, values = tf.constant([5, 7, 6], tf.int64), tf.constant([1, 2, 3], tf.int64)
    with tf.control_dependencies([table.insert(keys, values)]):
        v1.add_to_collection("to_run", table.erase(tf.constant([6], tf.int64)))
    scored(table.lookup(v1.placeholder(tf.int64, [None], name="numbers")))


def dense_rows() -> None:
    """Each key and each value is a vector."""
    options = {"empty_key": [-2, 0], "deleted_key": [-3, 0], "initial_num_buckets": 16}
    table = lookup_ops.DenseHashTable(tf.int64, tf.float32, [0.5, 0.25, 1.0], checkpoint=True, **options)
    keys, values = tf.constant([[5, 1], [7, 2]], tf.int64), np.arange(6, dtype=np.float32).reshape(2, 3)
    v1.add_to_collection("to_run", table.insert(keys, tf.constant(values)))
    found = table.lookup(v1.placeholder(tf.int64, [None, 2], name="numbers"))
    tf.matmul(found, weights("w", [3, 2]), name="out")


def dense_words() -> None:
    options = {"empty_key": "", "deleted_key": "-", "initial_num_buckets": 8}
    table = lookup_ops.DenseHashTable(tf.string, tf.int64, -1, checkpoint=True, **options)
    v1.add_to_collection("to_run", table.insert(tf.constant(WORDS), tf.constant([3, 2, 1, 0], tf.int64)))
    scored(table.lookup(words()))


class TableByReference(SaveableObject):
    """Saves a table of TensorFlow's first ops, as its programs did."""

    def __init__(self, table, dtypes):
        exported = raw.LookupTableExport(table_handle=table, Tkeys=dtypes[0], Tvalues=dtypes[1])
        specs = [
            SaveSpec(tensor, "", f"table-{part}") for part, tensor in zip(("keys", "values"), exported, strict=True)
        ]
        super().__init__(table, specs, "table")

    def restore(self, restored_tensors, restored_shapes):
        return raw.LookupTableImport(table_handle=self.op, keys=restored_tensors[0], values=restored_tensors[1])


def mutable_by_reference() -> None:
    table = raw.MutableHashTable(key_dtype=tf.string, value_dtype=tf.int64)
    values = tf.constant([1, 2], tf.int64)
    v1.add_to_collection("to_run", raw.LookupTableInsert(table_handle=table, keys=["ice", "fog"], values=values))
    v1.add_to_collection(v1.GraphKeys.SAVEABLE_OBJECTS, TableByReference(table, (tf.string, tf.int64)))
    scored(raw.LookupTableFind(table_handle=table, keys=words(), default_value=tf.constant(-1, tf.int64)))


def rows_of_words() -> None:
    table = lookup_ops.MutableHashTable(tf.string, tf.float32, [0.5, 0.25, 1], checkpoint=True)
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    v1.add_to_collection("to_run", table.insert(tf.constant(WORDS), tf.constant(values)))
    tf.matmul(table.lookup(words()), weights("w", [3, 2]), name="out")


SAVED = {
    "words": mutable(lambda: lookup_ops.MutableHashTable(tf.string, tf.int64, -1, checkpoint=True)),
    "rows": rows_of_words,
    "by reference": mutable_by_reference,
}
DENSE = {
    "numbers": dense,
    "rows": dense_rows,
    "words": dense_words,
}


@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.parametrize("sharded", [False, True])
def test_a_saved_table_becomes_constants(kind, sharded, tmp_path):
    record = imported(saved(SAVED[kind], tmp_path, sharded=sharded), outputs=["out"])
    provenance, _ = check(record, tmp_path / "frozen", outputs=["out"])
    assert [repair.repair for repair in provenance.repairs] == ["initializer kept", "table embedded"]
    assert {tensor.key.rpartition("-")[2] for tensor in provenance.tensors} >= {"keys", "values"}


def test_a_second_saver_changes_nothing(tmp_path):
    """A graph has nodes of each Saver that was made for it."""

    def build() -> None:
        SAVED["words"]()
        v1.train.Saver()

    record = imported(saved(build, tmp_path), outputs=["out"])
    provenance, _ = check(record, tmp_path / "frozen", outputs=["out"])
    assert len(provenance.initializers) == 1


@pytest.mark.parametrize("kind", DENSE)
def test_a_dense_table_is_filled_as_it_was_saved(kind, tmp_path):
    """With its free places: where an entry lies tells TensorFlow how to find it."""
    record = imported(saved(DENSE[kind], tmp_path), outputs=["out"])
    provenance, graph_def = check(record, tmp_path / "frozen", outputs=["out"])
    assert [repair.repair for repair in provenance.repairs][-1] == "table embedded"
    nodes = {node.name: node for node in graph_def.node}
    (filling,) = (node for node in graph_def.node if node.op.startswith("LookupTableImport"))
    stored = tf.make_ndarray(nodes[nodes[filling.input[1]].input[0]].attr["value"].tensor)
    assert (stored == tf.train.load_variable(record.prefix, record.tables[0].keys.key)).all()
    if kind == "numbers":
        entries = {"numbers:0": [5, 7, 6, 9]}
        free = run(
            graph_def, provenance, {"numbers:0": [9, 9]}
        )  # in a batch of another size, which may round otherwise
        np.testing.assert_allclose(run(graph_def, provenance, entries)[2:], free, rtol=1e-6)


def test_a_dense_table_by_reference_is_told_to_run_nowhere(tmp_path):
    """Its op lacks an input for which its kernel asks."""

    def build() -> None:
        table = raw.MutableDenseHashTable(empty_key=tf.constant(-2, tf.int64), value_dtype=tf.int64)
        numbers = v1.placeholder(tf.int64, [None], name="numbers")
        scored(raw.LookupTableFind(table_handle=table, keys=numbers, default_value=tf.constant(-1, tf.int64)))

    problem = problem_of(imported, saved(build, tmp_path), outputs=["out"])
    assert problem.cause == "unsupported_op" and "an input that the op does not have" in problem.message


def test_a_saved_table_that_something_else_fills_as_well_is_refused(tmp_path):
    """Which of the two comes last, the graph does not say."""

    def build() -> None:
        table = lookup_ops.MutableHashTable(tf.string, tf.int64, -1, checkpoint=True)
        raw.LookupTableImportV2(table_handle=table.resource_handle, keys=["ice"], values=tf.constant([1], tf.int64))
        scored(table.lookup(words()))

    problem = problem_of(frozen, imported(saved(build, tmp_path), outputs=["out"]), tmp_path / "f", outputs=["out"])
    assert problem.cause == "unsupported_op" and "as well as" in problem.message


def test_a_saved_table_of_a_graph_without_a_saver_is_refused(tmp_path):
    """It would be empty on both sides."""
    source = saved(SAVED["words"], tmp_path)
    meta_graph = read_meta_graph(source.meta)
    meta_graph.ClearField("saver_def")
    Path(source.meta).write_bytes(meta_graph.SerializeToString())
    record = imported(sources(tmp_path)["model.ckpt"], outputs=["out"])
    problem = problem_of(frozen, record, tmp_path / "frozen", outputs=["out"])
    assert problem.cause == "unsupported_op" and "restore_op_name" in problem.hint


# The judge


def damaged(path: Path, change) -> None:
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    change(graph_def)
    path.write_bytes(graph_def.SerializeToString(deterministic=True))


def other_value(graph_def) -> None:
    (node,) = (node for node in graph_def.node if node.name.endswith("/values"))
    numbers = node.attr["value"].tensor
    numbers.int64_val[3] += 1


def other_key(graph_def) -> None:
    (node,) = (node for node in graph_def.node if node.name.endswith("/keys"))
    node.attr["value"].tensor.string_val[3] = b"hail"


def swapped(graph_def) -> None:
    (node,) = (node for node in graph_def.node if node.op == "InitializeTableV2")
    node.input[2] = node.input[1]


def of_a_device(graph_def) -> None:
    (node,) = (node for node in graph_def.node if node.name.endswith("/keys"))
    node.device = "/device:CPU:0"


def moved(graph_def) -> None:
    """The first entry of a dense table lies elsewhere, in both of its parts."""
    for part in ("/keys", "/values"):
        (node,) = (node for node in graph_def.node if node.name.endswith(part))
        rows = tf.make_ndarray(node.attr["value"].tensor)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.roll(rows, 1, axis=0)))


def told_shape(graph_def) -> None:
    """The op that hides the keys' shape is another one."""
    (node,) = (node for node in graph_def.node if node.op == "PlaceholderWithDefault")
    node.attr["shape"].shape.unknown_rank = False


@pytest.mark.parametrize(("change", "cause"), [(moved, "weights_differ"), (told_shape, "structure_differs")])
def test_the_judge_notices_another_dense_table(change, cause, tmp_path):
    record = imported(saved(dense_rows, tmp_path), outputs=["out"])
    assert judged_damaged(record, tmp_path / "frozen", change) == ("mismatch", cause)


def judged_damaged(record, directory: Path, change) -> tuple[str, str]:
    """Status and cause of a frozen graph that was changed, and that provenance.json describes as it is."""
    provenance, path = frozen(record, directory, outputs=["out"])
    damaged(path, change)
    provenance.frozen_crc32c, provenance.frozen_bytes = whole_files.checksum(path), path.stat().st_size
    found = in_fresh_process(verified, record, provenance, path)
    return found["status"], found["cause"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [(other_value, "weights_differ"), (other_key, "weights_differ"), (swapped, "structure_differs"),
     (of_a_device, "structure_differs")],
)  # fmt: skip
def test_the_judge_notices_another_entry(change, cause, tmp_path):
    """Whatever words are fed: it compares the whole tables."""
    record = imported(saved(from_file(written(tmp_path / "words.txt")), tmp_path), outputs=["out"])
    assert judged_damaged(record, tmp_path / "frozen", change) == ("mismatch", cause)


def test_a_file_that_changes_before_the_judge_reads_it_is_noticed(tmp_path):
    path = written(tmp_path / "words.txt")
    record = imported(saved(from_file(path), tmp_path), outputs=["out"])
    provenance, graph = frozen(record, tmp_path / "frozen", outputs=["out"])
    written(path, [*WORDS[:-1], "hail"])
    assert problem_of(in_fresh_process, verified, record, provenance, graph).cause == "changed"


# Where a file may be read


def test_a_saved_model_has_its_own_assets(tmp_path):
    """Whatever else there is of that name: the loader takes the file in `assets`."""
    named = written(tmp_path / "trainer/words.txt")
    with tf.Graph().as_default():
        from_file(named)()
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            graph = v1.get_default_graph()
            put_in, got = (graph.get_tensor_by_name(name) for name in ("words:0", "out:0"))
            v1.saved_model.simple_save(
                session, str(tmp_path / "zoo/m"), {"w": put_in}, {"o": got}, legacy_init_op=v1.tables_initializer()
            )
    written(named, ["nothing"])
    (source,) = sources(tmp_path / "zoo").values()
    record = imported(source, allow_paths=[str(named)])
    assert [each.path for each in record.vocabularies] == [str(tmp_path / "zoo/m/assets/words.txt")]
    provenance, graph_def = check(record, tmp_path / "frozen")
    kept = next(node for node in graph_def.node if node.name.endswith("/keys"))
    assert list(kept.attr["value"].tensor.string_val) == [word.encode() for word in WORDS]


def refusal(build, directory: Path, **settings):
    """The Problem with a model that cannot be frozen."""
    directory.mkdir(exist_ok=True)
    record = imported(saved(build, directory), outputs=["out"], **settings)
    return problem_of(frozen, record, directory / "frozen", outputs=["out"], **settings)


def test_a_file_that_is_gone_is_named_with_where_it_was_looked_for(tmp_path):
    problem = refusal(from_file("/gone/words.txt"), tmp_path)
    assert problem.cause == "missing_vocabulary" and "allow_paths" in problem.hint
    for place in ("/gone/words.txt", tmp_path / "assets/words.txt", tmp_path / "words.txt"):
        assert str(place) in problem.message


@pytest.mark.parametrize("way", ["named", "upwards", "linked", "linked directory"])
def test_a_file_elsewhere_is_not_read_unless_it_is_allowed(way, tmp_path):
    secret, zoo = written(tmp_path / "elsewhere/words.txt"), tmp_path / "zoo"
    zoo.mkdir()
    named = {"named": secret, "upwards": zoo / "../elsewhere/words.txt", "linked": zoo / "words.txt"}
    if way == "linked":
        (zoo / "words.txt").symlink_to(secret)
    if way == "linked directory":
        (zoo / "assets").symlink_to(secret.parent)
    build = from_file(named.get(way, "/gone/words.txt"))
    problem = refusal(build, zoo)
    assert problem.cause == "outside_zoo" and str(secret) in problem.message and "allow_paths" in problem.hint
    for allowed in (secret, secret.parent):
        record = imported(saved(build, zoo), outputs=["out"], allow_paths=[str(allowed)])
        assert frozen(record, tmp_path / "frozen", outputs=["out"])[1].exists()


def test_what_is_no_plain_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "words.txt")
    problem = refusal(from_file(tmp_path / "words.txt"), tmp_path)
    assert problem.cause == "missing_vocabulary" and "regular file" in problem.message


@pytest.mark.parametrize(
    ("content", "cause"),
    [("", "bad_vocabulary"), ("ice\n\nfog\n", "bad_vocabulary"), ("ice\nice\n", "bad_vocabulary"),
     ("version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "lfs_pointer")],
)  # fmt: skip
def test_a_file_that_fills_no_table_is_told(content, cause, tmp_path):
    written(tmp_path / "words.txt").write_text(content)
    problem = refusal(from_file(tmp_path / "words.txt"), tmp_path)
    assert problem.cause == cause and str(tmp_path / "words.txt") in problem.message


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with written(tmp_path / "words.txt").open("r+b") as file:
        file.truncate(text_tables.LARGEST + 1)
    assert refusal(from_file(tmp_path / "words.txt"), tmp_path).cause == "too_large"


def test_outputs_that_need_no_table_are_frozen_without_it(tmp_path):
    def build() -> None:
        from_file("/gone/words.txt")()
        tf.nn.softmax(tf.matmul(kinds.features(), weights("other", [3, 4])), name="probabilities")

    record = imported(saved(build, tmp_path))
    assert record.outputs == ["probabilities"]
    assert any("/gone/words.txt" in reason for entry in record.outputs_ranking for reason in entry.reasons)


def test_the_best_output_is_not_left_out_for_a_file_that_can_be_put_there(tmp_path):
    problem = problem_of(imported, saved(from_file("/gone/words.txt"), tmp_path))
    assert problem.cause == "missing_vocabulary" and "/gone/words.txt" in problem.message


@pytest.mark.parametrize("kind", ["from a file", "from the checkpoint"])
def test_words_of_the_table_are_fed(kind, tmp_path):
    build = SAVED["words"] if kind == "from the checkpoint" else from_file(written(tmp_path / "words.txt"))
    record = imported(saved(build, tmp_path), outputs=["out"])
    (spec,) = record.inputs.values()
    assert sorted(spec.content.words) == sorted(WORDS)


def test_a_model_is_made_again_when_its_file_changes_or_comes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = imported(saved(from_file(tmp_path / "words.txt"), tmp_path), outputs=["out"])
    path = Path("reports/models/model.ckpt/import.json")
    path.parent.mkdir(parents=True)
    whole_files.write_json(path, recording.content(record))
    assert not Attempts("frozen", "reports").of("import_meta", "model.ckpt")
    written(tmp_path / "words.txt")
    token = Attempts("frozen", "reports").of("import_meta", "model.ckpt")
    assert token == Attempts("frozen", "reports").of("import_meta", "model.ckpt") != ""
