"""Prefixes that TensorFlow's restore op takes for patterns, or that end in a slash, from the zoo to the verdict."""

import os
import tempfile

import numpy as np
import pytest
import tensorflow as tf

from fresh_process import in_fresh_process
from judged import verified
from stages import default_settings, frozen, imported, sources

v1 = tf.compat.v1
V1, V2 = v1.train.SaverDef.V1, v1.train.SaverDef.V2


def put(prefix: str, seed: int = 0, step: int | None = None, **options) -> None:
    """Saves a model with weights of its own as `prefix`, as TensorFlow's saver takes it."""
    os.makedirs(os.path.dirname(prefix), exist_ok=True)
    with tf.Graph().as_default(), v1.Session() as session:
        weights = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)
        variable = v1.get_variable("w", initializer=weights, use_resource=False)
        tf.nn.softmax(tf.matmul(v1.placeholder(tf.float32, [None, 4], name="x"), variable), name="out")
        session.run(v1.global_variables_initializer())
        v1.train.Saver(**options).save(session, prefix, step, write_state=False)


def in_directory(temporary: str, *args) -> dict:
    tempfile.tempdir = os.environ["TMPDIR"] = temporary
    return verified(*args, default_settings(timeout=120, trials=1))


def check(zoo, tmp_path, model: str, temporary: str = "") -> None:
    record = imported(sources(zoo)[model], outputs=["out"])
    provenance, path = frozen(record, tmp_path)
    found = in_fresh_process(in_directory, temporary or tempfile.gettempdir(), record, provenance, path)
    assert (found["status"], found.get("match")) == ("verified", "bitwise"), found


@pytest.mark.parametrize(
    ("prefix", "model"),
    [
        ("run[1]/model_[lr=0.1].ckpt", "run[1]/model_[lr=0.1].ckpt"),
        ("a*?/m[!x]*?.ckpt", "a*?/m[!x]*?.ckpt"),
        ("[/].ckpt", "[/].ckpt"),
        ("dir/", "dir/%"),
        ("[dir]/", "[dir]/%"),
    ],
)
@pytest.mark.parametrize("options", [{"write_version": V2}, {"write_version": V1, "sharded": True}])
def test_a_prefix_is_taken_as_it_is(prefix, model, options, tmp_path):
    zoo = tmp_path / "zoo"
    put(f"{zoo}/{prefix}", **options)
    for number, decoy in enumerate(("run1/model_l.ckpt", "abc/myab.ckpt", "d/", "run[1]/model_=.ckpt")):
        put(f"{zoo}/{decoy}", seed=number + 1)
    check(zoo, tmp_path, model)


def test_a_step_after_a_slash(tmp_path):
    put(f"{tmp_path}/zoo/dir/", step=7)
    assert sources(tmp_path / "zoo")["dir/%"].step == 7
    check(tmp_path / "zoo", tmp_path, "dir/%")


def test_a_temporary_directory_may_have_such_a_name_too(tmp_path):
    temporary = tmp_path / "tmp[1]*"
    temporary.mkdir()
    put(f"{tmp_path}/zoo/m[0].ckpt", write_version=V1)
    check(tmp_path / "zoo", tmp_path, "m[0].ckpt", str(temporary))
