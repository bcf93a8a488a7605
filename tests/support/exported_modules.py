"""Small models of TensorFlow 2, each exported as a SavedModel: modules, and Keras's own export."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

v1 = tf.compat.v1


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def signed(*specs: Any) -> Callable:
    return tf.function(input_signature=list(specs))


def floats(*shape: int | None, name: str = "x") -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.float32, name=name)


class Dense(tf.Module):
    def __init__(self):
        self.w, self.b = tf.Variable(values(4, 3), name="w"), tf.Variable(values(3), name="b")

    @signed(floats(None, 4))
    def __call__(self, x):
        return {"y": tf.nn.relu(x @ self.w + self.b)}


class Twice(Dense):
    """Two signatures, of which one has two outputs and calls the other."""

    @signed(floats(None, 4, name="z"))
    def more(self, z):
        return {"first": self(z)["y"] * 2.0, "second": tf.reduce_sum(self.w) + z}


class SameNames(tf.Module):
    """Variables of one name, which only the objects' paths tell apart."""

    def __init__(self):
        self.parts = [tf.Variable(np.roll(values(4, 4), k), name="kernel") for k in range(3)]

    @signed(floats(None, 4))
    def __call__(self, x):
        for part in self.parts:
            x = x @ part
        return {"y": x}


class Words(tf.Module):
    """A table that is filled in a function, strings as inputs, an embedding and strings as outputs."""

    def __init__(self):
        self.rows, self.names = tf.Variable(values(5, 3)), tf.Variable(["zero", "one", "two", "three"])
        rows = tf.lookup.KeyValueTensorInitializer(
            tf.constant(["ice", "snow", "fog"]), tf.constant([1, 2, 3], tf.int64)
        )
        self.table = tf.lookup.StaticHashTable(rows, 0)

    @signed(tf.TensorSpec([None], tf.string, name="words"))
    def __call__(self, words):
        ids = self.table.lookup(words)
        return {"y": tf.gather(self.rows, ids), "names": tf.gather(self.names, ids)}


class Examples(tf.Module):
    """Serialized examples are parsed in the function of the signature, and words of them are looked up."""

    def __init__(self):
        self.rows = tf.Variable(values(5, 3))
        rows = tf.lookup.KeyValueTensorInitializer(tf.constant(["ice", "snow"]), tf.constant([1, 2], tf.int64))
        self.table = tf.lookup.StaticHashTable(rows, 0)
        self.features = {
            "x": tf.io.FixedLenFeature([3], tf.float32),
            "word": tf.io.FixedLenFeature([], tf.string, default_value="ice"),
        }

    @signed(tf.TensorSpec([None], tf.string, name="examples"))
    def __call__(self, examples):
        parsed = tf.io.parse_example(examples, self.features)
        return {"y": parsed["x"] * tf.gather(self.rows, self.table.lookup(parsed["word"]))}


class Photographs(tf.Module):
    """Images are decoded in the function of the signature."""

    def __init__(self):
        self.w = tf.Variable(values(3, 2))

    @signed(tf.TensorSpec([], tf.string, name="image_bytes"))
    def __call__(self, image):
        pixels = tf.cast(tf.io.decode_png(image, 3), tf.float32) / 255.0
        return {"y": tf.reduce_mean(pixels, [0, 1])[None] @ self.w}


class RaggedWords(tf.Module):
    """Rows of words of any length, looked up and added up."""

    def __init__(self):
        self.rows = tf.Variable(values(5, 3))
        rows = tf.lookup.KeyValueTensorInitializer(tf.constant(["ice", "snow"]), tf.constant([1, 2], tf.int64))
        self.table = tf.lookup.StaticHashTable(rows, 0)

    @signed(tf.RaggedTensorSpec([None, None], tf.string, 1, tf.int64))
    def __call__(self, words):
        ids = words.with_values(self.table.lookup(words.values))
        return {"y": tf.reduce_sum(tf.gather(self.rows, ids), 1), "sizes": ids.row_lengths()}


class TwoTables(tf.Module):
    """One signature needs one of the tables, and the other is for training alone."""

    def __init__(self):
        self.w = tf.Variable(values(4))
        self.tables = [
            tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.range(3), values(3) * k), 0.5)
            for k in (1, 2)
        ]

    @signed(tf.TensorSpec([None], tf.int32, name="ids"))
    def __call__(self, ids):
        return {"y": self.tables[1].lookup(ids) * self.w[0]}


class Counter(tf.Module):
    """The output takes what the run itself writes."""

    def __init__(self):
        self.w, self.count = tf.Variable(values(4, 3)), tf.Variable(2.0)

    @signed(floats(None, 4))
    def __call__(self, x):
        self.count.assign_add(1.0)
        return {"y": x @ self.w + self.count}


class TwoCounters(tf.Module):
    """Two signatures that read and write one variable each, so that no run of both has an order."""

    def __init__(self):
        self.count = tf.Variable(values(4))

    @signed(floats(None, 4))
    def __call__(self, x):
        before = self.count * 1.0
        self.count.assign_add(before + 1.0)
        return {"y": x * before + self.count}

    @signed(floats(None, 4))
    def more(self, x):
        before = self.count * 2.0
        self.count.assign_sub(before)
        return {"y": x * before - self.count}


