"""The trial run before freezing: what a graph does not declare is found out from what TensorFlow says of it."""

import numpy as np
import pytest
import tensorflow as tf

import kinds
from judged import check_judgement, rehearse, saved, usable
from permafrost import recording
from permafrost.graph import graph_sources
from permafrost.graph.metagraph import read_meta_graph
from permafrost.input_kinds import Uniform
from permafrost.judge import feed_search, rehearsal
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Repair
from permafrost.sandbox import runner
from permafrost.stages import import_model
from stages import default_settings, frozen, imported
from written_records import made

v1 = tf.compat.v1


def rehearsed(build, directory, **changes) -> dict:
    """The import record of a model after its trial run."""
    return rehearse(imported(saved(build, directory), **changes), **changes)


def hidden_batch() -> None:
    tf.matmul(tf.reshape(kinds.features(), [5, 3]), kinds.weights("w", [3, 2]), name="out")


def batch_of_two_inputs() -> None:
    state = v1.placeholder(tf.float32, [None, 2], "state")
    zeros = tf.zeros([37, 2])
    tf.concat([tf.matmul(kinds.features(), kinds.weights("w", [3, 2])), state + zeros], 1, name="out")


def image_of_unknown_size() -> None:
    x = v1.placeholder(tf.float32, [None, None, None, 1], "x")
    y = tf.nn.conv2d(x, kinds.weights("filters", [3, 3, 1, 4]), 2, "SAME")
    tf.matmul(tf.reshape(y, [-1, 7 * 7 * 4]), kinds.weights("w", [7 * 7 * 4, 2]), name="out")


def sentence_of_unknown_length() -> None:
    ids = v1.placeholder(tf.int32, [None, None], "ids")
    words = tf.expand_dims(tf.gather(kinds.weights("table", [9, 4]), ids), -1)
    conv = tf.nn.conv2d(words, kinds.weights("filters", [61, 4, 1, 2]), 1, "VALID")
    tf.reduce_max(conv, [1, 2], name="out")


def lengths_after_a_stride() -> None:
    x = v1.placeholder(tf.float32, [None, 12, 3], "x")
    lengths = v1.placeholder(tf.int32, [None], "lengths")
    y = tf.tensordot(x[:, ::4], kinds.weights("w", [3, 2]), 1)
    tf.identity(tf.reverse_sequence(y, lengths, seq_axis=1), name="out")


def image_of_unknown_rank() -> None:
    x = v1.placeholder(tf.float32, None, "x")
    y = tf.nn.conv2d(tf.identity(x * 2.0), kinds.weights("filters", [3, 3, 3, 4]), 2, "SAME")
    tf.reduce_mean(y, [1, 2], name="out")


@pytest.mark.parametrize(
    ("build", "batches"),
    [
        (hidden_batch, [5]),
        (batch_of_two_inputs, [37]),
        (image_of_unknown_size, [2, 3]),
        (sentence_of_unknown_length, [2, 3]),
        (lengths_after_a_stride, [2, 3]),
        (image_of_unknown_rank, [2, 3]),
    ],
)
def test_inputs_are_changed_until_the_graph_runs(build, batches, tmp_path):
    record = rehearsed(build, tmp_path)
    assert record.rehearsal == ""
    assert record.batches == batches
    provenance, path = frozen(record, tmp_path / "frozen")
    check_judgement(record, provenance, path)


def test_what_the_settings_say_is_not_changed(tmp_path):
    inputs = {"x": {"shape": [2, 8, 8, 1]}}
    record = rehearsed(image_of_unknown_size, tmp_path, inputs=inputs)
    assert record.inputs["x:0"].shape == [2, 8, 8, 1]
    assert "196" in record.rehearsal
    assert not record.batches


def two_heads_of_which_one_fails() -> None:
    hidden = tf.matmul(kinds.features(), kinds.weights("w", [3, 4]))
    tf.nn.softmax(tf.matmul(hidden, kinds.weights("good", [4, 2])), name="good_head")
    with tf.control_dependencies([v1.assert_greater(hidden, 1e6)]):
        tf.nn.softmax(tf.matmul(hidden, kinds.weights("worse", [4, 2])), name="bad_head")


