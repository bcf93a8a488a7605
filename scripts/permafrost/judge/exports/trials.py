"""The trials of an exported file: the feeds of the model's verification, and what the checkpoint computes on them."""

import copy
import hashlib
from collections.abc import Iterator
from functools import cache, partial
from typing import Any, NamedTuple

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


class Exported(NamedTuple):
    """What is judged: a model's records, the path of its frozen graph, and the record of a file that was made of it.

    directory: in which the files of `export` are. All paths are absolute.
    """

    imported: ImportRecord
    provenance: Provenance
    verdict: Verdict
    frozen_graph: str
    export: ExportRecord
    directory: str


class Trials:
    """The trials of an export.

    graphs: the checkpoint's, with its inputs and outputs. fetched: the sources of what the file gives and of what is
    hidden in it. keys: of the former. sources: key of an input of the file -> source. fixed: as fixed_batch gives it.
    """

    def __init__(self, exported: Exported, settings: Settings, directory: str):
        """Reads the graphs.

        Args:
          settings: seed, allow_ops.
          directory: where relative `file:` inputs are looked up.
        Raises Problem as judge.graphs.Graphs does.
        """
        self._settings, self._directory, self._export = settings, directory, exported.export
        self.graphs = Graphs(exported.imported, exported.provenance, exported.frozen_graph, runs_frozen=False)
        # Imported once for all copies, and by the first run: who is told what the checkpoint computes may have none.
        self._pair = cache(partial(_pair, self.graphs, set(settings.allow_ops)))
        self._verified, self._cuts = exported.verdict.batches, exported.provenance.cuts
        self._computed: dict[tuple[Any, ...], list[NDArray[Any]]] = {}
        self._follow(exported.export.signature)

    def _follow(self, signature: Signature) -> None:
        self.fetched = [endpoint.source for endpoint in (*signature.outputs, *signature.hidden)]
        self.keys = [endpoint.key for endpoint in signature.outputs]
        self.sources = {endpoint.key: endpoint.source for endpoint in signature.inputs}
        # Inputs that keep their default in the verification, and that the file has all the same, or has baked.
        named = dict.fromkeys([*self.sources.values(), *self._export.baked])
        self._defaults = [source for source in named if source not in self.graphs.inputs]
        self.graphs.names |= {source: self._cuts.get(source, source) for source in self._defaults}
        self.fixed = fixed_batch(signature, self.graphs.inputs)
        self._batches = [self.fixed] * len(self._verified) if self.fixed else self._verified

    def of(self, signature: Signature) -> "Trials":
        """The same for another file of the same model, by its signature. Raises Problem as fixed_batch does."""
        other = copy.copy(self)
        other._follow(signature)
        return other

    def __iter__(self) -> Iterator[Trial]:
        for number, batch in enumerate(self._batches):
            yield self.trial(number, batch)

    def trial(self, number: int, batch: int) -> Trial:
        """A trial by its number. Raises Problem (bad_feed, run_failed)."""
        seed = self._settings.seed + number
        feed = self.graphs.feed(seed, batch, self._directory)
        feed |= self._default_values(feed)
        for source, value in self._export.baked.items():
            feed[source] = np.asarray(value, feed[source].dtype)
        return Trial(number, seed, batch, feed)

    def _default_values(self, feed: Feed) -> Feed:
        """What the checkpoint's graph itself has for the inputs that are not fed."""
        names = [self.graphs.names[source] for source in self._defaults]
        try:
            values = self.run(names, feed) if names else []
        except RunFailed as failed:
            text = f"the checkpoint's graph gives no default for {', '.join(self._defaults)}: {failed}"
            raise Problem(failed.cause, text) from failed
        return dict(zip(self._defaults, values, strict=True))

    def expected(self, trial: Trial) -> list[NDArray[Any]]:
        """What the checkpoint computes of `fetched`, in the first run of a fresh session; it is run once for a feed.

        Raises Problem (fixed_value, run_failed, bad_feed) where it does not run on what was baked or fixed.
        """
        asked = (_digest(trial.feed), *self.fetched)
        if asked not in self._computed:
            self._computed[asked] = self._compute(trial)
        return self._computed[asked]

    def _compute(self, trial: Trial) -> list[NDArray[Any]]:
        try:
            return self.run(self.fetched, trial.feed)
        except RunFailed as failed:
            cause, always = failed.cause, ""
            if baked := self._export.baked:
                cause = "fixed_value"
                always = f", where {', '.join(f'{source} is always {value}' for source, value in baked.items())}"
            text = f"the checkpoint's graph does not run on these inputs{always}: {failed}"
            raise Problem(cause, text) from failed

    def run(self, tensors: list[str], feed: Feed) -> list[NDArray[Any]]:
        """The checkpoint's side on a trial's feed.

        Raises RunFailed and Problem as Pair.run_original does, and Problem for a graph that may not be run.
        """
        return self._pair().run_original(tensors, feed)

    def fed(self, trial: Trial) -> Feed:
        """What is fed to the file, by the keys of its inputs."""
        return {key: trial.feed[source] for key, source in self.sources.items()}


def _digest(feed: Feed) -> bytes:
    """A digest of the arrays of a feed, with their names, dtypes and shapes."""
    digest = hashlib.blake2b()
    for name, value in sorted(feed.items()):
        content = repr(value.tolist()).encode() if value.dtype == object else value.tobytes()
        digest.update(repr((name, str(value.dtype), value.shape, len(content))).encode() + content)
    return digest.digest()


def _pair(graphs: Graphs, allowed: set[str]) -> Pair:
    """The model's sides, of which nobody asks for the frozen one. Raises Problem for a graph that may not be run."""
    refuse(unsafe_to_run(graphs.index, graphs.fetched, graphs.fed, graphs.initializers, allowed, graphs.vocabularies))
    return Pair(graphs, allowed)


def fixed_batch(signature: Signature, inputs: dict[str, Fed]) -> int | None:
    """The size at which a file has fixed the dimensions that a trial chooses; None where it has not fixed them.

    Raises Problem (conversion_failed) where it has fixed them at several sizes, which no trial has.
    """
    described = ((endpoint, inputs[endpoint.source]) for endpoint in signature.inputs if endpoint.source in inputs)
    sizes = {size for endpoint, spec in described for size in endpoint.fixed(spec.shape)}
    if len(sizes) > 1:
        raise Problem(
            "conversion_failed", f"the file's inputs have the fixed sizes {sorted(sizes)}, and a trial has one"
        )
    return sizes.pop() if sizes else None
