"""The files in which the graph of a checkpoint without a meta graph of its own may be.

    X.ckpt-50.index, Y.meta             the meta graph has another stem (facenet writes model-X.meta, model-X.ckpt-50)
    ckpt/X.index, graph/Y.meta          it is in a directory beside the checkpoint's, or in the one above
    X.index, graph.pbtxt, Y.pb          the graph was written by tf.io.write_graph, or exported
    X.index, events.out.tfevents.*      TensorBoard was to show it

Only names are looked at here, and digests, so that a model is made again when such a file changes or comes up; which
graph fits the checkpoint is for the import stage to say, which has limits of time and memory.
"""

import hashlib
import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

from permafrost.graph.event_files import is_events
from permafrost.model import GraphFiles
from permafrost.zoo.candidate import Candidate
from permafrost.zoo.candidates import META_ENDINGS
from permafrost.zoo.files import Facts, Files
from permafrost.zoo.listing import Listing
from permafrost.zoo.names import printable, split_step

_MOST = 60  # files for a checkpoint, and as many of other checkpoints
_MOST_NAMES = 300  # of which those are the different ones
_LONGEST = 30_000  # characters of their paths, as they are passed on a command line
_GRAPH_ENDINGS = (".pbtxt", ".pb")

Key = tuple[str, str]  # a directory's zoo, and its path relative to that


class GraphSearch:
    """Where graphs may be, in all directories of the zoos that were added."""

    def __init__(self, facts: Facts):
        self._facts = facts
        self._places: dict[Key, _Place] = {}
        self._holding: set[Key] = set()  # the directories with a checkpoint in them or below
        self._tops: dict[str, set[str]] = defaultdict(set)  # those of them at the top, by zoo
        self._free: dict[Key, list[_Place]] = defaultdict(list)  # those without one, by the directory above
        self._taken: dict[Key, list[_Place]] = defaultdict(list)  # those with one
        self._digests: dict[str, str] = {}

    def add(self, listing: Listing, candidates: list[Candidate]) -> None:
        """Adds a directory, and what was found in it."""
        if any(candidate.format for candidate in candidates):
            self._holding |= {(listing.zoo, path) for path in _with_ancestors(listing.relative)}
            self._tops[listing.zoo].add(listing.relative.partition("/")[0])
        place = _Place(listing, self._facts, candidates)
        if place.has_metas or any(map(_lacks_graph, candidates)):
            self._places[listing.zoo, listing.relative] = place

    def complete(self) -> None:
        """Gives each candidate that has no meta graph, but is whole, the files in which its graph may be.

        It has no problem then; where there is no such file it keeps that which it has. A meta graph that lay alone is
        no lost checkpoint any more where it may be another's.
        """
        for key, place in self._places.items():
            if place.has_metas:
                (self._taken if key in self._holding else self._free)[place.above].append(place)
        users: dict[str, Candidate] = {}
        for place in self._places.values():
            for candidate in filter(_lacks_graph, place.candidates):
                self._complete(candidate, place)
                for path in candidate.graphs.own if candidate.graphs else []:
                    users.setdefault(path, candidate)
        for place in self._places.values():
            for candidate in filter(_is_alone, place.candidates):
                if candidate.meta in users:
                    _take(candidate, users[candidate.meta])

    def _complete(self, candidate: Candidate, place: "_Place") -> None:
        own, others = self._different(self._own(place)), self._different(self._others(place))
        if not own and not others:
            return
        seen = list(_fitting(own))
        graphs = GraphFiles(own=seen, others=list(_fitting(others)), unseen=len(own) - len(seen))
        candidate.graphs, candidate.problem = graphs, None
        candidate.files = candidate.files + graphs.own + graphs.others
        contents = [(os.path.basename(path), self._digests[path]) for path in graphs.own + graphs.others]
        known = json.dumps([candidate.fingerprint, contents, graphs.unseen])
        candidate.fingerprint = hashlib.sha256(known.encode("ascii")).hexdigest()[:32]
        candidate.findings = [*candidate.findings, _note(candidate, graphs)]

    def _own(self, place: "_Place") -> Iterator[tuple[Files, str]]:
        """The files that may belong to a checkpoint in this directory, those first that are likelier."""
        yield from place.of(place.metas)
        above = self._places.get(place.above)
        for other in [*([above] if above and not above.has_checkpoint else []), *self._beside(place, self._free)]:
            yield from other.of(other.metas)
        yield from place.of(name for name in place.names if name.endswith(_GRAPH_ENDINGS))
        yield from place.of(name for name in place.names if is_events(name))

    def _others(self, place: "_Place") -> Iterator[tuple[Files, str]]:
        """The meta graphs around that belong to a checkpoint there, none of them if there are many."""
        above = self._places.get(place.above)
        around = [*([above] if above and above.has_checkpoint else []), *self._beside(place, self._taken)]
        if len(around) <= _MOST:
            for other in around:
                yield from other.of(other.metas)

    def _beside(self, place: "_Place", among: "dict[Key, list[_Place]]") -> "list[_Place]":
        """The first directories beside one.

        What lies beside each other at the top of a zoo are models that have nothing to do with each other, unless all
        checkpoints of the zoo are in one of these.
        """
        zoo, above = place.above
        if not above and not self._tops[zoo] <= {place.relative}:
            return []
        return [other for other in among.get(place.above, [])[: _MOST + 2] if other is not place]

    def _different(self, found: Iterator[tuple[Files, str]]) -> list[str]:
        """The paths of files, of those with the same content the first; not all of very many."""
        by_digest: dict[str, str] = {}
        for files, name in itertools.islice(found, _MOST_NAMES):
            path = files.path(name)
            if path not in self._digests:
                self._digests[path] = files.sha256(name)
            by_digest.setdefault(self._digests[path] or path, path)
        return list(by_digest.values())


