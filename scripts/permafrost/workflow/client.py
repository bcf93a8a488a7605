"""The warm client: has the run's worker run a stage, as scripts/warm.py says.

It starts once for each job. Hence the modules in C that lie below ctypes, hashlib, signal and socket: with those, and
contextlib, it takes three times as long to start.
"""

import _ctypes
import _signal as signal
import _socket as socket
import fcntl
import os
import select
import struct
import sys
from _blake2 import blake2b

TYPE_CHECKING = False  # That of `typing`, which takes long to load.
if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPTS = os.path.dirname(os.path.dirname(HERE))
WORKER = os.path.join(HERE, "worker.py")
START_SECONDS = 300  # The longest that a worker may take to import TensorFlow, from a slow network disk say.
LOG_LINES = 20
ENDED_MEANWHILE = "the TensorFlow worker ended while the stage was running; the job can be run again"
PR_SET_PDEATHSIG = 1  # linux/prctl.h

# What Python and TensorFlow read once, when they start: clients that differ in it cannot share a worker.
STARTUP_VARIABLES = ("PYTHON", "LANG", "LC_", "LD_", "TF_", "XLA_", "CUDA_")


class Fault(Exception):
    """The stage could not be run, for a reason that is not its own; one sentence."""


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent, the job's shell, ends."""
    parent = os.getppid()
    this_program = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]  # which its stub does not know of
    prctl = _ctypes.dlsym(this_program, "prctl")
    _ctypes.call_function(prctl, (PR_SET_PDEATHSIG, int(signal.SIGKILL)))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def states(directory: str) -> list[str]:
    """The path and time of change (ns) of each Python file in a directory and those below it."""
    found, waiting = [], [directory]
    for place in waiting:
        for entry in os.scandir(place):
            if entry.name.endswith(".py") and entry.name[0] != ".":
                try:
                    found.append(f"{entry.path} {entry.stat().st_mtime_ns}")
                except FileNotFoundError:
                    pass  # Somebody is changing the scripts.
            elif entry.name.isidentifier() and entry.name != "__pycache__" and entry.is_dir():
                waiting.append(entry.path)
    return found


def worker_name() -> str:
    """Names the worker of this run, machine, SLURM step, interpreter and state of the scripts, in 16 characters."""
    get = os.environ.get
    parts = [get("PERMAFROST_RUN") or "default", os.uname().nodename, get("SLURM_JOB_ID", ""), get("SLURM_STEP_ID", "")]
    parts += [sys.executable, SCRIPTS]
    parts += sorted(states(SCRIPTS))
    parts += sorted(f"{key}={value}" for key, value in os.environ.items() if key.startswith(STARTUP_VARIABLES))
    return blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=8).hexdigest()


def private_directory() -> tuple[str, int]:
    """Makes the directory of this user's sockets; returns its path and an open descriptor of it.

    Raises Fault where the directory is not this user's alone.
    """
    user = os.geteuid()
    parent = os.environ.get("XDG_RUNTIME_DIR", "")
    # The variable outlives its directory: it follows a job to nodes where the user has never logged in.
    if not (os.path.isdir(parent) and os.stat(parent).st_uid == user and os.access(parent, os.W_OK)):
        import tempfile  # Costs as much as all the imports above.

        parent = tempfile.gettempdir()
    path = os.path.join(parent, f"permafrost-{user}")
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Fault(f"{path} must be a directory of your own: {error.strerror}") from error
    found = os.fstat(directory)
    mode = found.st_mode & 0o7777
    if found.st_uid != user or mode != 0o700:
        raise Fault(
            f"{path} must be yours alone (owner {user}, mode 0700), but has owner {found.st_uid} and mode {mode:04o}; "
            "delete it or correct it"
        )
    return path, directory


