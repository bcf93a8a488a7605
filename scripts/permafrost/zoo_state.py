"""What discovery found, on the disk: one state file that stages read, and a cache that only discovery uses.

Only the process that scans the zoo writes them. The cache is a file of its own, so that a touched checkpoint changes
the cache and leaves the state, which rules depend on, as it is.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from permafrost.contract import Problem
from permafrost.records import written_whole

_VERSION = 1
_SETTLED_NS = 2_000_000_000


def read(path: str | Path) -> dict:
    """The state at `path`: `candidates` and `models`, lists of dicts with the fields of discovery's dataclasses.

    Each candidate also has `model`, the id under which it is reported, and `selected`, whether that model uses it.
    Raises Problem(io_error) where there is no such file or it is no state file.
    """
    state = _load(path)
    if state is None:
        raise Problem("io_error", f"{path} is missing or is no state file of this version", "run snakemake again")
    return state


def read_cache(path: str | Path) -> dict:
    """The cache that belongs to the state file at `path`, for discovery.scan; empty where there is none to trust."""
    state = _load(_cache_path(path))
    return state["files"] if state else {}


def update(path: str | Path, candidates: list, models: list, cache: dict) -> bool:
    """Writes what was found to `path`, and the cache beside it, each whole and only where its content changed.

    `candidates` and `models` are dataclasses of discovery. Says whether the state changed. Raises OSError.
    """
    ids = {(model.prefix, model.fingerprint): model.id for model in models}
    found = []
    for candidate in candidates:
        chosen = ids.get((candidate.prefix, candidate.fingerprint))
        found.append({**asdict(candidate), "model": chosen or candidate.series, "selected": chosen is not None})
    _write_if_changed(_cache_path(path), {"version": _VERSION, "files": cache})
    return _write_if_changed(
        Path(path), {"version": _VERSION, "candidates": found, "models": [asdict(model) for model in models]}
    )


class FileFacts:
    """Facts that are expensive to find out about files, kept for as long as size, mtime and inode are the same.

    Args:
      known: {path: [[size, mtime_ns, inode], {fact: value}]}, as an earlier FileFacts left it in `kept`.
    """

    def __init__(self, known: dict):
        self._known = known
        self._started_ns = time.time_ns()
        self._current = {}

    def of(self, path: str, stat: os.stat_result, fact: str, find_out: Callable[[], object]):
        """The value of `fact` for the file at `path`; find_out() gives it, a JSON value, where it is not known.

        What find_out raises is passed on, and nothing is remembered.
        """
        entry = self._current.get(path)
        if entry is None:
            stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
            entry = self._known.get(path)
            if entry is None or entry[0] != stamp:
                entry = [stamp, {}]
            self._current[path] = entry
        if fact not in entry[1]:
            entry[1][fact] = find_out()
        return entry[1][fact]

    def kept(self) -> dict:
        """What may be trusted next time: files asked for in this scan that were not being written during it.

        A file that changes twice within the clock's tick keeps its mtime, so one that is too fresh is left out.
        """
        oldest_fresh = self._started_ns - _SETTLED_NS
        return {path: entry for path, entry in self._current.items() if entry[0][1] < oldest_fresh}


def _cache_path(path: str | Path) -> Path:
    return Path(path).with_suffix(".cache.json")


def _load(path: str | Path) -> dict | None:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("version") == _VERSION else None


def _write_if_changed(path: Path, content: dict) -> bool:
    # ASCII, since names that are not UTF-8 hold surrogates, which UTF-8 cannot encode.
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True) + "\n"
    try:
        if path.read_text(encoding="ascii") == text:
            return False
    except (OSError, ValueError):
        pass
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="ascii")
    return True
