"""Holds a stage's own Python to a model's limits: `timeout` and `memory_mb`, where no sandboxed child does the work.

A stranger's graph can make any program that reads it slow or large, before TensorFlow has run a single op.
"""

import gc
import math
import resource
import signal
import time
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import replace

from permafrost.model import Limits
from permafrost.outcome import Problem
from permafrost.sandbox.process_status import status

T = TypeVar("T")
L = TypeVar("L", bound=Limits)

_MIB = 1 << 20
_LARGEST = 1 << 62  # that setrlimit takes
# The nodes of a large graph live until the stage ends; to look through them for garbage again and again takes long.
_COLLECTING = (100_000, 50, 1000)
_TICK = 0.2  # s between looks at the clock and at the memory
_GRACE = 5  # s to clean up in, before the work is interrupted again
# C++ code ends the process where it gets no memory, so Python should be stopped before that.
_SLACK = 256 * _MIB


def held(settings: Limits, work: Callable[..., T], *args: Any) -> T:
    """Gives work(*args), run in this process, and stops it where it takes more than the settings allow.

    It is stopped by a signal, between two steps of Python, so this must be called in the main thread; children that
    `work` forks are not held. Calls must not be nested.
    Args:
      settings: `timeout` (s) and `memory_mb` (MiB, beyond what this process holds when it is called).
    Raises Problem: timeout or memory, and what `work` raises.
    """
    watch, collecting = _Watch(settings), gc.get_threshold()
    try:
        gc.set_threshold(*_COLLECTING)
        watch.begin()
        result = work(*args)
        watch.end()
        return result
    except _Reached as reached:
        raise reached.problem from None
    except MemoryError:
        raise watch.too_much_memory() from None
    finally:
        watch.end()
        gc.set_threshold(*collecting)


def left(settings: L, began: float) -> L:
    """The settings with what is left of `timeout` (in whole seconds, at least one) since `began` (time.monotonic())."""
    whole = settings.timeout
    return replace(settings, timeout=min(whole, max(1, math.ceil(whole - (time.monotonic() - began)))))


class _Reached(BaseException):
    """A limit is reached. No Exception, so that no handler of those takes it for a fault of the graph."""

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.problem = problem


class _Watch:
    """Looks at the clock and at the memory while the work runs, and interrupts it."""

    def __init__(self, settings: Limits) -> None:
        self._seconds, self._memory_mb = settings.timeout, settings.memory_mb
        self._active = False

    def begin(self) -> None:
        self._deadline = time.monotonic() + self._seconds
        self._not_before = 0.0
        self._most = _held_bytes() + self._memory_mb * _MIB
        self._limits = resource.getrlimit(resource.RLIMIT_DATA)
        self._handler = signal.signal(signal.SIGALRM, self._look)
        # A single step of Python can ask for any amount, in between two looks.
        most = status().get("VmData", 0) + self._memory_mb * _MIB + _SLACK
        known = [limit for limit in self._limits if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min(most, *known, _LARGEST), self._limits[1]))
        self._active = True
        signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)

    def end(self) -> None:
        if self._active:
            self._active = False  # From here on a signal that is under way does nothing.
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._handler)
            resource.setrlimit(resource.RLIMIT_DATA, self._limits)

    def _look(self, *_: Any) -> None:
        now = time.monotonic()
        if not self._active or now < self._not_before:
            return
        if problem := self._reached(now):
            self._not_before = now + _GRACE
            raise _Reached(problem)

    def _reached(self, now: float) -> Problem | None:
        if now > self._deadline:
            return Problem("timeout", f"Permafrost was not done with the graph within {self._seconds:g} s")
        return self.too_much_memory() if _held_bytes() > self._most else None

    def too_much_memory(self) -> Problem:
        return Problem("memory", f"Permafrost needed more than {self._memory_mb} MB of memory for the graph")


def _held_bytes() -> int:
    """The memory of this process that no file backs, in bytes."""
    found = status()
    return found.get("RssAnon", 0) + found.get("VmSwap", 0)
