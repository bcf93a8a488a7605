"""The warm worker: imports TensorFlow once, then runs each stage that a client asks for in a forked child.

    python worker.py NAME DIRECTORY LOCK READY

is started by client.py, by its path, never imported. DIRECTORY, LOCK and READY are open descriptors: of the
private directory of NAME.sock, NAME.lock and NAME.log, of the lock, and of a pipe that gets a byte when NAME.sock
listens. Messages on the socket (SOCK_SEQPACKET), in their order:

    client: 0 and the numbers of its open standard streams, a byte each; with the descriptors of the request file, of
            its working directory, and of these streams
    worker: "begun PID", sent by the stage's process itself, before which nothing of the stage has been done
    client: the numbers of signals for the stage, a byte each; any number of times
    worker: "ended STATUS", 128 + n where signal n ended the stage (perhaps before it had begun)

The request file holds fields separated by NUL: umask (octal), script, number of arguments, the arguments, and
NAME=value for each environment variable. A client that closes its connection has its stage killed.

The stages' modules are loaded before a fork too: a worker runs the code that was there when it started, and clients
start another one where that has changed. No TensorFlow op is run, since its threads would not survive a fork.
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import importlib.abc
import math
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import NoReturn

PR_SET_PDEATHSIG = 1  # linux/prctl.h
FIRST_IDLE_SECONDS = 10  # However short WARM_IDLE is, the client that started the worker has to reach it.
LIBC = ctypes.CDLL(None)
STAGES = (
    "import_meta", "freeze", "verify", "list_ops", "judge",
    "export_saved_model", "export_onnx", "export_tflite", "judge_export",
)  # fmt: skip
# What they import only when they need it.
LATE = (
    "permafrost.judge.rehearsal", "permafrost.judge.judging", "permafrost.judge.verdict",
    "permafrost.report.op_listing", "encodings.ascii",
    "permafrost.exporter.saved_model", "permafrost.exporter.signature", "permafrost.judge.exports.deciding",
    "permafrost.workflow.made_once",
)  # fmt: skip


def start_time(pid: str) -> bytes | None:
    """When a process started, in clock ticks since boot (proc(5), /proc/PID/stat, field 22); None once it has ended."""
    try:
        fields = Path(f"/proc/{int(pid)}/stat").read_bytes().rpartition(b")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in b"ZX" else fields[19]


class Run:
    """The process that runs the pipeline's jobs on this node (PERMAFROST_RUN_PID), if there is one of this user."""

    def __init__(self, pid: str):
        self.pid = pid
        self.started = start_time(pid)
        with contextlib.suppress(OSError):
            if self.started and os.stat(f"/proc/{int(pid)}").st_uid != os.geteuid():
                self.started = None

    def known(self) -> bool:
        return self.started is not None

    def over(self) -> bool:
        return self.known() and start_time(self.pid) != self.started


class Job:
    """A client, and its stage's process once it has one."""

    def __init__(self, client: socket.socket):
        self.client = client
        self.pid = 0

    def signal(self, number: int) -> None:
        """Sends a signal to the stage and all that it started."""
        if self.pid:
            with contextlib.suppress(OSError, ValueError):
                os.killpg(self.pid, number)


