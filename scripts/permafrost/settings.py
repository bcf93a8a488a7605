"""The config: checked against config.schema.yaml, and what it says of each model.

A model's settings are merged key by key from the patterns that match it: globs in their order, then its series' id,
then its own id; of each of these those of its zoo's entry first, then those at the top of the config.
"""

import copy
import datetime
import difflib
import fnmatch
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jsonschema
import msgspec
import yaml

from permafrost.outcome import CAUSES, VERIFIED, Problem
from permafrost.records import Model, Settings

_SCHEMA_FILE = Path(__file__).parents[2] / "config.schema.yaml"
_LONGEST_NUMBER = 10_000  # bits, about 3,000 digits
_LONGEST_VALUE = 60  # characters of a wrong value that a message shows

Patterns = tuple[tuple[str, str], ...]  # the directory of a zoo, or '' for the top of the config, and a pattern


@dataclass(frozen=True)
class _Group:
    """Patterns with their settings, where they stand in the config, and the zoo that they are for, '' for all zoos."""

    path: tuple
    zoo: str
    models: dict


def validate(config: dict) -> dict:
    """The config with the defaults of its top-level keys filled in; `config` itself stays as it is.

    Model settings stay partial; for_model fills them.
    Raises Problem (bad_setting) with one sentence that names the key's path and what is wrong with it.
    """
    try:
        _refuse_odd(config, ())
        error = next(iter(_validator().iter_errors(config)), None)
        if error is not None:
            raise _problem(*_sentence(error))
        whole = {**_defaults("properties"), **copy.deepcopy(dict(config))}
        # Snakemake's --config gives `True` as a truth value, and `true` as a text.
        whole["follow_links"] = whole["follow_links"] in (True, "true")
    except RecursionError as error:
        raise Problem("bad_setting", "config: lists and mappings are nested too deeply") from error
    groups = _groups(whole)
    for group in groups:
        for pattern, chosen in group.models.items():
            _check_model(chosen, (*group.path, pattern))
    _refuse_repeated(groups)
    for key in ("frozen", "reports"):
        _refuse_patterns(key, whole[key])
    _refuse_nested_directories(whole["frozen"], whole["reports"])
    return whole


def zoos(config: dict) -> list[str]:
    """The directories below which checkpoints are looked for, in the order of a config that validate returned."""
    return [entry if isinstance(entry, str) else entry["directory"] for entry in _entries(config)]


def say_more_of_a_zoo(config: dict) -> bool:
    """Whether such a config has settings in an entry of `zoo`, which naming that directory alone would undo."""
    return len(_groups(config)) > 1


class ModelSettings:
    """All settings of each model, with defaults; a key of a model is taken as a whole (inputs are not merged).

    In the shapes of inputs the batch is None, however the config writes it.

    Args:
      config: as validate returns it.
    """

    def __init__(self, config: dict):
        self._groups = _groups(config)
        self._models = {group.zoo: group.models for group in self._groups}
        self._defaults = {**_defaults("$defs", "model", "properties"), "checkpoints": config["checkpoints"]}
        self._globs = {zoo: _globs(models) for zoo, models in self._models.items()}
        self._patterns: dict[tuple[str, str, str], Patterns] = {}
        self._chosen: dict[Patterns, Settings] = {}

    def patterns(self, model_id: str, series_id: str, zoo: str = "") -> Patterns:
        """The patterns of the config that hold for a model, the last of which wins.

        A pattern matches a model by either id; they differ where a series has several models.
        Args:
          zoo: the directory that the model was found below, as the config names it.
        """
        key = (model_id, series_id, zoo)
        if key not in self._patterns:
            ids = dict.fromkeys((series_id, model_id))
            places = [place for place in dict.fromkeys((zoo, "")) if place in self._models]
            globs = [(place, *glob) for place in places for glob in self._globs[place]]
            matching = [(place, pattern) for place, pattern, matches in globs if any(map(matches, ids))]
            exact = [(place, name) for name in ids for place in places if name in self._models[place]]
            self._patterns[key] = (*matching, *exact)
        return self._patterns[key]

    def of(self, patterns: Patterns) -> Settings:
        """The settings of all models for which these patterns hold; the same for all of them, not to be changed."""
        if patterns not in self._chosen:
            chosen = dict(self._defaults)
            for zoo, pattern in patterns:
                chosen.update(self._models[zoo][pattern])
            chosen = copy.deepcopy(chosen)
            for spec in chosen["inputs"].values():
                if isinstance(spec, dict) and "shape" in spec:
                    spec["shape"] = [None if size == "batch" else size for size in spec["shape"]]
            self._chosen[patterns] = msgspec.convert(chosen, Settings)
        return self._chosen[patterns]

    def said(self, patterns: Patterns, key: str):
        """What the config says of `key` where these patterns hold; None where it says nothing."""
        saying = (self._models[zoo][name] for zoo, name in reversed(patterns) if key in self._models[zoo][name])
        return next((chosen[key] for chosen in saying), None)

    def refuse_unmatched(self, models: Iterable[Model]) -> None:
        """Raises Problem (bad_setting) for the first pattern that matches no model, naming the closest id.

        A pattern of a zoo's entry is to match a model of that directory, one at the top a model of any.
        Args:
          models: as discovery.select gives them.
        """
        models = list(models)
        for group in self._groups:
            there = [model for model in models if group.zoo in ("", model.zoo)]
            unmatched(group.models, there, group.path, group.zoo)


