"""The checkpoints of one directory, and what is wrong with those that cannot be used.

    X.index, X.data-00000-of-00001 ...   a V2 checkpoint: a table of tensors, and the shards that hold their bytes
    X, or X-00000-of-00002 ...           a V1 checkpoint: tables that hold the tensors themselves
    X.meta, or X.meta.pbtxt              the meta graph, often one for many steps
    saved_model.pb, variables/           a SavedModel: meta graphs by tags, and one V2 checkpoint for all of them
    checkpoint                           names the newest X, as a path on the machine that wrote it

Which files belong together is told by their names, and what they are by what is in them.
"""

import os
from collections import defaultdict
from functools import cached_property
from typing import Any

from permafrost.graph.graph_files import SAVED_MODEL_FILES
from permafrost.model import Defect
from permafrost.outcome import Problem
from permafrost.zoo.candidate import Candidate, beside, digest, unfollowed, unreadable
from permafrost.zoo.files import Facts, Files
from permafrost.zoo.listing import Listing
from permafrost.zoo.names import model_id, printable, split_step
from permafrost.zoo.networks import Variables, networks
from permafrost.zoo.other_names import DATA_SHARD, is_a_copy, originals
from permafrost.zoo.renamed import Renamed
from permafrost.zoo.strays import V1_SHARD, Singles, is_attributes, listed, notes, owner

_LONGEST_NAME = 255  # bytes, on every file system
_MOST_GONE = 20  # models of a directory of which nothing is left but a name in `checkpoint`, which may have any number
_UNREADABLE_TABLES = {"truncated", "corrupt", "not_a_checkpoint", "lfs_pointer", "unreadable", "killed", "outside_zoo"}
META_ENDINGS = (".meta", ".meta.pbtxt", ".meta.txt")


def candidates_in(listing: Listing, facts: Facts) -> list[Candidate]:
    """The candidates of a directory; where it cannot be read, one that stands for the directory itself."""
    return [unreadable(listing)] if listing.error else _Directory(listing, facts).candidates()


