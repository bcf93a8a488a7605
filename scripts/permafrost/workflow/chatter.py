"""What of all that Snakemake prints stays on the terminal; its log file, below .snakemake/log, has the rest.

Of a job that failed Snakemake prints the whole command, and of a setting that is refused where in which file that is
done; failures.py says both in a line.
"""

import logging
from collections.abc import Callable

from snakemake_interface_logger_plugins.common import LogEvent

# What Snakemake says besides of a job that failed, by how it begins or what is in it.
OF_FAILED_JOBS = (
    "CalledProcessError",
    "Exiting because a job execution failed",
    "At least one job did not complete",
)
REFUSAL = "WorkflowError"
NOTHING_MAKES = "No rule to produce "
STOPPED = "Terminating processes on user request"
_EVENTS = (LogEvent.JOB_FINISHED, LogEvent.PROGRESS, LogEvent.JOB_STARTED)
_BEGINNINGS = (
    "Assuming unrestricted shared filesystem usage", "Building DAG of jobs", "Complete log(s): ", "Config file ",
    "Elapsed time: ", "Group jobs: ", "Provided cores: ", "Rules claiming more threads", "Select jobs to execute",
    "Using shell: ", STOPPED,
)  # fmt: skip


class ForPeople(logging.Filter):
    """Lets through what a person should see of what Snakemake prints.

    Args:
      plans: whether nothing is run, so that the table of the jobs is what was asked for.
      clear: called before anything is printed.
    """

    def __init__(self, plans: bool, clear: Callable[[], None]):
        super().__init__()
        self._plans, self._clear, self._is_stopped = plans, clear, False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message of Snakemake's, a LogRecord to which it adds fields of its own, is printed."""
        event, text = getattr(record, "event", None), str(record.msg)
        self._is_stopped = self._is_stopped or text.startswith(STOPPED)
        if event in _EVENTS or text.startswith(_BEGINNINGS) or (event == LogEvent.RUN_INFO and not self._plans):
            return False
        is_told = text.startswith(REFUSAL) or any(said in text for said in (*OF_FAILED_JOBS, NOTHING_MAKES))
        if record.levelno >= logging.ERROR and (self._is_stopped or is_told):
            return False
        self._clear()
        return True


def silence(logger: logging.Logger, plans: bool, clear: Callable[[], None]) -> None:
    """Has a logger print on the terminal only what a person should see; its files stay as they are."""
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.addFilter(ForPeople(plans, clear))
