"""Whether files are still those that were seen before: by all that stat(2) tells of a change, which costs nothing.

A training program deletes old steps and writes new ones while its checkpoints are read. What a stage then finds to be
wrong is the fault of neither checkpoint.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

from permafrost.outcome import Problem


def stamp(found: os.stat_result) -> list[int]:
    """Size (bytes), times of change of content and of state (ns), and inode of a file.

    Content cannot change without one of them, since no program sets the time of change of state (ctime). That of a file
    whose content is the same may well: where a stamp is another one, one has to look again.
    """
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def stamp_of(path: str) -> list[int] | None:
    """The stamp of the file at `path`, links followed; None where there is none."""
    try:
        return stamp(os.stat(path))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def watched(paths: Iterable[str]) -> Iterator[Callable[[], None]]:
    """Turns what goes wrong inside into Problem (changed), where one of the files was deleted or changed meanwhile.

    Gives a function that raises that Problem at once, for what goes wrong without an exception.
    Args:
      paths: files that were there when an earlier stage looked, so that one that is not was deleted since.
    """
    before = {path: stamp_of(path) for path in paths}

    def refuse_changed() -> None:
        for path, known in before.items():
            now = stamp_of(path)
            if now is None:
                raise Problem("changed", f"{path} was deleted before it was read to the end")
            if now != known:
                raise Problem("changed", f"{path} was changed while it was read")

    try:
        yield refuse_changed
    except (Problem, OSError):
        refuse_changed()
        raise