class _Place:
    """A directory of a zoo: its meta graphs, and whether a checkpoint is in it.

    above: the zoo, and the path in it of the directory above; none where there is none.
    """

    def __init__(self, listing: Listing, facts: Facts, candidates: list[Candidate]):
        self._listing, self._facts, self.candidates = listing, facts, candidates
        self.relative = listing.relative
        self.above = (listing.zoo, os.path.dirname(listing.relative) if listing.relative else "..")
        self.has_checkpoint = any(candidate.format for candidate in candidates)
        self.has_metas = any(name.endswith(META_ENDINGS) for name in listing.files)

    @cached_property
    def _files(self) -> Files:
        return Files(self._listing, self._facts)

    @cached_property
    def names(self) -> list[str]:
        """The files that are there, and lead to nothing out of the zoo."""
        outside = self._listing.outside
        return [name for name in self._files.names if name not in outside and self._files.is_there(name)]

    @cached_property
    def metas(self) -> list[str]:
        """The meta graphs, of each series that with the highest step, as its steps have one graph."""
        series: dict[str, tuple[int, str]] = {}
        for name in self.names:
            ending = next((ending for ending in META_ENDINGS if name.endswith(ending)), "")
            if ending and self._files.kind(name) != "unity":
                stem, step = split_step(name.removesuffix(ending))
                series[stem] = max(series.get(stem, (-2, "")), (-1 if step is None else step, name))
        return [name for _, name in series.values()]

    def of(self, names: Iterable[str]) -> Iterator[tuple[Files, str]]:
        """The files with these names."""
        return ((self._files, name) for name in names)


def _with_ancestors(relative: str) -> Iterator[str]:
    """A path relative to a zoo, and those of the directories above it, the zoo's own among them."""
    while relative:
        yield relative
        relative = os.path.dirname(relative)
    yield ""


def _lacks_graph(candidate: Candidate) -> bool:
    return candidate.problem is not None and candidate.problem.cause == "no_meta_graph" and bool(candidate.format)


def _is_alone(candidate: Candidate) -> bool:
    """Whether a candidate is a meta graph without a checkpoint, which `checkpoint` does not name either."""
    problem = candidate.problem
    is_missing = problem is not None and problem.cause == "missing_checkpoint"
    return is_missing and candidate.named != candidate.name


def _take(candidate: Candidate, user: Candidate) -> None:
    """Says of a lone meta graph whose it may be; it is no model."""
    candidate.series, candidate.problem = "", None
    candidate.findings = [f"no checkpoint is beside it; it may be the graph of {printable(user.prefix)}"]


def _fitting(paths: list[str]) -> Iterator[str]:
    """As many of the paths as are looked into."""
    lengths = itertools.accumulate(len(json.dumps(path)) for path in paths[:_MOST])
    return (path for path, length in zip(paths, lengths, strict=False) if length <= _LONGEST)


def _note(candidate: Candidate, graphs: GraphFiles) -> str:
    paths = graphs.own + graphs.others
    first = ", ".join(map(printable, itertools.islice(paths, 5)))
    more = len(paths) - 5 + graphs.unseen
    others = f" and {more} more" if more > 0 else ""
    return f"{printable(candidate.name)}.meta is missing; its graph may be in {first}{others}"
