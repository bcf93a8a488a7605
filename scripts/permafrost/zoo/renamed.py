"""Files of checkpoints that lie beside under another name, or packed: what is said where a checkpoint lacks one.

Told by the size that the index asks for, which TensorFlow writes to the byte, and by what its name was made of.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

from permafrost.zoo.files import Files
from permafrost.zoo.names import printable, split_step
from permafrost.zoo.other_names import DATA_SHARD, is_unfinished, originals, part_of

_MAY_BE_A_PART = re.compile(r"\.(?:ckpt|index|meta|data-)")


class Advice(NamedTuple):
    """What is known of a file that is missing: the rest of a sentence, what to do, and the file that it may be."""

    text: str
    hint: str
    name: str


class Renamed:
    """The files of a directory that may be another's under a wrong name; each is named once.

    Args:
      loose: names of files that belong to no checkpoint by their names.
    """

    def __init__(self, files: Files, loose: Iterable[str]):
        self._files = files
        self._loose = list(loose)
        self.used: set[str] = set()

    def shard(self, missing: str, size: int) -> Advice | None:
        """What may be the shard `missing`, which has `size` bytes; 0 where that is not known."""
        named = self._unused(self._by_original.get(missing, []))
        of_size = self._unused(self._by_size.get(size, [])) if size else []
        fitting = [name for name in named if name in of_size]
        same = list(filter(self._may_be_data, of_size))
        if fitting or (same and (len(same) == 1 or not named)):
            return self._to_rename((fitting or same)[0], missing, "has the size that the index asks for")
        return self._instead(missing, size)

    def index(self, prefix: str) -> Advice | None:
        """What may be the index of the checkpoint `prefix`, of which only shards are there."""
        missing = f"{prefix}.index"
        tables = self._unused(self._indexes)
        named = [name for name in self._by_original.get(missing, []) if name in tables]
        if found := named or (tables if len(tables) == 1 else []):
            return self._to_rename(found[0], missing, "is the index of a checkpoint")
        return self._instead(missing)

    def meta(self, prefix: str) -> Advice | None:
        """What may be the meta graph of the checkpoint `prefix`, by its name."""
        return self._instead(f"{prefix}.meta")

    def in_parts(self, stems: set[str]) -> dict[str, Advice]:
        """The checkpoints of which a file lies here packed, or as a part of a download, of no series of `stems`."""
        found: dict[str, list[str]] = {}
        for name in filter(_MAY_BE_A_PART.search, self._unused(self._loose)):
            prefix = part_of(name)
            if prefix and split_step(prefix)[0] not in stems and self._is_part(name):
                found.setdefault(prefix, []).append(name)
        return {prefix: self._parts(names) for prefix, names in found.items() if _are_of_one(prefix, names)}

    def _parts(self, names: list[str]) -> Advice:
        first = self._changed(names[0], "", 0)
        self.used.update(names)
        more = f", and {len(names) - 1} more files of it are here" if len(names) > 1 else ""
        return first._replace(text=first.text + more)

    def _unused(self, names: list[str]) -> list[str]:
        return [name for name in names if name not in self.used]

    @cached_property
    def _by_original(self) -> dict[str, list[str]]:
        """The files by the names from which theirs may have been made."""
        found = defaultdict(list)
        for name in self._loose:
            for original in originals(name):
                found[original].append(name)
        return found

    @cached_property
    def _by_size(self) -> dict[int, list[str]]:
        found = defaultdict(list)
        for name in self._loose:
            found[self._files.size(name)].append(name)
        return found

    @cached_property
    def _indexes(self) -> list[str]:
        return [name for name in self._loose if self._files.kind(name) == "index"]

    def _may_be_data(self, name: str) -> bool:
        return self._files.kind(name) in ("cut", "other") and self._files.foreign(name) is None

    def _is_part(self, name: str) -> bool:
        if self._files.kind(name) not in ("cut", "other"):
            return False
        found = self._files.foreign(name)
        return found.is_packed if found else is_unfinished(name)

    def _to_rename(self, name: str, missing: str, why: str) -> Advice:
        self.used.add(name)
        hint = f"rename {printable(name)} to {printable(missing)} if it belongs to this checkpoint"
        return Advice(f"{printable(name)} beside it {why}", hint, name)

    def _instead(self, missing: str, size: int = 0) -> Advice | None:
        """What is said of the first file whose name was made of that of the one missing, unless it is a mere text."""
        named = self._unused(self._by_original.get(missing, []))
        told = (name for name in named if not ((found := self._files.foreign(name)) and found.is_plain))
        first = next(told, None)
        return None if first is None else self._changed(first, missing, size)

    def _changed(self, name: str, missing: str, size: int) -> Advice:
        """What is said of a file that has the name, but is not the file: an archive, a part, or something else."""
        self.used.add(name)
        shown, found = printable(name), self._files.foreign(name)
        if found:
            return Advice(f"{shown} beside it is {found.what}", found.hint, name)
        if is_unfinished(name):
            return Advice(f"{shown} beside it is a download that has not ended", "download it to its end", name)
        asked = f"; the index asks for {size}" if size else ""
        said = f"{shown} beside it has {self._files.size(name)} bytes{asked}"
        if not size:
            return Advice(said, f"rename it to {printable(missing)} if that is what it is", name)
        return Advice(said, f"copy {printable(missing)} again, whole and under its own name", name)


def _are_of_one(prefix: str, names: list[str]) -> bool:
    """Whether files are a checkpoint's: others have an .index too, but none else has a shard's name."""
    return ".ckpt" in prefix or any(DATA_SHARD.fullmatch(original) for name in names for original in originals(name))
