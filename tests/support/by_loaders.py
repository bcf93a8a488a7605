"""What TensorFlow's two loaders make of a SavedModel, beside what its frozen graph gives, bit by bit."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.tools import saved_model_utils

from fresh_process import in_fresh_process
from judged import verified
from permafrost.records import ImportRecord, Provenance
from permafrost.stages import import_model
from stages import default_settings, frozen, imported, sources

v1 = tf.compat.v1
OPTIONS = {"disable_meta_optimizer": True}


def the_source(export: Path):
    (source,) = sources(export.parent).values()
    assert source.problem is None and source.id.endswith("/saved_model")
    return source


def feed_of(tensors: dict[str, Any]) -> dict[str, np.ndarray]:
    """A value for each of the tensors that the infos of a signature describe."""
    feed, rng = {}, np.random.default_rng(3)
    for name, info in sorted(tensors.items()):
        shape = [3 if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
        dtype = tf.as_dtype(info.dtype)
        if dtype == tf.string:
            feed[name] = np.resize(np.array([b"ice", b"fog", b"?"], object), shape)
        elif dtype.is_integer:
            feed[name] = rng.integers(0, 4, shape).astype(dtype.as_numpy_dtype)
        else:
            feed[name] = rng.normal(size=shape).astype(dtype.as_numpy_dtype)
    return feed


def session_options() -> v1.ConfigProto:
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.optimizer_options.opt_level = v1.OptimizerOptions.L0
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


def by_the_old_loader(directory: str, feed: dict, fetches: list[str]) -> list[np.ndarray]:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph, config=session_options()) as session:
        v1.saved_model.load(session, ["serve"], directory)
        return session.run(fetches, feed)


def by_the_frozen_graph(path: Path, provenance: Provenance, feed: dict, fetches: list[str]) -> list[np.ndarray]:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph, config=session_options()) as session:
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
        for name in provenance.initializers:
            session.run(name)
        return session.run(fetches, {provenance.inputs[name]: value for name, value in feed.items()})


def bits(values: Any) -> list[tuple]:
    arrays = [np.asarray(value) for value in values]
    return [
        (array.dtype, array.shape, array.tolist() if array.dtype == object else array.tobytes()) for array in arrays
    ]


def by_the_new_loader(directory: str, key: str, feed: dict, outputs: list[str]) -> list[np.ndarray]:
    signature = tf.saved_model.load(directory).signatures[key]
    given = signature(**{name: tf.constant(value) for name, value in feed.items()})
    return [given[name].numpy() for name in outputs]


def compared(directory: str, provenance: Provenance, path: Path, is_whole: bool = True) -> dict[str, list[bool]]:
    """Signature -> whether the frozen graph gives the bits that each of TensorFlow's two loaders gives.

    The new one goes by the Python objects: it is not asked where those are not what the graph restores.
    """
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.optimizer.set_experimental_options(OPTIONS)
    found = {}
    signatures = saved_model_utils.get_meta_graph_def(directory, "serve").signature_def
    for key in set(signatures) - {"__saved_model_init_op"}:
        signature = signatures[key]
        feed, outputs = feed_of(signature.inputs), sorted(signature.outputs)
        named = {signature.inputs[name].name: value for name, value in feed.items()}
        fetches = [signature.outputs[name].name for name in outputs]
        ours = bits(by_the_frozen_graph(path, provenance, named, fetches))
        theirs = [by_the_old_loader(directory, named, fetches)]
        theirs += [by_the_new_loader(directory, key, feed, outputs)] if is_whole else []
        found[key] = [ours == bits(values) for values in theirs]
    return found


def through_all_stages(directory: Path, frozen_in: Path) -> tuple[ImportRecord, Provenance, dict, dict]:
    """The records, what verify.json says, and what `compared` gives, which runs TensorFlow here, and hence last."""
    record = imported(the_source(directory))
    import_model.rehearse(default_settings(timeout=120), record)
    provenance, path = frozen(record, frozen_in)
    return record, provenance, verified(record, provenance, path), compared(str(directory), provenance, path)


def check(directory: Path, frozen_in: Path) -> tuple[ImportRecord, Provenance]:
    record, provenance, found, same = in_fresh_process(through_all_stages, directory, frozen_in)
    assert (record.rehearsal, found["status"], found["match"]) == ("", "verified", "bitwise"), found
    assert same and all(pair == [True, True] for pair in same.values()), same
    return record, provenance
