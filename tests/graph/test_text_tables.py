"""Text files as tables: what TensorFlow's own table holds, or a refusal where it refuses."""

import itertools
import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from permafrost.graph import text_tables
from permafrost.graph.text_tables import Format
from permafrost.outcome import Problem

raw = tf.raw_ops
NUMBER = itertools.count()
S, INT32, INT64, F, D = tf.string, tf.int32, tf.int64, tf.float32, tf.float64


def theirs(path, key, value, key_index, value_index, size=-1, delimiter="\t", offset=0):
    """The entries of TensorFlow's table; None where it refuses to fill one."""
    options = {"key_index": key_index, "value_index": value_index, "vocab_size": size, "offset": offset}
    try:
        table = raw.HashTableV2(key_dtype=key, value_dtype=value, shared_name=str(next(NUMBER)))
        raw.InitializeTableFromTextFileV2(table_handle=table, filename=str(path), delimiter=delimiter, **options)
        keys, values = raw.LookupTableExportV2(table_handle=table, Tkeys=key, Tvalues=value)
    except (tf.errors.OpError, ValueError):
        return None
    return {of_bits(a): of_bits(b) for a, b in zip(keys.numpy().tolist(), values.numpy().tolist(), strict=True)}


def of_bits(value):
    return np.float64(value).tobytes() if isinstance(value, float) else value


def ours(path, key, value, key_index, value_index, size=-1, delimiter="\t", offset=0):
    dtypes = (tf.as_dtype(key).as_datatype_enum, tf.as_dtype(value).as_datatype_enum)
    try:
        found = text_tables.read(str(path), Format(key_index, value_index, size, delimiter.encode(), offset, *dtypes))
    except Problem as problem:
        assert problem.cause == "bad_vocabulary" and str(path) in problem.message
        return None
    return {of_bits(a): of_bits(b) for a, b in found.items()}


CONTENTS = [
    b"a\nb\nc\n", b"a\nb", b"a\r\nb\r\n", b"a\n\rb\rc\rd", b"a\r\r\nb\r\r", b"a\r", b"\r\na", b"\r", b"a\n\r",
    b"", b"\n", b"a\n\nb\n", b"a\n\n", b"a\nb\na\n", b"\xff\xfe\nb", b"\xef\xbb\xbfa\nb", b"a\0b\nc",
    b"x" * 300000 + b"\r\ny",
]  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS)
def test_lines_are_those_of_tensorflow(content, tmp_path):
    path = tmp_path / "words"
    path.write_bytes(content)
    for size, offset in itertools.product((-1, 0, 1, 2, 3), (0, 5)):
        arguments = (path, S, INT64, -2, -1, size, "\t", offset)
        assert ours(*arguments) == theirs(*arguments), (size, offset)
    arguments = (path, INT64, S, -1, -2)
    assert ours(*arguments) == theirs(*arguments)


@pytest.mark.parametrize("key", [S, INT64, INT32])
@pytest.mark.parametrize("value", [S, INT64, INT32, F, D, tf.bool])
def test_columns_are_those_of_tensorflow(key, value, tmp_path):
    path = tmp_path / "words"
    for content in (b"5\t6\n7\t8\n", b"5 6\n7 8 9\n", b"5\n6\n", b"5\t1\n5\t1\n", b"5\t1\n5\t2\n"):
        path.write_bytes(content)
        for indices in itertools.product((-2, -1, 0, 1), repeat=2):
            for delimiter in ("\t", " "):
                arguments = (path, key, value, *indices, -1, delimiter, 3)
                found, expected = ours(*arguments), theirs(*arguments)
                # For some pairs of dtypes TensorFlow has no table at all, which its own graph shows.
                assert found == expected or (expected is None and (key, value) in NO_TABLES), (content, *indices)


NO_TABLES = [(INT32, INT64), (INT32, tf.bool), (S, tf.bool), (INT64, tf.bool)]

NUMBERS = [
    "5", "-5", "+5", " 5 ", "\v5\f", "05", "-0", "--5", "+ 5", "5 5", "5_0", "", " ", "5\0x", "5.0", "2147483647",
    "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "1.5", ".5", "5.", ".", "1e3", "1e", "-.5e-3", "1E+2", "1.5f", "0.1", "16777217", "1.00000017881393432617187499",
    "1.00000017881393432617187500", "1.00000005960464477539062501", "1e-45", "7e-46", "3.4028235e38", "1e-310",
    "1e-400", "0.30000000000000004", "123456789.123456789", "1.17549429e-38",
]  # fmt: skip


@pytest.mark.parametrize("dtype", [INT32, INT64, F, D])
def test_numbers_are_those_of_tensorflow(dtype, tmp_path):
    path = tmp_path / "words"
    for text in NUMBERS:
        path.write_bytes(b"a\t" + text.encode())
        assert ours(path, S, dtype, 0, 1) == theirs(path, S, dtype, 0, 1), text


@pytest.mark.parametrize("offset", [1, -1, 1 << 31, (1 << 63) - 1, -(1 << 63)])
def test_offsets_are_added_as_tensorflow_does(offset, tmp_path):
    path = tmp_path / "words"
    path.write_text("2147483647\t5\n7\t8\n")
    for key, value, indices in ((S, INT32, (0, 0)), (S, INT64, (0, -1)), (INT64, S, (-1, 0)), (INT32, INT32, (0, 1))):
        arguments = (path, key, value, *indices, -1, "\t", offset)
        assert ours(*arguments) == theirs(*arguments)


@pytest.mark.parametrize("text", ["nan", "inf", "0x1p3", "1e999", "3.5e38", "1e99999999"])
def test_odd_numbers_are_refused(text, tmp_path):
    path = tmp_path / "words"
    path.write_bytes(b"a\t" + text.encode())
    assert ours(path, S, F, 0, 1) is None


def test_random_numbers_are_those_of_tensorflow(tmp_path):
    random, path = np.random.default_rng(0), tmp_path / "words"
    texts = [f"{value:.{digits}e}" for digits in (3, 8, 17) for value in np.exp(random.normal(size=200) * 30)]
    texts = [text for text in texts if float(text) < 3e38]
    path.write_text("".join(f"{number}\t{text}\n" for number, text in enumerate(texts)))
    assert ours(path, INT64, F, 0, 1) == theirs(path, INT64, F, 0, 1)
