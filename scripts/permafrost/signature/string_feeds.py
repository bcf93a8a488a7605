"""Makes strings of the forms that graphs take: words, serialized examples, PNG images, WAV sounds, numbers as text."""

import struct
import zlib

import numpy as np

from permafrost.outcome import Problem

_WORDS = ("a", "b", "c", "the", "one", "two", "red", "blue")
_IMAGE_SIZE = 32  # pixels in height and width


def make(content: dict, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """An array of bytes objects (dtype object) of the given shape.

    Args:
      content: as signature.string_inputs.content gives it.
    Raises Problem (bad_feed) for a form that there is not.
    """
    maker = _MAKERS.get(content["form"])
    if maker is None:
        raise Problem("bad_feed", f"{content['form']!r} is not a form of strings")
    array = np.empty(shape, dtype=object)
    for at in np.ndindex(shape):
        array[at] = maker(content, generator)
    return array


def _word(content: dict, generator: np.random.Generator) -> bytes:
    return str(generator.choice(content.get("words") or _WORDS)).encode()


def _number(content: dict, generator: np.random.Generator) -> bytes:
    return b"%d" % generator.integers(0, 10)


def _csv(content: dict, generator: np.random.Generator) -> bytes:
    return b",".join(_number(content, generator) for _ in range(content["fields"]))


def _raw(content: dict, generator: np.random.Generator) -> bytes:
    # Small bytes, so that floats made of them are no NaN.
    return generator.integers(0, 64, content["bytes"], dtype=np.uint8).tobytes()


def _wav(content: dict, generator: np.random.Generator) -> bytes:
    """16-bit mono PCM at 16 kHz."""
    data = generator.integers(-3000, 3000, content["samples"], dtype=np.int16).tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _png(content: dict, generator: np.random.Generator) -> bytes:
    """See https://www.w3.org/TR/png: IHDR, one IDAT of rows without a filter, IEND."""
    channels = content["channels"]
    rows = generator.integers(0, 256, (_IMAGE_SIZE, _IMAGE_SIZE * channels), dtype=np.uint8)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}.get(channels, 2)
    header = struct.pack(">IIBBBBB", _IMAGE_SIZE, _IMAGE_SIZE, 8, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _example(content: dict, generator: np.random.Generator) -> bytes:
    """A tf.train.Example with each feature that a parser asks for."""
    from tensorflow.core.example import example_pb2  # Only who runs a graph feeds it, and has TensorFlow loaded.

    example = example_pb2.Example()
    for key, dtype, count in content["features"]:
        feature = example.features.feature[key]
        if dtype == "float32":
            feature.float_list.value.extend(generator.random(count).tolist())
        elif dtype == "int64":
            feature.int64_list.value.extend(generator.integers(0, 2, count).tolist())
        else:
            feature.bytes_list.value.extend(_word({}, generator) for _ in range(count))
    return example.SerializeToString(deterministic=True)


_MAKERS = {
    "words": _word,
    "number": _number,
    "csv": _csv,
    "raw": _raw,
    "wav": _wav,
    "image": _png,
    "example": _example,
}
