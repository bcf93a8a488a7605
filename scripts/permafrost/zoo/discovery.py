"""Which checkpoints a zoo holds, and which of them are the models to freeze.

It runs whenever the Snakefile is read, so it opens no file whose size, times and inode are as they were.
"""

import os
from collections import defaultdict
from collections.abc import Callable

from msgspec.structs import replace

from permafrost.model import Defect, Model
from permafrost.outcome import Problem
from permafrost.zoo.candidate import Candidate
from permafrost.zoo.candidates import candidates_in
from permafrost.zoo.files import Cache, Facts
from permafrost.zoo.graph_search import GraphSearch
from permafrost.zoo.listing import walk
from permafrost.zoo.names import printable, step_id


def scan(zoos: list[str], skip: list[str], cache: Cache, follow_links: bool = False, only: str = "") -> list[Candidate]:
    """Every candidate below the directories `zoos`, at any depth, in a fixed order.

    Each real directory is read once, and through a symbolic link only where nothing else leads to it. Directories
    named .git and .snakemake, and those in `skip`, are not entered.
    Args:
      cache: what an earlier scan left in it, or {}; holds what this scan knows afterwards. JSON.
      follow_links: whether links that lead out of all of `zoos` are followed.
      only: the name or the stem of a checkpoint that is looked for, beside each other in the directories `zoos`
        themselves; or "" for all.
    Raises Problem(bad_setting) for a zoo that is no directory, or is one of `skip`.
    """
    facts = Facts(cache)
    found, search = [], GraphSearch(facts)
    for listing in walk(zoos, skip, follow_links, is_deep=not only):
        here = candidates_in(listing, facts)
        search.add(listing, here)
        found += here
    search.complete()
    cache.clear()
    cache.update(facts.to_keep())
    found = _without_pointers(_without_targets(found))
    if only:
        found = [candidate for candidate in found if only in (candidate.name, candidate.stem)]
    return sorted(found, key=lambda c: (c.series, c.step is not None, c.step or 0, c.name, c.prefix))


def _without_targets(found: list[Candidate]) -> list[Candidate]:
    """The candidates, of which no model is what lies in a store, and is another one's file by a link into it.

    Stores, such as a cache of downloads, give files the names of their digests, so that there they lack the others.
    """
    alone = {
        os.path.realpath(c.files[0]): c for c in found if c.problem and c.series and len(c.files) == 1 and c.format
    }
    if not alone:
        return found
    links = {os.path.realpath(file): file for c in found for file in c.files if os.path.islink(file)}
    linked = {id(c): links[path] for path, c in alone.items() if path in links and links[path] not in c.files}
    return [_stored(c, linked[id(c)]) if id(c) in linked else c for c in found]


def _stored(candidate: Candidate, link: str) -> Candidate:
    note = f"{printable(link)} is a link to it, and counts as the checkpoint's file"
    return replace(candidate, series="", problem=None, findings=[note])


def _without_pointers(found: list[Candidate]) -> list[Candidate]:
    """The candidates, of which no model is what a `checkpoint` file alone names, and lies elsewhere in the zoo.

    The directories in which evaluations write their summaries have such a file.
    """
    if not any(c.elsewhere for c in found):
        return found
    there = {os.path.abspath(c.prefix) for c in found if c.files}
    return [_pointer(c) if c.elsewhere and os.path.abspath(c.elsewhere) in there else c for c in found]


def _pointer(candidate: Candidate) -> Candidate:
    note = f"`checkpoint` names {printable(candidate.elsewhere)}, which is a checkpoint of its own there"
    return replace(candidate, series="", problem=None, findings=[*candidate.findings, note])


def select(candidates: list[Candidate], rule_for: Callable[[str, str], str | list[int]]) -> list[Model]:
    """The models: of each series the newest step, all steps, or those that the rule lists.

    The newest is the step that `checkpoint` names if any of its files is there, broken or not, else the highest. Where
    a series has several networks it is the newest of each, under the ids that they have among all steps but for one.
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
            models += _latest(series, steps)
            continue
        for candidate in steps.values() if isinstance(rule, str) else _listed(series, steps, rule):
            models.append(_model(_id_of(series, candidate), candidate, []))
    return sorted(models, key=lambda model: model.id)


def _id_of(series: str, candidate: Candidate) -> str:
    """The id of a checkpoint among all steps of its series."""
    digits = candidate.name[len(candidate.stem) + 1 :]
    return series if candidate.step is None else step_id(series, digits)


def _latest(series: str, steps: dict[str, Candidate]) -> list[Model]:
    """The newest step of a series, and of each other network among its steps the newest that can be used.

    The one without a step in its name has the id of the series; where there is none, the newest has it.
    """
    main, said = _newest(steps)
    others = [_newest_of(network, steps) for network in sorted({c.network for c in steps.values()} - {main.network})]
    usable = [c for c in others if _has_own_graph(c, steps)]
    said += [
        f"{printable(c.name)}, of another network, is not taken: it lacks files" for c in others if c not in usable
    ]
    plain = next((c for c in usable if c.step is None), main)
    models = [_model(series if main is plain else _id_of(series, main), _with_whole(main, steps), said)]
    return models + [_model(series if c is plain else _id_of(series, c), c, [_apart(c, main)]) for c in usable]


def _newest_of(network: str, steps: dict[str, Candidate]) -> Candidate:
    return max((c for c in steps.values() if c.network == network), key=lambda c: (c.problem is None, _age(c)))


def _has_own_graph(candidate: Candidate, steps: dict[str, Candidate]) -> bool:
    """Whether a checkpoint can be used, and with the meta graph of its own network rather than the nearest step's."""
    file = os.path.basename(candidate.meta)
    own = (c.name for c in steps.values() if c.network == candidate.network)
    return not candidate.problem and any(file.startswith(f"{name}.meta") for name in own)


def _apart(candidate: Candidate, main: Candidate) -> str:
    names = f"{printable(candidate.name)} are not those of {printable(main.name)}"
    return f"the variables of {names}: this is a network of its own, not an earlier step"


def _with_whole(candidate: Candidate, steps: dict[str, Candidate]) -> Candidate:
    """A checkpoint that is chosen; where it cannot be used, its problem names a whole one of the same network."""
    whole = [c for c in steps.values() if not c.problem and c.network == candidate.network]
    if not candidate.problem or not whole:
        return candidate
    other = max(whole, key=_age)
    said = f"{printable(other.name)} is whole, but not the newest step, which `checkpoints: latest` takes"
    rule = "all" if other.step is None else f"[{other.step}]"
    hint = f"{candidate.problem.hint}, or set `checkpoints: {rule}` for this model to take {printable(other.name)}"
    problem = Defect(candidate.problem.cause, f"{candidate.problem.message}; {said}", hint)
    return replace(candidate, problem=problem)


def _age(candidate: Candidate) -> tuple[bool, int, str]:
    return candidate.step is not None, candidate.step or 0, candidate.name


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
    highest = max(steps.values(), key=_age)
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
