"""What the kernel tells of a process that is to be held to its limits: proc(5), /proc/PID/status.

The file is looked at many times a second. Hence it is read at once, and only that is taken from it which is needed.
"""

import contextlib
import os
import re

_NEEDED = re.compile(rb"^(RssAnon|RssShmem|VmSwap|VmData|Threads):\s*(\d+)( kB)?$", re.MULTILINE)
_MOST = 1 << 14  # bytes


def status(process: int | None = None) -> dict[str, int]:
    """RssAnon, RssShmem, VmSwap and VmData in bytes, and Threads, as far as the kernel tells them.

    Args:
      process: by default this one. Of a process that is gone there is nothing.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(f"/proc/{process or os.getpid()}/status", os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = _NEEDED.findall(os.read(descriptor, _MOST))
        finally:
            os.close(descriptor)
        return {name.decode(): int(number) * (1024 if unit else 1) for name, number, unit in found}
    return {}