class Worker:
    """Waits for clients, their signals and their end, and for the end of stages, all in one thread."""

    def __init__(self, name: str, server: socket.socket, idle: float, run: Run):
        self.name, self.server, self.idle, self.run = name, server, idle, run
        self.jobs: dict[int, Job] = {}  # by the descriptor of the client's connection
        self.stages: dict[int, Job] = {}  # by process id; longer than in `jobs` where the client is gone
        # A stage's end wakes the poll, as a byte on this pair.
        self.child_ended, self.wake = socket.socketpair()
        for end in (self.child_ended, self.wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self.wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.poll = select.poll()
        self.poll.register(self.server, select.POLLIN)
        self.poll.register(self.child_ended, select.POLLIN)

    def serve(self) -> None:
        """Returns when there was nothing to do for the idle time, or when the run is over and its stages are killed."""
        # The first stage may be long in coming, where the worker was started while the run's jobs are planned.
        busy_until, idle = time.monotonic(), math.inf if self.run.known() else max(self.idle, FIRST_IDLE_SECONDS)
        while not self.run.over():
            if self.jobs or self.stages:
                busy_until, idle = time.monotonic(), self.idle if self.stages else idle
            elif time.monotonic() >= busy_until + idle and self._removed():
                return
            ready = {descriptor for descriptor, _ in self.poll.poll(self._timeout(busy_until + idle))}
            if self.child_ended.fileno() in ready:
                self._reap()
            for descriptor in ready & set(self.jobs):
                self._hear(self.jobs[descriptor])
            # Last, so that a new connection is not taken for one of the same number that has just been closed.
            if self.server.fileno() in ready:
                self._accept()
        for job in self.stages.values():
            job.signal(signal.SIGKILL)
        self._removed()

    def _timeout(self, deadline: float) -> float | None:
        """Milliseconds until there is something to look after without an event."""
        waits: list[float] = [1000] if self.run.known() else []
        if not self.jobs and not self.stages:
            # At least a little, for the case that the files are locked by a client that is about to connect.
            waits.append(max(50, 1000 * (deadline - time.monotonic())))
        return min(waits, default=None)

    def _removed(self) -> bool:
        """Removes the worker's files, unless a client holds the lock; then it is about to connect."""
        try:
            lock = os.open(f"{self.name}.lock", os.O_RDWR)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            os.close(lock)
            return False
        for kind in ("sock", "log", "lock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.name}.{kind}")
        return True

    def _accept(self) -> None:
        client, _ = self.server.accept()
        peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", peer)[1] != os.geteuid():
            client.close()
            return
        client.setblocking(False)
        self.jobs[client.fileno()] = Job(client)
        self.poll.register(client, select.POLLIN)

    def _hear(self, job: Job) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(job.client, 16, 5)
        except BlockingIOError:
            return
        except ConnectionError:
            message, descriptors = b"", []
        if not message:
            job.signal(signal.SIGKILL)
            self._forget(job)
        elif job.pid:
            for number in message:
                job.signal(number)
        else:
            self._begin(job, message[1:], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _forget(self, job: Job) -> None:
        del self.jobs[job.client.fileno()]
        self.poll.unregister(job.client)
        job.client.close()

    def _begin(self, job: Job, streams: bytes, descriptors: list[int]) -> None:
        worker = os.getpid()
        try:
            with warnings.catch_warnings():
                # Python warns where libraries have threads; those that TensorFlow's import leaves stand a fork.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError as error:
            print(f"no process for a stage: {error}", flush=True)
            self._forget(job)
            return
        if pid == 0:
            try:
                self._become_stage(job, worker, streams, descriptors)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        # Here and in the child, as neither knows who is first.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        job.pid = pid
        self.stages[pid] = job

    def _become_stage(self, job: Job, worker: int, streams: bytes, descriptors: list[int]) -> None:
        os.setpgid(0, 0)
        LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != worker:
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        job.client.send(b"begun %d" % os.getpid())
        # The clients' connections end with the worker, not with the last of the stages.
        for end in (self.server, self.child_ended, self.wake, *(other.client for other in self.jobs.values())):
            end.close()
        run_request(streams, *descriptors)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.child_ended.recv(4096):
                pass
        while self.stages:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            job = self.stages.pop(pid)
            if job.client.fileno() in self.jobs:
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(OSError):
                    job.client.send(b"ended %d" % (code if code >= 0 else 128 - code))
                self._forget(job)


def run_request(streams: bytes, request: int, directory: int, *given: int) -> NoReturn:
    """Makes this process what `python SCRIPT ARG ...` would be, and runs the script's main function."""
    with open(request, "rb") as file:
        file.seek(0)
        umask, script, count, *fields = file.read().split(b"\0")
    arguments, environment = fields[: int(count)], fields[int(count) :]
    for number, descriptor in zip(streams, given, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    closed = {0, 1, 2}.difference(streams)
    for number in closed:
        os.close(number)
        os.open(os.devnull, os.O_RDWR)
    # The worker's own streams remember whether its files can be sought.
    sys.stdin = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", 1, sys.stdout.encoding, sys.stdout.errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, sys.stderr.encoding, sys.stderr.errors, closefd=False)  # noqa: SIM115
    os.fchdir(directory)
    os.close(directory)
    os.umask(int(umask, 8))
    os.environ.clear()
    for field in environment:
        name, _, value = field.partition(b"=")
        os.environb[name] = value
    # What the imports took from the worker's environment, or would share with the other stages.
    time.tzset()
    tempfile.tempdir = None
    sys.modules["numpy"].random.seed()
    run_stage(os.fsdecode(script), [os.fsdecode(argument) for argument in arguments])


def run_stage(script: str, arguments: list[str]) -> NoReturn:
    """Calls the main function of a script and ends the process with the status that it returns."""
    sys.argv = [script, *arguments]
    directory, name = os.path.split(script)
    sys.path.insert(0, directory)
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = importlib.import_module(name.removesuffix(".py")).main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 120  # as Python ends where it cannot write what was printed
    os._exit(status)


class _WithoutKeras(importlib.abc.MetaPathFinder):
    """Has an import of Keras fail, as where it is not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "keras.src":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def load_tensorflow() -> None:
    """Imports TensorFlow, without the Keras that it loads where it is installed, for programs that will want it.

    No stage does, and to load it takes two fifths of the time. A later import finds it.
    """
    finder = _WithoutKeras()
    sys.meta_path.insert(0, finder)
    try:
        import numpy  # noqa: F401
        import tensorflow  # noqa: F401
    finally:
        sys.meta_path.remove(finder)


def preload() -> None:
    """Loads the stages and their modules, and clears away what stages of a killed run have left.

    What cannot be loaded is left for the stage itself to fail with.
    """
    scripts = str(Path(__file__).parents[2])
    sys.path.insert(0, scripts)
    for name in (*STAGES, *LATE):
        with contextlib.suppress(Exception, SystemExit):
            importlib.import_module(name)
    with contextlib.suppress(Exception, SystemExit):
        importlib.import_module("permafrost.sandbox.working_directory").delete_left_behind()
    del sys.path[0]


def main(name: str, directory: int, lock: int, ready: int) -> None:
    run = Run(os.environ.get("PERMAFROST_RUN_PID", ""))
    if run.pid and not run.known():
        raise SystemExit(f"the run of process {run.pid} is over")  # Its jobs' shells may outlive it for a moment.
    idle = float(os.environ.get("WARM_IDLE") or 30)
    if not 0 <= idle <= 1e6:
        raise SystemExit(f"WARM_IDLE must be a number of seconds, not {idle}")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ends a stage that is interrupted before its script runs.
    os.fchdir(directory)
    if not sys.flags.safe_path:
        del sys.path[0]  # Permafrost's own modules must not stand in for those that TensorFlow imports.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    gc.disable()  # What is loaded stays, and to look through it for garbage takes a fifth of the time.
    load_tensorflow()
    preload()
    sys.stdout.flush()  # What is left in the buffer would be printed by each child.
    gc.collect()
    gc.freeze()  # The children's collections need not look at, and copy, all that TensorFlow made.
    gc.enable()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{name}.sock")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(f"{name}.sock")
    server.listen(1024)
    worker = Worker(name, server, idle, run)
    os.close(lock)
    with contextlib.suppress(BrokenPipeError):  # The client that started this worker may have been killed.
        os.write(ready, b"1")
    os.close(ready)
    worker.serve()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
    # The stages of a run that is over were killed; nothing of the worker's own is left to be done.
    os._exit(0)
