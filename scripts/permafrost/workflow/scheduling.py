"""Switches off what Snakemake need not do: what makes jobs slow where there are many, and what makes them fail."""

import heapq
import operator
import sys
from collections.abc import Callable, Iterable
from typing import Any

from snakemake.dag import DAG
from snakemake.jobs import Job
from snakemake.settings.enums import RerunTrigger

from permafrost.outcome import Problem


def patch_scheduler(workflow: Any) -> None:
    """Switches off, in the workflow that is about to start, what takes time that grows with the square of the jobs.

    The limit of jobs a second, of no use without a cluster, has the scheduler woken once more, a second later, each
    time that it has looked for jobs. All jobs that are left are listed for schedulers that look ahead, which the greedy
    one does not. Of more jobs than Snakemake chooses from, it takes some by chance, which may leave the longest for the
    end; the first by their priority stand in for these. And whether a file is a pipe, which none is here, is looked up
    in all jobs before a job, for each file that this one reads.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
    if workflow.scheduling_settings.scheduler == "greedy" and workflow.execution_settings.keep_going:
        type(workflow.scheduler).remaining_jobs = ()
    if (most := workflow.scheduling_settings.subsample) is not None:
        type(workflow.scheduler).open_jobs = property(lambda self: _first(self.workflow.dag.ready_jobs, most))
    Job.is_pipe_or_service_input = lambda job, path: False


def _first(jobs: Iterable[Any], most: int) -> list[Any]:
    return heapq.nlargest(most, jobs, key=operator.attrgetter("priority"))


def disable_output_mtime_check() -> None:
    """Has no job fail whose outputs are older than its inputs, as they are once a clock was wrong and was set right.

    Snakemake takes that for clocks that differ, and ends the run. Whether a job is to run again is left as it is.
    """

    async def nothing(dag: Any, job: Any, expanded_output: Any) -> None:
        pass

    DAG.check_output_mtime = nothing


def grouping(workflow: Any, group: Callable[[object], str]) -> Callable[[object], str]:
    """A function of the wildcards that gives the group of a model's jobs, as `group` does.

    On a cluster the stages of many models go to a node as one group. Snakemake does not tell the node's process how
    many models there are, and it would take them apart again: each in a new process, one after the other. So there all
    jobs of a group are one.
    """

    def group_of(wildcards: Any) -> str:
        name = group(wildcards)
        if not workflow.is_main_process:
            components = dict(workflow.group_settings.group_components or {})
            workflow.group_settings.group_components = components | {name: sys.maxsize}
        return name

    return group_of


def refuse_no_hooks(arguments: list[str]) -> None:
    """Raises Problem (bad_setting) where Snakemake is told, in a command line, to leave away what begins a run."""
    if "--no-hooks" in arguments:
        raise Problem(
            "bad_setting",
            "--no-hooks leaves away what begins a run: the lock of the reports directory, and the state for a cluster",
            "leave the option away",
        )


def refuse_lost_changes(workflow: Any) -> None:
    """Raises Problem (bad_setting) where Snakemake is told not to look at parameters.

    What a job depends on is in its parameters; without them no changed checkpoint or setting would be noticed.
    """
    if RerunTrigger.PARAMS not in workflow.rerun_triggers:
        raise Problem(
            "bad_setting",
            "--rerun-triggers lacks `params`, by which a changed checkpoint, setting or program is noticed",
            "leave the option away, or add params to it",
        )
