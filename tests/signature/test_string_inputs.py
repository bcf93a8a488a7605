"""Strings that are fed are of the form that the graph parses, decodes or looks up."""

import numpy as np
import pytest
import tensorflow as tf

import kinds
from judged import check_judgement, rehearse, saved
from permafrost.graph.index import GraphIndex
from permafrost.graph.protos import graph_pb2, node_def_pb2
from permafrost.input_kinds import Feature, PngImage, SerializedExample, Strings
from permafrost.signature import feeds, string_inputs
from stages import frozen, imported

v1 = tf.compat.v1


def texts(name="text"):
    return v1.placeholder(tf.string, [None], name)


def head(x, size):
    tf.matmul(tf.reshape(x, [-1, size]), kinds.weights("w", [size, 2]), name="out")


def parse_example() -> None:
    features = {
        "age": tf.io.FixedLenFeature([1], tf.float32),
        "ids": tf.io.FixedLenFeature([2], tf.int64),
        "tags": tf.io.VarLenFeature(tf.string),
    }
    parsed = v1.parse_example(texts("serialized"), features)
    tags = tf.strings.to_hash_bucket_fast(tf.sparse.to_dense(parsed["tags"], default_value=""), 5)
    embedded = tf.reshape(tf.reduce_sum(tf.gather(kinds.weights("tags", [5, 3]), tags), 1), [-1, 3])
    head(tf.concat([parsed["age"], tf.cast(parsed["ids"], tf.float32), embedded], 1), 6)


def parse_single_example() -> None:
    serialized = v1.placeholder(tf.string, [], "serialized")
    parsed = v1.parse_single_example(serialized, {"x": tf.io.FixedLenFeature([4], tf.float32)})
    head(parsed["x"], 4)


def image() -> None:
    decoded = tf.io.decode_jpeg(v1.placeholder(tf.string, [], "image_bytes"), channels=3)
    pixels = v1.image.resize_bilinear(tf.expand_dims(tf.cast(decoded, tf.float32) / 255.0, 0), [4, 4])
    head(pixels, 48)


def sound() -> None:
    audio, _ = tf.audio.decode_wav(v1.placeholder(tf.string, [], "wav_data"), 1, 100)
    head(audio, 100)


def raw() -> None:
    def decode(text):
        return tf.reshape(tf.io.decode_raw(text, tf.uint8), [12])

    decoded = tf.map_fn(decode, texts(), fn_output_signature=tf.uint8)
    head(tf.cast(decoded, tf.float32), 12)


def csv() -> None:
    fields = tf.io.decode_csv(texts("lines"), [[0.0], [0.0], [0.0]])
    head(tf.stack(fields, 1), 3)


def number() -> None:
    head(tf.strings.to_number(texts()), 1)


def table() -> None:
    """Other words than the table's own would all be the default."""
    kinds.table_of_constants()


@pytest.mark.parametrize("build", [parse_example, parse_single_example, image, sound, raw, csv, number, table])
def test_strings_run(build, tmp_path):
    with kinds.control_flow(1):
        record = imported(saved(build, tmp_path), outputs=["out"])
    record = rehearse(record, outputs=["out"])
    assert not record.rehearsal
    provenance, path = frozen(record, tmp_path / "frozen")
    check_judgement(record, provenance, path)


def test_words_of_a_table_are_its_keys(tmp_path):
    record = imported(saved(table, tmp_path), outputs=["out"])
    made = feeds.make(record.inputs, 0, 20, ".")["words:0"]
    assert set(made.tolist()) == {b"ice", b"snow"}


def test_images_are_what_tensorflow_decodes():
    for channels in (1, 3, 4):
        made = feeds.make({"x:0": Strings("string", [2], "", content=PngImage(channels))}, 3, 1, ".")["x:0"]
        images = [tf.io.decode_png(data) for data in made]
        assert [image.shape for image in images] == [(32, 32, channels)] * 2
        assert not np.array_equal(*images)


def test_a_feature_of_more_numbers_than_anybody_counts_is_one():
    parser = node_def_pb2.NodeDef(name="parser", op="ParseSingleExample", input=["text"])
    parser.attr["dense_keys"].list.s.append(b"x")
    parser.attr["Tdense"].list.type.append(1)
    shape = parser.attr["dense_shapes"].list.shape.add()
    shape.dim.extend([type(shape).Dim(size=2**62)] * 300)
    index = GraphIndex(graph_pb2.GraphDef(node=[parser]))
    found = string_inputs.content(index, [(index.nodes["parser"], 0)])
    assert found == SerializedExample([Feature("x", "float32", 1)])
