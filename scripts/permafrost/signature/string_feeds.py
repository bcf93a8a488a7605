"""Makes strings of the forms that graphs take: words, serialized examples, PNG images, WAV sounds, numbers as text."""

import struct
import zlib
from collections.abc import Sequence
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from permafrost import input_kinds as kinds

_WORDS = ("a", "b", "c", "the", "one", "two", "red", "blue")
_IMAGE_SIZE = 32  # pixels in height and width


def make(content: kinds.Content, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.object_]:
    """An array of bytes objects (dtype object) of the given shape."""
    array = np.empty(shape, dtype=object)
    for at in np.ndindex(shape):
        array[at] = _text(content, generator)
    return array


def _text(content: kinds.Content, generator: np.random.Generator) -> bytes:
    match content:
        case kinds.Words():
            return _word(generator, content.words or _WORDS)
        case kinds.DecimalNumber():
            return _number(generator)
        case kinds.CsvLine():
            return b",".join(_number(generator) for _ in range(content.fields))
        case kinds.RawBytes():
            # Small bytes, so that floats made of them are no NaN.
            return generator.integers(0, 64, content.bytes, dtype=np.uint8).tobytes()
        case kinds.WavSound():
            return _wav(content.samples, generator)
        case kinds.PngImage():
            return _png(content.channels, generator)
        case kinds.SerializedExample():
            return _example(content.features, generator)
        case _:
            assert_never(content)


def _word(generator: np.random.Generator, words: Sequence[str] = _WORDS) -> bytes:
    return str(generator.choice(words)).encode()


def _number(generator: np.random.Generator) -> bytes:
    return b"%d" % generator.integers(0, 10)


def _wav(samples: int, generator: np.random.Generator) -> bytes:
    """16-bit mono PCM at 16 kHz."""
    data = generator.integers(-3000, 3000, samples, dtype=np.int16).tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _png(channels: int, generator: np.random.Generator) -> bytes:
    """See https://www.w3.org/TR/png: IHDR, one IDAT of rows without a filter, IEND."""
    rows = generator.integers(0, 256, (_IMAGE_SIZE, _IMAGE_SIZE * channels), dtype=np.uint8)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}.get(channels, 2)
    header = struct.pack(">IIBBBBB", _IMAGE_SIZE, _IMAGE_SIZE, 8, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _example(features: list[kinds.Feature], generator: np.random.Generator) -> bytes:
    from tensorflow.core.example import example_pb2  # Only who runs a graph feeds it, and has TensorFlow loaded.

    example = example_pb2.Example()
    for key, dtype, count in features:
        feature = example.features.feature[key]
        if dtype == "float32":
            feature.float_list.value.extend(generator.random(count).tolist())
        elif dtype == "int64":
            feature.int64_list.value.extend(generator.integers(0, 2, count).tolist())
        else:
            feature.bytes_list.value.extend(_word(generator) for _ in range(count))
    return bytes(example.SerializeToString(deterministic=True))
