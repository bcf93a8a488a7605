"""What a child of the sandbox prints."""

import codecs
import sys

_MOST = 1 << 20  # bytes
_OF_TRACES = ("stack trace", "symbolize_elf")  # The latter cannot read what threads have mapped.


class Printed:
    """Passes on what the child prints to stderr, up to a limit, and remembers the end of it."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._logged_bytes = 0
        self._cut = 0
        self._tail = b""

    def take(self, chunk: bytes) -> None:
        """Passes on what was printed."""
        self._tail = (self._tail + chunk)[-8192:]
        allowed = chunk[: _MOST - self._logged_bytes]
        self._logged_bytes += len(allowed)
        self._cut += len(chunk) - len(allowed)
        sys.stderr.write(self._decode(allowed))

    def close(self) -> None:
        """Says how much was left out, when there is no more to come."""
        if self._cut:
            sys.stderr.write(f"\n... and {self._cut} bytes more, which were cut off here\n")
        sys.stderr.flush()

    def says(self, *words: str) -> bool:
        """Whether the end of it has one of these words."""
        tail = self._tail.decode("utf-8", "replace")
        return any(word in tail for word in words)

    def last_line(self) -> str:
        """The last line, or the last that says which check failed, where a stack trace follows that."""
        lines = [line.strip() for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("@ ") and not any(text in line for text in _OF_TRACES)]
        failed = [line for line in lines if "Check failed" in line]
        line = (failed or lines or [""])[-1]
        return "".join(c if c.isprintable() else " " for c in line)[:300]
