"""Files that appear whole or not at all, and what tells a file from another: its stamp and its checksums."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from permafrost.layout import MADE_FILES

_TEMPORARY = re.compile(r"\.(.+)\.[0-9]+\.tmp")


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; renames it to `path` at the end, or deletes it on any exception.

    What a killed process has begun to write for `path` goes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Deletes what killed processes have begun to write for the file at `path`, which one process writes at a time."""
    for name in os.listdir(path.parent):
        match = _TEMPORARY.fullmatch(name)
        if match and match[1] == path.name[:200]:
            path.with_name(name).unlink(missing_ok=True)


def temporary_of(name: str) -> str:
    """The file of the pipeline's for which written_whole made one of this name, which a killed run leaves; or ""."""
    match = _TEMPORARY.fullmatch(name)
    return match[1] if match is not None and match[1] in MADE_FILES else ""


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Writes `content` to `path` as JSON, whole or not at all. Raises OSError."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


def overwrite(path: str | Path, text: str) -> bool:
    """Writes an ASCII text over the file at `path`, in the room that it has; returns whether that was enough.

    What is left of the room is filled with spaces. Raises OSError.
    """
    content, size = text.encode("ascii"), os.path.getsize(path)
    if len(content) > size:
        return False
    with open(path, "r+b") as file:
        file.write(content.ljust(size))
    return True


def stamp(path: str | Path) -> list[int]:
    """Inode, and times of change of content and of state in ns, by which a file is known again. Raises OSError."""
    found = os.stat(path)
    return [found.st_ino, found.st_mtime_ns, found.st_ctime_ns]


def stamp_if_there(path: str | Path) -> list[int] | None:
    """As stamp, and None where there is no such file, or no such name can be."""
    try:
        return stamp(path)
    except (OSError, ValueError):
        return None


def checksum(path: str | Path) -> str:
    """The CRC32C of a file's content, in hexadecimal. Raises OSError."""
    from crc32c import crc32c

    value = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            value = crc32c(chunk, value)
    return f"{value:08x}"


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_hashes(path: str | Path, hashes: dict[str, str]) -> None:
    """Writes a list of SHA-256, in hexadecimal by file, for `sha256sum -c`, whole or not at all. Raises OSError.

    Backslashes and line ends in names are escaped as digest.c of GNU coreutils does.
    """
    lines = []
    for name, value in hashes.items():
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        lines.append(f"{chr(92) if escaped != name else ''}{value}  {escaped}\n")
    with written_whole(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
