"""What a run prints while it goes on: now and then how far it is and how fast, and each model that was not verified.

It takes the place of the three lines that Snakemake prints for each job, which chatter.py holds back.
"""

import datetime
import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from permafrost import layout, recording, settings
from permafrost.export_records import ExportVerdict
from permafrost.outcome import OK, VERIFIED
from permafrost.records import Record, Verdict
from permafrost.workflow.screen import Screen

_SECONDS = 0.2  # between two lines on a terminal, where one takes the place of the other
_SECONDS_IN_A_FILE = 60
_ENOUGH = 5  # steps, by which the time that the others take, of smaller checkpoints, can be told


Expected = Callable[[str, str], str | list[str]]


class Progress(logging.Handler):
    """Listens to what Snakemake logs, and says in few lines how the run goes.

    Args:
      screen: where that is said.
      reports: the reports directory, in which the judge's record of each model and export is read when it is there.
      expected: id of a model and format, or "" -> what it is expected to end as, as in settings.meets.
      named: the models that were asked for, of which it is said too that they are verified.
    """

    def __init__(self, screen: Screen, reports: str, expected: Expected, named: Collection[str] = ()):
        super().__init__(logging.INFO)
        self._screen, self._reports, self._expected, self._named = screen, Path(reports), expected, set(named)
        self._seconds = _SECONDS if screen.is_terminal else _SECONDS_IN_A_FILE
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
            self._say_how(*self._verified_by.pop(record.job_id))
        elif event == LogEvent.PROGRESS and time.monotonic() >= self._said + self._seconds:
            self._said = time.monotonic()
            self._screen.show(self._line(record.done, record.total))

    def _say_how(self, model: str, form: str) -> None:
        name, kind = (layout.export_verdict(form), ExportVerdict) if form else (layout.VERDICT, Verdict)
        try:
            verdict: Record = recording.load(layout.of_model(self._reports, model, name), kind)
        except (OSError, ValueError):
            return  # What is wrong with it, the summary says.
        told, status, cause = f"{model} as {form}" if form else model, verdict.status, verdict.cause
        if status in (OK, VERIFIED):
            if model in self._named:
                self._screen.say(f"{told}: {status}")
        elif cause != "not_verified":  # Of that the model's own line speaks.
            as_expected = settings.meets(self._expected(model, form), status, cause)
            self._bad += not as_expected
            self._screen.say(f"{told}: {status}, {cause}{' (as expected)' * as_expected}")

    def _line(self, done: int, total: int) -> str:
        elapsed = time.monotonic() - self._begin
        left = datetime.timedelta(seconds=round(elapsed / done * (total - done)))
        speed = f", {done / elapsed:.1f} a second, at most {left} left" if done >= _ENOUGH else ""
        bad = f"; {self._bad} not as expected" if self._bad else ""
        return f"{done:,} of {total:,} steps{speed}{bad}"
