"""Which checkpoints a zoo holds, which of them are the models to freeze, and what is wrong with the others.

    X.index, X.data-00000-of-00001 ...   a V2 checkpoint: a table of tensors, and the shards that hold their bytes
    X, or X-00000-of-00002 ...           a V1 checkpoint: tables that hold the tensors themselves
    X.meta, or X.meta.pbtxt              the meta graph, often one for many steps
    checkpoint                           names the newest X, as a path on the machine that wrote it

It runs whenever the Snakefile is read, so it opens no file whose size, mtime and inode are as they were.
"""

import hashlib
import json
import os
import re
import stat
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from permafrost.contract import Problem
from permafrost.names import model_id, named_prefixes, printable, split_step, step_id

_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")  # tensorflow/core/lib/io/format.h, kTableMagicNumber
_LFS_POINTER = b"version https://git-lfs"
_LARGEST_POINTER = 1024  # bytes; the Git LFS specification's limit
_LONGEST_CHECKPOINT_FILE = 4 << 20
_SETTLED_NS = 2_000_000_000

_META_ENDINGS = (".meta", ".meta.pbtxt", ".meta.txt")
_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_DATA = re.compile(r"(.*)\.data-[0-9]{5}-of-([0-9]{5})", re.DOTALL)
_V1_SHARD = re.compile(r"(.*)-[0-9]{5}-of-([0-9]{5})", re.DOTALL)

# What a file turns out to be that should be a checkpoint or a meta graph: cause and the rest of the sentence.
_UNUSABLE = {
    "gone": ("unreadable", "is a link to a file that is not there"),
    "unreadable": ("unreadable", "cannot be read"),
    "empty": ("truncated", "is empty"),
    "lfs": ("lfs_pointer", "is a Git LFS pointer, not the file itself"),
}
_NO_TABLE = {
    "cut": ("truncated", "begins like a V1 checkpoint, but does not end like one"),
    "pickle": ("not_a_checkpoint", "is a Python pickle, such as PyTorch writes, not a TensorFlow checkpoint"),
    "zip": ("not_a_checkpoint", "is a zip archive, such as PyTorch and Keras write, not a TensorFlow checkpoint"),
    "hdf5": ("not_a_checkpoint", "is an HDF5 file, such as Keras writes, not a TensorFlow checkpoint"),
    "other": ("not_a_checkpoint", "is not a TensorFlow checkpoint; it lacks the mark at its end"),
    "unity": ("not_a_checkpoint", "belongs to a Unity asset"),
}


