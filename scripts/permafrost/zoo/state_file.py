"""What discovery found, on the disk: the state file that the stages and the next discovery read.

{"version": 2, "candidates": [...], "models": [...], "cache": {...}}: written when a run begins, and by the job of
`discover`. The cache changes when a file is touched; the stages depend on what was found alone.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from permafrost.model import Model
from permafrost.outcome import Problem
from permafrost.whole_files import written_whole
from permafrost.zoo import discovery
from permafrost.zoo.candidate import Candidate
from permafrost.zoo.files import Cache

_VERSION = 2


class State(Struct, kw_only=True):
    """What discovery found: all checkpoints, those of them that are the models, and what the next scan may rely on."""

    version: int = _VERSION
    candidates: list[Candidate]
    models: list[Model]
    cache: Cache


def scan(
    zoos: list[str],
    skip: list[str],
    state_file: str | Path,
    rule_for: Callable[[str, str], str | list[int]],
    follow_links: bool = False,
) -> State:
    """The state of the zoos now; what did not change since `state_file` was written is taken from its cache.

    Args:
      skip: directories that are not entered: Permafrost's own outputs.
      rule_for: series id and zoo -> "latest", "all" or a list of steps.
      follow_links: whether links that lead out of all of `zoos` are followed.
    Raises Problem as discovery.scan and discovery.select do. Writes nothing.
    """
    try:
        cache = read(state_file).cache
    except Problem:
        cache = {}
    candidates = discovery.scan(zoos, skip, cache, follow_links)
    models = discovery.select(candidates, rule_for)
    chosen = {(model.prefix, model.fingerprint): model for model in models}
    for candidate in candidates:
        model = chosen.get((candidate.prefix, candidate.fingerprint))
        candidate.model, candidate.selected = model.id if model else candidate.series, model is not None
        candidate.problem = model.problem if model else candidate.problem
    return State(candidates=candidates, models=models, cache=cache)


def read(path: str | Path) -> State:
    """The state in the file at `path`. Raises Problem(io_error) where there is none of this version."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            state = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise Problem("io_error", f"{path} cannot be read: {error}") from error
    if not isinstance(state, dict) or state.get("version") != _VERSION:
        raise Problem("io_error", f"{path} is no state file of this version")
    try:
        return msgspec.convert(state, State)
    except msgspec.ValidationError as error:
        raise Problem("io_error", f"{path} is not a whole state file: {error}") from error


def keep(handed_state: str, path: str | Path) -> None:
    """Writes a state that was handed over, or is in a file, to `path` as it is, whole. Raises OSError."""
    with written_whole(path) as temporary:
        shutil.copyfile(handed_state, temporary)


def handed(state: State) -> str:
    """A path at which other processes of this machine can read a state as long as this one lives, and no longer."""
    descriptor = os.memfd_create("zoo")
    with open(descriptor, "w", encoding="ascii", closefd=False) as file:
        file.write(_text(msgspec.to_builtins(state)))
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def digests(state: State) -> tuple[str, str]:
    """Digests, in hexadecimal, of what was found, and of that and the stamps of all files that were looked at."""
    found = _digest({key: value for key, value in msgspec.to_builtins(state).items() if key != "cache"})
    return found, _digest({"found": found, "stamps": {path: stamp for path, (stamp, _) in state.cache.items()}})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(_text(content).encode("ascii")).hexdigest()[:32]


def _text(content: dict[str, Any]) -> str:
    # ASCII, since names that are not UTF-8 hold surrogates, which UTF-8 cannot encode.
    return json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True) + "\n"
