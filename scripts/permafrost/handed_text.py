"""Text that other processes of this machine read as long as this one lives, and that is in no directory."""

import os


def hand(text: str) -> str:
    """A path at which an ASCII text can be read; it ends with this process."""
    descriptor = os.memfd_create("handed")
    with open(descriptor, "w", encoding="ascii", closefd=False) as file:
        file.write(text)
    return f"/proc/{os.getpid()}/fd/{descriptor}"
