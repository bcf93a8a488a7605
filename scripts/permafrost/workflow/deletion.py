"""Deletes the files that the pipeline makes below directories, and the directories that are empty then.

Other files are left alone, so that a directory that holds more than reports can be named.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from permafrost import layout
from permafrost.whole_files import temporary_of


def delete(directory: str | Path, recursive: bool) -> list[str]:
    """Deletes what was made in `directory`, and below it where `recursive`; returns the paths that were deleted.

    Directories that are empty then go too, those above as well. Raises OSError.
    """
    deleted = []
    for folder, files in _made(str(directory), recursive):
        for path in files:
            os.unlink(path)
        deleted += files
        if recursive or folder == str(directory) or _holds_export(folder, str(directory)):
            _remove_if_empty(folder)
    return deleted


def made(directories: Iterable[str], recursive: bool) -> list[str]:
    """The paths that `delete` would delete in each of the directories."""
    return [path for directory in directories for _, files in _made(directory, recursive) for path in files]


def _made(directory: str, recursive: bool) -> Iterator[tuple[str, list[str]]]:
    """Each directory from `directory` on, those below first, with the paths of what the pipeline made in it.

    What lies in a directory of its own, as a SavedModel does, goes with what it was made beside.
    """
    for folder, _, files in os.walk(directory, topdown=False):
        is_whole = recursive or folder == directory
        yield folder, [f"{folder}/{name}" for name in files if _is_made(folder, name, directory, is_whole)]


def _is_made(folder: str, name: str, top: str, is_whole: bool) -> bool:
    """Whether a file is the pipeline's, and is to go: one in a directory of its own by the record that lies beside."""
    name = temporary_of(name) or name
    if name not in layout.IN_DIRECTORIES:
        return is_whole and name in layout.MADE_FILES
    directory, record = layout.IN_DIRECTORIES[name]
    above = os.path.dirname(folder)
    is_there = os.path.basename(folder) == directory and os.path.exists(os.path.join(above, record))
    # What lies in `top` itself belongs to what is above that, and is to stay there.
    return is_there and folder != top and (is_whole or above == top)


def _holds_export(folder: str, top: str) -> bool:
    names = {directory for directory, _ in layout.IN_DIRECTORIES.values()}
    return os.path.dirname(folder) == top and os.path.basename(folder) in names


def delete_files(paths: Iterable[str]) -> list[str]:
    """Deletes files that were made, and what is empty then; returns which were there. Raises OSError."""
    deleted = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)
            deleted.append(path)
            _remove_if_empty(os.path.dirname(path))
    return deleted


def _remove_if_empty(folder: str) -> None:
    """Removes a directory and those above it, as far as they are empty."""
    with contextlib.suppress(OSError):
        os.removedirs(folder)
