"""The frozen graph on the disk is the one that its provenance describes, or nothing is said of it."""

from pathlib import Path

from permafrost import whole_files
from permafrost.outcome import Problem
from permafrost.records import Provenance

_FREEZE_AGAIN = "run again: the next run freezes the model anew"


def refuse_other(frozen_graph: Path, provenance: Provenance) -> None:
    """Raises Problem (changed) where the frozen graph is not there, or is not what was frozen; OSError."""
    if not frozen_graph.exists() or whole_files.checksum(frozen_graph) != provenance.frozen_crc32c:
        raise Problem("changed", f"{frozen_graph} is not the file that its provenance.json describes", _FREEZE_AGAIN)
