"""The feeds and the outputs of one trial in a file of numpy's, for whoever carries a model over to something else.

Runs in the judge's child process, after the judgement. What is kept is what the frozen graph on the disk gives on the
feeds of the first trial, on which it was compared with the checkpoint, but for outputs that are random.
"""

import gc
import time
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from permafrost.graph.ops.variables import VARIABLE_OPS
from permafrost.input_kinds import Default
from permafrost.judge.behaviour import RANDOM
from permafrost.judge.judging import Judgement, judge
from permafrost.judge.sessions import RunFailed
from permafrost.judge.sides import FrozenFile, FrozenSide
from permafrost.model import Settings
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Provenance
from permafrost.signature import feeds

NAME = "example.npz"  # in the working directory of the child
_LARGEST = 8 << 20  # bytes of all arrays


def judge_and_keep(
    imported: ImportRecord, provenance: Provenance, frozen_graph: str, settings: Settings, directory: str
) -> Judgement:
    """As judging.judge, and leaves the feeds and outputs of the first trial of a verified model in the file NAME.

    Where there is nothing to keep, `measured.no_example` says why.
    """
    began = time.monotonic()
    found = judge(imported, provenance, frozen_graph, settings, directory)
    if found.finding is None:
        gc.collect()  # What TensorFlow's graphs hold; they refer to themselves.
        try:
            _refuse_without_room(provenance, settings, time.monotonic() - began)
            fed = _fed(imported, provenance, settings.seed, found.measured.batches[0], directory)
            random = {row.output for row in found.rows if row.behaviour == RANDOM}
            outputs = [name for name in provenance.outputs if name not in random]
            given = _given(provenance, frozen_graph, outputs, set(settings.allow_ops), fed)
            keep(fed, given, min(_LARGEST, (settings.file_mb << 20) // 2))
        except (Problem, RunFailed) as reason:
            found.measured.no_example = str(reason)
    return found


def _refuse_without_room(provenance: Provenance, settings: Settings, seconds: float) -> None:
    """Raises Problem where one run more might take what the limits leave: the verdict must not be lost by it.

    Args:
      seconds: what the judgement took.
    """
    if 2 * seconds > settings.timeout:
        raise Problem("timeout", "the judgement took most of the time that `timeout` gives it")
    if 4 * provenance.frozen_bytes > settings.memory_mb << 20:
        raise Problem("memory", "`memory_mb` has no room for one run more of a graph of this size")


def _fed(
    imported: ImportRecord, provenance: Provenance, seed: int, batch: int, directory: str
) -> dict[str, NDArray[Any]]:
    """The feeds of a trial, by the tensors of the frozen graph. Raises Problem (bad_feed)."""
    specs = {name: spec for name, spec in imported.inputs.items() if not isinstance(spec, Default)}
    made = feeds.make({name: specs[name] for name in specs if name in provenance.inputs}, seed, batch, directory)
    return {provenance.inputs[name]: value for name, value in made.items()}


def _given(
    provenance: Provenance, frozen_graph: str, outputs: list[str], allowed: set[str], fed: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """What the frozen graph gives for outputs. Raises Problem and RunFailed as the judge's sides do."""
    if not outputs:
        raise Problem("random", "all outputs are random")
    file = FrozenFile.read(frozen_graph, {tensor.node for tensor in provenance.tensors}, provenance.initializers)
    if any(node.op in VARIABLE_OPS for node in file.index.nodes.values()):
        raise Problem("not_frozen", "the frozen graph has variables, which have no values in its file")
    return dict(zip(outputs, FrozenSide(file, allowed).run(outputs, fed), strict=True))


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
