"""What a run used, remembered with its reports: when it began, how it was started, and with which settings.

It is written when a run begins. The page repeats its commands, and the next run says where its settings are others.
"""

import datetime
import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from permafrost.whole_files import write_json


class Started(Struct, kw_only=True):
    """How Snakemake was started. directory: the working directory, in which the commands hold.

    program: what starts it, word by word. options: those that say which settings hold, word by word, `--configfile` and
    `--config`; empty where there were none.
    """

    directory: str
    program: list[str]
    options: list[str]


class Run(Struct, kw_only=True):
    """A run. began: in UTC, as ISO 8601 has it. versions: of Permafrost and of what it runs on, by name.

    zoos: as the config names them. settings: a digest of what the config says, by its keys at the top.
    """

    began: str
    versions: dict[str, str]
    zoos: list[str]
    started: Started
    settings: dict[str, str]


def digests(config: dict[str, Any]) -> dict[str, str]:
    """A digest of the value of each key of a config."""
    texts = {key: json.dumps(value, sort_keys=True, default=str) for key, value in config.items()}
    return {key: hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16] for key, text in texts.items()}


def now() -> str:
    """The time, as `iso` writes it."""
    return iso(datetime.datetime.now(datetime.UTC))


def iso(time: datetime.datetime) -> str:
    """A time in UTC, to the second, as ISO 8601 has it: `2026-11-27T19:24:05Z`."""
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def write(run: Run, path: str | Path) -> None:
    """Writes a run to `path`, whole or not at all. Raises OSError."""
    write_json(path, msgspec.to_builtins(run))


def read(path: str | Path) -> Run | None:
    """The run in the file at `path`; None where there is none."""
    try:
        return msgspec.convert(json.loads(Path(path).read_text(encoding="utf-8")), Run)
    except (OSError, ValueError, RecursionError):
        return None


def command(started: Started, *more: str) -> str:
    """A command for a shell that starts Snakemake as it was started. more: words before the options."""
    return shlex.join([*started.program, *more, *started.options])


def other_settings(last: Run | None, started: Started, settings: dict[str, str]) -> str:
    """One sentence where a run has other settings than the last one; empty where it has the same, or was none before.

    Args:
      started, settings: of this run.
    """
    if last is None or last.settings == settings:
        return ""
    keys = sorted(key for key in {*last.settings, *settings} if last.settings.get(key) != settings.get(key))
    named = ", ".join(f"`{key}`" for key in keys)
    told = f"The settings are not those of the last run: {named} {'differs' if len(keys) == 1 else 'differ'}"
    if last.started.options == started.options and last.started.directory == started.directory:
        return f"{told}."
    return f"{told}; that run {_started(last.started, started)}{_elsewhere(last.started, started)}."


def _started(last: Started, started: Started) -> str:
    """How a run was started: the options that it had, where it was the same program."""
    if last.program != started.program:
        return f"was `{command(last)}`"
    return f"had `{shlex.join(last.options)}`" if last.options else "had no such options"


def _elsewhere(last: Started, started: Started) -> str:
    is_same = os.path.realpath(last.directory) == os.path.realpath(started.directory)
    return "" if is_same else f" in {last.directory}"
