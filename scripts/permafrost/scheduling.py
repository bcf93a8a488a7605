"""Keeps the time that Snakemake takes for a job from growing with the number of jobs, by what it need not do."""

from snakemake.jobs import Job


def stay_linear(workflow) -> None:
    """Switches off, in the workflow that is about to start, what takes time that grows with the square of the jobs.

    The limit of jobs a second, of no use without a cluster, has the scheduler woken once more, a second later, each
    time that it has looked for jobs. All jobs that are left are listed for schedulers that look ahead, which the greedy
    one does not. And whether a file is a pipe, which none is here, is looked up in all jobs before a job, for each file
    that this one reads.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
    if workflow.scheduling_settings.scheduler == "greedy" and workflow.execution_settings.keep_going:
        type(workflow.scheduler).remaining_jobs = ()
    Job.is_pipe_or_service_input = lambda job, path: False
