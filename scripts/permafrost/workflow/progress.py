"""What a run prints while it goes on: now and then how far it is and how fast, and each model that was not verified.

It takes the place of the three lines that Snakemake prints for each job; all of these stay in Snakemake's log file.
"""

import datetime
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from permafrost import layout, recording, settings
from permafrost.export_records import ExportVerdict
from permafrost.outcome import OK, VERIFIED
from permafrost.records import Record, Verdict

_SECONDS = 5  # between two lines on a terminal
_SECONDS_IN_A_FILE = 60
_OF_EACH_JOB = (LogEvent.JOB_FINISHED, LogEvent.PROGRESS, LogEvent.JOB_STARTED)


Expected = Callable[[str, str], str | list[str]]


class Progress(logging.Handler):
    """Listens to what Snakemake logs, and says in few lines on stderr how the run goes.

    Args:
      reports: the reports directory, in which the judge's record of each model and export is read when it is there.
      expected: id of a model and format, or "" -> what it is expected to end as, as in settings.meets.
      seconds: the least time between two lines on how far the run is.
    """

    def __init__(self, reports: str, expected: Expected, seconds: float):
        super().__init__(logging.INFO)
        self._reports, self._expected, self._seconds = Path(reports), expected, seconds
        # The number of a job that judges -> the model's id, and the format of an export.
        self._verified_by: dict[int, tuple[str, str]] = {}
        self._begin = self._said = time.monotonic()
        self._bad = 0

    def emit(self, record: Any) -> None:
        """Takes one message of Snakemake's, a LogRecord to which it adds fields of its own."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO and record.rule_name in ("verify", "judge_export"):
            self._verified_by[record.jobid] = record.wildcards["model"], record.wildcards.get("format", "")
        elif event == LogEvent.JOB_FINISHED and record.job_id in self._verified_by:
            self._say_if_bad(*self._verified_by.pop(record.job_id))
        elif event == LogEvent.PROGRESS and time.monotonic() >= self._said + self._seconds:
            self._said = time.monotonic()
            print(self._line(record.done, record.total), file=sys.stderr, flush=True)

    def _say_if_bad(self, model: str, form: str) -> None:
        name, kind = (layout.export_verdict(form), ExportVerdict) if form else (layout.VERDICT, Verdict)
        try:
            verdict: Record = recording.load(layout.of_model(self._reports, model, name), kind)
        except (OSError, ValueError):
            return  # What is wrong with it, the summary says.
        status, cause = verdict.status, verdict.cause
        if status not in (OK, VERIFIED) and cause != "not_verified":  # Of that the model's own line speaks.
            as_expected = settings.meets(self._expected(model, form), status, cause)
            self._bad += not as_expected
            told = f"{model} as {form}" if form else model
            print(f"{told}: {status}, {cause}{' (as expected)' * as_expected}", file=sys.stderr, flush=True)

    def _line(self, done: int, total: int) -> str:
        elapsed = time.monotonic() - self._begin
        left = datetime.timedelta(seconds=round(elapsed / done * (total - done)))
        bad = f"; {self._bad} not as expected" if self._bad else ""
        return f"{done:,} of {total:,} steps, {done / elapsed:.1f} a second, {left} left{bad}"


def is_for_people(record: logging.LogRecord) -> bool:
    """A filter for what Snakemake prints: all but what it says of each job."""
    return getattr(record, "event", None) not in _OF_EACH_JOB and record.msg != "Select jobs to execute..."


def follow(logger: logging.Logger, reports: str, expected: Expected) -> None:
    """Has a run that logs to `logger` print its progress in place of a few lines for each job."""
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(is_for_people)
    logger.addHandler(Progress(reports, expected, _SECONDS if sys.stderr.isatty() else _SECONDS_IN_A_FILE))
