"""What was made and does not hold any more: found out before Snakemake plans its jobs, so that it is made again.

That is the record of a fault that has passed (a full disk, a killed process), the record of a frozen graph that is not
there or is another one, and whatever somebody has changed since the job that made it ended.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from snakemake.io import IOFile
from snakemake.persistence.file import FilePersistence

from permafrost import records
from permafrost.contract import MADE_FILES

_RECORDS = ("provenance.json", "import.json", "verify.json")
_LOOKED_AT = MADE_FILES - {"settings.yaml"}  # That one is there to be edited.


def give_up(models: Iterable[str], frozen: str, reports: str) -> None:
    """Deletes records that do not hold any more, and marks as incomplete, in Snakemake's notes, what was edited.

    Snakemake then makes it again, where a target needs it. Where nothing has changed in a model's directories since
    this was called last, nothing is read.

    Args:
      models: ids.
      frozen, reports: the directories.
    Raises OSError where a record cannot be deleted, or Snakemake's notes or `reports`/.checked cannot be written.
    """
    checked, began = Path(reports, ".checked"), Path(reports, ".checked.new")
    began.touch()  # It gets its time from the same clock as the files.
    since = checked.stat().st_mtime_ns if checked.exists() else 0
    notes = FilePersistence(nolock=True)
    if _changed([reports]) >= since:
        _mark_edited([reports], notes)
    for model in models:
        directories = [os.path.join(frozen, model), os.path.join(reports, "models", model)]
        if _changed(directories) >= since:
            for path in (Path(directory, name) for directory in directories for name in _RECORDS):
                if _is_spent(path, model):
                    path.unlink(missing_ok=True)
            _mark_edited(directories, notes)
    os.replace(began, checked)


def _changed(directories: list[str]) -> int:
    """When these directories, or a file in them that was made, changed last (ctime, ns)."""
    return max(map(_ctime, [*directories, *_made_in(directories)]))


def _ctime(path: str) -> int:
    try:
        return os.stat(path).st_ctime_ns
    except OSError:
        return 0


def _made_in(directories: list[str]) -> list[str]:
    made = []
    for directory in directories:
        with contextlib.suppress(OSError):
            made += [os.path.join(directory, name) for name in os.listdir(directory) if name in _LOOKED_AT]
    return made


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


def _mark_edited(directories: list[str], notes: FilePersistence) -> None:
    """Marks what has another mtime than Snakemake noted when its job ended.

    Where all files have another one they were copied without their times, and are left alone.
    """
    made = _made_in(directories)
    if all(_ctime(path) < _ctime(notes._record_path(notes._metadata_path, path)) for path in made):
        return  # None has changed since it was noted, which is known without reading the notes.
    others = {path: other for path in made if (other := _is_other(path, notes)) is not None}
    if len(others) == 1 or not all(others.values()):
        for path in (path for path, other in others.items() if other):
            notes._mark_incomplete(path, None)


def _is_other(path: str, notes: FilePersistence) -> bool | None:
    """Whether a file has another mtime than when its job ended; None where that is not noted."""
    note = notes.metadata(IOFile(path))
    if note is None or note.endtime is None:
        return None
    try:
        return os.stat(path).st_mtime != note.endtime
    except OSError:
        return None
