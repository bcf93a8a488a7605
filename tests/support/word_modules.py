"""Small models of TensorFlow 2 with lookup tables, each to be exported as a SavedModel."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from exported_modules import signed, values

WORDS = ["ice", "snow", "fog", "rain"]
COLUMNS = [f"{word}\t{number}" for number, word in enumerate(WORDS, 2)]
INDEX = tf.lookup.TextFileIndex


def written(directory: Path, lines: list[str], name: str = "words.txt") -> str:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text("".join(f"{line}\n" for line in lines))
    return str(directory / name)


def lines_of(path: str) -> Any:
    """Word -> the number of its line."""
    return tf.lookup.TextFileInitializer(path, tf.string, INDEX.WHOLE_LINE, tf.int64, INDEX.LINE_NUMBER)


class Rows(tf.Module):
    """The rows of a variable that a table, `self.table`, finds for words."""

    def __init__(self):
        self.rows = tf.Variable(values(9, 3))

    @signed(tf.TensorSpec([None], tf.string, name="words"))
    def __call__(self, words):
        return {"y": tf.gather(self.rows, self.table.lookup(words))}


class Vocabulary(Rows):
    """A static table from a text file, with buckets for what it lacks."""

    def __init__(self, directory: Path):
        super().__init__()
        self.table = tf.lookup.StaticVocabularyTable(lines_of(written(directory, WORDS)), 3)


class ThereAndBack(Rows):
    """Two tables from columns of one file, of which the second takes what the first gives."""

    def __init__(self, directory: Path):
        super().__init__()
        path = written(directory, COLUMNS)
        self.table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(path, tf.string, 0, tf.int64, 1), 0)
        back = tf.lookup.TextFileInitializer(path, tf.int64, 1, tf.string, 0)
        self.back = tf.lookup.StaticHashTable(back, "?")

    @signed(tf.TensorSpec([None], tf.string, name="words"))
    def more(self, words):
        return {"words": self.back.lookup(self.table.lookup(words)), "w": self.rows[0, 0]}


class Learned(Rows):
    """A table that grew in training, and is in the checkpoint."""

    def __init__(self, directory: Path):
        super().__init__()
        self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
        self.table.insert(tf.constant(WORDS), tf.range(4, 8, dtype=tf.int64))


class LearnedRows(tf.Module):
    """A learned table of vectors, and another one with numbers as keys."""

    def __init__(self, directory: Path):
        self.w = tf.Variable(values(3, 2))
        self.vectors = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, [0.5, 0.25, 1.0])
        self.vectors.insert(tf.constant(WORDS), tf.constant(values(4, 3)))
        self.numbers = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, -1.0)
        self.numbers.insert(tf.constant([1, 3], tf.int64), tf.constant([0.5, 2.0]))

    @signed(tf.TensorSpec([None], tf.string, name="words"), tf.TensorSpec([None], tf.int64, name="ids"))
    def __call__(self, words, ids):
        return {"y": self.vectors.lookup(words) @ self.w, "n": self.numbers.lookup(ids)}


class Growing(Learned):
    """A table into which each run puts what it is given, before it looks it up."""

    @signed(tf.TensorSpec([None], tf.string, name="words"))
    def __call__(self, words):
        self.table.insert(words, tf.ones_like(words, tf.int64))
        return {"y": tf.gather(self.rows, self.table.lookup(words)), "size": self.table.size()}


class DenselyLearned(Rows):
    """TensorFlow takes the keys of such a table as a column from a checkpoint, and only as a vector from a constant."""

    def __init__(self, directory: Path):
        super().__init__()
        self.table = tf.lookup.experimental.DenseHashTable(tf.string, tf.int64, 0, "", "!")
        self.table.insert(tf.constant(WORDS), tf.range(4, 8, dtype=tf.int64))


class Both(Rows):
    """A table from a file, one from constants, and one from the checkpoint."""

    def __init__(self, directory: Path):
        super().__init__()
        self.table = tf.lookup.StaticVocabularyTable(lines_of(written(directory, WORDS)), 1)
        constants = tf.lookup.KeyValueTensorInitializer(tf.range(5, dtype=tf.int64), values(5))
        self.scale = tf.lookup.StaticHashTable(constants, 0.0)
        self.count = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, 1.0)
        self.count.insert(tf.constant(WORDS[:2]), tf.constant([2.0, 3.0]))

    @signed(tf.TensorSpec([None], tf.string, name="words"))
    def __call__(self, words):
        ids = self.table.lookup(words)
        return {"y": tf.gather(self.rows, ids) * self.scale.lookup(ids)[:, None] * self.count.lookup(words)[:, None]}


FROZEN = (Vocabulary, ThereAndBack, Learned, LearnedRows, Both)


def _embedded(lookup: Any, dtype: str, shape: tuple[int, ...]) -> Any:
    import keras  # It takes long to load, and most tests do without.

    keras.utils.set_random_seed(1)
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, keras.layers.Embedding(9, 3)(lookup(keras)(inputs)))


def string_lookup(directory: Path) -> Any:
    path = written(directory, WORDS)
    return _embedded(lambda keras: keras.layers.StringLookup(vocabulary=path), "string", (3,))


def integer_lookup(directory: Path) -> Any:
    path = written(directory, ["10", "20", "30"])
    return _embedded(lambda keras: keras.layers.IntegerLookup(vocabulary=path), "int64", (3,))


def text_vectorization(directory: Path) -> Any:
    path = written(directory, WORDS)

    def layer(keras: Any) -> Any:
        return keras.layers.TextVectorization(output_sequence_length=4, vocabulary=path)

    return _embedded(layer, "string", ())


KERAS = (string_lookup, integer_lookup, text_vectorization)