class _Directory:
    """The candidates of one directory."""

    def __init__(self, listing: Listing, facts: Facts):
        self.listing, self.files, self._facts = listing, Files(listing, facts), facts
        self.indexes: set[str] = set()
        self.metas: dict[str, str] = {}
        self.others: list[str] = []
        self.data = defaultdict(list)
        for name in self.files.names:
            if is_attributes(self.files, name):
                self.others.append(name)
            elif name.endswith(".index"):
                self.indexes.add(name.removesuffix(".index"))
            elif match := DATA_SHARD.fullmatch(name):
                self.data[match[1]].append(name)
            elif ending := next((ending for ending in META_ENDINGS if name.endswith(ending)), None):
                self.metas.setdefault(name.removesuffix(ending), name)
            elif name not in SAVED_MODEL_FILES and (name != "checkpoint" or self.files.kind(name) == "table"):
                self.others.append(name)
        self._set_copies_aside()
        orphans = [shard for name, shards in self.data.items() if name not in self.indexes for shard in shards]
        self.explained: set[str] = set()  # the names of meta graphs that are those of checkpoints beside them
        self.renamed = Renamed(self.files, self.others + orphans)
        self.metas_by_stem: dict[str, dict[int | None, str]] = defaultdict(dict)
        for name, meta in self.metas.items():
            stem, step = split_step(name)
            self.metas_by_stem[stem][step] = meta

    def _set_copies_aside(self) -> None:
        """Takes a browser's copy of an index, of which there are no shards, for no checkpoint of its own."""
        for name in sorted(self.indexes - set(self.data)):
            whole = {*self.indexes, *self.data} - {name}
            if is_a_copy(name) and not whole.isdisjoint(originals(name)):
                self.indexes.discard(name)
                self.others.append(f"{name}.index")

    def candidates(self) -> list[Candidate]:
        found = [self._v2(name) for name in sorted(self.indexes)]
        found += [self._without_index(name) for name in self.data if self._is_alone(name)]
        left = [name for name in self.others if name not in self.renamed.used]
        singles = Singles(self.files, left, {name for name in self.metas if self._has_graph(name)})
        v2 = {*self.indexes, *self.data}
        found += [self._v1(name, parts) for name, parts in singles.found.items() if name not in v2]
        self._tell_networks(found, singles.found)
        strays = self._strays(singles.strays, found)
        found += [self._unnamed_index(name) for name in singles.strays if name not in strays]
        saved = self._saved_model()
        missing, gone = self._missing(found, bool(saved))
        found += missing
        for candidate in found:
            candidate.findings += self._remarks()
            candidate.named = self.named if split_step(self.named)[0] == candidate.stem else ""
            if candidate.format == "V2" and candidate.name in singles.found:
                ignored = ", ".join(printable(part) for part in singles.found[candidate.name])
                candidate.findings.append(f"{ignored} of the same name is not used: V2 goes before V1")
        found += saved
        found += self._noted(found, [name for name in strays if name not in self.renamed.used], gone)
        return found + self._unfollowed(found)

    def _is_alone(self, name: str) -> bool:
        """Whether there are shards of a checkpoint without its index, and nothing has been said of them yet."""
        return name not in self.indexes and self.renamed.used.isdisjoint(self.data[name])

    def _has_graph(self, name: str) -> bool:
        return name in self.metas and self.files.kind(self.metas[name]) != "unity"

    def _tell_networks(self, found: list[Candidate], singles: dict[str, list[str]]) -> None:
        """Tells the steps of one series apart that are other networks; what cannot be used is of the newest one's."""
        series = defaultdict(list)
        for candidate in sorted(found, key=lambda candidate: _height(candidate.name), reverse=True):
            series[candidate.stem].append(candidate)
        for steps in filter(lambda steps: len(steps) > 1, series.values()):
            network = networks((step.name, self._variables(step, singles)) for step in steps)
            for step in steps:
                step.network = network.get(step.name, "")

    def _variables(self, candidate: Candidate, singles: dict[str, list[str]]) -> Variables:
        if candidate.problem and candidate.problem.cause in _UNREADABLE_TABLES:
            return frozenset()
        tables = [f"{candidate.name}.index"] if candidate.name in self.indexes else singles.get(candidate.name, [])
        return frozenset().union(*(self.files.variables(table) for table in tables))

    def _strays(self, strays: list[str], found: list[Candidate]) -> list[str]:
        """Those of the files that only look like checkpoints of which no more than a note is to be made."""
        known = {candidate.name for candidate in found}
        return [name for name in strays if self.files.kind(name) != "index" or owner(name, known) is not None]

    def _remarks(self) -> list[str]:
        """What is to be said of the `checkpoint` file itself."""
        if "checkpoint" not in self.files.names:
            return []
        if problem := self.files.problem("checkpoint"):
            return [problem.message]
        kind, shown = self.files.foreign("checkpoint"), self.files.shown("checkpoint")
        return [] if kind is None or kind.is_plain else [f"{shown} is {kind.what}, which TensorFlow does not read"]

    def _noted(self, found: list[Candidate], strays: list[str], gone: list[str]) -> list[Candidate]:
        """Notes what is passed over on the checkpoint that it belongs to; where there is none, on the directory."""
        known = {candidate.name: candidate for candidate in found}
        speaker = max(found, key=lambda c: (c.problem is None, c.name == self.named, _height(c.name)), default=None)
        of_speaker = []
        by_owner = defaultdict(list)
        for name in strays:
            by_owner[owner(name, set(known))].append(name)
        for prefix, names in by_owner.items():
            if prefix is None:
                of_speaker += notes(names)
            else:
                known[prefix].findings += notes(names)
        if gone:
            of_speaker.append(f"`checkpoint` names {listed(gone)}, of which nothing is there")
        if speaker is None:
            return [beside(self.listing, of_speaker)] if of_speaker else []
        speaker.findings += of_speaker
        return []

    def _unfollowed(self, found: list[Candidate]) -> list[Candidate]:
        """A candidate for each directory to which a link leads out of the zoo, and one for all such files.

        Files of which the name alone says that they belong to a checkpoint are problems of that.
        """
        known = {path for candidate in found for path in candidate.files}
        links = sorted(name for name in self.listing.outside if self.files.path(name) not in known)
        files = [name for name in links if self.files.is_there(name) and not (name == "checkpoint" and found)]
        directories = [name for name in links if not self.files.is_there(name)]
        if any(candidate.name == "saved_model" for candidate in found):
            directories = [name for name in directories if name != "variables"]
        return [unfollowed(self.listing, names) for names in [*([name] for name in directories), files] if names]

    @cached_property
    def said(self) -> tuple[str, list[str]]:
        """What `checkpoint` says: the name of the newest, and all names, found by base name in this directory."""
        there = {*self.indexes, *self.data, *self.metas, *self.others}

        def resolved(names: list[str]) -> str:
            possible = [name for name in names if len(os.fsencode(name)) <= _LONGEST_NAME]
            return next((name for name in possible if name in there), min(possible, key=len, default=""))

        newest, every = self.files.named_prefixes()
        return resolved(newest), [name for name in map(resolved, every) if name]

    @property
    def named(self) -> str:
        return self.said[0]

    def _v2(self, name: str) -> Candidate:
        index, data = f"{name}.index", self.data.get(name, [])
        meta, findings = self._meta_of(name)
        total, problem = self.bundle(name, bool(meta))
        problem = problem or self._meta_problem(name, meta)
        return self._candidate(name, "V2", [index], data, total, meta, problem, findings)

    def bundle(self, name: str, has_graph: bool) -> tuple[int, Problem | None]:
        """The number of shards of a V2 checkpoint, and what is wrong with its files, without the meta graph."""
        index, data = f"{name}.index", self.data.get(name, [])
        problem = self.files.problem(index)
        total, is_tf2 = len(data), False
        if not problem:
            try:
                total, is_tf2 = self.files.index_header(index)
            except Problem as error:
                problem = error
        if is_tf2 and not has_graph:
            why = f"{self.files.shown(index)} is of a TensorFlow 2 object-based checkpoint"
            problem = Problem("tf2_checkpoint", why)
        problem = problem or self._missing_shard(f"{name}.data", total, index) or self.files.first_problem(data)
        return total, problem or self.files.damage(name, data)

    def _v1(self, name: str, parts: list[str]) -> Candidate:
        parts = [name] if name in parts else parts
        sharded = None if name in parts else V1_SHARD.fullmatch(parts[0])
        problem = self._missing_shard(name, int(sharded[2])) if sharded else None
        problem = problem or self.files.first_problem(parts, as_table=True)
        meta, findings = self._meta_of(name)
        problem = problem or self._meta_problem(name, meta)
        if problem and problem.cause == "not_a_checkpoint":
            return self._candidate(name, "", [], parts, len(parts), meta, problem, findings)
        candidate = self._candidate(name, "V1", parts, [], len(parts), meta, problem, findings)
        if sharded:
            candidate.prefix = self.files.path(f"{name}-?????-of-{sharded[2]}")
        return candidate

    def _without_index(self, name: str) -> Candidate:
        meta, findings = self._meta_of(name)
        data, advice = self.data[name], self.renamed.index(name)
        there = f"{printable(data[0])} is there" + (f", and {advice.text}" if advice else "")
        why = f"{self.files.shown(f'{name}.index')} is missing; {there}"
        problem = Problem("no_index", why, advice.hint if advice else "")
        return self._candidate(name, "V2", [], data, len(data), meta, problem, findings)

    def _unnamed_index(self, name: str) -> Candidate:
        why = f"{self.files.shown(name)} is the index of a V2 checkpoint, but its name does not end in .index"
        problem = Problem("no_index", why, "give it the name of its .data files, and .index after that")
        return self._candidate(name, "V2", [name], [], 0, "", problem, [])

    def _missing(self, found: list[Candidate], has_others: bool) -> tuple[list[Candidate], list[str]]:
        """Checkpoints of which only a meta graph is there, or packed files, or nothing but a name in `checkpoint`.

        Where there is something else, the last of these are no checkpoints, but names to be noted.
        """
        names = {candidate.name for candidate in found}
        stems = {split_step(name)[0] for name in names}
        parts = self.renamed.in_parts(stems)
        stems |= {split_step(name)[0] for name in parts}
        chosen = self._lonely(names, stems)
        meta_of = {name: self._meta_of(name)[0] for name in chosen}
        rows = [self._left(name, advice.text, advice.hint) for name, advice in parts.items()]
        rows += [self._left(name, f"{printable(meta)} is there alone") for name, meta in meta_of.items() if meta]
        gone = sorted((name for name, meta in meta_of.items() if not meta), key=lambda name: name != self.named)
        if found or rows or has_others:
            return rows, gone
        reasons = dict.fromkeys(gone[:_MOST_GONE], "`checkpoint` names it")
        if more := gone[_MOST_GONE:]:
            reasons[gone[_MOST_GONE - 1]] += f", and {len(more)} more models of which nothing is there"
        return [self._elsewhere(self._left(name, why)) for name, why in reasons.items()], []

    def _elsewhere(self, candidate: Candidate) -> Candidate:
        paths = (path for path in self.files.named_paths() if os.path.basename(path) == candidate.name)
        candidate.elsewhere = os.path.normpath(os.path.join(self.listing.path, next(paths, candidate.name)))
        return candidate

    def _lonely(self, found: set[str], stems: set[str]) -> list[str]:
        """Of each series of which no checkpoint was found, a name that a meta graph or `checkpoint` has."""
        lonely = defaultdict(set)
        named, every = self.said
        metas = [name for name in self.metas if self._has_graph(name) and name not in self.explained]
        for name in [*metas, *every]:
            if split_step(name)[0] not in stems or (name == named and name in metas and name not in found):
                lonely[split_step(name)[0]].add(name)
        return [named if named in names else max(names, key=_height) for names in lonely.values()]

    def _left(self, name: str, why: str, hint: str = "") -> Candidate:
        """The candidate that stands for a checkpoint of which the files are gone."""
        meta, findings = self._meta_of(name)
        problem = Problem("missing_checkpoint", f"{self.files.shown(name)} has no checkpoint files; {why}", hint)
        return self._candidate(name, "", [], [], 0, meta, problem, findings)

    def _saved_model(self) -> list[Candidate]:
        present = [name for name in SAVED_MODEL_FILES if name in self.files.names]
        if not present:
            return []
        name = present[0]
        inner = _Directory(self.listing.variables, self._facts) if self.listing.variables else None
        if "variables" in self.listing.outside:
            return [self._candidate("saved_model", "V2", [], [], 0, name, self.files.problem("variables"), [])]
        if inner is None or not (inner.indexes or inner.data):
            missing = Problem("saved_model", f"{self.files.shown(name)} is a SavedModel without variables")
            candidate = self._candidate("saved_model", "", [], [], 0, name, missing, [])
            candidate.prefix = self.files.path(name)
            return [candidate]
        total, problem = inner.bundle("variables", has_graph=True)
        own = self._candidate("saved_model", "V2", [], [], total, name, self.files.graph_problem(name) or problem, [])
        checkpoint = inner._candidate(
            "variables", "V2", ["variables.index"], inner.data["variables"], total, "", problem, []
        )
        own.prefix, own.bytes = checkpoint.prefix, checkpoint.bytes
        own.files = checkpoint.files + own.files
        own.fingerprint = digest([own.fingerprint, checkpoint.fingerprint])
        return [own]

    def _candidate(
        self, name: Any, kind: Any, tables: Any, data: Any, shards: Any, meta: Any, problem: Any, findings: Any
    ) -> Candidate:
        stem, step = split_step(name)
        contents = [self.files.sha256(table) for table in tables] + ([self.files.sha256(meta)] if meta else [])
        shard_facts = [(shard, self.files.size(shard), self.files.shard_kind(shard)) for shard in data]
        return Candidate(
            zoo=self.listing.zoo,
            directory=self.listing.path,
            prefix=self.files.path(name),
            series=model_id(self.listing.relative, stem),
            name=name,
            stem=stem,
            step=step,
            format=kind,
            shards=shards,
            bytes=sum(self.files.size(file) for file in tables + data),
            # What is not followed is not read by later stages either.
            meta=self.files.path(meta) if meta and meta not in self.listing.outside else "",
            files=[self.files.path(file) for file in [*tables, *data, *([meta] if meta else [])]],
            fingerprint=digest([name, kind, contents, shard_facts, vars(problem) if problem else None]),
            problem=Defect(**vars(problem)) if problem else None,
            findings=findings,
        )

    def _missing_shard(self, name: str, total: int, index: str = "") -> Problem | None:
        shards = (f"{name}-{number:05d}-of-{total:05d}" for number in range(total))
        first = next((shard for shard in shards if not self.files.is_there(shard)), None)
        if not first:
            return None
        sizes = self.files.shard_sizes(index) if index else []
        number = int(first.removesuffix(f"-of-{total:05d}").rpartition("-")[2])
        advice = self.renamed.shard(first, sizes[number] if number < len(sizes) else 0)
        what = "is a link to a file that is not there" if first in self.files.names else "is missing"
        more = f", and {advice.text}" if advice else ""
        why = f"{self.files.shown(first)} {what}; the checkpoint has {total} shard(s){more}"
        return Problem("missing_shard", why, advice.hint if advice else "")

    def _meta_of(self, name: str) -> tuple[str, list[str]]:
        """The file with the meta graph of a checkpoint, or "", and what is to be said about it."""
        if name in self.metas:
            return self.metas[name], []
        stem, step = split_step(name)
        of_stem = self.metas_by_stem.get(stem, {})
        steps, whole = {other: meta for other, meta in of_stem.items() if other is not None}, of_stem.get(None, "")
        if not steps and not whole:
            return "", []
        own = -1 if step is None else step
        lower = max((other for other in steps if other < own), default=None)
        nearest = lower if lower is not None else min(steps, default=None)
        meta = whole if nearest is None else steps[nearest]
        return meta, [f"the meta graph is {printable(meta)}, which was written with another step"]

    def _meta_problem(self, name: str, meta: str) -> Problem | None:
        if meta:
            return self.files.graph_problem(meta)
        missing = self.files.shown(f"{name}.meta")
        advice = None if self._has_graph_of_original(name) else self.renamed.meta(name)
        more = f"; {advice.text}" if advice else ""
        why = f"{missing} is missing, and so is that of any other step{more}"
        return Problem("no_meta_graph", why, advice.hint if advice else "")

    def _has_graph_of_original(self, name: str) -> bool:
        """Whether there is a meta graph for the name from which that of a checkpoint was made, and nothing else of it.

        The search for graphs finds it then; it is no checkpoint of its own that was lost.
        """
        original = next((original for original in originals(name) if self._has_graph(original)), None)
        if original is None or original in self.indexes or original in self.others:
            return False
        self.explained.add(original)
        return True


def _height(name: str) -> tuple[bool, int, str]:
    step = split_step(name)[1]
    return step is not None, step or 0, name
