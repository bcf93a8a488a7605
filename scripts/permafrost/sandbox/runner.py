"""Runs a stranger's graph where it can do little harm: in a forked child with limits on what it may use and reach.

A graph from someone else can abort the process, wait for ever, or ask for all the memory there is. The child that
runs it has a deadline, a memory limit, no network where the kernel allows that, no privileges, no file of the parent's,
and an empty working directory of its own; where the kernel has Landlock, it writes nowhere else, and reads what it was
given alone. Its result comes back as JSON, since nothing that it sends may be trusted.
"""

import contextlib
import ctypes
import errno
import faulthandler
import json
import os
import resource
import selectors
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import psutil

from permafrost.model import Limits
from permafrost.outcome import CAUSES, Problem
from permafrost.sandbox import confinement, handed_out
from permafrost.sandbox.printed import Printed
from permafrost.sandbox.process_status import status
from permafrost.sandbox.working_directory import working_directory

_MIB = 1 << 20
_TICK = 0.02  # s between looks at the child
_SCAN = 0.5  # s between looks for processes that the child has started
_LARGEST_RESULT = 64 * _MIB
_STACKS = 256 * _MIB  # writable memory that TensorFlow's threads reserve and hardly touch

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h

# What a system short of memory, a service manager or a person ends a process with; a graph does not do so to itself.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# From malloc.h of glibc; other C libraries know them not, or not at all.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT = 1 << 30  # bytes at the end of what malloc holds
# `kept_mb` where TensorFlow and another runtime take turns in one child: little of what one has left serves the other.
KEPT_BY_TURNS_MB = 4

_libc = ctypes.CDLL(None, use_errno=True)
_mallopt = getattr(_libc, "mallopt", lambda what, value: 0)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4

T = TypeVar("T")


def limits(settings: Limits, share: float = 1) -> dict[str, Any]:
    """The limits for `run` that a model's settings ask for, with this share of the time."""
    chosen = {key: getattr(settings, key) for key in ("memory_mb", "file_mb", "processes")}
    return chosen | {"seconds": settings.timeout * share}


def run(
    work: Callable[..., T],
    *args: Any,
    seconds: float,
    memory_mb: int,
    file_mb: int = 64,
    processes: int = 1024,
    kept_mb: int = 1024,
    readable: Iterable[str] = (),
    keeps: Mapping[str, str | Path] | None = None,
    returns: Any = Any,
) -> T:
    """Gives work(*args), run in a forked child; the process may have imported TensorFlow, but run no op.

    The child works in an empty directory, so paths among `args` have to be absolute. What it prints goes to this
    process's stderr, the first 1 MiB of it. Processes that it starts are looked for, and count, every half second.
    Args:
      work: returns what JSON can hold, or records.
      seconds: how long it may take.
      memory_mb: how much memory (MiB) it may use beyond what this process holds when it is called.
      file_mb: how large (MiB) a file that it writes may become.
      processes: how many threads and processes there may be at a time.
      kept_mb: how large (MiB) a piece of memory may be that stays the child's once it is freed. The kernel takes longer
        to give one anew than a tensor takes to fill it.
      readable: absolute paths of the files, and of the directories with all that is below, that it may read beside
        those of Python and TensorFlow. They may be links.
      keeps: name of a file that `work` leaves in its working directory -> where it is to be moved to, whole or not at
        all. A file that `work` does not leave is none there either.
      returns: the type of what `work` returns, for whatever the child sends to be taken for it.
    Raises:
      Problem: the one that `work` raised; or timeout; or memory; or processes; or killed where somebody else ended the
        child; or crash where it ended by itself and without a result.
      OSError: the one that `work` raised, such as of a disk that fails; but not for a file that became too large.
      RuntimeError: with the text of any other exception that `work` raised; its traceback is on stderr by then. Also
        where the result is not JSON, or larger than 64 MiB.
    """
    with working_directory() as directory:
        bounds = (directory, memory_mb, file_mb, kept_mb, os.getpid(), tuple(readable))
        child = _Child(work, args, bounds, memory_mb, processes)
        try:
            child.wait(time.monotonic() + seconds, seconds)
        finally:
            child.end()
        result: T = child.result(returns)
        for name, path in (keeps or {}).items():
            handed_out.move(os.path.join(directory, name), path)
        return result