@dataclass
class Candidate:
    """A checkpoint, or what is left of one, or something that looks like one. All fields are JSON values.

    Paths begin as the user gave the zoo; `name` is the prefix's base name, and `named` the one of the same series that
    the `checkpoint` file names, or "". `bytes` are those of the checkpoint's files without the meta graph.
    `problem` has cause, message and hint.
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
    files: list[str] = field(default_factory=list)
    fingerprint: str = ""
    named: str = ""
    problem: dict | None = None
    findings: list[str] = field(default_factory=list)


def scan(zoos: list[str], skip: list[str], cache: dict) -> list[Candidate]:
    """Every candidate below the directories `zoos`, at any depth, in a fixed order.

    Each real directory is read once, and through a symbolic link only where nothing else leads to it. Directories
    named .git and .snakemake, and those in `skip`, are not entered.
    Args:
      cache: what an earlier scan left in it, or {}; holds what this scan knows afterwards. JSON.
    Raises Problem(bad_setting) for a zoo that is no directory, or is one of `skip`.
    """
    facts = _Facts(cache)
    found = []
    for directory in _walk(zoos, skip):
        found += [_unreadable(directory)] if directory.error else _Directory(directory, facts).candidates()
    cache.clear()
    cache.update(facts.to_keep())
    return sorted(found, key=lambda c: (c.series, c.step is not None, c.step or 0, c.name, c.prefix))


def select(candidates: list[Candidate], rule_for: Callable[[str], str | list[int]]) -> list[dict]:
    """The models: of each series the newest step, all steps, or those that the rule lists.

    The newest is the step that `checkpoint` names if any of its files is there, broken or not, else the highest.
    Args:
      rule_for: series id -> "latest", "all" or a list of steps.
    Returns dicts with id, series, directory, prefix, step, format, shards, bytes, meta, files, fingerprint, problem
      and findings, sorted by id.
    Raises Problem(bad_setting) for a listed step that a series does not have, and for two directories with one id.
    """
    groups = defaultdict(list)
    for candidate in candidates:
        groups[candidate.series].append(candidate)
    models = []
    for series, group in groups.items():
        _refuse_twins(series, group)
        # A directory that cannot be read shares the id of a series of its name; what can be read comes first.
        steps = {c.name: c for c in sorted(group, key=lambda c: c.problem is None)}
        rule = rule_for(series)
        if rule == "latest":
            models.append(_model(series, *_newest(steps)))
            continue
        for candidate in steps.values() if rule == "all" else _listed(series, steps, rule):
            digits = candidate.name[len(candidate.stem) + 1 :]
            models.append(_model(series if candidate.step is None else step_id(series, digits), candidate, []))
    return sorted(models, key=lambda model: model["id"])


def _model(identity: str, candidate: Candidate, findings: list[str]) -> dict:
    kept = ("series", "directory", "prefix", "step", "format", "shards", "bytes", "meta", "files", "fingerprint")
    return {
        "id": identity,
        **{key: getattr(candidate, key) for key in kept},
        "problem": candidate.problem,
        "findings": candidate.findings + findings,
    }


def _refuse_twins(series: str, group: list[Candidate]) -> None:
    twin = next((c for c in group if c.zoo != group[0].zoo), None)
    if twin:
        raise Problem(
            "bad_setting",
            f"{printable(group[0].directory)} and {printable(twin.directory)} both have a model with the id {series}",
            "rename one of the two, or run the two zoos apart, with `frozen` and `reports` of their own",
        )


def _newest(steps: dict[str, Candidate]) -> tuple[Candidate, list[str]]:
    highest = max(steps.values(), key=lambda c: (c.step is not None, c.step or 0, c.name))
    named = next((c.named for c in steps.values() if c.named), "")
    if named in steps and named:
        others = [f"`checkpoint` names {printable(named)}; {printable(highest.name)} is there too"]
        return steps[named], others if highest is not steps[named] else []
    if named:
        return highest, [f"`checkpoint` names {printable(named)}, which is not there; this is the highest step that is"]
    return highest, ["no `checkpoint` file names the newest step; this is the highest"] if len(steps) > 1 else []


def _listed(series: str, steps: dict[str, Candidate], listed: list[int]) -> list[Candidate]:
    if all(c.problem and c.step is None for c in steps.values()):
        return list(steps.values())
    there = sorted({c.step for c in steps.values() if c.step is not None})
    for step in listed:
        if step not in there:
            nearest = min(there, key=lambda s: abs(s - step), default=None)
            known = "it has none" if nearest is None else f"the nearest that it has is {nearest}"
            raise Problem("bad_setting", f"`checkpoints` lists step {step} for {series}; {known}")
    return [c for c in steps.values() if c.step in listed]


@dataclass
class _Listing:
    """A directory as os.scandir gives it: regular files with their stat, None where that failed; links followed."""

    zoo: str
    path: str
    relative: str
    files: dict[str, os.stat_result | None] = field(default_factory=dict)
    below: list[tuple[str, bool]] = field(default_factory=list)  # names, and whether they are links
    error: str = ""


def _walk(zoos: list[str], skip: list[str]) -> Iterator[_Listing]:
    own = {_identity(path) for path in skip if os.path.isdir(path)}
    seen = set(own)
    links = deque()
    for zoo in zoos:
        if not os.path.isdir(zoo):
            raise Problem("bad_setting", f"the zoo {printable(zoo)} is not a directory", "correct `zoo`")
        if _identity(zoo) in own:
            raise Problem("bad_setting", f"{printable(zoo)} is the zoo and a directory for outputs", "choose another")
    for zoo in zoos:
        root = re.sub(r"^(\./+)+", "", zoo.rstrip("/") or zoo[:1]) or "."
        yield from _walk_real(deque([_Listing(zoo, root, "")]), seen, links)
    while links:
        yield from _walk_real(deque([links.popleft()]), seen, links)


def _walk_real(pending: deque[_Listing], seen: set, links: deque[_Listing]) -> Iterator[_Listing]:
    while pending:
        listing = pending.popleft()
        try:
            identity = _identity(listing.path)
            if identity in seen:
                continue
            seen.add(identity)
            _fill(listing)
        except FileNotFoundError:
            continue
        except OSError as error:
            listing.error = error.strerror or str(error)
        yield listing
        for name, is_link in sorted(listing.below):
            relative = f"{listing.relative}/{name}".lstrip("/")
            (links if is_link else pending).append(_Listing(listing.zoo, _join(listing.path, name), relative))


def _fill(listing: _Listing) -> None:
    with os.scandir(listing.path) as entries:
        for entry in entries:
            try:
                if entry.is_dir():
                    if entry.name not in (".git", ".snakemake"):
                        listing.below.append((entry.name, entry.is_symlink()))
                    continue
                information = entry.stat()
            except OSError:
                listing.files[entry.name] = None
                continue
            if stat.S_ISREG(information.st_mode):
                listing.files[entry.name] = information
    if any(name in listing.files for name in _SAVED_MODEL):
        listing.below = [(name, is_link) for name, is_link in listing.below if name != "variables"]


def _identity(path: str) -> tuple[int, int]:
    information = os.stat(path)
    return information.st_dev, information.st_ino


def _join(directory: str, name: str) -> str:
    return name if directory == "." else f"{directory}/{name}" if directory != "/" else f"/{name}"


def _unreadable(listing: _Listing) -> Candidate:
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
        problem=vars(problem),
    )


class _Facts:
    """What was learnt by opening files, kept for as long as size, mtime and inode are the same.

    {path: [[size, mtime_ns, inode], {fact: value}]}
    """

    def __init__(self, known: dict):
        self._known = dict(known)
        self._current = {}
        self._started_ns = time.time_ns()

    def of(self, path: str, information: os.stat_result, fact: str, find_out: Callable[[], object]):
        """The value of `fact`; find_out gives it where it is not known. What find_out raises is not kept."""
        entry = self._current.get(path)
        if entry is None:
            stamp = [information.st_size, information.st_mtime_ns, information.st_ino]
            entry = self._known.get(path)
            if entry is None or entry[0] != stamp:
                entry = [stamp, {}]
            self._current[path] = entry
        if fact not in entry[1]:
            entry[1][fact] = find_out()
        return entry[1][fact]

    def to_keep(self) -> dict:
        # A file that changes twice within a tick of the clock keeps its mtime, so a fresh one is read again.
        return {path: entry for path, entry in self._current.items() if entry[0][1] < self._started_ns - _SETTLED_NS}


class _Directory:
    """The candidates of one directory."""

    def __init__(self, listing: _Listing, facts: _Facts):
        self.listing, self.files, self.facts = listing, listing.files, facts
        self.indexes, self.metas, self.others = set(), {}, []
        self.data = defaultdict(list)
        for name in sorted(self.files):
            if name.endswith(".index"):
                self.indexes.add(name.removesuffix(".index"))
            elif match := _DATA.fullmatch(name):
                self.data[match[1]].append(name)
            elif ending := next((ending for ending in _META_ENDINGS if name.endswith(ending)), None):
                self.metas.setdefault(name.removesuffix(ending), name)
            elif name not in _SAVED_MODEL and (name != "checkpoint" or self.kind(name) == "table"):
                self.others.append(name)
        self.metas_by_stem = defaultdict(dict)
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
        remark = self._unusable("checkpoint") if "checkpoint" in self.files else None
        for candidate in found:
            candidate.findings += [remark.message] if remark else []
            candidate.named = self.named if split_step(self.named)[0] == candidate.stem else ""
            if candidate.format == "V2" and candidate.name in singles:
                ignored = ", ".join(printable(part) for part in singles[candidate.name])
                candidate.findings.append(f"{ignored} of the same name is not used: V2 goes before V1")
        return found + self._saved_model()

    def path(self, name: str) -> str:
        return _join(self.listing.path, name)

    def kind(self, name: str) -> str:
        """What the file is by its first and last bytes: table, meta, a key of _UNUSABLE or _NO_TABLE."""
        information = self.files[name]
        if information is None:
            return "gone"
        if not information.st_size:
            return "empty"
        try:
            path = self.path(name)
            return self.facts.of(path, information, "kind", lambda: _kind(path, information.st_size))
        except OSError:
            return "unreadable"

    def shard_kind(self, name: str) -> str:
        # Shards are large and many: only what could be a pointer is opened.
        information = self.files[name]
        if information is None or information.st_size < _LARGEST_POINTER:
            return self.kind(name)
        return "data" if os.access(self.path(name), os.R_OK) else "unreadable"

    def sha256(self, name: str) -> str:
        path, information = self.path(name), self.files[name]
        if information is None:
            return ""
        try:
            return self.facts.of(path, information, "sha256", lambda: _sha256(path))
        except OSError:
            return ""

    @cached_property
    def said(self) -> tuple[str, list[str]]:
        """What `checkpoint` says: the name of the newest, and all names, found by base name in this directory."""
        if "checkpoint" not in self.files or self.kind("checkpoint") in _UNUSABLE:
            return "", []
        path = self.path("checkpoint")
        try:
            newest, every = self.facts.of(path, self.files["checkpoint"], "names", lambda: _named_prefixes(path))
        except OSError:
            return "", []
        there = {*self.indexes, *self.data, *self.metas, *self.others}

        def resolved(names: list[str]) -> str:
            return next((name for name in names if name in there), min(names, key=len, default=""))

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
            if self.kind(name) == "table" or ".ckpt" in name or (meta and self.kind(meta) != "unity"):
                singles[common].append(name)
        return singles

    def _v2(self, name: str) -> Candidate:
        index, data = f"{name}.index", self.data.get(name, [])
        problem = self._unusable(index)
        total, is_tf2 = len(data), False
        if not problem:
            try:
                total, is_tf2 = self._header(index)
            except Problem as error:
                problem = error
        meta, findings = self._meta_of(name)
        if is_tf2 and not meta:
            problem = Problem("tf2_checkpoint", f"{self._shown(index)} is of a TensorFlow 2 object-based checkpoint")
        problem = problem or self._missing_shard(f"{name}.data", total) or self._first_unusable(data)
        problem = problem or self._meta_problem(name, meta)
        return self._candidate(name, "V2", [index], data, total, meta, problem, findings)

    def _v1(self, name: str, parts: list[str]) -> Candidate:
        parts = [name] if name in parts else parts
        sharded = None if name in parts else _V1_SHARD.fullmatch(parts[0])
        problem = self._missing_shard(name, int(sharded[2])) if sharded else None
        problem = problem or self._first_unusable(parts, _NO_TABLE)
        meta, findings = self._meta_of(name)
        problem = problem or self._meta_problem(name, meta)
        if problem and problem.cause == "not_a_checkpoint":
            return self._candidate(name, "", [], parts, len(parts), meta, problem, findings)
        candidate = self._candidate(name, "V1", parts, [], len(parts), meta, problem, findings)
        if sharded:
            candidate.prefix = self.path(f"{name}-?????-of-{sharded[2]}")
        return candidate

    def _without_index(self, name: str) -> Candidate:
        meta, findings = self._meta_of(name)
        data = self.data[name]
        problem = Problem("no_index", f"{self._shown(f'{name}.index')} is missing; {printable(data[0])} is there")
        return self._candidate(name, "V2", [], data, len(data), meta, problem, findings)

    def _missing(self, found: set[str]) -> list[Candidate]:
        """Checkpoints of which only a meta graph is there, or nothing but their name in `checkpoint`."""
        stems = {split_step(name)[0] for name in found}
        lonely = defaultdict(set)
        named, every = self.said
        metas = [name for name, meta in self.metas.items() if self.kind(meta) != "unity"]
        for name in [*metas, *every]:
            if split_step(name)[0] not in stems or (name == named and name in metas and name not in found):
                lonely[split_step(name)[0]].add(name)
        missing = []
        for names in lonely.values():
            name = named if named in names else max(names, key=_height)
            meta, findings = self._meta_of(name)
            why = f"{printable(meta)} is there alone" if meta else "`checkpoint` names it"
            problem = Problem("missing_checkpoint", f"{self._shown(name)} has no checkpoint files; {why}")
            missing.append(self._candidate(name, "", [], [], 0, meta, problem, findings))
        return missing

    def _saved_model(self) -> list[Candidate]:
        present = [name for name in _SAVED_MODEL if name in self.files]
        if not present:
            return []
        problem = Problem("saved_model", f"{self._shown(present[0])} is a SavedModel, not a checkpoint")
        candidate = self._candidate("saved_model", "", [], present, 0, "", problem, [])
        candidate.prefix = self.path(present[0])
        return [candidate]

    def _candidate(self, name, kind, tables, data, shards, meta, problem, findings) -> Candidate:
        problem = vars(problem) if problem else None
        stem, step = split_step(name)
        contents = [self.sha256(table) for table in tables] + ([self.sha256(meta)] if meta else [])
        shard_facts = [(shard, self._size(shard), self.shard_kind(shard)) for shard in data]
        return Candidate(
            zoo=self.listing.zoo,
            directory=self.listing.path,
            prefix=self.path(name),
            series=model_id(self.listing.relative, stem),
            name=name,
            stem=stem,
            step=step,
            format=kind,
            shards=shards,
            bytes=sum(self._size(file) for file in tables + data),
            meta=self.path(meta) if meta else "",
            files=[self.path(file) for file in [*tables, *data, *([meta] if meta else [])]],
            fingerprint=_digest([name, kind, contents, shard_facts, problem]),
            problem=problem,
            findings=findings,
        )

    def _size(self, name: str) -> int:
        return self.files[name].st_size if self.files[name] else 0

    def _shown(self, name: str) -> str:
        return printable(self.path(name))

    def _unusable(self, name: str, kinds: dict = _UNUSABLE) -> Problem | None:
        kind = self.shard_kind(name) if _DATA.fullmatch(name) else self.kind(name)
        return Problem(kinds[kind][0], f"{self._shown(name)} {kinds[kind][1]}") if kind in kinds else None

    def _first_unusable(self, names: list[str], more: dict | None = None) -> Problem | None:
        return next(filter(None, (self._unusable(name, _UNUSABLE | (more or {})) for name in names)), None)

    def _missing_shard(self, name: str, total: int) -> Problem | None:
        shards = (f"{name}-{number:05d}-of-{total:05d}" for number in range(total))
        first = next((shard for shard in shards if self.files.get(shard) is None), None)
        if not first:
            return None
        return Problem("missing_shard", f"{self._shown(first)} is missing; the checkpoint has {total} shard(s)")

    def _header(self, index: str) -> list:
        """Number of shards, and whether it is an object-based checkpoint. Raises Problem."""

        def read() -> list | dict:
            from permafrost.checkpoint import read_index_header  # only now: it is slow to import

            try:
                return list(read_index_header(self.path(index)))
            except Problem as problem:
                if problem.cause == "unreadable":
                    raise
                return vars(problem)
            except OSError as error:
                raise Problem("unreadable", f"{self._shown(index)} cannot be read: {error.strerror}") from error

        header = self.facts.of(self.path(index), self.files[index], "header", read)
        if isinstance(header, dict):
            raise Problem(**header)
        return header

    def _meta_of(self, name: str) -> tuple[str, list[str]]:
        """The file with the meta graph of a checkpoint, or "", and what is to be said about it."""
        if name in self.metas:
            return self.metas[name], []
        stem, step = split_step(name)
        steps = dict(self.metas_by_stem.get(stem, {}))
        whole = steps.pop(None, "")
        if not steps and not whole:
            return "", []
        own = -1 if step is None else step
        lower = max((other for other in steps if other < own), default=None)
        nearest = lower if lower is not None else min(steps, default=None)
        meta = steps.get(nearest, whole)
        return meta, [f"the meta graph is {printable(meta)}, which was written with another step"]

    def _meta_problem(self, name: str, meta: str) -> Problem | None:
        if meta:
            return self._unusable(meta)
        return Problem("no_meta_graph", f"{self._shown(f'{name}.meta')} is missing, and so is that of any other step")


def _height(name: str) -> tuple:
    step = split_step(name)[1]
    return step is not None, step or 0, name


def _kind(path: str, size: int) -> str:
    with Path(path).open("rb") as file:
        head = file.read(64)
        file.seek(max(0, size - len(_TABLE_MAGIC)))
        tail = file.read(len(_TABLE_MAGIC))
    if size < _LARGEST_POINTER and head.startswith(_LFS_POINTER):
        return "lfs"
    if tail == _TABLE_MAGIC:
        return "table"
    starts = {b"\0\0": "cut", b"\x80": "pickle", b"PK\3\4": "zip", b"\x89HDF": "hdf5", b"fileFormatVersion:": "unity"}
    return next((kind for start, kind in starts.items() if head.startswith(start)), "other")


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named_prefixes(path: str) -> list:
    with Path(path).open("rb") as file:
        return list(named_prefixes(file.read(_LONGEST_CHECKPOINT_FILE)))


def _digest(content: list) -> str:
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()[:32]
