"""What `export_saved_model` of an Estimator of TensorFlow 1 writes, which no package for this TensorFlow does any more.

A graph of its own with a placeholder of serialized examples, the signatures of its export outputs, a Saver, the text
files of its tables as assets, and a main op that runs the initializers of local variables and of tables
(tensorflow_estimator/python/estimator/estimator.py, _add_meta_graph_for_mode).
"""

from pathlib import Path

import tensorflow as tf
from tensorflow.python.ops import lookup_ops

v1 = tf.compat.v1
saved = v1.saved_model
FEATURES = {
    "x": v1.io.FixedLenFeature([4], tf.float32),
    "word": v1.io.VarLenFeature(tf.string),
    "lang": v1.io.FixedLenFeature([1], tf.string, default_value="en"),
}


def _logits(features, vocabulary: str) -> tf.Tensor:
    """A linear model of numbers, of words by an embedding, and of the hash of a language."""
    table = lookup_ops.index_table_from_file(vocabulary, num_oov_buckets=1)
    rows = v1.get_variable("words/embedding_weights", [5, 3], initializer=v1.random_normal_initializer(seed=1))
    words = v1.nn.embedding_lookup_sparse(rows, table.lookup(features["word"]), None, combiner="mean")
    buckets = v1.get_variable("languages/weights", [8, 2], initializer=v1.random_normal_initializer(seed=2))
    languages = tf.gather(buckets, tf.strings.to_hash_bucket_fast(features["lang"][:, 0], 8))
    kernel = v1.get_variable("logits/kernel", [7, 2], initializer=v1.random_normal_initializer(seed=3))
    return tf.add(tf.concat([features["x"], words], 1) @ kernel, languages, name="logits")


def _signatures(examples: tf.Tensor, logits: tf.Tensor) -> dict:
    probabilities = tf.nn.softmax(logits, name="probabilities")
    classes = tf.as_string(tf.tile(tf.range(2)[None], [tf.shape(probabilities)[0], 1]))
    predictions = {"logits": logits, "probabilities": probabilities, "class_ids": tf.argmax(logits, 1)}
    return {
        "serving_default": saved.classification_signature_def(examples, classes, probabilities),
        "predict": saved.predict_signature_def({"examples": examples}, predictions),
    }


def export(directory: Path, vocabulary: str) -> Path:
    """Writes the SavedModel of a trained classifier to a directory, which must not be there."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.get_or_create_global_step()
        examples = v1.placeholder(tf.string, [None], name="input_example_tensor")
        signatures = _signatures(examples, _logits(v1.io.parse_example(examples, FEATURES), vocabulary))
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = saved.Builder(str(directory))
        builder.add_meta_graph_and_variables(
            session,
            [saved.tag_constants.SERVING],
            signature_def_map=signatures,
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=tf.group(v1.local_variables_initializer(), v1.tables_initializer()),
            saver=v1.train.Saver(sharded=True),
            strip_default_attrs=True,
        )
        builder.save()
    return directory


def example(numbers: list[float], words: list[bytes], language: bytes = b"") -> bytes:
    """A serialized tf.Example; without a language it has that feature not at all."""
    features = {
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=numbers)),
        "word": tf.train.Feature(bytes_list=tf.train.BytesList(value=words)),
    }
    if language:
        features["lang"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[language]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
