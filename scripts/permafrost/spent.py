"""What was made and does not hold any more: found out before Snakemake plans its jobs, so that it is made again.

That is the record of a fault that has passed (a full disk, a killed process), the record of a frozen graph that is not
there or is another one, that of a corrupt checkpoint which has other files now, and whatever somebody has changed since
the job that made it ended. What a killed process has left half-written goes too.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from snakemake.io import IOFile
from snakemake.persistence.file import FilePersistence

from permafrost import records
from permafrost.contract import MADE_FILES
from permafrost.unchanged import stamp_of

# and provenance.json, beside the frozen graph
_RECORDS = ("import.json", "verify.json", "list_ops.json", "judged.json")
_LOOKED_AT = MADE_FILES - {"settings.yaml"}  # That one is there to be edited.


def give_up(models: Iterable[str], frozen: str, reports: str) -> None:
    """Deletes records that do not hold any more, and marks as incomplete, in Snakemake's notes, what was edited.

    Snakemake then makes it again, where a target needs it. What was made of a model is not read where all its files are
    still those that were there when this was called last, as `reports`/.checked tells.

    Args:
      models: ids.
      frozen, reports: the directories.
    Raises OSError where a record cannot be deleted, or Snakemake's notes or `reports`/.checked cannot be written.
    """
    notes = FilePersistence(nolock=True)
    checked = Path(reports, ".checked")
    before, now = _read(checked), {}
    _mark_edited(_made_in(reports), notes)
    for model in models:
        of_model = Path(reports, "models", model)
        made = [*_made_in(os.path.join(frozen, model)), *_made_in(str(of_model))]
        now[model] = _state(made)
        if now[model] != before.get(model):
            provenance = Path(frozen, model, "provenance.json")
            corrupt = _found_corrupt(provenance)
            is_mended = any(stamp_of(path) != known for path, known in corrupt.items())
            _give_up_records(provenance, of_model, model, is_mended)
            _mark_edited(made, notes)
            if corrupt:
                del now[model]  # It is looked at in each run, since its files may be mended at any time.
    if now != before:
        records.write_json(checked, now)


def _give_up_records(provenance: Path, of_model: Path, model: str, is_mended: bool) -> None:
    for path in (provenance, *(of_model / name for name in _RECORDS)):
        if is_mended or _is_spent(path, model):
            path.unlink(missing_ok=True)


def _read(checked: Path) -> dict[str, int]:
    try:
        states = json.loads(checked.read_text())
    except (OSError, ValueError):
        return {}
    return states if isinstance(states, dict) else {}


def _made_in(directory: str) -> list[str]:
    """The paths of what was made in a directory; what a killed process began to write there is deleted."""
    names = []
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(directory))
    for name in filter(records.is_temporary, names):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(directory, name))
    return [os.path.join(directory, name) for name in names if name in _LOOKED_AT]


def _state(paths: list[str]) -> int:
    """A checksum of which files these are, and in which state: of their ids and all that stat(2) tells of a change."""
    state = 0
    for path in paths:
        facts = (path,)
        with contextlib.suppress(OSError):
            found = os.stat(path)
            facts += (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        state = zlib.crc32(repr(facts).encode(errors="surrogateescape"), state)
    return state


def _found_corrupt(provenance: Path) -> dict[str, list[int]]:
    """The files in which the freezer found what their checksums do not match, with their stamps; none where it did not.

    Their content is in no fingerprint of the model, as that of an index or a meta graph is.
    """
    try:
        found = records.load(provenance).get("corrupt")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
            records.checksum(frozen_graph) == record.get("frozen_crc32c")
        )
    except OSError:
        return False


def _mark_edited(made: list[str], notes: FilePersistence) -> None:
    """Marks those of a model's files that have another mtime than Snakemake noted when their job ended.

    Where all files have another one they were copied without their times, and are left alone.
    """
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
