"""Reading and writing of a stage's record: the JSON file that says how it ended, what it found, how long it took."""

import contextlib
import errno
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from permafrost.outcome import CAUSES, FAILED, Problem
from permafrost.records import Outcome, Record, Timing, failure, success
from permafrost.whole_files import overwrite, write_json, written_whole

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RESERVED = 1 << 13  # bytes

R = TypeVar("R", bound=Record)
T = TypeVar("T")


def begun(kind: type[R], model: str, outcome: Outcome | None = None) -> R:
    """A record in which nothing is said but whose it is and how the stage ended, by default well."""
    return kind(model=model, **msgspec.structs.asdict(outcome or success()))


def content(record: Record) -> dict[str, Any]:
    """What a record's file says, in the order in which it says it."""
    fields: dict[str, Any] = msgspec.to_builtins(record)
    # What comes at the end follows the facts of each kind of record.
    return fields | {key: fields.pop(key) for key in ("timing", "attempt") if key in fields}


def reserve(path: str | Path) -> None:
    """Writes a record that says that the stage was interrupted to `path`, with room for one that says more.

    A stage that fills the disk can then still say so, in the same place. Raises OSError.
    """
    interrupted = failure("", Problem("io_error", "the stage was interrupted"))
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(msgspec.to_builtins(interrupted)).ljust(_RESERVED), encoding="ascii")


def load(path: str | Path, kind: type[R]) -> R:
    """The record at `path`.

    Raises OSError, or ValueError where it is no JSON object with the fields of a record, one of another type than it
    has, or where it lacks some of those that such a record has when all went well.
    """
    with open(path, encoding="utf-8") as file:
        try:
            # msgspec's own JSON decoder refuses names of files that are not UTF-8.
            record = msgspec.convert(json.load(file), kind)
        except RecursionError as error:
            raise ValueError(f"{path} is nested too deeply for a record; delete it and run again") from error
        except msgspec.ValidationError as error:
            raise ValueError(f"{path} is not a record of a stage ({error}); delete it and run again") from error
    lacking = {field for field in kind.whole if getattr(record, field) is UNSET}
    if record.status == kind.good and lacking:
        raise ValueError(f"{path} is not a whole record, it lacks {min(lacking)!r}; delete it and run again")
    return record


def load_or_fail(path: str | Path, kind: type[R], stage: str) -> R:
    """The record at `path`; where there is none, or none that is whole, one that says so, for the next run to mend."""
    try:
        return load(path, kind)
    except OSError as error:
        reason = error.strerror
    except ValueError as error:
        reason = str(error)
    unread = Problem("io_error", f"{path} cannot be read: {reason}", "run again")
    return begun(kind, "", failure(stage, unread))


def load_or_empty(path: str | Path, kind: type[R]) -> tuple[R, str]:
    """The record at `path`, and "", or an empty one and what is wrong."""
    try:
        return load(path, kind), ""
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a record of a stage"
        return begun(kind, ""), f"{path} cannot be read: {reason}"


def reader(kind: type[T]) -> Callable[[str], T]:
    """A function that reads a JSON text as `kind`, for an argument of a command line."""

    def read(text: str) -> T:
        return msgspec.convert(json.loads(text), kind, str_keys=True)

    return read


def peak_mb() -> float:
    """The largest resident memory of this process or of a child it has waited for, in MiB."""
    own = _high_water_mark_kib()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(max(own, children) / 1024, 1)


def _high_water_mark_kib() -> int:
    # ru_maxrss of a forked child starts at its parent's peak; VmHWM is the process's own.
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cpu_seconds() -> float:
    """CPU time of this process and of the children it has waited for, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Stopwatch:
    """Measures a stage from when it is made."""

    def __init__(self, stage: str) -> None:
        self._stage, self._wall, self._cpu = stage, time.monotonic(), cpu_seconds()

    def timing(self) -> Timing:
        """What the stage took until now."""
        return Timing(
            stage=self._stage,
            seconds=round(time.monotonic() - self._wall, 3),
            cpu_seconds=round(cpu_seconds() - self._cpu, 3),
            peak_mb=peak_mb(),
        )


@contextlib.contextmanager
def recording(stage: str, record: R, path: str | Path, attempt: str = "", failed: str = FAILED) -> Iterator[R]:
    """Measures a stage's work, which fills in the record that it gets, and writes that to `path`, whatever happens.

    What was filled in before the work fails is kept. A Problem that it raises is how the stage ended, with the status
    `failed`, and so is want of memory or of depth; any other exception has the cause `internal`, with the traceback on
    stderr, whose file the hint then names. Raises OSError only where the record itself cannot be written.
    Args:
      record: as `begun` gives it.
      attempt: the token of this attempt (workflow.attempts), or "".
    """
    stopwatch = Stopwatch(stage)
    try:
        yield record
    except Exception as error:
        record.end(_outcome(stage, error, failed))
    record.timing = stopwatch.timing()
    record.attempt = attempt or record.attempt
    _write(path, record, failed)
    if record.message:
        print(f"{record.model}: {record.status}, {record.cause}: {record.message}", file=sys.stderr)


def _outcome(stage: str, error: Exception, failed: str) -> Outcome:
    """How a stage ended that raised `error`; what is no Problem is told on stderr with its traceback."""
    if isinstance(error, Problem):
        return failure(stage, error, failed)
    traceback.print_exception(error)
    outcome = failure(stage, _problem(error), failed)
    # No limit of the model's was reached where memory lacks; and a library that cannot be imported can be mended.
    outcome.transient = outcome.transient or isinstance(error, MemoryError | ImportError)
    return outcome


def _problem(error: Exception) -> Problem:
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return Problem("disk_full" if error.errno in _FULL else "io_error", f"{name}{error.strerror or error}")
    if isinstance(error, MemoryError):
        return Problem("memory", "there was not enough memory for the graph")
    if isinstance(error, RecursionError):
        return Problem("bad_meta_graph", "something in the graph is nested more deeply than Python can follow")
    return _internal(error)


def _internal(error: Exception) -> Problem:
    return Problem("internal", f"{type(error).__name__}: {error}", f"{CAUSES['internal']}, {_log()}")


def _log() -> str:
    """The path of the file that stderr is written to, relative to the working directory; "stderr" if it is no file."""
    path = os.readlink("/proc/self/fd/2")
    return os.path.relpath(path) if os.path.isfile(path) else "stderr"


def _write(path: str | Path, record: Record, failed: str) -> None:
    """Writes a record; where JSON has no text for what was found, or the disk no room, one that says so.

    Raises OSError.
    """
    try:
        try:
            write_json(path, content(record))
        except (ValueError, TypeError, RecursionError) as error:
            traceback.print_exc()
            record.end(failure(record.timing.stage, _internal(error), failed))
            write_json(path, _short(record))
    except OSError as error:
        if error.errno not in _FULL or not os.path.exists(path):
            raise
        _write_in_place(path, record, error)


def _short(record: Record) -> dict[str, Any]:
    """What a record's file says of how the stage ended, without what was found."""
    kept = Record(**{field: getattr(record, field) for field in Record.__struct_fields__ if field != "attempt"})
    return content(kept)


def _write_in_place(path: str | Path, record: Record, room: OSError) -> None:
    """Writes what went wrong over the record at `path`, without asking for more room than that one has.

    A record that had no room is one of a full disk, whatever it would have said: a part of it would pass for the whole.
    Raises OSError.
    """
    record.end(failure(record.timing.stage, Problem("disk_full", f"{path}: {os.strerror(room.errno or 0)}")))
    if not overwrite(path, json.dumps(_short(record))):
        raise room
