"""The files of an export beside a frozen graph: what is there, by what they are known again, and their end."""

import os
from contextlib import suppress
from pathlib import Path

from permafrost import layout, whole_files
from permafrost.export_records import ExportRecord
from permafrost.outcome import Problem

_EXPORT_AGAIN = "run again: the next run exports the model anew"


def paths(directory: Path, export: str) -> dict[str, Path]:
    """The files of an export that are in a model's directory, by their names in layout.EXPORTED."""
    named = {name: directory / name for name in layout.EXPORTED[export]}
    return {name: path for name, path in named.items() if path.is_file()}


def describe(directory: Path, record: ExportRecord) -> None:
    """Says in the record of an export what its files are. Raises OSError."""
    there = paths(directory, record.format)
    found = {name: os.stat(path) for name, path in there.items()}
    record.files = {name: whole_files.sha256(path) for name, path in there.items()}
    record.stamps = {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}
    record.bytes = sum(stat.st_size for stat in found.values())


def refuse_others(directory: Path, record: ExportRecord) -> None:
    """Raises Problem (changed) where a file of an export is not the one that its record describes; OSError."""
    there = paths(directory, record.format)
    for name in sorted({*there, *record.files}):
        if name not in there or whole_files.sha256(there[name]) != record.files.get(name):
            described = f"{directory / name} is not the file that {layout.export_record(record.format)} describes"
            raise Problem("changed", described, _EXPORT_AGAIN)


def delete(directory: Path, export: str) -> None:
    """Deletes the files of an export, with what killed processes left of them, and a directory that is empty then.

    The record stays: it is the output of a job. Raises OSError.
    """
    for name in layout.EXPORTED[export]:
        path = directory / name
        if path.parent.is_dir():
            whole_files.sweep(path)
            path.unlink(missing_ok=True)
        if path.parent != directory:
            with suppress(OSError):  # It is not there, or somebody else's files are in it.
                path.parent.rmdir()
