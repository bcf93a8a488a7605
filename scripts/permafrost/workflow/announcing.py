"""What a run says before its jobs start: which zoo it is of, and what a person should know of it."""

from permafrost.report.amounts import counted
from permafrost.sandbox import landlock
from permafrost.workflow.pipeline import Pipeline

_MOST_NAMED = 3


def introduction(run: Pipeline, steps: int) -> str:
    """One sentence on the zoo and one on what is to be done.

    Args:
      steps: the jobs that are to run.
    """
    whole = [f"Zoo: {_and(run.zoos)}, {counted(len(run.models), 'model')} of {counted(run.checkpoints, 'checkpoint')}"]
    if run.emptied:
        told = [f"{zoo}, where the last run found {counted(count, 'model')}" for zoo, count in run.emptied.items()]
        return f"Zoo: nothing is left in {', nor in '.join(told)}; what was made of it stays."
    if run.one:
        whole = [f"Checkpoint: {run.one.directory}/{run.one.name}"]
    return f"{whole[0]}. {counted(steps, 'step')} to do; frozen graphs go to {run.frozen}, reports to {run.reports}."


def warnings(run: Pipeline) -> list[str]:
    """A sentence on each thing that a person should know before the jobs start."""
    said = [run.other_settings, _of_no_models(run), _of_the_kernel(), _of_links(run), *map(_of_missed, run.missed)]
    if run.stale:
        told = f"{counted(len(run.stale), 'directory')} of models that the zoo no longer has, {run.stale[0]} first"
        said.append(
            f"There {'is' if len(run.stale) == 1 else 'are'} {told}; `snakemake prune` deletes what is in them."
        )
    if run.unasked:
        said.append(
            f"{len(run.unasked)} files are of exports that no settings ask for any more, {run.unasked[0]} first; "
            "`snakemake prune` deletes them."
        )
    return [sentence for sentence in said if sentence]


def _of_no_models(run: Pipeline) -> str:
    if run.models or run.emptied:
        return ""
    return f"No checkpoint was found below {_and(run.zoos)}; the reports will be empty."


def _of_the_kernel() -> str:
    version = landlock.abi()
    left_open = landlock.left_open(version)
    if not left_open:
        return ""
    known = f"has Landlock of version {version} only" if version else "lacks Landlock"
    return (
        f"The kernel {known}: it does not keep a stranger's graph from {', '.join(left_open)} "
        "(see `How the judge works` in docs/judge.md)."
    )


def _of_links(run: Pipeline) -> str:
    first = next((candidate.problem for candidate in run.unfollowed if candidate.problem), None)
    if not first:
        return ""
    return (
        f"{first.message}; it is not followed, nor are other links out of the zoo, which zoo.csv lists ({first.hint})."
    )


def _of_missed(pattern: str) -> str:
    return f"The settings of {pattern} are of no use: the zoo has no such model any more."


def _and(names: list[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{len(names)} directories, {names[0]} first"
    return " and ".join(names)