def test_an_output_that_does_not_run_is_left_out(tmp_path):
    record = rehearsed(two_heads_of_which_one_fails, tmp_path)
    assert "good_head" in record.outputs
    assert "bad_head" not in record.outputs
    (entry,) = [entry for entry in record.outputs_ranking if entry.name == "bad_head"]
    assert "left out" in entry.reasons[-1]
    assert not entry.chosen
    provenance, path = frozen(record, tmp_path / "frozen")
    check_judgement(record, provenance, path)


def test_an_output_that_is_asked_for_is_kept(tmp_path):
    record = rehearsed(two_heads_of_which_one_fails, tmp_path, outputs=["good_head", "bad_head"])
    assert record.outputs == ["good_head", "bad_head"]
    assert "assert" in record.rehearsal.lower()


def head_over_an_unsaved_variable() -> None:
    hidden = tf.matmul(kinds.features(), kinds.weights("w", [3, 4]))
    tf.nn.softmax(tf.matmul(hidden, kinds.weights("good", [4, 2])), name="good_head")
    drawn = v1.random_uniform_initializer(seed=1)
    worse = v1.get_variable("worse", [4, 2], initializer=drawn, collections=[v1.GraphKeys.LOCAL_VARIABLES])
    v1.add_to_collection("to_run", worse.initializer)
    tf.nn.softmax(tf.matmul(hidden, worse), name="bad_head")


def test_an_output_that_cannot_be_frozen_is_left_out(tmp_path):
    record = imported(saved(head_over_an_unsaved_variable, tmp_path))
    assert "good_head" in record.outputs
    assert "bad_head" not in record.outputs
    (entry,) = [entry for entry in record.outputs_ranking if entry.name == "bad_head"]
    assert "'worse' is needed" in entry.reasons[-1]


def file_reader() -> None:
    text = tf.io.read_file("/etc/hostname")
    size = tf.cast(tf.strings.length(text), tf.float32)
    tf.add(tf.matmul(kinds.features(), kinds.weights("w", [3, 2])), size, name="out")


def test_a_graph_that_reads_files_is_not_run(tmp_path):
    record = rehearsed(file_reader, tmp_path, outputs=["out"])
    assert "ReadFile" in record.rehearsal
    assert "not run" in record.rehearsal


def test_a_saver_that_writes_files_is_not_run(tmp_path):
    target = tmp_path / "written"

    def build():
        kinds.plain(False)()
        with tf.control_dependencies([tf.io.write_file(str(target), "gotcha")]):
            tf.no_op(name="evil")

    source = saved(build, tmp_path)
    meta_graph = read_meta_graph(source.meta)
    (restore,) = [node for node in meta_graph.graph_def.node if node.name == meta_graph.saver_def.restore_op_name]
    restore.input.append("^evil")
    with open(source.meta, "wb") as file:
        file.write(meta_graph.SerializeToString())
    record = rehearse(imported(source, outputs=["out"]), outputs=["out"])
    assert "WriteFile" in record.rehearsal
    assert not target.exists()


def endless() -> None:
    x = tf.matmul(kinds.features(), kinds.weights("w", [3, 3]))
    with kinds.control_flow(1):
        result = v1.while_loop(lambda i, h: i > 0, lambda i, h: (tf.constant(1), tf.tanh(h)), [tf.constant(1), x])
    tf.identity(result[1], name="out")


def test_a_graph_that_does_not_end_is_frozen_none_the_less(tmp_path):
    record = imported(saved(endless, tmp_path), outputs=["out"])
    record = rehearse(record, timeout=5, outputs=["out"])
    assert "within 5 s" in record.rehearsal
    assert record.outputs == ["out"]
    assert frozen(record, tmp_path / "frozen")[1].exists()


def test_stale_output_shapes_are_dropped(tmp_path):
    source = saved(kinds.plain(False), tmp_path)
    meta_graph = read_meta_graph(source.meta)
    (node,) = [node for node in meta_graph.graph_def.node if node.name == "MatMul"]
    node.attr["_output_shapes"].list.shape[0].dim[1].size += 3
    with open(source.meta, "wb") as file:
        file.write(meta_graph.SerializeToString())
    record = imported(source, outputs=["out"])
    assert not usable(record)
    record = rehearse(record, outputs=["out"])
    assert record.stale_shapes == "MatMul"
    provenance, path = frozen(record, tmp_path / "frozen")
    assert Repair("stale _output_shapes dropped", "MatMul") in provenance.repairs
    check_judgement(record, provenance, path)


