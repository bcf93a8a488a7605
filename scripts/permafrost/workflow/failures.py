"""What a run says on stderr of jobs that failed, and where Snakemake is told to be quiet, of all that went wrong.

Snakemake keeps errors to itself with `--quiet all`, and failed jobs with `--quiet rules` as well. It is imported before
all other modules of Permafrost, so that one that cannot be imported is said too, and needs none of them.
"""

import atexit
import logging
import sys
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

_MOST = 20  # lines; a full disk fails the jobs of all models
_LONGEST = 500  # characters of what somebody else says
_END = 1 << 16  # bytes of a log that are looked at
# What Snakemake says besides of a job that failed, by how it begins or what is in it.
_SAID_OF_JOBS = ("CalledProcessError", "Exiting because a job execution failed", "At least one job did not complete")


class Failures(logging.Handler):
    """Listens to what Snakemake logs, and says what went wrong: the rule, its log file, and what that says last.

    Args:
      quiet: whether Snakemake itself prints no errors.
    """

    def __init__(self, quiet: bool):
        super().__init__(logging.ERROR)
        self._quiet, self._count = quiet, 0
        atexit.register(self._say_how_many_more)

    def emit(self, record: Any) -> None:
        """Takes one message of Snakemake's, a LogRecord to which it adds fields of its own."""
        event, text = getattr(record, "event", None), str(record.msg)
        if event == LogEvent.GROUP_ERROR:
            for log in record.aux_logs:
                self._say(f"a job on the cluster failed; see {log}")
        elif event == LogEvent.JOB_ERROR:
            if not record.indent:  # Those of a group are named where one of them failed and where none did.
                self._say(of_job(record.rule_name, record.log))
        elif self._quiet and not any(said in text for said in _SAID_OF_JOBS):
            self._say(_without_frames(text))

    def _say(self, text: str) -> None:
        self._count += 1
        if self._count <= _MOST:
            print("\n".join(map(_harmless, text.split("\n"))), file=sys.stderr, flush=True)

    def _say_how_many_more(self) -> None:
        if self._count > _MOST:
            print(f"... and {self._count - _MOST} more errors like these", file=sys.stderr, flush=True)


def of_job(rule: str, logs: list[str]) -> str:
    """One sentence on a job that failed: its rule, and for its log file the path and the last line."""
    if not logs:
        return f"{rule} failed; what it said stands above"
    return f"{rule} failed; {'; '.join(f'{log} {_last_words(log)}' for log in logs)}"


def _last_words(log: str) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - _END))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    said = [line for line in lines if line]
    return f"ends with: {said[-1]}" if said else "is empty: the job was killed, or could not be started"


def _without_frames(text: str) -> str:
    """What an error says, without where in which program it was raised; that is in Snakemake's log file."""
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith("Traceback"):
        return lines[-1]
    return "\n".join(line for line in lines if not line.startswith('  File "'))


def _harmless(line: str) -> str:
    """A line without what a terminal obeys, cut where it is long."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line[:_LONGEST])
