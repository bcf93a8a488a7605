"""The trials of an exported file: the feeds of the model's verification, and what the checkpoint computes on them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from permafrost.export_records import ExportRecord, Signature
from permafrost.graph.ops.unsafe import unsafe_to_run
from permafrost.graph.tensorflow_import import refuse
from permafrost.input_kinds import Fed
from permafrost.judge.graphs import Graphs
from permafrost.judge.pair import Pair
from permafrost.judge.sessions import Feed, RunFailed
from permafrost.model import Settings
from permafrost.outcome import Problem
from permafrost.records import ImportRecord, Provenance, Verdict


class Trial(Struct):
    """A trial: its number, seed and batch, and the arrays that are fed, by the `source` of the inputs."""

    number: int
    seed: int
    batch: int
    feed: Feed


class Trials:
    """The trials of an export.

    pair: the checkpoint's side, and that of the frozen graph. fetched: the sources of what the file gives and of what
    is hidden in it. keys: of the former. sources: key of an input of the file -> source. fixed: as fixed_batch
    gives it.
    """

    def __init__(
        self,
        imported: ImportRecord,
        provenance: Provenance,
        verdict: Verdict,
        frozen_graph: str,
        export: ExportRecord,
        settings: Settings,
        directory: str,
    ):
        """Imports both sides.

        Args:
          imported, provenance, verdict: the model's records.
          frozen_graph: path of the .pb.
          export: what the file says of itself.
          settings: seed, allow_ops.
          directory: where relative `file:` inputs are looked up.
        Raises Problem as judge.judging.judge does for a graph that may not be run.
        """
        self._settings, self._directory, self._export = settings, directory, export
        graphs = Graphs(imported, provenance, frozen_graph)
        allowed = set(settings.allow_ops)
        refuse(
            unsafe_to_run(graphs.index, graphs.fetched, graphs.fed, graphs.initializers, allowed, graphs.vocabularies)
        )
        self.pair = Pair(graphs, allowed)
        self.pair.give_kept()
        signature = export.signature
        self.fetched = [endpoint.source for endpoint in (*signature.outputs, *signature.hidden)]
        self.keys = [endpoint.key for endpoint in signature.outputs]
        self.sources = {endpoint.key: endpoint.source for endpoint in signature.inputs}
        self.fixed = fixed_batch(signature, graphs.inputs)
        self._batches = [self.fixed] * len(verdict.batches) if self.fixed else verdict.batches

    def __iter__(self) -> Iterator[Trial]:
        for number, batch in enumerate(self._batches):
            yield self.trial(number, batch)

    def trial(self, number: int, batch: int) -> Trial:
        """A trial by its number. Raises Problem (bad_feed)."""
        seed = self._settings.seed + number
        feed = self.pair.graphs.feed(seed, batch, self._directory)
        for source, value in self._export.baked.items():
            feed[source] = np.asarray(value, feed[source].dtype)
        return Trial(number, seed, batch, feed)

    def expected(self, trial: Trial) -> list[NDArray[Any]]:
        """What the checkpoint computes of `fetched`, in the first run of a fresh session.

        Raises Problem (run_failed, bad_feed) where it does not run on what was baked or fixed.
        """
        try:
            return self.pair.run_original(self.fetched, trial.feed)
        except RunFailed as failed:
            raise Problem(failed.cause, f"the checkpoint's graph does not run on these inputs: {failed}") from failed

    def fed(self, trial: Trial) -> Feed:
        """What is fed to the file, by the keys of its inputs."""
        return {key: trial.feed[source] for key, source in self.sources.items()}


def fixed_batch(signature: Signature, inputs: dict[str, Fed]) -> int | None:
    """The size at which a file has fixed the dimensions that a trial chooses; None where it has not fixed them.

    Raises Problem (conversion_failed) where it has fixed them at several sizes, which no trial has.
    """
    sizes = set[int]()
    for endpoint in signature.inputs:
        shape = inputs[endpoint.source].shape if endpoint.source in inputs else None
        if shape is not None and endpoint.shape is not None and len(shape) == len(endpoint.shape):
            pairs = zip(endpoint.shape, shape, strict=True)
            sizes |= {own for own, chosen in pairs if chosen is None and own is not None}
    if len(sizes) > 1:
        raise Problem(
            "conversion_failed", f"the file's inputs have the fixed sizes {sorted(sizes)}, and a trial has one"
        )
    return sizes.pop() if sizes else None
