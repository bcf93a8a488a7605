"""The checkpoints of one directory, and what is wrong with those that cannot be used.

    X.index, X.data-00000-of-00001 ...   a V2 checkpoint: a table of tensors, and the shards that hold their bytes
    X, or X-00000-of-00002 ...           a V1 checkpoint: tables that hold the tensors themselves
    X.meta, or X.meta.pbtxt              the meta graph, often one for many steps
    saved_model.pb, variables/           a SavedModel: meta graphs by tags, and one V2 checkpoint for all of them
    checkpoint                           names the newest X, as a path on the machine that wrote it

Which files belong together is told by their names, and what they are by what is in them.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from functools import cached_property
from typing import Any

from msgspec import Struct

from permafrost.graph.graph_files import SAVED_MODEL_FILES
from permafrost.outcome import Problem
from permafrost.records import Defect
from permafrost.zoo.files import DATA_SHARD, Facts, Files
from permafrost.zoo.listing import Listing
from permafrost.zoo.names import model_id, printable, split_step

_LONGEST_NAME = 255  # bytes, on every file system
_MOST_GONE = 20  # models of a directory of which nothing is left but a name in `checkpoint`, which may have any number
_META_ENDINGS = (".meta", ".meta.pbtxt", ".meta.txt")
_V1_SHARD = re.compile(r"(.*)-[0-9]{5}-of-([0-9]{5})", re.DOTALL)


class Candidate(Struct, kw_only=True):
    """A checkpoint, or what is left of one, or something that looks like one.

    A link that was not followed is one as well, but no model: its `series` is empty.

    Paths begin as the user gave the zoo; `name` is the prefix's base name, and `named` the one of the same series that
    the `checkpoint` file names, or "". `bytes` are those of the checkpoint's files without the meta graph.
    `model` is the id under which it is reported, and `selected` says whether that model is this checkpoint.
    """

    zoo: str
    directory: str
    prefix: str
    series: str
    name: str
    stem: str
    step: int | None
    format: str = ""
    shards: int = 0
    bytes: int = 0
    meta: str = ""
    files: list[str] = []
    fingerprint: str = ""
    named: str = ""
    problem: Defect | None = None
    findings: list[str] = []
    model: str = ""
    selected: bool = False


def candidates_in(listing: Listing, facts: Facts) -> list[Candidate]:
    """The candidates of a directory; where it cannot be read, one that stands for the directory itself."""
    return [_unreadable(listing)] if listing.error else _Directory(listing, facts).candidates()


def _unfollowed(listing: Listing, names: list[str]) -> Candidate:
    """The candidate that stands for links out of the zoo, of which the first is named."""
    path, target = listing.path_of(names[0]), listing.outside[names[0]]
    others = f" ({len(names) - 1} more links in this directory do)" if len(names) > 1 else ""
    problem = Problem("outside_zoo", f"{printable(path)} leads out of the zoo, to {printable(target)}{others}")
    return Candidate(
        zoo=listing.zoo,
        directory=listing.path,
        prefix=path,
        series="",
        name=names[0],
        stem=names[0],
        step=None,
        fingerprint=_digest(["link", path, target, len(names)]),
        problem=Defect(**vars(problem)),
    )


def _unreadable(listing: Listing) -> Candidate:
    path = listing.path
    above, name = os.path.split(listing.relative or os.path.abspath(path))
    problem = Problem("unreadable", f"the directory {printable(path)} cannot be read: {listing.error}")
    return Candidate(
        zoo=listing.zoo,
        directory=os.path.dirname(path) or ".",
        prefix=path,
        series=model_id(above if listing.relative else "", name),
        name=name,
        stem=name,
        step=None,
        fingerprint=_digest(["directory", path, listing.error]),
        problem=Defect(**vars(problem)),
    )


class _Directory:
    """The candidates of one directory."""

    def __init__(self, listing: Listing, facts: Facts):
        self.listing, self.files, self._facts = listing, Files(listing, facts), facts
        self.indexes: set[str] = set()
        self.metas: dict[str, str] = {}
        self.others: list[str] = []
        self.data = defaultdict(list)
        for name in self.files.names:
            if name.endswith(".index"):
                self.indexes.add(name.removesuffix(".index"))
            elif match := DATA_SHARD.fullmatch(name):
                self.data[match[1]].append(name)
            elif ending := next((ending for ending in _META_ENDINGS if name.endswith(ending)), None):
                self.metas.setdefault(name.removesuffix(ending), name)
            elif name not in SAVED_MODEL_FILES and (name != "checkpoint" or self.files.kind(name) == "table"):
                self.others.append(name)
        self.metas_by_stem: dict[str, dict[int | None, str]] = defaultdict(dict)
        for name, meta in self.metas.items():
            stem, step = split_step(name)
            self.metas_by_stem[stem][step] = meta

    def candidates(self) -> list[Candidate]:
        singles = self._singles()
        found = [self._v2(name) for name in sorted(self.indexes)]
        found += [self._v1(name, parts) for name, parts in singles.items() if name not in self.indexes]
        known = {*self.indexes, *singles}
        found += [self._without_index(name) for name in self.data if name not in known]
        found += self._missing({candidate.name for candidate in found})
        remark = self.files.problem("checkpoint") if "checkpoint" in self.files.names else None
        for candidate in found:
            candidate.findings += [remark.message] if remark else []
            candidate.named = self.named if split_step(self.named)[0] == candidate.stem else ""
            if candidate.format == "V2" and candidate.name in singles:
                ignored = ", ".join(printable(part) for part in singles[candidate.name])
                candidate.findings.append(f"{ignored} of the same name is not used: V2 goes before V1")
        found += self._saved_model()
        return found + self._unfollowed(found)

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
        return [_unfollowed(self.listing, names) for names in [*([name] for name in directories), files] if names]

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

    def _singles(self) -> dict[str, list[str]]:
        """Files that are, or should be, V1 checkpoints, by name; those in shards under their common name."""
        singles = defaultdict(list)
        for name in self.others:
            shard = _V1_SHARD.fullmatch(name)
            common = shard[1] if shard else name
            meta = self.metas.get(common)
            if self.files.kind(name) == "table" or ".ckpt" in name or (meta and self.files.kind(meta) != "unity"):
                singles[common].append(name)
        return singles

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
        problem = problem or self._missing_shard(f"{name}.data", total) or self.files.first_problem(data)
        return total, problem or self.files.damage(name, data)

    def _v1(self, name: str, parts: list[str]) -> Candidate:
        parts = [name] if name in parts else parts
        sharded = None if name in parts else _V1_SHARD.fullmatch(parts[0])
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
        data = self.data[name]
        problem = Problem("no_index", f"{self.files.shown(f'{name}.index')} is missing; {printable(data[0])} is there")
        return self._candidate(name, "V2", [], data, len(data), meta, problem, findings)

    def _missing(self, found: set[str]) -> list[Candidate]:
        """Checkpoints of which only a meta graph is there, or nothing but their name in `checkpoint`."""
        stems = {split_step(name)[0] for name in found}
        lonely = defaultdict(set)
        named, every = self.said
        metas = [name for name, meta in self.metas.items() if self.files.kind(meta) != "unity"]
        for name in [*metas, *every]:
            if split_step(name)[0] not in stems or (name == named and name in metas and name not in found):
                lonely[split_step(name)[0]].add(name)
        chosen = (named if named in names else max(names, key=_height) for names in lonely.values())
        meta_of = {name: self._meta_of(name)[0] for name in chosen}
        reasons = {name: f"{printable(meta)} is there alone" for name, meta in meta_of.items() if meta}
        gone = sorted((name for name in meta_of if name not in reasons), key=lambda name: name != named)
        reasons |= dict.fromkeys(gone[:_MOST_GONE], "`checkpoint` names it")
        if more := gone[_MOST_GONE:]:
            reasons[gone[_MOST_GONE - 1]] += f", and {len(more)} more models of which nothing is there"
        return [self._left(name, why) for name, why in reasons.items()]

    def _left(self, name: str, why: str) -> Candidate:
        """The candidate that stands for a checkpoint of which the files are gone."""
        meta, findings = self._meta_of(name)
        problem = Problem("missing_checkpoint", f"{self.files.shown(name)} has no checkpoint files; {why}")
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
        own.fingerprint = _digest([own.fingerprint, checkpoint.fingerprint])
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
            fingerprint=_digest([name, kind, contents, shard_facts, vars(problem) if problem else None]),
            problem=Defect(**vars(problem)) if problem else None,
            findings=findings,
        )

    def _missing_shard(self, name: str, total: int) -> Problem | None:
        shards = (f"{name}-{number:05d}-of-{total:05d}" for number in range(total))
        first = next((shard for shard in shards if not self.files.is_there(shard)), None)
        if not first:
            return None
        return Problem("missing_shard", f"{self.files.shown(first)} is missing; the checkpoint has {total} shard(s)")

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
        return Problem("no_meta_graph", f"{missing} is missing, and so is that of any other step")


def _height(name: str) -> tuple[bool, int, str]:
    step = split_step(name)[1]
    return step is not None, step or 0, name


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()[:32]
