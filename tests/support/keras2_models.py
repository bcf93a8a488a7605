"""Small models of Keras 2, as its `save` writes them to a directory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from word_modules import WORDS, written


def _weighted(model: Any) -> Any:
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 1.0, weight.shape).astype(weight.dtype) for weight in model.get_weights()])
    return model


def _trained(keras: Any, directory: Path) -> Any:
    """With an optimizer, its slots, and metrics."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    return model


def _convolutional(keras: Any, directory: Path) -> Any:
    layers = [keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    return _weighted(keras.Sequential([keras.Input((6, 6, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(2)]))


def _recurrent(keras: Any, directory: Path) -> Any:
    cells = [keras.layers.LSTM(4, return_sequences=True), keras.layers.GRU(3)]
    layers = [keras.layers.Embedding(9, 4), *cells, keras.layers.Dense(2)]
    return _weighted(keras.Sequential([keras.Input((5,), dtype="int32"), *layers]))


def _two_inputs(keras: Any, directory: Path) -> Any:
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    both = keras.layers.Dense(2)(keras.layers.concatenate([a, b]))
    return _weighted(keras.Model([a, b], [both, keras.layers.Dense(1, name="z")(a)]))


def _words(keras: Any, directory: Path) -> Any:
    """A vocabulary in a file, which becomes an asset."""
    inputs = keras.Input((3,), dtype="string")
    ids = keras.layers.StringLookup(vocabulary=written(directory, WORDS))(inputs)
    return keras.Model(inputs, keras.layers.Embedding(9, 3)(ids))


def _texts(keras: Any, directory: Path) -> Any:
    """A vocabulary that was learned, which becomes constants."""
    texts = keras.layers.TextVectorization(output_sequence_length=4)
    texts.adapt(np.array(["ice and snow", "ice and fog"]))
    inputs = keras.Input((), dtype="string")
    return keras.Model(inputs, keras.layers.Embedding(9, 3)(texts(inputs)))


MODELS: dict[str, Callable[[Any, Path], Any]] = {
    "trained": _trained,
    "convolutional": _convolutional,
    "recurrent": _recurrent,
    "two inputs": _two_inputs,
    "words": _words,
    "texts": _texts,
}


def save(kind: str, directory: Path) -> Path:
    """Has Keras 2 save a model of a kind as a SavedModel; returns its directory."""
    import tf_keras as keras  # It takes long to load.

    keras.utils.set_random_seed(1)
    MODELS[kind](keras, directory.parent / "made").save(str(directory), save_format="tf")
    return directory
