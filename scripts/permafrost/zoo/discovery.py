"""Which checkpoints a zoo holds, and which of them are the models to freeze.

It runs whenever the Snakefile is read, so it opens no file whose size, times and inode are as they were.
"""

from collections import defaultdict
from collections.abc import Callable

from permafrost.outcome import Problem
from permafrost.records import Model
from permafrost.zoo.candidates import Candidate, candidates_in
from permafrost.zoo.files import Cache, Facts
from permafrost.zoo.graph_search import GraphSearch
from permafrost.zoo.listing import walk
from permafrost.zoo.names import printable, step_id


def scan(zoos: list[str], skip: list[str], cache: Cache, follow_links: bool = False) -> list[Candidate]:
    """Every candidate below the directories `zoos`, at any depth, in a fixed order.

    Each real directory is read once, and through a symbolic link only where nothing else leads to it. Directories
    named .git and .snakemake, and those in `skip`, are not entered.
    Args:
      cache: what an earlier scan left in it, or {}; holds what this scan knows afterwards. JSON.
      follow_links: whether links that lead out of all of `zoos` are followed.
    Raises Problem(bad_setting) for a zoo that is no directory, or is one of `skip`.
    """
    facts = Facts(cache)
    found, search = [], GraphSearch(facts)
    for listing in walk(zoos, skip, follow_links):
        here = candidates_in(listing, facts)
        search.add(listing, here)
        found += here
    search.complete()
    cache.clear()
    cache.update(facts.to_keep())
    return sorted(found, key=lambda c: (c.series, c.step is not None, c.step or 0, c.name, c.prefix))


def select(candidates: list[Candidate], rule_for: Callable[[str, str], str | list[int]]) -> list[Model]:
    """The models: of each series the newest step, all steps, or those that the rule lists.

    The newest is the step that `checkpoint` names if any of its files is there, broken or not, else the highest.
    Args:
      rule_for: series id and zoo -> "latest", "all" or a list of steps.
    Returns them sorted by id.
    Raises Problem(bad_setting) for a listed step that a series does not have, and for two directories with one id.
    """
    groups = defaultdict(list)
    for candidate in filter(lambda candidate: candidate.series, candidates):
        groups[candidate.series].append(candidate)
    models = []
    for series, group in groups.items():
        _refuse_twins(series, group)
        # A directory that cannot be read shares the id of a series of its name; what can be read comes first.
        steps = {c.name: c for c in sorted(group, key=lambda c: c.problem is None)}
        rule = rule_for(series, group[0].zoo)
        if rule == "latest":
            models.append(_model(series, *_newest(steps)))
            continue
        for candidate in steps.values() if isinstance(rule, str) else _listed(series, steps, rule):
            digits = candidate.name[len(candidate.stem) + 1 :]
            models.append(_model(series if candidate.step is None else step_id(series, digits), candidate, []))
    return sorted(models, key=lambda model: model.id)


def _model(identity: str, candidate: Candidate, findings: list[str]) -> Model:
    return Model(
        id=identity,
        zoo=candidate.zoo,
        series=candidate.series,
        directory=candidate.directory,
        prefix=candidate.prefix,
        step=candidate.step,
        format=candidate.format,
        shards=candidate.shards,
        bytes=candidate.bytes,
        meta=candidate.meta,
        graphs=candidate.graphs,
        files=candidate.files,
        fingerprint=candidate.fingerprint,
        problem=candidate.problem,
        findings=candidate.findings + findings,
    )


def _refuse_twins(series: str, group: list[Candidate]) -> None:
    twin = next((c for c in group if c.zoo != group[0].zoo), None)
    if twin:
        raise Problem(
            "bad_setting",
            f"{printable(group[0].directory)} and {printable(twin.directory)} both have a model with the id {series}",
            "rename one of the two, or run the two zoos apart, with `frozen` and `reports` of their own",
        )


def _newest(steps: dict[str, Candidate]) -> tuple[Candidate, list[str]]:
    highest = max(steps.values(), key=lambda c: (c.step is not None, c.step or 0, c.name))
    named = next((c.named for c in steps.values() if c.named), "")
    if named in steps and named:
        others = [f"`checkpoint` names {printable(named)}; {printable(highest.name)} is there too"]
        return steps[named], others if highest is not steps[named] else []
    if named:
        return highest, [f"`checkpoint` names {printable(named)}, which is not there; this is the highest step that is"]
    return highest, ["no `checkpoint` file names the newest step; this is the highest"] if len(steps) > 1 else []


def _listed(series: str, steps: dict[str, Candidate], listed: list[int]) -> list[Candidate]:
    if all(c.problem and c.step is None for c in steps.values()):
        return list(steps.values())
    there = sorted({c.step for c in steps.values() if c.step is not None})
    for step in listed:
        if step not in there:
            nearest = min(there, key=lambda s: abs(s - step), default=None)
            known = "it has none" if nearest is None else f"the nearest that it has is {nearest}"
            raise Problem("bad_setting", f"`checkpoints` lists step {step} for {series}; {known}")
    return [c for c in steps.values() if c.step in listed]
