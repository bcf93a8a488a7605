"""Files that a child of the sandbox leaves in its working directory, and that its caller asked for."""

import contextlib
import os
import shutil
import stat
from pathlib import Path

from permafrost.whole_files import written_whole

_CHUNK = 1 << 20  # bytes


def move(left: str, path: str | Path) -> None:
    """Moves a file that a child has left to `path`. Raises OSError where it cannot be written."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if (source := _regular(left)) is None:
        return
    try:
        with (
            written_whole(path) as temporary,
            open(temporary, "wb") as target,
            open(source, "rb", closefd=False) as file,
        ):
            shutil.copyfileobj(file, target, _CHUNK)
    finally:
        os.close(source)


def _regular(path: str) -> int | None:
    """A descriptor of a regular file; None where there is none: a link could lead anywhere, and a pipe has no end."""
    try:
        found = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(found).st_mode):
        return found
    os.close(found)
    return None
