"""A stage's record: the JSON file that says how the stage ended, what it found, and how long it took."""

import errno
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from permafrost.outcome import CAUSES, FAILED, TRANSIENT, VERIFIED, Problem
from permafrost.whole_files import overwrite, write_json, written_whole

OK = "ok"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RESERVED = 1 << 13  # bytes

# What the readers of a record of this name and status find in it, whatever the model.
WHOLE = {
    ("import.json", OK): {
        "prefix", "graph", "variables", "outputs", "inputs", "op_types", "checkpoint_bytes", "findings", "batches",
        "rehearsal",
    },
    ("provenance.json", OK): {
        "outputs", "inputs", "sha256", "frozen_bytes", "frozen_crc32c", "frozen_nodes", "frozen_variables", "op_types",
        "tensors", "initializers", "cuts", "repairs",
    },
    ("verify.json", VERIFIED): {"match", "behaviour", "trials", "max_abs_diff"},
    ("judged.json", VERIFIED): {"match", "behaviour", "trials", "max_abs_diff", "inputs", "outputs"},
}  # fmt: skip


def reserve(path: str | Path) -> None:
    """Writes a record that says that the stage was interrupted to `path`, with room for one that says more.

    A stage that fills the disk can then still say so, in the same place. Raises OSError.
    """
    interrupted = Problem("io_error", "the stage was interrupted")
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(failure("", interrupted)).ljust(_RESERVED), encoding="ascii")


def _write_in_place(path: str | Path, record: dict, room: OSError) -> None:
    """Writes what went wrong over the record at `path`, without asking for more room than that one has.

    A record that had no room is one of a full disk, whatever it would have said: a part of it would pass for the whole.
    Raises OSError.
    """
    problem = Problem("disk_full", f"{path}: {os.strerror(room.errno)}")
    short = {**failure(record["timing"]["stage"], problem), "model": record["model"], "timing": record["timing"]}
    if not overwrite(path, json.dumps(short)):
        raise room


def load(path: str | Path) -> dict:
    """The record at `path`.

    Raises OSError, or ValueError where it is no JSON object with the fields of a record, or lacks some of those that a
    record of its name has when all went well.
    """
    with open(path, encoding="utf-8") as file:
        try:
            record = json.load(file)
        except RecursionError as error:
            raise ValueError(f"{path} is nested too deeply for a record; delete it and run again") from error
    fields = success()
    if not isinstance(record, dict) or not all(type(record.get(key)) is type(fields[key]) for key in fields):
        raise ValueError(f"{path} is not a record of a stage; delete it and run again")
    if lacking := WHOLE.get((os.path.basename(path), record["status"]), set()) - record.keys():
        raise ValueError(f"{path} is not a whole record, it lacks {min(lacking)!r}; delete it and run again")
    return record


def load_or_fail(path: str | Path, stage: str) -> dict:
    """The record at `path`; where there is none, or none that is whole, one that says so, for the next run to mend."""
    try:
        return load(path)
    except OSError as error:
        reason = error.strerror
    except ValueError as error:
        reason = str(error)
    return failure(stage, Problem("io_error", f"{path} cannot be read: {reason}", "run again"))


def failure(stage: str, problem: Problem, status: str = FAILED) -> dict:
    """The fields of a record that say what went wrong, and where."""
    return {
        "status": status,
        "transient": problem.cause in TRANSIENT,
        "stage": stage,
        "cause": problem.cause,
        "message": problem.message,
        "hint": problem.hint,
    }


def success(status: str = OK, stage: str = "") -> dict:
    """The same fields where nothing went wrong."""
    return {"status": status, "transient": False, "stage": stage, "cause": "", "message": "", "hint": ""}


