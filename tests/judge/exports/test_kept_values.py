"""Arrays come back from a file as they were, bit by bit."""

import ml_dtypes
import numpy as np
import pytest

from permafrost.judge import comparison
from permafrost.judge.exports import kept_values

ARRAYS = [
    np.array([1.5, -0.0, np.nan, np.inf], np.float32),
    np.arange(6, dtype=np.int64).reshape(2, 3),
    np.array(True),
    np.zeros((0, 3), np.float16),
    np.array([1, 2], ml_dtypes.bfloat16),
    np.array([1 + 2j], np.complex64),
    np.array([b"a\0b", b"", "ä".encode()], object),
    np.array(b"alone", object),
]


def test_arrays_come_back_as_they_were(tmp_path):
    kept_values.write(tmp_path / "values", [ARRAYS, [], ARRAYS[::-1]])
    first, none, last = kept_values.read(tmp_path / "values")
    assert not none
    for written, read in zip([*ARRAYS, *ARRAYS[::-1]], [*first, *last], strict=True):
        assert comparison.same_bytes(written, read)


@pytest.mark.parametrize("content", [b"", b"\x91\x01", b"not a file of values"])
def test_what_is_no_such_file_is_refused(content, tmp_path):
    (tmp_path / "values").write_bytes(content)
    with pytest.raises(ValueError):
        kept_values.read(tmp_path / "values")
