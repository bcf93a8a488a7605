"""Landlock: the kernel keeps a thread, and all that it starts, to the files that it has been given, for good.

A ruleset says what it handles, and that is refused from then on, whatever rights the user has, but where a rule allows
it for a file, or for a directory with all that is below. See landlock(7). The numbers are those of linux/landlock.h,
and of asm-generic/unistd.h, which all architectures share that TensorFlow runs on.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from typing import Any

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_REMOVE_DIR, _REMOVE_FILE, _REFER = 1 << 4, 1 << 5, 1 << 13
_MAKE_DIR, _MAKE_REG, _MAKE_SYM = 1 << 7, 1 << 8, 1 << 12
_READ = _READ_FILE | _READ_DIR
_CHANGE = _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _REFER | _MAKE_DIR | _MAKE_REG | _MAKE_SYM
# LANDLOCK_ACCESS_FS_*: all that a file itself, rather than a directory, can be given here.
_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE

# From which version of the ABI on a kernel knows how many of LANDLOCK_ACCESS_FS_*, LANDLOCK_ACCESS_NET_* (bind and
# connect by TCP) and LANDLOCK_SCOPE_* (abstract sockets and signals).
_FILE_ACTIONS = {1: 13, 2: 14, 3: 15, 5: 16}
_NETWORK_ACTIONS = {4: 2}
_SCOPES = {6: 2}

# What a process can still do under older versions, which nothing else keeps it from.
_REFUSED_SINCE = {1: "reading and writing your files", 3: "truncating your files", 6: "signalling your processes"}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr; a kernel that knows less of it takes what it does not know as 0."""

    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def abi() -> int:
    """The version of the kernel's Landlock; 0 where it has none, or does not let this process use it."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)))


def left_open(version: int) -> list[str]:
    """What a version of the ABI does not keep a process from, in words."""
    return [what for since, what in _REFUSED_SINCE.items() if version < since]


def restrict(readable: Iterable[str], own: str) -> None:
    """Leaves this thread, and those that it starts from now on, nothing but to read `readable`, and to work in `own`.

    It can execute no program, use no TCP, and reach no abstract socket and no process but its own children, as far as
    the version of the kernel's Landlock goes. What is open already stays open. Does nothing without Landlock.
    Args:
      readable: files, and directories with all that is below; what is not there, or cannot be opened, is left out.
      own: the directory below which files and directories may be made, written, renamed and deleted.
    Raises OSError where the kernel refuses, such as to a process that may gain privileges (PR_SET_NO_NEW_PRIVS).
    """
    version = abi()
    if not version:
        return
    handled = _Ruleset(*(_known(actions, version) for actions in (_FILE_ACTIONS, _NETWORK_ACTIONS, _SCOPES)))
    ruleset = _call(_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(ctypes.sizeof(handled)), 0)
    for path in readable:
        _allow(ruleset, path, _READ & handled.files)
    _allow(ruleset, own, (_READ | _CHANGE) & handled.files)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _known(actions: dict[int, int], version: int) -> int:
    """The bits of the actions that a version of the ABI knows."""
    return (1 << max((count for since, count in actions.items() if since <= version), default=0)) - 1


def _allow(ruleset: int, path: str, actions: int) -> None:
    try:
        parent = os.open(path, os.O_PATH)
    except (OSError, ValueError):
        return
    if not stat.S_ISDIR(os.fstat(parent).st_mode):
        actions &= _OF_FILES
    rule = _PathBeneath(actions, parent)
    _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    os.close(parent)


def _call(number: int, *arguments: Any) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result