class Worker:
    """The worker that this client is to use, running or not.

    Its files are reached through the descriptor of the checked directory: nobody can put another in its place, and
    the socket's path stays below the 108 bytes that the kernel allows.
    """

    def __init__(self) -> None:
        path, self.directory = private_directory()
        self.name = worker_name()
        self.log = os.path.join(path, f"{self.name}.log")

    def connect(self) -> socket.socket | None:
        """Connects to the worker; None where it does not run. Raises Fault if it is another user's."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(f"/proc/self/fd/{self.directory}/{self.name}.sock")
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except (FileNotFoundError, ConnectionError):
            connection.close()
            return None
        if struct.unpack("3i", peer)[1] != os.geteuid():
            raise Fault(f"the TensorFlow worker of {self.log} is another user's")
        return connection

    def connect_or_start(self) -> socket.socket:
        """Connects to the worker; starts it where it does not run. Raises Fault where it cannot be started."""
        connection = self.connect()
        if connection:
            return connection
        lock = self.lock()
        try:
            # Another client may have started it while this one waited for the lock.
            connection = self.connect()
            if not connection:
                self._start(lock)
                connection = self.connect()
        finally:
            os.close(lock)
        if not connection:
            raise Fault(f"the TensorFlow worker ended as soon as it had started{self._log_tail()}")
        return connection

    def lock(self) -> int:
        """Takes the lock under which a worker is started. The worker holds it too, until it listens."""
        while True:
            lock = os.open(f"{self.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self.directory)
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                current = os.stat(f"{self.name}.lock", dir_fd=self.directory).st_ino
            except FileNotFoundError:
                current = None
            if current == os.fstat(lock).st_ino:
                return lock
            os.close(lock)  # An ending worker deleted this file while we waited for it.

    def _start(self, lock: int) -> None:
        import subprocess  # Only one client of a run needs it.

        log = self.open_log()
        ready, worker_ready = os.pipe()
        process = subprocess.Popen(
            [sys.executable, WORKER, self.name, str(self.directory), str(lock), str(worker_ready)],
            pass_fds=[self.directory, lock, worker_ready],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # Huge pages, since a fork copies page tables, and its end frees them; one thread, as Snakemake gives a job.
            env={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        os.close(worker_ready)
        os.close(log)
        if not select.select([ready], [], [], START_SECONDS)[0]:
            process.kill()
            raise Fault(f"the TensorFlow worker was not ready after {START_SECONDS} seconds{self._log_tail()}")
        if not os.read(ready, 1):
            raise Fault(f"the TensorFlow worker could not start (status {process.wait()}){self._log_tail()}")
        os.close(ready)

    def open_log(self) -> int:
        """Empties the worker's log, or makes it; returns a descriptor that adds to it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        return os.open(f"{self.name}.log", flags, 0o600, dir_fd=self.directory)

    def _log_tail(self) -> str:
        try:
            descriptor = os.open(f"{self.name}.log", os.O_RDONLY, dir_fd=self.directory)
            with os.fdopen(descriptor, encoding="utf-8", errors="replace") as log:
                lines = log.read().splitlines()[-LOG_LINES:]
        except OSError:
            return ""
        return "\n    ".join([f"; the end of {self.log}:", *lines])


def pack_request(script: str, arguments: list[str], umask: int, environment: "Mapping[bytes, bytes]") -> int:
    """Writes the stage's command line, umask and environment to a file in memory; returns its descriptor.

    A file, since command lines and environments can be larger than a message on a socket.
    """
    variables = [key + b"=" + value for key, value in environment.items() if key]
    encoded = [os.fsencode(argument) for argument in arguments]
    fields = [b"%o" % umask, os.fsencode(script), b"%d" % len(encoded), *encoded, *variables]
    request = os.memfd_create("permafrost-request")
    with open(request, "wb", closefd=False) as file:
        file.write(b"\0".join(fields))
    return request


