"""The arrays of one trial: the same bytes each time, and what TensorFlow makes of checkpoint and frozen graph."""

import numpy as np
import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import saved, verified
from permafrost.judge import examples
from permafrost.outcome import VERIFIED
from stages import default_settings, frozen, imported, problem_of

v1 = tf.compat.v1


def two_outputs() -> None:
    x = v1.placeholder(tf.float32, [None, 3], "x")
    flag = v1.placeholder(tf.bool, [], "flag")
    y = tf.matmul(x, kinds.weights("w", [3, 2]))
    tf.identity(tf.cond(flag, lambda: y, lambda: -y), "out")


def words() -> None:
    text = v1.placeholder(tf.string, [None], "text")
    hashed = tf.strings.to_hash_bucket_fast(text, 9)
    tf.gather(kinds.weights("table", [9, 2]), hashed, name="out")


def noise() -> None:
    drawn = tf.raw_ops.RandomStandardNormal(shape=[2, 3], dtype=tf.float32)
    tf.identity(tf.matmul(drawn, kinds.weights("w", [3, 2])), name="out")


def judged(build, directory, **changes):
    """What verify.json says of a model, and the provenance and the path of its frozen graph."""
    record = imported(saved(build, directory), outputs=["out"])
    provenance, path = frozen(record, directory / "frozen")
    found = in_fresh_process(verified, record, provenance, path, default_settings(timeout=120, **changes))
    return found, record, provenance, path


def by_checkpoint(record, feed) -> np.ndarray:
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(record.meta).restore(session, record.prefix)
        return session.run("out:0", feed)


@pytest.mark.parametrize("build", [two_outputs, words])
def test_the_checkpoint_gives_what_the_example_says(build, tmp_path):
    found, record, provenance, path = judged(build, tmp_path)
    example = np.load(path.with_name("example.npz"))
    assert found["status"] == VERIFIED and found["example"]["bytes"] == path.with_name("example.npz").stat().st_size
    assert set(example) == {*provenance.inputs.values(), *provenance.outputs}
    given = by_checkpoint(record, {name: example[name] for name in provenance.inputs})
    np.testing.assert_allclose(given, example["out:0"], rtol=1e-5)


def test_the_same_bytes_each_time(tmp_path):
    both = [judged(two_outputs, tmp_path / name)[3].with_name("example.npz").read_bytes() for name in ("one", "two")]
    assert both[0] == both[1]


def test_what_is_random_is_no_example(tmp_path):
    found, *_, path = judged(noise, tmp_path)
    assert found["status"] == VERIFIED and found["no_example"] == "all outputs are random"
    assert "example" not in found and not path.with_name("example.npz").exists()


def test_what_is_not_verified_has_no_example(tmp_path):
    *_, path = judged(two_outputs, tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert path.with_name("example.npz").exists()
    record = imported(saved(two_outputs, tmp_path / "again"), outputs=["out"])
    provenance, other = frozen(record, tmp_path / "frozen")
    assert not other.with_name("example.npz").exists(), "it was of the graph that was there"
    provenance.outputs, provenance.tensors = ["out:0"], []
    provenance.frozen_variables = 0
    found = in_fresh_process(verified, record, provenance, other)
    assert found["status"] != VERIFIED and not other.with_name("example.npz").exists()


def test_any_arrays_are_kept_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fed = {
        "a/b:0": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "flag:0": np.array(True),
        "text:0": np.array([[b"ice", b"snow\xff"], [b"", b"a"]], object),
        "none:0": np.zeros([0, 3], np.float16),
    }
    examples.keep(fed, {"out:0": np.array([1 + 2j, np.nan])})
    with np.load("example.npz", allow_pickle=False) as kept:
        for name, value in fed.items():
            assert kept[name].shape == value.shape and kept[name].tolist() == value.tolist()
        assert kept["out:0"].dtype == np.complex128


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [({"x:0": np.zeros(5 << 20, np.float32)}, "too_large"), ({"x:0": np.array([b"a\0"], object)}, "bad_feed")],
)
def test_what_cannot_be_kept(arrays, cause, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert problem_of(examples.keep, arrays, {}).cause == cause
    assert not (tmp_path / "example.npz").exists()
