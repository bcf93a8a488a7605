"""Deletes the files that the pipeline makes below directories, and the directories that are empty then.

Other files are left alone, so that a directory that holds more than reports can be named.
"""

import argparse
from pathlib import Path

from permafrost.workflow.deletion import delete, delete_files


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="*", type=Path)
    parser.add_argument("--recursive", action="store_true", help="also in all directories below")
    parser.add_argument("--files", nargs="*", default=[], help="files to delete besides, such as exports")
    args = parser.parse_args(argv)

    deleted = [path for directory in args.directories for path in delete(directory, args.recursive)]
    deleted += delete_files(args.files)
    print(f"{len(deleted)} files deleted")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
