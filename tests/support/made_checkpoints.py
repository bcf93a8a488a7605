"""Checkpoints made by hand, file by file, and what discovery finds of them."""

import os
import struct
from pathlib import Path

import crc32c

from permafrost.graph.protos import tensor_bundle_pb2
from permafrost.model import Model
from permafrost.zoo import discovery

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 136513620\n"
LONG_AGO = 1_500_000_000


def block(*entries: tuple[bytes, bytes]) -> bytes:
    """A table's block with short keys and values, its restart point, compression type and masked CRC32C."""
    body = b"".join(bytes([0, len(key), len(value)]) + key + value for key, value in entries)
    body += struct.pack("<II", 0, 1) + b"\0"
    crc = crc32c.crc32c(body)
    return body + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def handle(offset: int, size: int) -> bytes:
    assert offset < 128 and size < 128
    return bytes([offset, size])


def footer(*handles: int) -> bytes:
    """A table's footer: offsets and sizes of its metaindex and index blocks, and the magic number."""
    return b"".join(map(varint, handles)).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def varint(number: int) -> bytes:
    return bytes([number & 127 | 128]) + varint(number >> 7) if number > 127 else bytes([number])


def table(*entries: tuple[bytes, bytes]) -> bytes:
    """A small table as TensorFlow's TableBuilder writes it: data, metaindex and index blocks, and the footer."""
    data, meta = block(*entries), block()
    index = block((b"~", handle(0, len(data) - 5)))
    handles = handle(len(data), len(meta) - 5) + handle(len(data) + len(meta), len(index) - 5)
    return data + meta + index + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def index(shards: int = 1, object_based: bool = False) -> bytes:
    header = tensor_bundle_pb2.BundleHeaderProto(num_shards=shards)
    header.version.producer = 1
    entry = tensor_bundle_pb2.BundleEntryProto(dtype=7, size=0).SerializeToString()
    tensors = [(b"_CHECKPOINTABLE_OBJECT_GRAPH", entry)] if object_based else []
    return table((b"", header.SerializeToString()), *tensors)


V1 = table((b"", b"\n\0"))


def put(directory: Path, **files: bytes) -> None:
    """Writes files with an mtime long past; keyword names are file names."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = os.path.join(directory, name)
        Path(path).write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))


def put_v2(directory: Path, name: str, meta: bytes | None = b"\n\0graph", shards: int = 1, **index_options) -> None:
    put(directory, **{f"{name}.index": index(shards, **index_options)})
    for number in range(shards):
        put(directory, **{f"{name}.data-{number:05d}-of-{shards:05d}": b"weights" * 200})
    if meta is not None:
        put(directory, **{f"{name}.meta": meta})


def says(directory: Path, *paths: str) -> None:
    text = f'model_checkpoint_path: "{paths[0]}"\n' + "".join(f'all_model_checkpoint_paths: "{p}"\n' for p in paths)
    put(directory, checkpoint=text.encode())


def latest(series: str, zoo: str) -> str:
    return "latest"


def scan(zoo: Path, cache: dict | None = None) -> list[discovery.Candidate]:
    return discovery.scan([str(zoo)], [], {} if cache is None else cache)


def models(zoo: Path, rule="latest") -> dict[str, Model]:
    found = discovery.select(scan(zoo), lambda series, zoo: rule)
    assert len({model.id for model in found}) == len(found)
    return {model.id: model for model in found}


def only(zoo: Path) -> discovery.Candidate:
    (candidate,) = scan(zoo)
    return candidate


def cause(candidate: discovery.Candidate) -> str:
    return candidate.problem.cause if candidate.problem else ""


def change(zoo: Path, name: str, content: bytes) -> bool:
    """Whether the fingerprint of the only model changes with a file's content."""
    cache = {}
    before = scan(zoo, cache)[0].fingerprint
    (zoo / name).write_bytes(content)
    return scan(zoo, cache)[0].fingerprint != before