_Bounds = tuple[str, int, int, int, int, tuple[str, ...]]  # as _confine takes them


class _Child:
    """The parent's side: the child's process and its two pipes, one for the result and one for all that it prints."""

    def __init__(
        self,
        work: Callable[..., Any],
        args: tuple[Any, ...],
        bounds: _Bounds,
        memory_mb: int,
        processes: int,
    ):
        self._memory_mb, self._processes = memory_mb, processes
        self._held = _memory_bytes(status())
        self._received = bytearray()
        self._log = Printed()
        self._descendants: set[psutil.Process] = set()
        self._next_scan = time.monotonic() + _SCAN  # Most are done by then, and end() looks too.
        self._exit_status: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self._result_pipe, result_end = os.pipe()
        self._log_pipe, log_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_the_child(work, args, bounds, result_end, log_end)
        os.close(result_end)
        os.close(log_end)

    def wait(self, deadline: float, seconds: float) -> None:
        """Returns when the child has sent a result or has ended; raises Problem where it breaks a limit."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._result_pipe, selectors.EVENT_READ, self._received.extend)
            selector.register(self._log_pipe, selectors.EVENT_READ, self._log.take)
            while not self._has_result() and not self._has_ended():
                for key, _ in selector.select(_TICK):
                    chunk = os.read(key.fd, 1 << 16)
                    if chunk:
                        key.data(chunk)
                    else:
                        selector.unregister(key.fd)
                if time.monotonic() > deadline and not self._has_result():
                    raise Problem("timeout", f"TensorFlow did not finish within {seconds:g} s")
                self._look()

    def _has_result(self) -> bool:
        return len(self._received) >= 8 and len(self._received) >= 8 + min(self._announced(), _LARGEST_RESULT)

    def _announced(self) -> int:
        return int.from_bytes(self._received[:8], "big")

    def _has_ended(self) -> bool:
        # The process stays a zombie, so that its id and its group's id remain its own until end().
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _look(self) -> None:
        # Resident memory is polled, since shared memory escapes RLIMIT_DATA. Mapped files do not count.
        own = status(self.pid)
        used = _memory_bytes(own) - self._held
        if time.monotonic() > self._next_scan:
            self._next_scan = time.monotonic() + _SCAN
            self._descendants |= self._find_descendants()
        others = [status(process.pid) for process in self._descendants]
        if used + sum(map(_memory_bytes, others)) > self._memory_mb * _MIB:
            raise self._too_much_memory()
        if sum(each.get("Threads", 0) for each in (own, *others)) > self._processes:
            raise Problem("processes", f"TensorFlow started more than {self._processes} threads and processes")

    def _find_descendants(self) -> set[psutil.Process]:
        try:
            return set(psutil.Process(self.pid).children(recursive=True))
        except psutil.Error:
            return set()

    def _too_much_memory(self) -> Problem:
        return Problem("memory", f"TensorFlow needed more than {self._memory_mb} MB of memory")

    def end(self) -> None:
        """Kills the child with all that it has started, and passes on the last of what it printed."""
        for process in self._descendants | self._find_descendants():
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            self._exit_status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        try:
            self._received += _left_in(self._result_pipe)
            self._log.take(_left_in(self._log_pipe))
            self._log.close()
        finally:
            os.close(self._result_pipe)
            os.close(self._log_pipe)

    def result(self, returns: Any) -> Any:
        """What `work` returned, of the type `returns`; raises as `run` does. To be called after end()."""
        if not self._has_result():
            raise self._ended_early()
        try:
            answer = json.loads(self._received[8 : 8 + self._announced()])
            (kind, value), *_ = answer.items()
            if kind == "result":
                return msgspec.convert(value, returns)
        except (ValueError, AttributeError, RecursionError):
            raise Problem("crash", "TensorFlow's process sent a result that cannot be read") from None
        if kind == "memory":
            raise self._too_much_memory()
        if kind == "os_error" and isinstance(value, list) and list(map(type, value)) == [int, str, str]:
            raise OSError(*value)
        if kind == "problem" and isinstance(value, list) and list(map(type, value)) == [str] * 3 and value[0] in CAUSES:
            raise Problem(*value)
        raise RuntimeError(str(value))

    def _ended_early(self) -> Problem:
        last = f": {self._log.last_line()}" if self._log.last_line() else ""
        status = self._exit_status
        if status is not None and -status in _FROM_OUTSIDE:
            return Problem("killed", f"TensorFlow was ended from outside, with {_signal_name(-status)}")
        if self._log.says("std::bad_alloc", "MemoryError", "out of memory", "mmap error: 12"):
            return self._too_much_memory()
        if status is not None and status < 0:
            return Problem("crash", f"TensorFlow ended with {_signal_name(-status)}{last}")
        ending = "ended" if status is None else f"ended with exit status {status}"
        return Problem("crash", f"TensorFlow {ending} and without a result{last}")


def _left_in(pipe: int) -> bytes:
    # Something that got away may still hold the pipe open, hence no waiting for its end.
    os.set_blocking(pipe, False)
    left = b""
    with contextlib.suppress(BlockingIOError):
        while len(left) < _MIB and (chunk := os.read(pipe, 1 << 16)):
            left += chunk
    return left


def _memory_bytes(found: dict[str, int]) -> int:
    return sum(found.get(name, 0) for name in ("RssAnon", "RssShmem", "VmSwap"))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _be_the_child(
    work: Callable[..., Any], args: tuple[Any, ...], bounds: _Bounds, result_end: int, log_end: int
) -> NoReturn:
    """The child's side, from the fork to its end. Nothing may return or be raised from here."""
    status = 70
    try:
        os.setsid()
        _redirect(log_end)
        confinement.close_inherited(result_end)
        _confine(*bounds)
        _send(result_end, _answer(work, args))
        while True:  # The parent ends this process, while it can still see what this one has started.
            signal.pause()
    except SystemExit as error:
        status = error.code & 255 if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _redirect(log_end: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log_end, 1)
    os.dup2(log_end, 2)
    # New objects, since the inherited ones may write elsewhere, or hold text of the parent's.
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    # Its report of a crash would hide what TensorFlow said last.
    faulthandler.disable()


