"""Files that look like checkpoints by part of their name, and those of them that are none but lie beside one."""

import re
from collections import defaultdict
from collections.abc import Iterable

from permafrost.zoo.files import Files
from permafrost.zoo.names import printable
from permafrost.zoo.other_names import (
    DATA_SHARD,
    checkpoint_of,
    is_a_copy,
    is_of_a_checkpoint,
    is_of_something_beside,
    originals,
    why_beside,
)

V1_SHARD = re.compile(r"(.*)-[0-9]{5}-of-([0-9]{5})", re.DOTALL)
_MOST_NAMED = 50


class Singles:
    """The files of a directory that are, or should be, V1 checkpoints, and those that only look like some.

    found: names of files by the name of their checkpoint, those in shards under their common name. strays: names.
    Args:
      names: of the files that are none of a V2 checkpoint and no meta graph.
      with_graph: the names of checkpoints that have a meta graph of their own.
    """

    def __init__(self, files: Files, names: Iterable[str], with_graph: set[str]):
        self._files, self._with_graph = files, with_graph
        self.found: dict[str, list[str]] = defaultdict(list)
        self.strays: list[str] = []
        for name in names:
            if self._is_one(name):
                self.found[common_name(name)].append(name)
            elif looks_like_one(name) or files.kind(name) in ("table", "index"):
                self.strays.append(name)

    def _is_one(self, name: str) -> bool:
        kind = self._files.kind(name)
        if kind == "index" or is_attributes(self._files, name):
            return False
        if common_name(name) in self._with_graph:
            return True
        if kind == "table":
            return not (is_a_copy(name) and self._is_made_of_another(name))
        if is_of_a_checkpoint(name) or ".ckpt" not in name:
            return is_of_a_checkpoint(name)
        # Of a link, or of a pointer, nothing but the name tells what it should be.
        return kind != "other" and not is_of_something_beside(name) and not self._is_made_of_another(name)

    def _is_made_of_another(self, name: str) -> bool:
        names = {name for original in originals(name) for name in (original, f"{original}.index")}
        return not names.isdisjoint(self._files.names)


def common_name(name: str) -> str:
    """The name of the V1 checkpoint of which a file of this name is all, or a shard."""
    shard = V1_SHARD.fullmatch(name)
    return shard[1] if shard else name


def looks_like_one(name: str) -> bool:
    """Whether a file's name has in it what the names of checkpoints' files have."""
    return ".ckpt" in name or name.endswith((".index", ".meta")) or bool(DATA_SHARD.fullmatch(name))


def is_attributes(files: Files, name: str) -> bool:
    """Whether a file is no checkpoint's, but holds what macOS keeps of the one whose name comes after `._`."""
    return name.startswith("._") and files.kind(name) not in ("table", "index") and not _is_of_a_table(files, name)


def _is_of_a_table(files: Files, name: str) -> bool:
    index = f"{checkpoint_of(name)}.index"
    return index in files.names and files.kind(index) == "index"


def owner(name: str, known: set[str]) -> str | None:
    """Which of the checkpoints `known` a stray file was named after, or None."""
    prefixes = (checkpoint_of(original) for original in originals(name))
    return next((prefix for prefix in prefixes if prefix in known), None)


def notes(strays: Iterable[str]) -> list[str]:
    """What is said of files that are passed over, one sentence for each reason."""
    by_reason = defaultdict(list)
    for name in sorted(strays):
        by_reason[why_beside(name)].append(name)
    return [f"passed over beside it: {listed(names)} ({reason})" for reason, names in by_reason.items()]


def listed(names: list[str]) -> str:
    """The first names, and how many there are more."""
    more = len(names) - _MOST_NAMED
    return ", ".join(map(printable, names[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