def for_model(config: dict, model_id: str, series_id: str, zoo: str = "") -> Settings:
    """All settings of a single model, as ModelSettings has them."""
    settings = ModelSettings(config)
    return settings.of(settings.patterns(model_id, series_id, zoo))


def unmatched(
    patterns: Iterable[str], models: Iterable[str | Model], path: tuple = ("models",), directory: str = ""
) -> None:
    """Raises Problem (bad_setting) for the first pattern that matches none of the models, naming the closest id.

    Args:
      models: ids, or models as discovery.select gives them, which a pattern matches by `id` or by `series`.
      path: of the patterns in the config.
      directory: the zoo that the models are of, where these are not all.
    """
    ids = {name for model in models for name in ([model] if isinstance(model, str) else (model.id, model.series))}
    of_zoo, zoo = (f" below {_quoted(directory)}", _quoted(directory)) if directory else ("", "the zoo")
    patterns = tuple(patterns)
    globs = dict(_globs(patterns))
    for pattern in patterns:
        if pattern in ids or (pattern in globs and any(map(globs[pattern], ids))):
            continue
        closest = difflib.get_close_matches(pattern, sorted(ids), 1, 0)
        known = f"the closest is {_quoted(closest[0])}" if closest else f"{zoo} has no models"
        raise _problem((*path, pattern), f"no model{of_zoo} has this id or matches this glob; {known}")


def meets(expect: str | list[str], status: str, cause: str) -> bool:
    """Whether a model that ended with `status` and `cause` is as expected: one of `status`, or `status/cause`.

    Nothing satisfies the cause `internal`, which is a fault of Permafrost.
    """
    expected = [expect] if isinstance(expect, str) else expect
    return cause != "internal" and (status in expected or f"{status}/{cause}" in expected)


def _entries(config: dict) -> list[str | dict]:
    return [config["zoo"]] if isinstance(config["zoo"], str) else config["zoo"]


def _groups(config: dict) -> list[_Group]:
    """The patterns of each entry of `zoo` that has some, and those at the top."""
    entries = [(number, entry) for number, entry in enumerate(_entries(config)) if isinstance(entry, dict)]
    of_zoos = [
        _Group(("zoo", number, "models"), entry["directory"], entry["models"])
        for number, entry in entries
        if entry.get("models")
    ]
    return [*of_zoos, _Group(("models",), "", config["models"])]


@cache
def _schema() -> dict:
    return yaml.safe_load(_SCHEMA_FILE.read_text(encoding="utf-8"))


@cache
def _validator():
    # JSON Schema takes 3.0 for an integer and NaN for a number; a count or a limit must be neither.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
            ),
        }
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(_schema())


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _defaults(*path: str) -> dict:
    properties = _schema()
    for key in path:
        properties = properties[key]
    return {key: copy.deepcopy(schema["default"]) for key, schema in properties.items() if "default" in schema}


def _globs(patterns: Iterable[str]) -> list[tuple]:
    return [
        (pattern, re.compile(fnmatch.translate(pattern)).match)
        for pattern in patterns
        if any(character in pattern for character in "*?[")
    ]


def _check_model(chosen: dict, path: tuple) -> None:
    """What the schema cannot say."""
    expect = chosen.get("expect", VERIFIED)
    for expected in [expect] if isinstance(expect, str) else expect:
        cause = expected.partition("/")[2]
        if cause == "internal":
            raise _problem((*path, "expect"), "`internal` is an error in Permafrost, which cannot be expected")
        if cause and cause not in CAUSES:
            raise _problem((*path, "expect"), f"there is no cause {cause!r}{_suggestion(cause, CAUSES)}")
    for name, spec in chosen.get("inputs", {}).items():
        if not isinstance(spec, dict):
            continue
        for one, other in (("range", "value"), ("range", "file"), ("value", "file"), ("shape", "file")):
            if one in spec and other in spec:
                raise _problem((*path, "inputs", name), f"`{one}` and `{other}` exclude each other")
        if "range" in spec and spec["range"][0] > spec["range"][1]:
            raise _problem((*path, "inputs", name, "range"), "the lowest value comes first")


def _refuse_repeated(groups: list[_Group]) -> None:
    """A zoo's directory stands for its patterns."""
    for position, group in enumerate(groups):
        if group.zoo in (earlier.zoo for earlier in groups[:position]):
            path = (*group.path[:2], "directory")
            raise _problem(path, f"{_quoted(group.zoo)} has `models` already; write all of them into one entry")


