"""Has runs of the pipeline find their TensorFlow worker, which is a fork of a process that has loaded all it loads.

To load TensorFlow and the stages takes most of the time of a run of a few small models. What a fork runs is the
worker's own main function.

    python forked_worker.py SOCKET

is that process. A request on its socket is the process id of a run, with the descriptor of a file that has the run's
environment as JSON. There is no answer: a run that finds no worker starts one.
"""

import contextlib
import functools
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"


def start(run: int, environment: int) -> None:
    """Starts a worker for the run of process `run`; `environment` is the descriptor of the file of its variables."""
    socket.send_fds(_server(), [b"%d" % run], [environment])


@functools.cache
def _server() -> socket.socket:
    """The connection to the process that forks; that one ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(theirs.fileno())]
    subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment)
    theirs.close()
    return ours


def _serve(connection: socket.socket) -> None:
    sys.path.insert(0, str(SCRIPTS))
    from permafrost.workflow import worker

    worker.load_tensorflow()
    worker.preload()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 16, 1)
        if not message:
            return
        if not os.fork():
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become_worker(message, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become_worker(run: bytes, environment: int) -> None:
    """Runs the worker's main function as its client starts it, unless TensorFlow was loaded with other variables."""
    from permafrost.workflow import client, worker

    loaded = _of_startup(client)
    request = os.pread(environment, os.fstat(environment).st_size, 0)
    variables = json.loads(request.decode(errors="surrogateescape"))["environment"]
    os.setsid()
    os.umask(0o077)
    os.environ.clear()
    os.environ.update(variables, PERMAFROST_RUN=run.decode(), PERMAFROST_RUN_PID=run.decode())
    if _of_startup(client) == loaded:
        files = client.Worker()
        lock = files.lock()
        if not files.connect():
            log = files.open_log()
            os.dup2(log, 1)
            os.dup2(log, 2)
            with contextlib.suppress(SystemExit):
                worker.main(files.name, files.directory, lock, os.open(os.devnull, os.O_WRONLY))
    os._exit(0)


def _of_startup(client) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(client.STARTUP_VARIABLES)}


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):
        _serve(socket.socket(fileno=int(sys.argv[1])))
