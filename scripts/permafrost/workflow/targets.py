"""What a command line names to be made: models by their ids, or by the directories of their frozen graphs."""

import difflib
import re
from collections.abc import Collection, Iterable

from permafrost.outcome import Problem
from permafrost.workflow import chatter

_NOTHING_MAKES = re.compile(chatter.NOTHING_MAKES + r"(.+?)(?: \(if you use input functions|$)", re.DOTALL)
_MOST = 3  # names that are near
_TAKING = ("--forcerun", "-R")  # options that take all that comes after them for names of rules


def of_models(arguments: Iterable[str], models: Collection[str], frozen: str, rules: Collection[str]) -> dict[str, str]:
    """The arguments of a command line that name a model, with its id; the value of an option may be among them.

    Args:
      models: the ids.
      frozen: the directory of the frozen graphs; `<frozen>/<id>` names a model whatever its id is.
      rules: the names of rules, which no model's id takes away.
    """
    found = {}
    for argument in arguments:
        name = argument.rstrip("/")
        below = name.removeprefix(f"{frozen}/")
        if below != name and below in models:
            found[argument] = below
        elif argument in models and argument not in rules:
            found[argument] = argument
    return found


def refuse_forced(arguments: list[str], named: Collection[str]) -> None:
    """Raises Problem (bad_setting) where a model stands behind --forcerun, which takes it for one more rule.

    Snakemake would then run the rules for all models.
    Args:
      named: the arguments that name a model.
    """
    option = ""
    for argument in arguments:
        if argument.startswith("-"):
            option = argument
        elif option in _TAKING and argument in named:
            message = f"{option} takes {argument!r} for a rule, and would run the rules beside it for all models"
            raise Problem("bad_setting", message, f"name the model first: snakemake {argument} {option} ...")


def correction(text: str, names: Collection[str]) -> str:
    """What to say in place of Snakemake's word on a target that nothing makes; empty where it speaks of none.

    Args:
      names: what could have been meant.
    """
    found = _NOTHING_MAKES.search(text)
    if not found:
        return ""
    target = found[1].strip()
    near = difflib.get_close_matches(target, names, _MOST)
    meant = (
        f"is {' or '.join(near)} meant?" if near else "a model's id, all, judge, settings, prune or clean can be named"
    )
    return f"nothing makes {target!r}; {meant}"