def _confine(
    directory: str, memory_mb: int, file_mb: int, kept_mb: int, parent: int, readable: tuple[str, ...]
) -> None:
    readable += tuple(confinement.python_paths())
    os.chdir(directory)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["TMPDIR"] = tempfile.tempdir = directory
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, file_mb * _MIB)
    # Not RLIMIT_AS: TensorFlow reserves address space that it never touches.
    _limit(resource.RLIMIT_DATA, status()["VmData"] + memory_mb * _MIB + _STACKS)
    _mallopt(_M_MMAP_THRESHOLD, kept_mb * _MIB)
    _mallopt(_M_TRIM_THRESHOLD, _KEPT)
    confinement.cut_network()
    confinement.drop_privileges()
    confinement.keep_to_files(readable, directory)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # After the change of credentials, which would clear it.
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(71)


def _limit(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))


def _answer(work: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        result = work(*args)
    except Problem as problem:
        return _encoded("problem", [problem.cause, problem.message, problem.hint])
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, OSError) and error.errno not in (None, errno.EFBIG):  # which is this process's own limit
            return _encoded("os_error", [error.errno, error.strerror or "", str(error.filename or "")])
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return _encoded("memory", "")
        return _encoded("error", f"{type(error).__name__}: {error}"[:10_000])
    try:
        answer = _encoded("result", result)
    except (TypeError, ValueError, RecursionError) as error:
        return _encoded("error", f"the result of {work.__name__} is not JSON: {error}")
    if len(answer) > _LARGEST_RESULT:
        return _encoded("error", f"the result of {work.__name__} has {len(answer)} bytes, more than {_LARGEST_RESULT}")
    return answer


def _encoded(kind: str, value: Any) -> bytes:
    return json.dumps({kind: value}, default=msgspec.to_builtins).encode("ascii")


def _send(pipe: int, answer: bytes) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    left = memoryview(len(answer).to_bytes(8, "big") + answer)
    while left:
        left = left[os.write(pipe, left) :]
