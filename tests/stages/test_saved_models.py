"""SavedModels of TensorFlow 2: frozen by their own restore function, and compared with TensorFlow's loaders."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.tools import saved_model_utils

import exported_modules
from exported_modules import DeeplyRagged, Ragged, Sparse, export
from fresh_process import in_fresh_process
from judged import rehearse, verified
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
            feed[name] = np.array([b"ice", b"fog", b"?"], object)
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


def compared(directory: str, provenance: Provenance, path: Path) -> dict[str, tuple[bool, bool]]:
    """Signature -> whether the frozen graph gives the bits that each of TensorFlow's two loaders gives."""
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
        loaded = tf.saved_model.load(directory).signatures[key]
        theirs = loaded(**{name: tf.constant(value) for name, value in feed.items()})
        old = by_the_old_loader(directory, named, fetches)
        found[key] = ours == bits(old), ours == bits(theirs[name].numpy() for name in outputs)
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
    assert same and all(pair == (True, True) for pair in same.values()), same
    return record, provenance


@pytest.mark.parametrize("kind", exported_modules.MODULES)
def test_a_module_is_what_both_loaders_make_of_it(kind, tmp_path):
    check(export(kind(), tmp_path / "zoo" / "export"), tmp_path / "frozen")


@pytest.mark.parametrize("kind", exported_modules.KERAS)
def test_an_export_of_keras_is_what_both_loaders_make_of_it(kind, tmp_path):
    model = exported_modules.KERAS[kind]()
    record, provenance = check(export(model, tmp_path / "zoo" / "export"), tmp_path / "frozen")
    assert {"serve", "serving_default"} <= set(record.outputs_why.removeprefix("signature ").split(", "))
    assert len(provenance.tensors) < len(record.variables)  # each weight has several handles, of which one serves


@pytest.mark.parametrize("kind", [Ragged, DeeplyRagged, Sparse])
def test_parts_of_ragged_and_sparse_inputs_fit_together(kind, tmp_path):
    directory = export(kind(), tmp_path / "zoo" / "export")
    record = rehearse(imported(the_source(directory)))
    assert record.rehearsal == ""
    kinds = Counter(type(spec).__name__ for spec in record.inputs.values())
    assert kinds["RowSplits"] == {Ragged: 1, DeeplyRagged: 2, Sparse: 0}[kind]
    assert (kinds["Indices"], kinds["Sizes"]) == ((1, 1) if kind is Sparse else (0, 0))
    assert in_fresh_process(verified, record, *frozen(record, tmp_path / "frozen"))["match"] == "bitwise"
