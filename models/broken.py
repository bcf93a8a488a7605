"""What happens to checkpoints on their way through the world: functions that break a good one, or write a wrong one."""

import hashlib
from pathlib import Path

import tensorflow as tf


def _data_file(directory: Path) -> Path:
    return sorted(directory.glob("*.data-*"))[-1]


def lfs_pointer(directory: Path) -> None:
    """A clone without `git lfs pull`: a few lines of text stand where the weights should be."""
    data = _data_file(directory)
    content = data.read_bytes()
    oid = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    data.write_text(pointer, encoding="ascii")


def missing_shard(directory: Path) -> None:
    """A copy that left the last shard behind."""
    _data_file(directory).unlink()


def truncated(directory: Path) -> None:
    """A download that was cut off: the data file ends in the middle of a tensor."""
    data = _data_file(directory)
    content = data.read_bytes()
    data.write_bytes(content[: len(content) // 2])


def tf2(directory: Path) -> None:
    """An object-based checkpoint of TensorFlow 2: no meta graph, and keys that are paths through Python objects."""
    weights = tf.Variable(tf.ones([3, 2]), name="weights")
    with tf.compat.v1.Session() as session:
        session.run(weights.initializer)
        tf.train.Checkpoint(weights=weights).write(str(directory / "ckpt-1"))
    state = 'model_checkpoint_path: "ckpt-1"\nall_model_checkpoint_paths: "ckpt-1"\n'
    (directory / "checkpoint").write_text(state, encoding="utf-8")
