"""What a loss compares with labels: the results of a network, told from what the loss makes of them."""

from collections import deque

from permafrost.signature.forward.marks import INTERNAL, MASKS, PASSED
from permafrost.signature.forward.survey import Survey
from permafrost.signature.forward.values import onward_anywhere


def compared(survey: Survey) -> set[str]:
    """The reachable nodes that are used together with labels, without the logarithms that the loss adds."""
    found = _first_not_of_loss(survey, _used_with_labels(survey))
    beyond = onward_anywhere(
        survey.index,
        survey.reachable - found - survey.tail,
        lambda name: name in survey.reachable and name not in found,
    )
    return {name for name in found if not _is_made_by_loss(survey, name, beyond)}


def _used_with_labels(survey: Survey) -> list[str]:
    after_labels = survey.labelled | survey.losses
    return [
        name
        for name in survey.reachable
        if (name not in survey.reduced or name in survey.joins)
        and any(consumer in after_labels for consumer in survey.values.consumers(name))
    ]


def _first_not_of_loss(survey: Survey, names: list[str]) -> set[str]:
    """What is found from `names` backwards, through what losses do to a result before they compare it."""
    found, seen, waiting = set(), set(), deque(names)
    while waiting:
        name = waiting.popleft()
        if name in seen:
            continue
        seen.add(name)
        sources = _reachable_sources(survey, name)
        if sources and _is_passed(survey, name, sources):
            waiting.extend(sources)
        else:
            found.add(name)
    return found


def _is_passed(survey: Survey, name: str, sources: list[str]) -> bool:
    if survey.index.ops[name] in PASSED or MASKS.search(name):
        return True
    return name in survey.tail and survey.results.are_taken_by_loss(name, sources)


def _reachable_sources(survey: Survey, name: str) -> list[str]:
    return [source for source, _ in survey.index.inputs[name] if source in survey.reachable]


def _is_made_by_loss(survey: Survey, name: str, beyond: set[str]) -> bool:
    """Whether a compared node is itself computed, by arithmetic of the loss alone, from compared nodes.

    Args:
      beyond: what was computed without a compared node, of nodes that are no tail, and the tails that come of it.
    """
    sources = _reachable_sources(survey, name)
    is_named = survey.index.ops[name] == "Identity" and not INTERNAL.search(name)
    if is_named and sources and not survey.results.are_reshaped_for_loss(name, sources[0]):
        return False
    return name in survey.tail and beyond.isdisjoint(sources)