def send_request(connection: socket.socket, streams: bytes, descriptors: list[int]) -> bool:
    """Asks the worker to run a stage; False where the worker has gone.

    Args:
      streams: the numbers of the standard streams that are open, a byte each.
      descriptors: the request, the working directory and the open standard streams.
    """
    rights = struct.pack(f"{len(descriptors)}i", *descriptors)
    try:
        connection.sendmsg([b"\0" + streams], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    except ConnectionError:
        return False
    return True


def kill_abandoned(stage: int) -> None:
    """Kills what a stage had started whose own process ended with the worker: it must not go on beside a second try."""
    try:
        os.killpg(stage, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_stage(connection: socket.socket, streams: bytes, descriptors: list[int]) -> int | None:
    """Has the worker run the stage; returns its exit status, or None where the worker went before it began it.

    Takes what `send_request` does. Raises Fault where the worker went while the stage ran.
    """
    if not send_request(connection, streams, descriptors):
        return None
    # Until here a signal ends this client, and with it the stage. From here on it is a byte to pass on: a handler in
    # Python could be kept waiting by the recv() that it came just before.
    numbers, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    caught = []
    handled = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    for number in handled:
        signal.signal(number, lambda number, _: caught.append(number))

    def receive() -> bytes:
        try:
            waited_for: list[socket.socket | int] = [connection, numbers]
            while connection not in select.select(waited_for, [], [])[0]:
                connection.send(os.read(numbers, 16))
            return connection.recv(64)
        except ConnectionError:
            return b""

    stage = 0
    while message := receive().split():
        if message[0] == b"ended":
            return int(message[1])
        stage = int(message[1])
    if not stage:
        signal.set_wakeup_fd(-1)
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        return 128 + caught[0] if caught else None
    kill_abandoned(stage)
    raise Fault(ENDED_MEANWHILE)


def run_started(streams: bytes, descriptors: list[int]) -> int:
    """Has the worker, which is started where it does not run, run the stage, as `run_stage`. Raises Fault."""
    worker = Worker()
    # Twice, since an idle worker may end just after it was connected to.
    for _ in range(2):
        status = run_stage(worker.connect_or_start(), streams, descriptors)
        if status is not None:
            return status
    raise Fault(f"the TensorFlow worker ended twice before it began the stage; see {worker.log}")


def running() -> socket.socket | None:
    """A connection to the worker; None where none runs that can be used."""
    try:
        return Worker().connect()
    except (Fault, OSError):
        return None


def main() -> int:
    """Does what scripts/warm.py says with sys.argv; returns the exit status."""
    die_with_parent()
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    streams = bytes(number for number, file in enumerate((sys.stdin, sys.stdout, sys.stderr)) if file is not None)
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # A closed standard stream's number must not be given to a file of ours.
    os.close(spare)
    words = sys.argv[1:]
    how = words.pop(0) if words[:1] in (["--start"], ["--if-running"]) else ""
    if not words and how != "--start":
        print("usage: warm.py [--if-running] STAGE [ARG ...], or warm.py --start", file=sys.stderr)
        return 2
    script = os.path.join(SCRIPTS, f"{words[0]}.py") if words else ""
    if words and (os.path.dirname(words[0]) or not os.path.isfile(script)):
        print(f"warm.py: there is no stage {words[0]!r} in {SCRIPTS}", file=sys.stderr)
        return 2
    umask = os.umask(0o077)  # Whatever is made from here on, the worker's files too, is this user's alone.
    try:
        if how == "--start":
            Worker().connect_or_start()
            return 0
        request = pack_request(script, words[1:], umask, os.environb)
        descriptors = [request, os.open(".", os.O_PATH | os.O_DIRECTORY), *streams]
        if how != "--if-running":
            return run_started(streams, descriptors)
        connection = running()
        status = run_stage(connection, streams, descriptors) if connection else None
        if status is not None:
            return status
    except Fault as fault:
        print(f"warm.py: {fault}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"warm.py: the TensorFlow worker cannot be used: {error}", file=sys.stderr)
        return 1
    os.umask(umask)
    return os.execv(sys.executable, [sys.executable, script, *words[1:]])
