"""What is last on the screen when a run ends: what its last jobs have to say, and how the run ended.

Those jobs write to their log files. Snakemake prints lines of its own after all jobs, and after what a Snakefile may
add; so this comes when the process ends.
"""

import atexit
import logging
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from snakemake_interface_logger_plugins.common import LogEvent

from permafrost.workflow import chatter, screen

# The rules whose log files are for people.
SPEAKING = ("gate", "judge", "settings", "prune", "clean")
_PAGE = "Page: "
_NOTHING = "Nothing to be done"
_LOGS = "Complete log(s): "


class Closing(logging.Handler):
    """Listens to what Snakemake logs, and prints at the end what is to be said.

    `page` is the path of the page, which is shown as well where nothing is to be done.
    Args:
      terminal: where the run's progress is shown.
      quiet: whether nothing is said where all is well, and what is wrong on stderr.
    """

    def __init__(self, terminal: screen.Screen, quiet: bool):
        super().__init__(logging.INFO)
        self._terminal, self._quiet = terminal, quiet
        self._logs: dict[int, list[str]] = {}  # number of a job that speaks -> its log files
        self._said: list[str] = []
        self._failed, self._is_stopped = 0, False
        self._steps, self._log, self._is_idle = (0, 0), "", False
        self.page = ""
        atexit.register(self.end)

    def emit(self, record: Any) -> None:
        """Takes one message of Snakemake's, a LogRecord to which it adds fields of its own."""
        event, text = getattr(record, "event", None), str(record.msg)
        if event == LogEvent.JOB_INFO and record.rule_name in SPEAKING:
            self._logs[record.jobid] = list(record.log)
        elif event == LogEvent.JOB_FINISHED:
            self._said += self._logs.pop(record.job_id, [])
        elif event == LogEvent.JOB_ERROR:
            self._failed += 1
            self._said += record.log if record.rule_name in SPEAKING else []
        elif event == LogEvent.PROGRESS:
            self._steps = record.done, record.total
        elif text.startswith(_LOGS):
            self._log = text.removeprefix(_LOGS)
        self._is_idle = self._is_idle or text.startswith(_NOTHING)
        self._is_stopped = self._is_stopped or text.startswith(chatter.STOPPED)

    def end(self) -> None:
        """Prints what there is to be said."""
        self._terminal.clear()
        stream = sys.stderr if self._quiet else sys.stdout
        texts = [] if self._is_stopped else [text for text in map(spoken, self._said) if text]
        if self._is_idle and not self._quiet and os.path.exists(self.page):
            texts.append(f"{_PAGE}{self.page}")
        for text in texts:
            _print(_with_link(screen.wrapped(text, screen.width()), stream), stream)
        if not self._quiet and (sentence := self._sentence(bool(texts))):
            _print(screen.wrapped(sentence, screen.width()), sys.stderr)

    def _sentence(self, has_spoken: bool) -> str:
        done, total = self._steps
        if self._is_stopped:
            after = f"after {done:,} of {total:,} steps" if done else "before a step was done"
            return f"Stopped {after}; the next run goes on from there."
        if self._failed and not has_spoken:
            jobs = "A step" if self._failed == 1 else f"{self._failed:,} steps"
            return f"{jobs} failed, as is said above, and the run has no result; its log is {self._log}"
        return ""


def spoken(log: str) -> str:
    """What a log file that is for people has; empty where there is none."""
    try:
        return Path(log).read_text(encoding="utf-8", errors="backslashreplace").rstrip("\n")
    except OSError:
        return ""


def _with_link(text: str, stream: TextIO) -> str:
    lines = text.split("\n")
    if not stream.isatty():
        return text
    return "\n".join(
        _PAGE + screen.link(line.removeprefix(_PAGE)) if line.startswith(_PAGE) else line for line in lines
    )


def _print(text: str, stream: TextIO) -> None:
    shown = text.encode(stream.encoding or "ascii", "backslashreplace").decode(stream.encoding or "ascii")
    print(shown, file=stream, flush=True)
