"""Which records do not hold any more: each gets another token, a parameter of its job, so that the job runs again.

That is the record of a fault that has passed (a full disk, a killed process), one that is not whole or is another
model's, that of a frozen graph, an example or an exported file which is not there or is another one, what was made of
a corrupt checkpoint that has other files now, and what is known of a model of which a vocabulary has come, gone or
changed. Nothing is deleted or marked: a job writes its token into its record, and where that holds, the record's own
token is the parameter from then on. So what failed for now is tried in each run, and what was made stays.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from permafrost import layout, recording
from permafrost.checkpoint.unchanged import stamp_of
from permafrost.export_records import FORMATS, ExportRecord, ExportVerdict
from permafrost.records import ImportRecord, JudgedFile, Provenance, Record, Verdict, is_known, known
from permafrost.whole_files import stamp_if_there

_KINDS: dict[str, type[Record]] = {
    "import_meta": ImportRecord,
    "freeze": Provenance,
    "verify": Verdict,
    "judge": JudgedFile,
    "list_ops": Record,
    **{f"export_{form}": ExportRecord for form in FORMATS},
    **{f"judge_{form}": ExportVerdict for form in FORMATS},
}
# Those whose record lies beside the frozen graph.
_BESIDE_FROZEN = ("freeze", *(f"export_{form}" for form in FORMATS))


class Attempts:
    """The tokens of all jobs of a run, each found out once.

    Args:
      frozen, reports: the directories.
    """

    def __init__(self, frozen: str, reports: str):
        self._frozen, self._reports = Path(frozen), Path(reports)
        self._found: dict[tuple[str, str], str] = {}
        self._mended_of: dict[str, list[Any]] = {}

    def of(self, stage: str, model: str) -> str:
        """The token of a stage's job: empty where there is no record, or one that was made at the first attempt.

        Args:
          stage: import_meta, freeze, verify, judge, list_ops, or export_<format> or judge_<format>.
          model: its id.
        """
        if (stage, model) not in self._found:
            self._found[stage, model] = self._token(stage, model)
        return self._found[stage, model]

    def _token(self, stage: str, model: str) -> str:
        at, directory = (
            (layout.of_frozen, self._frozen) if stage in _BESIDE_FROZEN else (layout.of_model, self._reports)
        )
        path = Path(at(directory, model, layout.RECORDS[stage]))
        try:
            record = recording.load(path, _KINDS[stage])
        except FileNotFoundError:
            return ""
        except (OSError, ValueError):
            return _digest(path)
        if record.transient or record.model != model:
            return _digest(path)
        others = []
        if isinstance(record, Provenance):
            others += _other_graph(path.with_name(layout.FROZEN_GRAPH), record)
        if isinstance(record, ExportRecord):
            others += _other_exports(path.parent, record)
        if isinstance(record, Verdict) and is_known(record.example):
            path_of_example = Path(layout.of_frozen(self._frozen, model, layout.EXAMPLE))
            others += _other_file(path_of_example, record.example.bytes, record.example.changed)
        if isinstance(record, ImportRecord):
            others += _other_vocabularies(record)
        if stage in ("import_meta", "freeze"):
            others += self._mended(model)
        return _digest(path, others) if others else known(record.attempt, "")

    def _mended(self, model: str) -> list[Any]:
        # import_meta and freeze both ask, and a provenance is large.
        if model not in self._mended_of:
            self._mended_of[model] = _mended(Path(layout.of_frozen(self._frozen, model, layout.PROVENANCE)))
        return self._mended_of[model]


def _digest(path: Path, others: Sequence[Any] = ()) -> str:
    """A digest, in hexadecimal, of a record's content and of what else there is beside it now."""
    try:
        content = path.read_bytes()
    except OSError as error:
        content = str(error.errno).encode()
    return hashlib.sha256(content + repr(others).encode(errors="surrogateescape")).hexdigest()[:16]


def _other_graph(frozen_graph: Path, provenance: Provenance) -> list[Any]:
    """What is there instead of the frozen graph that its provenance describes; nothing where it is that one.

    It is known by its size and the time of its last change: to read the graphs of a zoo takes longer than all else.
    """
    if not is_known(provenance.frozen_bytes):
        return []
    return _other_file(frozen_graph, provenance.frozen_bytes, known(provenance.frozen_stamp, [0, 0, 0])[1])


def _other_exports(directory: Path, record: ExportRecord) -> list[Any]:
    """What is there instead of the exported files that a record describes, known as a frozen graph is."""
    stamps = known(record.stamps, {}).items()
    return [[name, *other] for name, stamp in stamps if (other := _other_file(directory / name, *stamp))]


def _other_file(path: Path, size: int, changed: int) -> list[Any]:
    """What is there instead of a file of this size that was last changed then (ns); nothing where it is that one."""
    try:
        found = os.stat(path)
    except OSError as error:
        return [error.errno]
    return [] if (found.st_size, found.st_mtime_ns) == (size, changed) else [found.st_size, found.st_mtime_ns]


def _other_vocabularies(imported: ImportRecord) -> list[Any]:
    """Where a text file that fills a table was looked for, and something else is there now, or nothing any more."""
    places = [place for each in known(imported.vocabularies, []) for place in each.places.items()]
    now = [(path, stamp_if_there(path), stamp) for path, stamp in places]
    return [(path, found) for path, found, stamp in now if found != stamp]


def _mended(provenance: Path) -> list[Any]:
    """The stamps of files in which the freezer found what their checksums do not match, once these are other ones.

    Their content is in no fingerprint of the model, as that of an index or a meta graph is.
    """
    try:
        corrupt = known(recording.load(provenance, Provenance).corrupt, {})
    except (OSError, ValueError):
        return []
    now = {path: stamp_of(path) for path in corrupt}
    return sorted(now.items()) if now != corrupt else []
