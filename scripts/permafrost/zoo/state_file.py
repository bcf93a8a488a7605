"""What discovery found, on the disk: the state file that the stages and the next discovery read.

{"version": 2, "candidates": [...], "models": [...], "cache": {...}, ...}: written when a run begins, and by the job of
`discover`. The cache changes when a file is touched; the stages depend on what was found alone.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from permafrost import handed_text
from permafrost.model import Model
from permafrost.outcome import Problem
from permafrost.whole_files import written_whole
from permafrost.zoo import discovery
from permafrost.zoo.candidate import Candidate
from permafrost.zoo.files import Cache

VERSION = 2
_FOUND = ("version", "candidates", "models")  # of a state, what does not depend on earlier runs


class State(Struct, kw_only=True, omit_defaults=True):
    """What discovery found: all checkpoints, those of them that are the models, and what the next scan may rely on.

    emptied: each directory of the zoo that has no models, and had some in the last run -> how many. gone: ids of models
    and series that earlier runs found, and this one did not.
    """

    version: int
    candidates: list[Candidate]
    models: list[Model]
    cache: Cache
    emptied: dict[str, int] = {}
    gone: list[str] = []


def scan(
    zoos: list[str],
    skip: list[str],
    state_file: str | Path,
    rule_for: Callable[[str, str], str | list[int]],
    follow_links: bool = False,
    only: str = "",
) -> State:
    """The state of the zoos now; what did not change since `state_file` was written is taken from its cache.

    Args:
      skip: directories that are not entered: Permafrost's own outputs.
      rule_for: series id and zoo -> "latest", "all" or a list of steps.
      follow_links: whether links that lead out of all of `zoos` are followed.
      only: of which checkpoint, as in discovery.scan.
    Raises Problem as discovery.scan and discovery.select do. Writes nothing.
    """
    try:
        before = read(state_file)
    except Problem:
        before = State(version=VERSION, candidates=[], models=[], cache={})
    cache = before.cache
    candidates = discovery.scan(zoos, skip, cache, follow_links, only)
    models = discovery.select(candidates, rule_for)
    chosen = {(model.prefix, model.fingerprint): model for model in models}
    for candidate in candidates:
        model = chosen.get((candidate.prefix, candidate.fingerprint))
        candidate.model, candidate.selected = model.id if model else candidate.series, model is not None
        candidate.problem = model.problem if model else candidate.problem
    emptied, gone = _emptied(zoos, before.models, models), _ids(before.models) | {*before.gone}
    return State(
        version=VERSION,
        candidates=candidates,
        models=models,
        cache=cache,
        emptied=emptied,
        gone=sorted(gone - _ids(models)),
    )


def _ids(models: list[Model]) -> set[str]:
    return {id for model in models for id in (model.id, model.series)}


def _emptied(zoos: list[str], before: list[Model], now: list[Model]) -> dict[str, int]:
    had = Counter(model.zoo for model in before)
    return {zoo: had[zoo] for zoo in zoos if had[zoo] and zoo not in {model.zoo for model in now}}


def read(path: str | Path) -> State:
    """The state in the file at `path`. Raises Problem(io_error) where there is none of this version."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            state = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise Problem("io_error", f"{path} cannot be read: {error}") from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
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
    return handed_text.hand(_text(msgspec.to_builtins(state)))


def digests(state: State) -> tuple[str, str]:
    """Digests, in hexadecimal, of what was found, and of that and the stamps of all files that were looked at."""
    found = _digest({key: value for key, value in msgspec.to_builtins(state).items() if key in _FOUND})
    stamps = {path: stamp for path, (stamp, _) in state.cache.items()}
    return found, _digest({"found": found, "stamps": stamps, "emptied": state.emptied})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(_text(content).encode("ascii")).hexdigest()[:32]


def _text(content: dict[str, Any]) -> str:
    # ASCII, since names that are not UTF-8 hold surrogates, which UTF-8 cannot encode.
    return json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True) + "\n"