@pytest.mark.parametrize("lie", [[2**62] * 300, [2**62] * 20, [-7], [3] * 255])
def test_output_shapes_that_no_tensor_has_are_dropped(tmp_path, lie):
    source = saved(kinds.plain(False), tmp_path)
    meta_graph = read_meta_graph(source.meta)
    for node in meta_graph.graph_def.node:
        if node.name in ("x", "MatMul"):
            (shape,) = node.attr["_output_shapes"].list.shape
            del shape.dim[:]
            shape.dim.extend([type(shape).Dim(size=size) for size in lie])
    with open(source.meta, "wb") as file:
        file.write(meta_graph.SerializeToString())
    record = rehearse(imported(source, outputs=["out"]), outputs=["out"])
    assert record.stale_shapes == "x"
    provenance, path = frozen(record, tmp_path / "frozen")
    check_judgement(record, provenance, path)


def test_fresh_output_shapes_are_kept(tmp_path):
    record = rehearsed(kinds.plain(False), tmp_path, outputs=["out"])
    assert record.stale_shapes == ""
    graph_def = v1.GraphDef.FromString(frozen(record, tmp_path / "frozen")[1].read_bytes())
    assert any("_output_shapes" in node.attr for node in graph_def.node)


def test_no_input_is_made_larger_than_memory_holds():
    specs = {"x:0": Uniform("float32", [None, 32, 32, 1], "floats", [1, 2], low=0.0, high=1.0)}
    message = "node 'n': Input to reshape is a tensor with 99999 values, but the requested shape has 98765"
    tried = list(feed_search.alternatives(specs, 2, message, {"x:0"}))
    assert tried
    for other, batch in tried:
        shape = [batch if size is None else size for size in other["x:0"].shape]
        assert np.prod(shape) <= 1 << 24, shape


@pytest.mark.parametrize(
    ("cause", "is_transient"),
    [("timeout", True), ("killed", True), ("memory", False), ("crash", False), ("processes", False)],
)
def test_a_trial_run_that_the_machine_ended_is_tried_again(monkeypatch, tmp_path, cause, is_transient):
    def ended(*args, **limits):
        raise Problem(cause, "it ended before its time")

    monkeypatch.setattr(runner, "run", ended)

    graph = {"form": "meta_graph", "path": "model.ckpt.meta"}
    begun = made(ImportRecord, prefix="model.ckpt", graph=graph, outputs=["out"], outputs_why="", outputs_ranking=[])
    with recording.recording("import_meta", begun, tmp_path / "import.json") as record:
        import_model.rehearse(default_settings(), record)
    found = recording.load(tmp_path / "import.json", ImportRecord)
    assert (found.status, found.rehearsal, found.batches) == ("ok", "it ended before its time", [])
    assert found.transient == is_transient


def resized_picture() -> None:
    x = v1.placeholder(tf.uint8, [None, None, None, 3], "x")
    y = v1.image.resize_bilinear(x, [24, 24])
    tf.reduce_mean(tf.nn.conv2d(y, kinds.weights("filters", [3, 3, 3, 4]), 2, "SAME"), [1, 2], name="out")


def picture_behind_a_mask() -> None:
    x = v1.placeholder(tf.float32, [None, None, None, 1], "x")
    y = tf.concat([x, tf.ones_like(x)], 3)
    for name in ("first", "second"):
        y = tf.nn.relu(tf.nn.conv2d(y, kinds.weights(name, [3, 3, 2, 2]), 2, "SAME"))
    tf.matmul(tf.reshape(y, [-1, 11 * 11 * 2]), kinds.weights("w", [11 * 11 * 2, 2]), name="out")


def text_of_unknown_length() -> None:
    ids = v1.placeholder(tf.int32, [None, None], "ids")
    lengths = v1.placeholder(tf.int32, [None], "lengths")
    words = tf.gather(kinds.weights("table", [9, 4]), ids)
    mask = tf.sequence_mask(lengths, tf.shape(ids)[1], tf.float32)
    tf.reduce_sum(words * mask[:, :, tf.newaxis], 1, name="out")


def two_texts_of_one_length() -> None:
    one, other = (v1.placeholder(tf.int32, [None, None], name) for name in ("one", "other"))
    table = kinds.weights("table", [9, 4])
    tf.reduce_sum(tf.gather(table, one) * tf.gather(table, other), [1, 2], name="out")


