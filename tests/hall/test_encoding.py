"""Numbers and checksums as TensorFlow and protocol buffers write them."""

import pytest
from google.protobuf.internal import decoder, encoder
from hypothesis import given
from hypothesis import strategies as st

from permafrost.encoding import masked, read_varint, varint

NUMBERS = st.integers(0, 2**64 - 1)


@given(NUMBERS, st.binary(max_size=3))
def test_varints_are_those_of_protocol_buffers(number, rest):
    assert varint(number) == encoder._VarintBytes(number)
    data = b"\xff" + varint(number) + rest
    assert read_varint(data, 1, len(data)) == decoder._DecodeVarint(data, 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "cut off"), (b"\x80" * 9, "cut off"), (b"\xff" * 9 + b"\x02", "too long"), (b"\x80" * 11, "too long")],
)
def test_what_is_no_number_is_said(data, said):
    with pytest.raises(ValueError, match=said):
        read_varint(data, 0, len(data))


@given(st.integers(0, 2**32 - 1))
def test_a_mask_can_be_taken_off(checksum):
    rotated = (masked(checksum) - 0xA282EAD8) & 0xFFFFFFFF  # crc32c.h, Unmask
    assert (rotated >> 17 | rotated << 15) & 0xFFFFFFFF == checksum
