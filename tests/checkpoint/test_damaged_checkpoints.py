"""Checkpoints whose files are flipped, cut, missing or changed: a Problem, and never a wrong tensor."""

import os
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from permafrost.checkpoint.reader import OBJECT_GRAPH, open_checkpoint, read_index_header
from permafrost.outcome import Problem
from saved_checkpoints import cause_of, read_everything, save, values


@pytest.fixture
def bundle(tmp_path):
    """The prefix of a V2 checkpoint with a float tensor and a string tensor."""
    return save(str(tmp_path / "m.ckpt"), {"weights": values("float32", (50, 4)), "words": values("string", (30,))})


def index_of(prefix):
    return Path(prefix + ".index")


def data_of(prefix):
    return Path(prefix + ".data-00000-of-00001")


def flip(path, position, bit=1):
    content = bytearray(path.read_bytes())
    content[position] ^= bit
    path.write_bytes(content)


def test_flipped_bits_of_the_data_are_found(bundle):
    for position in range(0, data_of(bundle).stat().st_size, 7):
        flip(data_of(bundle), position, 1 << position % 8)
        assert cause_of(read_everything, bundle) == "corrupt", position
        flip(data_of(bundle), position, 1 << position % 8)
    read_everything(bundle)


def test_a_wrong_checksum_names_tensor_and_file(bundle):
    flip(data_of(bundle), 3)
    with pytest.raises(Problem) as caught, open_checkpoint(bundle) as checkpoint:
        checkpoint.read("weights")
    assert "'weights'" in caught.value.message and str(data_of(bundle)) in caught.value.message


def test_flipped_bits_of_the_index_never_give_a_wrong_answer(bundle):
    """What nobody reads may change: the empty metaindex block (13 bytes), its handle and the footer's padding."""
    right, harmless = read_everything(bundle), []
    for position in range(index_of(bundle).stat().st_size):
        flip(index_of(bundle), position)
        try:
            assert read_everything(bundle) == right
            harmless.append(position)
        except Problem as problem:
            assert problem.cause in ("corrupt", "truncated", "not_a_checkpoint"), position
        flip(index_of(bundle), position)
    assert len(harmless) <= 13 + 40


def test_cut_files(bundle):
    whole = index_of(bundle).read_bytes()
    for length in (0, *range(2, len(whole))):
        index_of(bundle).write_bytes(whole[:length])
        assert cause_of(open_checkpoint, bundle) == "truncated", length
        assert cause_of(read_index_header, str(index_of(bundle))) == "truncated", length
    index_of(bundle).write_bytes(whole)
    assert read_index_header(str(index_of(bundle))) == (1, False)
    for length in (0, 10, data_of(bundle).stat().st_size - 1):
        os.truncate(data_of(bundle), length)
        assert cause_of(open_checkpoint, bundle) == "truncated"


def test_missing_files(bundle, tmp_path):
    assert cause_of(open_checkpoint, str(tmp_path / "none")) == "missing_checkpoint"
    assert cause_of(open_checkpoint, str(tmp_path / "no" / "none")) == "missing_checkpoint"
    assert cause_of(open_checkpoint, "a\0b") == "missing_checkpoint"
    assert cause_of(open_checkpoint, str(tmp_path)) == "missing_checkpoint"
    assert cause_of(open_checkpoint, str(tmp_path / ("n" * 300))) == "unreadable"
    index = index_of(bundle).read_bytes()
    index_of(bundle).unlink()
    assert cause_of(open_checkpoint, bundle) == "no_index"
    index_of(bundle).write_bytes(index)
    data_of(bundle).unlink()
    with pytest.raises(Problem) as caught:
        open_checkpoint(bundle)
    assert caught.value.cause == "missing_shard" and "m.ckpt.data-00000-of-00001" in caught.value.message


def test_odd_files(bundle, tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 9\n"
    for path in (data_of(bundle), index_of(bundle)):
        path.write_bytes(pointer)
        assert cause_of(open_checkpoint, bundle) == "lfs_pointer"
    for content, word in ((b"PK\x03\x04...", "zip"), (b"\x80\x02}q\0.", "pickle"), (b"\x89HDF\r\n\x1a\n", "HDF5")):
        (tmp_path / "other").write_bytes(content * 20)
        with pytest.raises(Problem) as caught:
            open_checkpoint(str(tmp_path / "other"))
        assert caught.value.cause == "not_a_checkpoint" and word in caught.value.message
    (tmp_path / "other").write_bytes(b"hello " * 100)
    assert cause_of(open_checkpoint, str(tmp_path / "other")) == "not_a_checkpoint"
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.index")
    assert cause_of(open_checkpoint, str(tmp_path / "pipe")) == "unreadable"
    (tmp_path / "link").symlink_to(tmp_path / "link")
    assert cause_of(open_checkpoint, str(tmp_path / "link")) == "unreadable"


def test_object_based_checkpoint(tmp_path):
    prefix = tf.train.Checkpoint(v=tf.Variable(1.0)).save(str(tmp_path / "tf2"))
    with open_checkpoint(prefix) as checkpoint:
        checkpoint.check_content()
        assert OBJECT_GRAPH in checkpoint.tensors and len(checkpoint.tensors) == 3
    assert read_index_header(prefix + ".index") == (1, True)


def test_data_of_another_model(tmp_path):
    first, second = (save(str(tmp_path / name), {"t": values("float32", (9,), ord(name))}) for name in "ab")
    shutil.copy(data_of(second), data_of(first))
    assert cause_of(read_everything, first) == "corrupt"


@pytest.mark.parametrize("change", ["touch", "append", "replace", "delete"])
def test_a_checkpoint_that_changes_while_it_is_read(bundle, change):
    with open_checkpoint(bundle) as checkpoint:
        checkpoint.check_unchanged()
        path = data_of(bundle)
        if change == "touch":
            os.utime(path, (1, 1))
        elif change == "append":
            path.write_bytes(path.read_bytes() + b"x")
        elif change == "replace":
            shutil.copy2(path, path.with_name("new"))
            os.replace(path.with_name("new"), path)
        else:
            path.unlink()
        assert cause_of(checkpoint.read, "weights") == "changed"
        assert cause_of(checkpoint.read_strings, "words") == "changed"
        assert cause_of(checkpoint.check_unchanged) == "changed"


def test_what_write_raises_passes_through(bundle):
    def full(_):
        raise OSError(28, "No space left on device")

    with open_checkpoint(bundle) as checkpoint, pytest.raises(OSError, match="No space"):
        checkpoint.stream("weights", full)


def test_files_are_closed_whatever_happens(bundle):
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    before = open_files()
    read_everything(bundle)
    flip(data_of(bundle), 0)
    cause_of(read_everything, bundle)
    os.truncate(data_of(bundle), 5)
    cause_of(open_checkpoint, bundle)
    assert open_files() == before
