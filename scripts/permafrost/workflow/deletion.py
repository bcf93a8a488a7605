"""Deletes the files that the pipeline makes below directories, and the directories that are empty then.

Other files are left alone, so that a directory that holds more than reports can be named.
"""

import contextlib
import os
from pathlib import Path

from permafrost.layout import MADE_FILES
from permafrost.whole_files import is_temporary


def delete(directory: str | Path, recursive: bool) -> list[str]:
    """Deletes what was made in `directory`, and below it where `recursive`; returns the paths that were deleted.

    Directories that are empty then go too, those above as well. Raises OSError.
    """
    deleted = []
    for folder, _, files in os.walk(directory, topdown=False):
        if not recursive and folder != str(directory):
            continue
        for name in files:
            if name in MADE_FILES or is_temporary(name):
                os.unlink(os.path.join(folder, name))
                deleted.append(os.path.join(folder, name))
        with contextlib.suppress(OSError):  # It is not empty.
            os.removedirs(folder)
    return deleted
