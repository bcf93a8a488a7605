"""What was made and does not hold any more: found out before Snakemake plans its jobs, so that it is made again.

That is the record of a fault that has passed (a full disk, a killed process), the record of a frozen graph that is not
there or is another one, and whatever somebody has changed since the job that made it ended.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from snakemake.io import IOFile
from snakemake.persistence.file import FilePersistence

from permafrost import records
from permafrost.contract import MADE_FILES

_RECORDS = ("import.json", "verify.json")
_EDITABLE = {"settings.yaml"}


def delete(models: Iterable[str], frozen: str, reports: str) -> None:
    """Deletes the records of these models that do not hold any more. Raises OSError where one cannot be deleted.

    Args:
      models: ids.
      frozen, reports: the directories.
    """
    for model in models:
        paths = [Path(frozen, model, "provenance.json"), *(Path(reports, "models", model, name) for name in _RECORDS)]
        for path in paths:
            if _is_spent(path, model):
                path.unlink(missing_ok=True)


def _is_spent(path: Path, model: str) -> bool:
    try:
        record = records.load(path)
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    if record["transient"] or record.get("model") != model:
        return True
    return "frozen_bytes" in record and not _is_described(path.with_name("frozen_graph.pb"), record)


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


def mark_edited(models: Iterable[str], frozen: str, reports: str) -> None:
    """Marks as incomplete, in Snakemake's notes, what somebody has changed since the job that made it ended.

    Snakemake then makes it again, where a target needs it. It is told by its mtime, which Snakemake notes when a job
    ends. Where all files of a model have another one they were copied without their times, and are left alone. Files
    whose state has not changed since this was called last are not looked up.

    Args: as of `delete`. Raises OSError where Snakemake's notes or `reports`/.checked cannot be written.
    """
    checked, began = Path(reports, ".checked"), Path(reports, ".checked.new")
    began.touch()  # It gets its time from the same clock as the files.
    since = _changed(checked)
    notes = FilePersistence(nolock=True)
    for group in [[reports], *([os.path.join(frozen, m), os.path.join(reports, "models", m)] for m in models)]:
        paths = [path for directory in group for path in _made_in(directory)]
        if max(map(_changed, paths), default=0) < since:
            continue
        others = {path: other for path in paths if (other := _is_other(path, notes)) is not None}
        if len(others) == 1 or not all(others.values()):
            for path in (path for path, other in others.items() if other):
                notes._mark_incomplete(path, None)
    os.replace(began, checked)


def _made_in(directory: str) -> list[str]:
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [os.path.join(directory, name) for name in names if name in MADE_FILES and name not in _EDITABLE]


def _changed(path: str | Path) -> int:
    """When a file's content or state changed last (ctime, ns); 0 where it cannot be told."""
    try:
        return os.stat(path).st_ctime_ns
    except OSError:
        return 0


def _is_other(path: str, notes: FilePersistence) -> bool | None:
    """Whether a file has another mtime than when its job ended; None where that is not noted."""
    note = notes.metadata(IOFile(path))
    if note is None or note.endtime is None:
        return None
    try:
        return os.stat(path).st_mtime != note.endtime
    except OSError:
        return None
