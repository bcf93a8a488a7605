"""Deletes the files that the pipeline makes below directories, and the directories that are empty then.

Other files are left alone, so that a directory that holds more than reports can be named.
"""

import argparse
import os
import re
from pathlib import Path

from permafrost.contract import MADE_FILES


def delete(directory: str | Path) -> list[str]:
    """Deletes what was made below `directory`; returns the paths that were deleted. Raises OSError."""
    deleted = []
    for folder, _, files in os.walk(directory, topdown=False):
        for name in files:
            if name in MADE_FILES or _is_temporary(name):
                os.unlink(os.path.join(folder, name))
                deleted.append(os.path.join(folder, name))
        if not os.listdir(folder):
            os.rmdir(folder)
    return deleted


def _is_temporary(name: str) -> bool:
    """Whether a killed run left it: `.<made file>.<process id>.tmp`, see permafrost.records.written_whole."""
    match = re.fullmatch(r"\.(.+)\.[0-9]+\.tmp", name)
    return match is not None and match[1] in MADE_FILES


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="*", type=Path)
    args = parser.parse_args(argv)

    deleted = [path for directory in args.directories for path in delete(directory)]
    print(f"{len(deleted)} files deleted")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
