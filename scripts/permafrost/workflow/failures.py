"""What a run says on stderr of jobs that failed, and where Snakemake is told to be quiet, of all that went wrong.

Snakemake keeps errors to itself with `--quiet all`, and failed jobs with `--quiet rules` as well. It is imported before
all other modules of Permafrost, so that one that cannot be imported is said too, and needs only those that need none.
"""

import atexit
import logging
from collections.abc import Callable
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from permafrost.workflow import chatter, closing

_MOST = 20  # lines; a full disk fails the jobs of all models
_LONGEST = 500  # characters of what somebody else says
_END = 1 << 16  # bytes of a log that are looked at


class Failures(logging.Handler):
    """Listens to what Snakemake logs, and says what went wrong: the rule, its log file, and what that says last.

    `correct` is asked for what to say in place of an error of Snakemake's; it gives "" where that is well said.
    Args:
      quiet: whether Snakemake itself prints no errors.
      say: prints what is to be said.
    """

    def __init__(self, quiet: bool, say: Callable[[str], None]):
        super().__init__(logging.INFO)
        self._quiet, self._say_line, self._count, self._is_stopped = quiet, say, 0, False
        self.correct: Callable[[str], str] = lambda text: ""

    def emit(self, record: Any) -> None:
        """Takes one message of Snakemake's, a LogRecord to which it adds fields of its own."""
        text = str(record.msg)
        self._is_stopped = self._is_stopped or text.startswith(chatter.STOPPED)
        if record.levelno >= logging.ERROR and not self._is_stopped:
            self._say_of(record, text)

    def _say_of(self, record: Any, text: str) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.GROUP_ERROR:
            for log in record.aux_logs:
                self._say(f"a job on the cluster failed; see {log}")
        elif event == LogEvent.JOB_ERROR:
            if not record.indent and not _speaks(record):  # Those of a group are named where one of them failed.
                self._say(of_job(record.rule_name, record.log))
        elif corrected := self.correct(text):
            self._say(corrected)
        elif any(said in text for said in chatter.OF_FAILED_JOBS):
            return
        elif self._quiet or text.startswith(chatter.REFUSAL):
            self._say(_without_frames(text))

    def _say(self, text: str) -> None:
        self._count += 1
        if self._count <= _MOST:
            self._say_line("\n".join(map(_harmless, text.split("\n"))))
        elif self._count == _MOST + 1:
            atexit.register(self._say_how_many_more)

    def _say_how_many_more(self) -> None:
        self._say_line(f"... and {self._count - _MOST} more errors like these")


def _speaks(record: Any) -> bool:
    """Whether what a failed job has to say comes at the end of the run."""
    return record.rule_name in closing.SPEAKING and any(map(closing.spoken, record.log))


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
    told = [line for line in lines if not line.startswith('  File "')]
    return "\n".join(told[1:] if told[1:] and told[0].startswith(chatter.REFUSAL) else told)


def _harmless(line: str) -> str:
    """A line without what a terminal obeys, cut where it is long."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line[:_LONGEST])
