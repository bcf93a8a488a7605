"""Deletes what was made and does not hold any more, so that Snakemake makes it again.

That is the record of a fault that has passed (a full disk, a killed process), the record of a frozen graph that is not
there or is another one, and whatever somebody has changed since the job that made it ended.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from snakemake.io import IOFile
from snakemake.persistence.file import FilePersistence

from permafrost import records

_RECORDS = ("import.json", "verify.json")
_FOR_THE_USER = "settings.yaml"  # It is there to be edited.


def delete(models: Iterable[str], frozen: str, reports: str, kept_summary: str) -> None:
    """Deletes what does not hold any more of these models and of the reports on all of them.

    Args:
      models: ids.
      frozen, reports: the directories.
      kept_summary: the file that the gate writes at the end of a run.
    Raises OSError where something cannot be deleted.
    """
    directories = [reports]
    for model in models:
        of_frozen, of_reports = os.path.join(frozen, model), os.path.join(reports, "models", model)
        directories += of_frozen, of_reports
        for path in (os.path.join(of_frozen, "provenance.json"), *(os.path.join(of_reports, r) for r in _RECORDS)):
            if _is_spent(path, model):
                os.unlink(path)
    notes = FilePersistence(nolock=True)

    def made(path: str) -> float | None:
        note = notes.metadata(IOFile(path))
        return note.endtime if note else None

    for path in _edited(directories, kept_summary, made):
        os.unlink(path)


def _is_spent(path: str, model: str) -> bool:
    try:
        record = records.load(path)
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    if record["transient"] or record.get("model") != model:
        return True
    return "frozen_bytes" in record and not _is_described(Path(path).with_name("frozen_graph.pb"), record)


def _is_described(frozen_graph: Path, record: dict) -> bool:
    """Whether a frozen graph is the one that its provenance describes; read only where its times changed."""
    try:
        if frozen_graph.stat().st_size != record["frozen_bytes"]:
            return False
        return records.stamp(frozen_graph) == record.get("frozen_stamp") or (
            records.checksum(frozen_graph) == record["frozen_crc32c"]
        )
    except OSError:
        return False


def _edited(directories: list[str], kept_summary: str, made: Callable[[str], float | None]) -> Iterator[str]:
    """The files in these directories, not below them, that are not as the job left them that made them.

    Args:
      made: gives the mtime (s) that a file had when its job ended, by Snakemake's notes; None where they do not say.
    """
    try:
        # What nobody has touched since the last run ended need not be looked up.
        finished = os.stat(kept_summary).st_ctime
    except OSError:
        finished = 0.0
    for directory in directories:
        try:
            files = [file for file in os.scandir(directory) if file.is_file() and file.name != _FOR_THE_USER]
        except FileNotFoundError:
            continue
        for file in files:
            found = file.stat()
            if found.st_ctime > finished and made(file.path) not in (None, found.st_mtime):
                yield file.path