class Flow(tf.Module):
    """Variables that loops and conds of functions capture."""

    def __init__(self):
        self.w, self.k, self.steps = tf.Variable(values(4, 4)), tf.Variable(values(4)), tf.Variable(3)

    @signed(floats(None, 4))
    def __call__(self, x):
        for _ in tf.range(self.steps):
            x = tf.tanh(x @ self.w)
        if tf.reduce_sum(x) > 0.0:  # noqa: SIM108 (a cond of the graph)
            x = x * self.k
        else:
            x = x - self.k
        return {"y": x}


class Draws(Dense):
    """The output takes numbers of a generator that keeps its state in a variable."""

    def __init__(self):
        super().__init__()
        self.generator = tf.random.Generator.from_seed(3)

    @signed(floats(None, 4))
    def __call__(self, x):
        return {"y": x @ self.w + self.generator.normal([3])}


class DrawsBeside(Draws):
    """Another signature does without the generator."""

    @signed(floats(None, 4))
    def more(self, x):
        return {"y": x @ self.w}


class DrawsInALoop(Draws):
    """The generator is asked in a cond of a loop."""

    @signed(floats(None, 4))
    def __call__(self, x):
        for _ in tf.range(2):
            if tf.reduce_sum(x) > 0.0:
                x = x * self.generator.uniform([4])
        return {"y": x @ self.w}


class Ragged(tf.Module):
    def __init__(self):
        self.w = tf.Variable(values(4))

    @signed(tf.RaggedTensorSpec([None, None], tf.float32, 1, tf.int64))
    def __call__(self, rows):
        return {"y": tf.reduce_sum(rows, 1) * self.w[0]}


class DeeplyRagged(Ragged):
    """A ragged tensor of two ragged dimensions, whose rows are those of another input."""

    @signed(tf.RaggedTensorSpec([None, None, None], tf.float32, 2, tf.int32), floats(None, 3))
    def __call__(self, rows, x):
        return {"y": tf.reduce_sum(tf.reduce_max(rows, 2), 1)[:, None] * self.w[:3] + x}


class Sparse(tf.Module):
    def __init__(self):
        self.w = tf.Variable(values(4, 2))

    @signed(tf.SparseTensorSpec([None, 4], tf.float32))
    def __call__(self, entries):
        return {"y": tf.sparse.sparse_dense_matmul(entries, self.w)}


class Constant(tf.Module):
    """A captured constant beside a variable of another dtype, which is sliced and gathered."""

    def __init__(self):
        self.kept, self.table = tf.constant(values(4)), tf.Variable(values(6, 4).astype(np.float64))

    @signed(floats(None, 4), tf.TensorSpec([None], tf.int32, name="ids"))
    def __call__(self, x, ids):
        return {"y": x + self.kept, "rows": tf.nn.embedding_lookup(self.table, ids), "first": self.table[:2, 1]}


def layers(build: Callable[[Any], list[Any]]) -> Callable[[], Any]:
    def made() -> Any:
        import keras  # It takes long to load, and most tests do without.

        keras.utils.set_random_seed(1)
        model = keras.Sequential(build(keras))
        rng = np.random.default_rng(1)
        model.set_weights([rng.uniform(0.1, 1.0, weight.shape).astype(np.float32) for weight in model.get_weights()])
        return model

    return made


def _convolutional(keras):
    normalised = [keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), keras.layers.Flatten()]
    return [keras.Input((6, 6, 1)), keras.layers.Conv2D(3, 3), *normalised, keras.layers.Dense(2)]


def _recurrent(keras):
    cells = [keras.layers.LSTM(4, return_sequences=True), keras.layers.GRU(3)]
    return [keras.Input((5,), dtype="int32"), keras.layers.Embedding(9, 4), *cells, keras.layers.Dense(2)]


MODULES = (Dense, Twice, SameNames, Words, TwoTables, Counter, Flow, Constant)
KERAS = {"convolutional": layers(_convolutional), "recurrent": layers(_recurrent)}


def export(module: Any, directory: Path) -> Path:
    """Saves a module, or a Keras model, as a SavedModel; returns its directory."""
    if hasattr(module, "export"):
        module.export(str(directory), verbose=False)
        return directory
    signatures = {"serving_default": module.__call__}
    if hasattr(module, "more"):
        signatures["more"] = module.more
    tf.saved_model.save(module, str(directory), signatures=signatures)
    return directory


def edited(directory: Path, edit: Callable[[Any], None]) -> Path:
    """A SavedModel whose only MetaGraphDef was changed by `edit`."""
    path = os.path.join(directory, "saved_model.pb")
    saved = saved_model_pb2.SavedModel.FromString(Path(path).read_bytes())
    edit(saved.meta_graphs[0])
    Path(path).write_bytes(saved.SerializeToString())
    return directory
