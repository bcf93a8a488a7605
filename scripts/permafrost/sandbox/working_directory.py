"""The sandbox's working directories: one for each child, which goes with it, or with the next run where it was killed.

Who made a directory holds a lock on it, and the kernel gives that back with the process, however it ends. So whether
somebody still uses one is known without asking for process ids, which other containers give out anew.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

_PREFIX = "permafrost-sandbox-"


@contextlib.contextmanager
def working_directory() -> Iterator[str]:
    """Makes an empty directory for a child, in the temporary directory, and deletes it with all that is in it then."""
    directory, lock = _make()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _make() -> tuple[str, int]:
    """A new directory and the lock on it. Raises OSError."""
    while True:
        directory = tempfile.mkdtemp(prefix=_PREFIX)
        try:
            lock = _opened(directory)
        except FileNotFoundError:
            continue  # It was taken for one that was left behind, before it was locked.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is(directory, lock):
            return directory, lock
        os.close(lock)  # The same.


def _opened(directory: str) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _is(directory: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(directory), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def delete_left_behind() -> None:
    """Deletes the directories of this user's that no process uses any more; links are not followed."""
    above = tempfile.gettempdir()
    with contextlib.suppress(OSError):
        for name in os.listdir(above):
            if name.startswith(_PREFIX):
                with contextlib.suppress(OSError):
                    _delete_if_left_behind(os.path.join(above, name))


def _delete_if_left_behind(directory: str) -> None:
    descriptor = _opened(directory)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(directory, descriptor):
                shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(descriptor)
