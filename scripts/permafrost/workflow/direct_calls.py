"""Runs the stages' shell commands from Snakemake's own process, without a shell, where the run's worker runs.

To start bash, and in it the client, takes longer than many a stage of a small model does. Snakemake starts its shell
commands by `subprocess.Popen`; in its place a command of `launch.warm` is read here, if its words are plain or quoted
as by `shlex.quote`, and the worker is asked for the stage as by `client.py`. All other commands go to the shell, and
these too where no worker can be reached.
"""

import contextlib
import importlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from snakemake.executors import local

from permafrost.workflow import client

_STRICT = "set -euo pipefail;"  # what Snakemake begins a command for bash with
_WORD = r"""(?:[A-Za-z0-9_@%+=:,./-]|'[^']*'|"'")+"""
_CALL = re.compile(rf"(?:--if-running )?(?P<stage>[a-z_]+)(?P<words>(?: {_WORD})*) > (?P<log>{_WORD}) 2>&1")


class Call(NamedTuple):
    """A stage's command: the path of its program, the arguments, and the path of its log."""

    script: str
    arguments: list[str]
    log: str


def read(command: str, begin: str) -> Call | None:
    """The call of a stage that a command is; None of a command that a shell has to read.

    Args:
      begin: what the command of a stage begins with.
    """
    before, found, rest = command.partition(begin)
    match = _CALL.fullmatch(rest.strip(" "))
    if not found or not match or before.strip() not in ("", _STRICT):
        return None
    script = os.path.join(client.SCRIPTS, f"{match['stage']}.py")
    return Call(script, shlex.split(match["words"]), *shlex.split(match["log"]))


class Stage:
    """A stage that a worker was asked for, with what Snakemake uses of a subprocess.Popen.

    Args:
      connection: the one on which the worker was asked.
      instead: starts the stage in another way, where the worker ends before it has begun it.
      forget: called with the stage once it has ended.
    """

    def __init__(
        self, connection: Any, instead: Callable[[], "subprocess.Popen[bytes]"], forget: Callable[["Stage"], None]
    ):
        self._connection, self._instead, self._forget = connection, instead, forget

    def wait(self) -> int:
        """The exit status; 1 where the worker ended before the stage did, which is then said on stderr."""
        process = 0
        with contextlib.closing(self._connection), contextlib.ExitStack() as before_closing:
            before_closing.callback(self._forget, self)
            while message := self._received().split():
                if message[0] == b"ended":
                    return int(message[1])
                process = int(message[1])
        if not process:
            return self._instead().wait()
        client.kill_abandoned(process)
        print(client.ENDED_MEANWHILE, file=sys.stderr)
        return 1

    def _received(self) -> bytes:
        try:
            received: bytes = self._connection.recv(64)
            return received
        except ConnectionError:
            return b""

    def send_signal(self, number: int) -> None:
        """Has the worker send a signal to the stage, and to all that it started, unless it has ended."""
        with contextlib.suppress(OSError):
            self._connection.send(bytes([number]))

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Caller:
    """Starts shell commands, from any thread, and those of stages without a shell.

    Args:
      begin: what the command of a stage begins with.
    """

    def __init__(self, begin: str):
        self._begin = begin
        self._lock = threading.Lock()
        self._worker: client.Worker | None = None
        self._stages: set[Stage] = set()
        self._interrupted = False
        self._umask = os.umask(0o077)
        os.umask(self._umask)

    def start(self, command: str, **options: Any) -> Any:
        """What subprocess.Popen(command, **options) gives; for a stage, where its worker runs, a Stage."""
        call = read(command, self._begin) if options.get("stdout") != subprocess.PIPE else None
        with contextlib.suppress(OSError, client.Fault):
            if call and (connection := self._located().connect()):
                stage = Stage(connection, lambda: subprocess.Popen(command, **options), self._remove)
                if _ask(connection, call, self._umask, options["env"]):
                    self._add(stage)
                    return stage
                connection.close()
        return subprocess.Popen(command, **options)

    def interrupt(self) -> None:
        """Sends SIGINT to all stages, also those that are yet to begin, as a terminal does to what a shell runs."""
        with self._lock:
            self._interrupted = True
            for stage in self._stages:
                stage.send_signal(signal.SIGINT)

    def _located(self) -> client.Worker:
        with self._lock:
            self._worker = self._worker or client.Worker()
            return self._worker

    def _add(self, stage: Stage) -> None:
        with self._lock:
            self._stages.add(stage)
            if self._interrupted:
                stage.send_signal(signal.SIGINT)

    def _remove(self, stage: Stage) -> None:
        with self._lock:
            self._stages.discard(stage)


def _ask(connection: Any, call: Call, umask: int, variables: Mapping[str, str]) -> bool:
    """Asks the worker for a stage; False where it has gone. Raises OSError, such as where the log cannot be written."""
    environment = {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
    with contextlib.ExitStack() as opened:

        def kept(descriptor: int) -> int:
            opened.callback(os.close, descriptor)
            return descriptor

        written = kept(os.open(call.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
        nothing = kept(os.open(os.devnull, os.O_RDONLY))
        here = kept(os.open(".", os.O_PATH | os.O_DIRECTORY))
        request = kept(client.pack_request(call.script, call.arguments, umask, environment))
        return client.send_request(connection, bytes([0, 1, 2]), [request, here, nothing, written, written])


def use(begin: str) -> None:
    """Has Snakemake, in this process, start its shell commands by a Caller, and interrupt stages where it is itself."""
    caller = Caller(begin)
    # The package has a class of the same name as this module of it.
    shell: Any = importlib.import_module("snakemake.shell")
    shell.sp = SimpleNamespace(**vars(subprocess) | {"Popen": caller.start})

    def cancel(executor: Any) -> None:
        caller.interrupt()
        executor.shutdown()

    local.Executor.cancel = cancel