def passed_on(record: dict) -> dict:
    """The failure that an earlier stage recorded, as this stage's own."""
    return {key: record[key] for key in ("status", "transient", "stage", "cause", "message", "hint")}


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

    def __init__(self, stage: str):
        self._stage, self._wall, self._cpu = stage, time.monotonic(), cpu_seconds()

    def timing(self) -> dict:
        """A record's `timing`: the stage, its wall time (s), CPU time (s) and peak memory (MiB) until now."""
        return {
            "stage": self._stage,
            "seconds": round(time.monotonic() - self._wall, 3),
            "cpu_seconds": round(cpu_seconds() - self._cpu, 3),
            "peak_mb": peak_mb(),
        }


def _log() -> str:
    """The path of the file that stderr is written to, relative to the working directory; "stderr" if it is no file."""
    path = os.readlink("/proc/self/fd/2")
    return os.path.relpath(path) if os.path.isfile(path) else "stderr"


def _internal(error: Exception) -> Problem:
    return Problem("internal", f"{type(error).__name__}: {error}", f"{CAUSES['internal']}, {_log()}")


def _written(path: str | Path, record: dict, failed: str) -> dict:
    """Writes a record and returns it; where JSON has no text for what was found, one that says so. Raises OSError."""
    try:
        write_json(path, record)
    except (ValueError, TypeError, RecursionError) as error:
        traceback.print_exc()
        timing = record["timing"]
        record = {**failure(timing["stage"], _internal(error), failed), "model": record["model"], "timing": timing}
        write_json(path, record)
    return record


def framed(outcome: dict, model: str, facts: dict, stopwatch: Stopwatch, attempt: str) -> dict:
    """A stage's record: how it ended, its facts, its timing, and the token of its attempt where it has one.

    Args:
      outcome: as success or failure gives it.
      attempt: a token of workflow.attempts, or "".
    """
    token = {"attempt": attempt} if attempt else {}
    return {**outcome, "model": model, **facts, "timing": stopwatch.timing(), **token}


def write_record(
    stage: str,
    model: str,
    path: str | Path,
    work: Callable[[dict], dict | None],
    attempt: str = "",
    failed: str = FAILED,
) -> dict:
    """Runs a stage's work and writes its record to `path`, whatever happens to the model.

    `work` gets a dict to which it adds the facts that it finds; they are kept when it fails later on. It returns the
    fields that say how the stage ended (see success and failure), or None where all went well. A Problem it raises
    becomes a record of status `failed`, and so does want of memory or of depth; any other exception has the cause
    `internal` with the traceback on stderr, whose file the hint then names. The record also carries the stage's wall
    time (s), CPU time (s) and peak memory (MiB), and the token of its attempt (workflow.attempts) where it has one.
    Raises OSError only where the record itself cannot be written.
    """
    stopwatch = Stopwatch(stage)
    facts: dict = {}
    try:
        outcome = work(facts) or success()
    except Problem as problem:
        outcome = failure(stage, problem, failed)
    except OSError as error:
        traceback.print_exc()
        cause = "disk_full" if error.errno in _FULL else "io_error"
        name = f"{error.filename}: " if error.filename else ""
        outcome = failure(stage, Problem(cause, f"{name}{error.strerror or error}"), failed)
    except MemoryError:
        traceback.print_exc()
        outcome = failure(stage, Problem("memory", "there was not enough memory for the graph"), failed)
        outcome["transient"] = True  # No limit of the model's was reached, so the machine had none left.
    except RecursionError:
        traceback.print_exc()
        deep = Problem("bad_meta_graph", "something in the graph is nested more deeply than Python can follow")
        outcome = failure(stage, deep, failed)
    except Exception as error:
        traceback.print_exc()
        outcome = failure(stage, _internal(error), failed)
        outcome["transient"] = isinstance(error, ImportError)  # of a machine that can be mended
    record = framed(outcome, model, facts, stopwatch, attempt)
    try:
        record = _written(path, record, failed)
    except OSError as error:
        if error.errno not in _FULL or not os.path.exists(path):
            raise
        _write_in_place(path, record, error)
        record = load(path)
    if record["message"]:
        print(f"{model}: {record['status']}, {record['cause']}: {record['message']}", file=sys.stderr)
    return record
