"""Object-based checkpoints beside a meta graph: restored as TensorFlow's Saver restores them, or refused."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import verified
from permafrost.graph.metagraph import read_meta_graph
from permafrost.outcome import Problem
from stages import frozen, imported, problem_of, sources

v1 = tf.compat.v1
ATTRIBUTE = "/.ATTRIBUTES/VARIABLE_VALUE"


def saved(directory: Path, keys: dict[str, str] | None = None, others: int = 0) -> Path:
    """A model of two weights, whose checkpoint goes by the attributes of an object, beside its meta graph.

    Args:
      keys: variable -> the key under which the meta graph's saver restores it; their own names without.
      others: how many variables of the graph the checkpoint lacks.
    Returns the prefix.
    """
    directory.mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        kinds.plain(True)()
        w, b = v1.global_variables()
        checkpoint = v1.train.Checkpoint(weight=w, shift=b)
        for number in range(others):
            kinds.weights(f"other{number}", [2], True)
        session.run(v1.global_variables_initializer())
        prefix = checkpoint.save(str(directory / "model.ckpt"), session)
        by_key = {keys[variable.op.name]: variable for variable in v1.global_variables()} if keys else None
        saver = v1.train.Saver(by_key)
        v1.train.export_meta_graph(f"{prefix}.meta", saver_def=saver.as_saver_def())
    return Path(prefix)


def by_tensorflow(prefix: Path, provenance, path: Path) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(5).normal(size=[2, 3]).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(f"{prefix}.meta").restore(session, str(prefix))
        theirs = session.run("out:0", {"x:0": x})
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
        return theirs, session.run("out:0", {"x:0": x})


def the_source(prefix: Path):
    (source,) = sources(prefix.parent).values()
    return source


BY_KEYS = {"w": f"weight{ATTRIBUTE}", "b": f"shift{ATTRIBUTE}", "save_counter": f"save_counter{ATTRIBUTE}"}


def without_saver(prefix: Path) -> None:
    meta_graph = read_meta_graph(f"{prefix}.meta")
    meta_graph.ClearField("saver_def")
    Path(f"{prefix}.meta").write_bytes(meta_graph.SerializeToString())


def test_a_graph_without_a_saver_goes_by_the_names(tmp_path):
    prefix = saved(tmp_path / "zoo", others=1)
    without_saver(prefix)
    record = imported(the_source(prefix), outputs=["out"])
    assert {row.variable: row.key for row in record.variables} == BY_KEYS | {"other0": ""}
    found = in_fresh_process(verified, record, *frozen(record, tmp_path / "frozen"))
    assert (found["status"], found["match"]) == ("verified", "bitwise"), found


@pytest.mark.parametrize("keys", [None, BY_KEYS], ids=["by names", "by keys"])
def test_a_saver_restores_it(keys, tmp_path):
    prefix = saved(tmp_path / "zoo", keys)
    record = imported(the_source(prefix), outputs=["out"])
    assert {row.variable: row.key for row in record.variables} == BY_KEYS
    provenance, path = frozen(record, tmp_path / "frozen")
    found = in_fresh_process(verified, record, provenance, path)
    assert (found["status"], found["match"]) == ("verified", "bitwise"), found
    assert np.array_equal(*by_tensorflow(prefix, provenance, path))


def test_it_is_refused_where_a_variable_is_not_in_it(tmp_path):
    prefix = saved(tmp_path / "zoo", others=1)
    problem = problem_of(imported, the_source(prefix), outputs=["out"])
    assert (
        problem.cause == "tf2_checkpoint"
        and "lacks 1 of the 4 variables" in problem.message
        and "(other0)" in problem.message
    )


def lying_record(prefix: Path, directory: Path) -> tuple[str, str]:
    """How the judge ends where the record says that a variable takes the other one's name."""
    record = imported(the_source(prefix), outputs=["out"])
    for row in record.variables:
        row.restored = "w"
    found = verified(record, *frozen(record, directory))
    return found["status"], found["cause"]


def test_the_judge_asks_the_checkpoint_itself_for_the_names(tmp_path):
    prefix = saved(tmp_path / "zoo")
    assert in_fresh_process(lying_record, prefix, tmp_path / "frozen") == ("unverifiable", "not_restorable")


def test_a_damaged_object_graph_is_told(tmp_path, monkeypatch):
    prefix = saved(tmp_path / "zoo")
    monkeypatch.setattr("permafrost.checkpoint.reader.Checkpoint.read_strings", lambda *_: [b"\xff\xff"])
    with pytest.raises(Problem, match="object graph that cannot be parsed"):
        imported(the_source(prefix), outputs=["out"])
