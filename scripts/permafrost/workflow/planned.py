"""What `-n` says of the jobs that delete: each file that would go."""

import logging
from collections.abc import Callable
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from permafrost.outcome import harmless


class Planned(logging.Handler):
    """Listens to the jobs that Snakemake plans, and prints on stdout what those that delete would delete.

    Args:
      deleted: the name of a rule -> a function that gives the paths.
    """

    def __init__(self, deleted: dict[str, Callable[[], list[str]]]):
        super().__init__(logging.INFO)
        self._deleted = deleted

    def emit(self, record: Any) -> None:
        """Takes one message of Snakemake's, a LogRecord to which it adds fields of its own."""
        if getattr(record, "event", None) != LogEvent.JOB_INFO or record.rule_name not in self._deleted:
            return
        paths = sorted(self._deleted[record.rule_name]())
        print(f"{record.rule_name} would delete {len(paths)} files{':' * bool(paths)}")
        for path in paths:
            print(f"  {harmless(path)}")
