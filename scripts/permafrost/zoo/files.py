"""What the files of a directory are, by their first and last bytes, and what they say; each is read once.

What was found out of a file is kept for as long as its stamp is the same (checkpoint.unchanged).
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crc32c import crc32c

from permafrost import file_kinds
from permafrost.checkpoint.unchanged import stamp
from permafrost.encoding import LFS_POINTER, TABLE_MAGIC
from permafrost.file_kinds import Kind
from permafrost.graph.graph_files import no_graph_of
from permafrost.outcome import Problem
from permafrost.zoo.listing import Listing
from permafrost.zoo.names import named_paths, named_prefixes, printable
from permafrost.zoo.networks import Variables
from permafrost.zoo.other_names import DATA_SHARD

_LARGEST_POINTER = 1024  # bytes; the Git LFS specification's limit
_LONGEST_CHECKPOINT_FILE = 4 << 20
_LARGEST_HASHED = 1 << 31  # bytes
_END = 1 << 20  # bytes of a larger file that are looked at, at its start and at its end
_SETTLED_NS = 2_000_000_000
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # the byte order marks
_DAMAGE = "damage"  # the fact that is found out by reading all of a shard

# The first entry of a V2 index: an empty key, the length of a BundleHeaderProto, and its first field, num_shards.
_INDEX = re.compile(rb"\0\0[\x80-\xff]*[\0-\x7f]\x08", re.DOTALL)

# What a file turns out to be that should be a checkpoint or a meta graph: cause and the rest of the sentence.
_UNUSABLE = {
    "gone": ("unreadable", "is a link to a file that is not there"),
    "unreadable": ("unreadable", "cannot be read"),
    "deleted": ("changed", "was deleted while the zoo was looked at"),
    "empty": ("truncated", "is empty"),
    "lfs": ("lfs_pointer", "is a Git LFS pointer, not the file itself"),
    "outside": ("outside_zoo", "is a link that leads out of the zoo, to"),
}
_NO_TABLE = {
    "cut": ("truncated", "begins like a V1 checkpoint, but does not end like one"),
    "index": ("not_a_checkpoint", "is the index of a V2 checkpoint, not a V1 checkpoint"),
    "other": ("not_a_checkpoint", "is not a TensorFlow checkpoint; it lacks the mark at its end"),
    "unity": ("not_a_checkpoint", "belongs to a Unity asset"),
}


Cache = dict[str, list[Any]]  # path -> [stamp, {fact: value}], all of it JSON


class Facts:
    """What was learnt by opening files, kept for as long as their stamps are the same.

    `known` is what to_keep gave.
    """

    def __init__(self, known: Cache):
        self._known = dict(known)
        self._current: Cache = {}
        self._started_ns = time.time_ns()

    def of(self, path: str, information: os.stat_result, fact: str, find_out: Callable[[], object]) -> Any:
        """The value of `fact`; find_out gives it where it is not known. What find_out raises is not kept."""
        facts = self._entry(path, information)[1]
        if fact not in facts:
            facts[fact] = find_out()
        return facts[fact]

    def learn(self, path: str, information: os.stat_result, fact: str, value: object) -> None:
        """Keeps the value of `fact`, in the place of what was known."""
        self._entry(path, information)[1][fact] = value

    def _entry(self, path: str, information: os.stat_result) -> list[Any]:
        if path not in self._current:
            seen, facts = self._known.get(path, (None, {}))
            now = stamp(information)
            self._current[path] = [now, dict(facts) if now == seen else {}]
        return self._current[path]

    def is_other(self, path: str, information: os.stat_result) -> bool:
        """Whether a file that was known before is not the same now."""
        return path in self._known and self._known[path][0] != stamp(information)

    def to_keep(self) -> Cache:
        """What to give to the next Facts: all that was asked for; of files that were written just now, what is dear.

        A file that changes twice within a tick of the clock keeps its times, so that a fresh one is read again; but not
        a large one.
        """
        kept: Cache = {}
        for path, (seen, facts) in self._current.items():
            is_settled = seen[2] < self._started_ns - _SETTLED_NS
            kept[path] = [seen, facts if is_settled else {fact: facts[fact] for fact in facts if fact == _DAMAGE}]
        return kept


class Files:
    """The regular files of one directory; `names` are theirs, sorted.

    No method raises OSError: what cannot be read is of the kind "unreadable".
    """

    def __init__(self, listing: Listing, facts: Facts):
        self._listing, self._facts = listing, facts
        self.names = sorted(listing.files)

    def path(self, name: str) -> str:
        """The path of a file, which need not be there."""
        return self._listing.path_of(name)

    def shown(self, name: str) -> str:
        """The path of a file as messages have it."""
        return printable(self.path(name))

    def is_there(self, name: str) -> bool:
        """Whether a file of this name is there, and is no link to nothing."""
        return self._listing.files.get(name) is not None

    def size(self, name: str) -> int:
        """The size of a file in bytes; 0 for a link to nothing."""
        found = self._listing.files.get(name)
        return found.st_size if found is not None else 0

    def kind(self, name: str) -> str:
        """What a file is by its first and last bytes: "table" (of V1), or a key of _UNUSABLE or _NO_TABLE."""
        if name in self._listing.outside:
            return "outside"
        if not self.is_there(name):
            return "gone"
        if not self.size(name):
            return "empty"
        try:
            return str(self._fact(name, "kind", lambda: _kind(self.path(name), self.size(name))))
        except FileNotFoundError:
            return "deleted"
        except OSError:
            return "unreadable"

    def shard_kind(self, name: str) -> str:
        """What a file is that is taken for a shard: "data", or what `kind` says of a small one.

        Shards are large and many: only what could be a pointer is opened. An empty one is as TensorFlow writes it for
        a device that holds no variables; whether a tensor should be in it is for the index to say.
        """
        if name in self._listing.outside or not self.is_there(name) or 0 < self.size(name) < _LARGEST_POINTER:
            return self.kind(name)
        return "data" if os.access(self.path(name), os.R_OK) else "unreadable"

    def problem(self, name: str, as_table: bool = False) -> Problem | None:
        """Why a file cannot be used, or None; with `as_table`, why not as a V1 checkpoint."""
        kinds = _UNUSABLE | _NO_TABLE if as_table else _UNUSABLE
        kind = self.shard_kind(name) if DATA_SHARD.fullmatch(name) else self.kind(name)
        if kind not in kinds:
            return None
        cause, text = kinds[kind]
        if kind in ("other", "cut") and (found := self.foreign(name)):
            cause = "not_a_checkpoint" if kind == "other" else "corrupt"
            return Problem(cause, f"{self.shown(name)} is {found.what}, not a TensorFlow checkpoint", found.hint)
        target = f" {printable(self._listing.outside[name])}" if kind == "outside" else ""
        return Problem(cause, f"{self.shown(name)} {text}{target}")

    def foreign(self, name: str) -> Kind | None:
        """What a file is that is no part of a checkpoint, where its first bytes tell it, or None."""
        if name in self._listing.outside or not self.is_there(name):
            return None
        try:
            found = self._fact(name, "foreign", lambda: _foreign(self.path(name)))
        except OSError:
            return None
        return Kind(*found) if found else None

    def graph_problem(self, name: str) -> Problem | None:
        """Why a file cannot be used as the one that holds the graph, or None."""
        size = 0 if name in self._listing.outside else self.size(name)
        return no_graph_of(self.shown(name), size) or self.problem(name)

    def first_problem(self, names: list[str], as_table: bool = False) -> Problem | None:
        """The problem of the first file that has one, as `problem` gives it."""
        return next(filter(None, (self.problem(name, as_table) for name in names)), None)

    def sha256(self, name: str) -> str:
        """The digest of a file's content, in hexadecimal; '' where it cannot be read.

        Where a file has more than 2 GiB, as a V1 checkpoint may, it is that of its stamp and its first and last MiB:
        to read all of it would hold up the plan of the whole zoo. So the copy of such a file has another one.
        """
        information = self._listing.files.get(name)
        if information is None or name in self._listing.outside:
            return ""
        try:
            return str(self._fact(name, "sha256", lambda: _sha256(self.path(name), information)))
        except OSError:
            return ""

    def named_prefixes(self) -> tuple[list[str], list[list[str]]]:
        """What the file `checkpoint` names, as zoo.names.named_prefixes gives it, or two empty lists."""
        newest, every = self._of_checkpoint_file("names", named_prefixes) or ([], [])
        return newest, every

    def named_paths(self) -> list[str]:
        """The paths that the file `checkpoint` names, as zoo.names.named_paths gives them, or none."""
        return self._of_checkpoint_file("paths", named_paths) or []

    def _of_checkpoint_file(self, fact: str, parse: Callable[[bytes], Any]) -> Any:
        """What `parse` finds in the file `checkpoint`, or None where it cannot be read."""
        if "checkpoint" not in self.names or self.kind("checkpoint") in _UNUSABLE:
            return None
        try:
            return self._fact("checkpoint", fact, lambda: parse(_checkpoint_file(self.path("checkpoint"))))
        except OSError:
            return None

    def index_header(self, name: str) -> tuple[int, bool]:
        """The number of shards that an index names, and whether it is of an object-based checkpoint.

        Raises Problem as checkpoint.reader.read_index_header does.
        """

        def read() -> list[Any] | dict[str, Any]:
            from permafrost.checkpoint.reader import read_index_header  # only now: it is slow to import

            try:
                return list(read_index_header(self.path(name)))
            except Problem as problem:
                if problem.cause in ("unreadable", "changed", "io_error"):
                    raise
                return vars(problem)
            except MemoryError as error:
                raise Problem("killed", f"{self.shown(name)} was not read, for lack of memory") from error
            except OSError as error:
                raise Problem("unreadable", f"{self.shown(name)} cannot be read: {error.strerror}") from error

        header = self._fact(name, "header", read)
        if isinstance(header, dict):
            raise Problem(**header)
        shards, is_object_based = header
        return shards, is_object_based

    def shard_sizes(self, name: str) -> list[int]:
        """The bytes that an index asks of each shard; empty where it cannot be read."""
        return list(self._contents(name)[0])

    def variables(self, name: str) -> Variables:
        """The tensors of a checkpoint that are no scalars.

        `name` is that of its index, or of a file of a V1 checkpoint. Empty where it cannot be read.
        """
        return frozenset((name, shape) for name, shape in self._contents(name)[1])

    def _contents(self, name: str) -> list[Any]:
        """Of a table that is known to be one: the sizes of the shards that it asks for, and `variables`."""
        from permafrost.checkpoint.reader import read_contents  # only now: it is slow to import

        def read() -> list[Any]:
            contents = read_contents(self.path(name), name.endswith(".index") or self.kind(name) == "index")
            shaped = ((name, shape) for name, shape in contents.shapes.items() if shape)
            return [contents.shard_sizes, sorted([crc32c(repr(part).encode()) for part in pair] for pair in shaped)]

        if name in self._listing.outside or not self.is_there(name):
            return [[], []]
        try:
            return list(self._fact(name, "contents", read))
        except (Problem, OSError, MemoryError):
            return [[], []]

    def damage(self, name: str, shards: list[str]) -> Problem | None:
        """What is wrong with what is in the shards of the V2 checkpoint `name`, or None.

        No digest of theirs is kept, since they are large; so they are read, against the checksums that the index holds,
        where one of them is not the same file as in the scan before. Freezing them reads them in any case.
        """
        there = [(self.path(shard), self._information(shard)) for shard in shards]
        if any(self._facts.is_other(*file) for file in there):
            try:
                found = _damage(self.path(name))
            except (Problem, OSError, MemoryError):
                return None  # What it is, the stages say; the next scan looks again.
            for file in there:
                self._facts.learn(*file, _DAMAGE, found)
        known = [self._facts.of(*file, _DAMAGE, lambda: None) for file in there]
        return next((Problem(**problem) for problem in known if problem), None)

    def _fact(self, name: str, fact: str, find_out: Callable[[], object]) -> Any:
        return self._facts.of(self.path(name), self._information(name), fact, find_out)

    def _information(self, name: str) -> os.stat_result:
        found = self._listing.files[name]
        assert found is not None, "only files that are there are looked into"
        return found


def _kind(path: str, size: int) -> str:
    with Path(path).open("rb") as file:
        head = file.read(64)
        file.seek(max(0, size - len(TABLE_MAGIC)))
        tail = file.read(len(TABLE_MAGIC))
    if size < _LARGEST_POINTER and head.startswith(LFS_POINTER):
        return "lfs"
    if tail == TABLE_MAGIC:
        return "index" if _INDEX.match(head) else "table"
    starts = {b"\0\0": "cut", b"fileFormatVersion:": "unity"}
    return next((kind for start, kind in starts.items() if head.startswith(start)), "other")


def _foreign(path: str) -> list[str] | None:
    with Path(path).open("rb") as file:
        found = file_kinds.other(file.read(file_kinds.SAMPLE))
    return list(found) if found else None


def _damage(prefix: str) -> dict[str, Any] | None:
    """The fields of the Problem with the content of a checkpoint, or None. Raises Problem where it cannot be read."""
    from permafrost.checkpoint.reader import open_checkpoint  # only now: it is slow to import

    try:
        with open_checkpoint(prefix) as checkpoint:
            checkpoint.check_content()
    except Problem as problem:
        # Sizes are in the fingerprint: that a shard is cut off needs no look at its content, and the stages say it.
        if problem.cause not in ("corrupt", "truncated"):
            raise
        return vars(problem) if problem.cause == "corrupt" else None
    return None


def _sha256(path: str, information: os.stat_result) -> str:
    with Path(path).open("rb") as file:
        if information.st_size <= _LARGEST_HASHED:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(repr(stamp(information)).encode("ascii") + file.read(_END))
        file.seek(information.st_size - _END)
        digest.update(file.read(_END))
        return digest.hexdigest()


def _checkpoint_file(path: str) -> bytes:
    """The first bytes of a `checkpoint` file, in UTF-8."""
    with Path(path).open("rb") as file:
        content = file.read(_LONGEST_CHECKPOINT_FILE)
    if content.startswith(_UTF16):
        return content.decode("utf-16", "replace").encode("utf-8", "surrogateescape")
    return content
