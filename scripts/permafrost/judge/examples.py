"""The feeds and the outputs of one trial in a file of numpy's, for whoever carries a model over to something else.

Runs in the judge's child process, after the judgement. What is kept is what the frozen graph on the disk gave in the
first trial, in which it was compared with the checkpoint, but for outputs that are random.
"""

import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.judge.behaviour import RANDOM
from permafrost.judge.judging import FirstTrial, Judgement, judge
from permafrost.model import Settings
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Provenance

NAME = "example.npz"  # in the working directory of the child
_LARGEST = 8 << 20  # bytes of all arrays


def judge_and_keep(
    imported: ImportRecord, provenance: Provenance, frozen_graph: str, settings: Settings, directory: str
) -> Judgement:
    """As judging.judge, and leaves the feeds and outputs of the first trial of a verified model in the file NAME.

    Where there is nothing to keep, `measured.no_example` says why.
    """
    told: list[FirstTrial] = []
    found = judge(imported, provenance, frozen_graph, settings, directory, told.append)
    if found.finding is None:
        random = {row.output for row in found.rows if row.behaviour == RANDOM}
        try:
            _keep_first(told[0], random, min(_LARGEST, (settings.file_mb << 20) // 2))
        except Problem as reason:
            found.measured.no_example = str(reason)
    return found


def _keep_first(trial: FirstTrial, random: set[str], largest: int) -> None:
    if not trial.is_frozen:
        raise Problem("not_frozen", "the frozen graph has variables, which have no values in its file")
    given = {name: value for name, value in trial.given.items() if name not in random}
    if not given:
        raise Problem("random", "all outputs are random")
    keep(trial.fed, given, largest)


def keep(fed: Mapping[str, NDArray[Any]], given: Mapping[str, NDArray[Any]], largest: int = _LARGEST) -> None:
    """Writes arrays to the file NAME in the working directory, the same bytes each time.

    Args:
      fed, given: tensor of the frozen graph -> its value; strings as objects that are bytes.
      largest: how many bytes all of them may have.
    Raises Problem (too_large, bad_feed) where they have more, or strings end in zeros, which numpy's arrays cannot.
    """
    arrays = {name: _storable(name, value) for name, value in {**fed, **given}.items()}
    if (size := sum(array.nbytes for array in arrays.values())) > largest:
        raise Problem("too_large", f"the arrays of a trial have {size} bytes, more than {largest}")
    with zipfile.ZipFile(NAME, "w", zipfile.ZIP_STORED) as file:
        for name, array in sorted(arrays.items()):
            # The time of an entry that is named by its ZipInfo is always the same.
            with file.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _storable(name: str, value: NDArray[Any]) -> NDArray[Any]:
    if value.dtype.kind != "O":
        return np.ascontiguousarray(value) if value.ndim else value
    texts = [text if isinstance(text, bytes) else str(text).encode() for text in value.reshape(-1)]
    if any(text.endswith(b"\0") for text in texts):
        raise Problem("bad_feed", f"{name} has strings that end in zeros, which no array of numpy's can hold")
    return np.array(texts, dtype=np.bytes_).reshape(value.shape)
