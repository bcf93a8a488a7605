"""What stands on top of the page: which zoo, when, with which version, how long; and how its commands are repeated."""

import os
import shlex
from typing import Any

from permafrost.report.page import trend
from permafrost.report.run_file import Run

_UNKNOWN = "with the Snakefile and the settings of your workflow; the run that made this page was not started by itself"


def facts(run: Run | None, zoos: list[str], history: list[dict[str, str]]) -> list[tuple[str, str]]:
    """What is known of the run: a name and a text each.

    Args:
      history: the rows of history.csv, that of this run as the last one.
    """
    now = history[-1] if history else {}
    versions = run.versions if run else {}
    return [
        (name, text)
        for name, text in (
            ("Zoo", ", ".join(zoos)),
            ("Finished", trend.date(now.get("date", ""))),
            ("Took", trend.duration(now.get("seconds", ""))),
            ("Permafrost", now.get("version", "")),
            ("TensorFlow", versions.get("tensorflow", "")),
            ("Python", versions.get("python", "")),
        )
        if text
    ]


def commands(run: Run | None, frozen: str, reports: str) -> dict[str, Any]:
    """What the commands that repeat a step are made of: a target stands between `start` and `options`.

    directory: where they hold, or "". note: what has to be said besides.
    """
    paths = {"frozen": frozen, "reports": reports}
    if run is None:
        return {**paths, "start": "snakemake", "options": "", "directory": "", "note": _UNKNOWN}
    started = run.started
    return {
        **paths,
        "start": shlex.join(started.program),
        "options": shlex.join(started.options),
        "directory": os.path.abspath(started.directory),
        "note": "",
    }