def _refuse_patterns(key: str, directory: str) -> None:
    """The outputs' paths are Snakemake's, which reads braces as wildcards and `<name>` as a path variable."""
    if found := re.search(r"[{}]|<[a-z][a-z0-9_]*>", directory):
        raise _problem((key,), f"{_quoted(directory)} has {found[0]}, which Snakemake replaces; choose another name")


def _refuse_nested_directories(frozen: str, reports: str) -> None:
    """What is stale is looked for below `frozen` and below `reports`/models; neither may hold the other's files."""
    outer, inner, models = (os.path.abspath(path) for path in (frozen, reports, os.path.join(reports, "models")))
    if os.path.commonpath([outer, inner]) == outer or os.path.commonpath([outer, models]) == models:
        places = f"frozen is {_quoted(frozen)} and reports is {_quoted(reports)}"
        raise Problem(
            "bad_setting", f"config: {places}; frozen may neither hold the reports nor lie in their models directory"
        )


def _refuse_odd(value, path: tuple) -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            if not isinstance(key, str):
                raise _problem(path, f"YAML read a key as {_described(key)}; quote it")
            _refuse_odd(below, (*path, key))
    elif isinstance(value, list):
        for position, below in enumerate(value):
            _refuse_odd(below, (*path, position))
    elif isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        raise _problem(path, "this number has more digits than Python prints")


def _sentence(error) -> tuple[tuple, str]:
    """The path of what a schema error is about, and what is wrong with it."""
    path, value = tuple(error.absolute_path), error.instance
    if error.validator == "anyOf":
        # The branch whose type fits is the one that was meant.
        others = {cause.schema_path[0] for cause in error.context if _is_of_another_type(cause)}
        meant = [cause for cause in error.context if cause.schema_path[0] not in others]
        if meant:
            return _sentence(meant[0])
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        key = next(key for key in value if key not in known)
        if _place_of_models(path) == len(path) and key in _schema()["$defs"]["model"]["properties"]:
            return path, f'{key!r} is a setting of a model; write it below models / "<id or glob>"'
        return path, f"unknown key {_shown(key)}{_suggestion(key, known)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in value)
        return path, f"`{missing}` is missing"
    if error.validator == "dependentRequired":
        return path, "`key` names an array in a `file`, which is missing"
    titled = error
    while "title" not in titled.schema:
        titled = titled.parent
    if isinstance(value, str) and error.schema.get("type") in ("number", "integer") and _is_number(value):
        found = f"YAML read {_shown(value)} as text; write a number like 3 or 1.0e-6, without quotes"
    elif _is_scalar(value) and _validator().evolve(schema=error.schema).is_valid(str(value)):
        remedy = "quote it" if _place_of_models(path) < len(path) else "quote it, or write a path as ./007"
        found = f"YAML read it as {_described(value)}; {remedy}"
    else:
        found = f"this is {_described(value)}"
    return path, f"expected {titled.schema['title']}, but {found}"


def _is_of_another_type(error) -> bool:
    """Whether an error says that the value is of a wrong type, and not that something inside of it is wrong."""
    if error.absolute_path != error.parent.absolute_path:
        return False
    if error.validator == "anyOf":
        return all(_is_of_another_type(cause) for cause in error.context)
    return error.validator in ("type", "const", "enum")


def _is_scalar(value) -> bool:
    """Whether YAML made something out of plain text that was perhaps meant as text."""
    return isinstance(value, bool | datetime.date) or (isinstance(value, int | float) and _is_finite(value))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _described(value) -> str:
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {_shown(value)}"
    if isinstance(value, datetime.date):
        return f"the date {value}"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return f"the list {_shown(value)}" if value else "an empty list"
    return f"the text {_shown(value)}"


def _shown(value) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return "with very many digits"
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + " ..."


def _suggestion(wrong: str, known: Iterable[str]) -> str:
    closest = difflib.get_close_matches(wrong.lower(), list(known), 1)
    return f"; did you mean {closest[0]!r}?" if closest else f"; known are {', '.join(known)}"


def _place_of_models(path: tuple) -> int:
    """Where in a path the `models` stand whose keys are patterns: at the top, or in an entry of `zoo`; else its end."""
    return next((position for position in (0, 2) if path[position : position + 1] == ("models",)), len(path))


def _problem(path: tuple, sentence: str) -> Problem:
    place, models = "", _place_of_models(path)
    for position, part in enumerate(path):
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            # Keys that the user chose are quoted: patterns, and the names of inputs.
            is_free = position == models + 1 or position == models + 3 and path[models + 2] == "inputs"
            place += (" / " if place else "") + (_quoted(part) if is_free else _plain(part))
    return Problem("bad_setting", f"config: {place + ': ' if place else ''}{sentence}")


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _quoted(text: str) -> str:
    return f'"{_plain(text)}"'
