"""Runs Snakemake in a fork of a process that has loaded it, as `python -m snakemake` would run by itself.

To load Snakemake takes most of the time of a run that has little to do. Nothing of Permafrost is loaded there.

    python forked_snakemake.py SOCKET

is that process. A request on its socket is JSON, with the descriptors of stdout and stderr; it answers with the process
id of the run, then with its exit status.
"""

import contextlib
import functools
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import forked_worker

# What a run of Snakemake loads late, and would load each time.
_LATE = (
    "snakemake.profiles", "snakemake.report.html_reporter", "snakemake.storage", "snakemake.scheduling.greedy",
    "smart_open", "jsonschema", "msgspec.json", "packaging.version", "difflib",
)  # fmt: skip


def run(
    arguments: list[str], cwd: Path, joined: bool = False, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess:
    """Runs `snakemake ARGUMENT ...` in the directory `cwd`.

    What it prints is of 100 columns. Returns what subprocess.run would, as text; stderr is within stdout where they are
    `joined`. Raises TimeoutError after five minutes.
    """
    variables = {**environment, "COLUMNS": "100"}
    request = json.dumps({"arguments": arguments, "cwd": os.fspath(cwd), "environment": variables})
    with tempfile.TemporaryFile() as request_file, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        request_file.write(request.encode(errors="surrogateescape"))
        request_file.flush()
        status = _asked([request_file.fileno(), out.fileno(), (out if joined else err).fileno()])
        return subprocess.CompletedProcess(arguments, status, _text(out), _text(err))


def _asked(descriptors: list[int]) -> int:
    connection = _server(os.getpid())
    socket.send_fds(connection, [b"run"], descriptors)
    pid = int(connection.recv(64))
    connection.settimeout(300)
    try:
        return int(connection.recv(64))
    except TimeoutError:
        os.kill(pid, 9)
        connection.settimeout(None)
        connection.recv(64)
        raise


def _text(file) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


@functools.cache
def _server(pid: int) -> socket.socket:
    """The connection of the process `pid`, this one, to the process that forks for it; that one ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, __file__, str(theirs.fileno())]
    subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    return ours


def _serve(connection: socket.socket) -> None:
    for name in ("snakemake.cli", *_LATE):
        importlib.import_module(name)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 16, 3)
        if not message:
            return
        pid = os.fork()
        if not pid:
            connection.close()
            _become_snakemake(*descriptors)
        connection.send(b"%d" % pid)
        forked_worker.start(pid, descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _become_snakemake(request: int, out: int, err: int) -> None:
    """Runs Snakemake's main function, and ends as Python ends."""
    asked = json.loads(os.pread(request, os.fstat(request).st_size, 0).decode(errors="surrogateescape"))
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    tempfile.tempdir = None
    sys.argv = ["snakemake", *asked["arguments"]]
    sys.path[0] = asked["cwd"]
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):
        _serve(socket.socket(fileno=int(sys.argv[1])))