def masked_attention() -> None:
    mask = v1.placeholder(tf.float32, [None, 1, None, None], "mask")
    ids = v1.placeholder(tf.int32, [None, None], "ids")
    words = tf.gather(kinds.weights("table", [9, 4]), ids)
    scores = tf.matmul(words, words, transpose_b=True)[:, tf.newaxis] + mask
    tf.reduce_sum(tf.nn.softmax(scores), [1, 2, 3], name="out")


def sound() -> None:
    x = v1.placeholder(tf.float32, [None, 1], "x")
    spectrogram = tf.raw_ops.AudioSpectrogram(input=x, window_size=640, stride=320)
    tf.multiply(spectrogram, kinds.weights("w", [513]), name="out")


def series_first_in_time() -> None:
    x = v1.placeholder(tf.float32, [None, None, 3], "x")
    start = v1.placeholder(tf.float32, [None, 3], "start")
    tf.reduce_sum(x * kinds.weights("w", [3]) + start[tf.newaxis], 0, name="out")


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (resized_picture, {"x:0": [None, 24, 24, 3]}),
        (picture_behind_a_mask, {"x:0": [None, 44, 44, 1]}),
        (text_of_unknown_length, {"ids:0": [None, 16], "lengths:0": [None]}),
        (masked_attention, {"mask:0": [None, 1, 16, 16], "ids:0": [None, 16]}),
        (two_texts_of_one_length, {"one:0": [None, 16], "other:0": [None, 16]}),
        (series_first_in_time, {"x:0": [None, None, 3], "start:0": [None, 3]}),
    ],
)
def test_open_dimensions_get_sensible_sizes_where_the_graph_runs_on_them(build, shapes, tmp_path):
    record = rehearsed(build, tmp_path)
    assert record.rehearsal == "" and record.batches == [2, 3]
    assert {name: spec.shape for name, spec in record.inputs.items()} == shapes
    provenance, path = frozen(record, tmp_path / "frozen")
    check_judgement(record, provenance, path)


def test_a_second_of_sound(tmp_path):
    record = rehearsed(sound, tmp_path)
    assert record.rehearsal == "" and record.inputs["x:0"].shape == [16_000, 1] and record.batches == [2]


def test_lengths_go_as_far_as_the_text(tmp_path):
    record = rehearsed(text_of_unknown_length, tmp_path)
    assert record.inputs["lengths:0"].high == 17


def test_what_outputs_are_is_noted(tmp_path):
    record = rehearsed(text_of_unknown_length, tmp_path, outputs=["out"])
    out = record.described["out"]
    assert (out.dtype, out.shape) == ("float32", [None, 4])


def rehearsed_here(build, directory, monkeypatch, long: float) -> rehearsal.Found:
    """What the trial run finds, in this process; a run of `long` seconds is a long one."""
    monkeypatch.setattr(rehearsal, "_LONG", long)
    record = graph_sources.absolute(imported(saved(build, directory)))
    return rehearsal.rehearse(record, default_settings(), str(directory), False)


def plain() -> None:
    tf.matmul(kinds.features(), kinds.weights("w", [3, 2]), name="out")


@pytest.mark.parametrize(
    "build", [plain, hidden_batch, batch_of_two_inputs, resized_picture, masked_attention, two_texts_of_one_length]
)
def test_where_the_shapes_at_another_batch_size_are_inferred_they_are_those_of_a_run(build, tmp_path, monkeypatch):
    by_runs = rehearsed_here(build, tmp_path, monkeypatch, 1000)
    assert rehearsed_here(build, tmp_path / "again", monkeypatch, 0) == by_runs


@pytest.mark.parametrize("long, sizes", [(1000, [2, 3]), (0, [2])])
def test_another_batch_size_takes_no_run_where_all_shapes_are_inferred(long, sizes, tmp_path, monkeypatch):
    ran, run = [], rehearsal.CheckpointSide.run

    def note(side, outputs, fed):
        ran.extend(len(value) for value in fed.values())
        return run(side, outputs, fed)

    monkeypatch.setattr(rehearsal.CheckpointSide, "run", note)
    assert rehearsed_here(plain, tmp_path, monkeypatch, long).batches == [2, 3] and ran == sizes
