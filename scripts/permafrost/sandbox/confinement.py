"""What the sandbox's child gives up for good: open files, the network, privileges, and all files but those it needs."""

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from permafrost.sandbox import landlock

# From linux/prctl.h, linux/sched.h and linux/capability.h.
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_CAPABILITY_VERSION, _CAP_DAC_READ_SEARCH = 0x20080522, 2

_TCP_SINCE = 4  # The version of Landlock's ABI from which on it refuses TCP.
# What C++'s random_device opens, and TensorFlow itself (GetExecutablePath in tsl/platform/default/env.cc): without
# either TensorFlow aborts. The others say how fast the processor is, and how much memory is used. Not all of
# /proc/self, which has the environment.
_SYSTEM_FILES = ("/dev/urandom", "/proc/self/cmdline", "/proc/cpuinfo", "/proc/self/status")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def close_inherited(kept: int) -> None:
    """Closes every open file but the standard streams and `kept`."""
    # What the parent had open it may also have lost: no garbage collection may close the next file of that number.
    gc.freeze()
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


def cut_network() -> None:
    """Moves this process into a network namespace without any device; says on stderr where the kernel refuses."""
    # With privileges a network namespace can be had at once; without them, inside a user namespace. The latter also
    # keeps this process from tracing its parent.
    if _libc.unshare(_CLONE_NEWNET) != 0 and _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        what = "all but TCP" if landlock.abi() >= _TCP_SINCE else "it"
        print(f"sandbox: the kernel does not let the network be cut off ({reason}); {what} stays open", file=sys.stderr)


def drop_privileges() -> None:
    """Gives up every capability but that of reading files, for zoos whose files only root may read.

    A process without its parent's capabilities may not trace it nor write its memory. See capset(2), ptrace(2).
    """
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    permitted = (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    if _libc.capget(header, permitted) != 0:
        return
    kept = 1 << _CAP_DAC_READ_SEARCH & permitted[1]
    _libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0))


def python_paths() -> list[str]:
    """Where Python and TensorFlow import from, also what they load only once they need it."""
    here = Path.cwd()
    # PYTHONPATH often has the working directory without anybody's intent, and that may be somebody's home.
    path = [entry for entry in sys.path if os.path.isabs(entry) and not here.is_relative_to(entry)]
    return [str(Path(__file__).parents[2]), sys.prefix, sys.base_prefix, *path, *_LIBRARIES]


def keep_to_files(readable: Iterable[str], directory: str) -> None:
    """Leaves this process, before it has any further thread, `readable` to read and `directory` to write in.

    Privileges have to be dropped before. Raises OSError where the kernel has Landlock, and refuses all the same.
    """
    for name in _SYSTEM_FILES:
        # Held open: /proc makes a new inode when memory is short and nobody holds the old one, to which the rule is
        # bound. Nothing can be read from what was opened so.
        with contextlib.suppress(OSError):
            os.open(name, os.O_PATH)
    landlock.restrict([*_SYSTEM_FILES, *readable], directory)
