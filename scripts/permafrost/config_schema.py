"""A config against config.schema.yaml: its defaults, and the sentence about what is wrong with it."""

import copy
import datetime
import difflib
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.exceptions import best_match, relevance

from permafrost.outcome import Problem, harmless

_SCHEMA_FILE = Path(__file__).parents[2] / "config.schema.yaml"
_LONGEST_NUMBER = 10_000  # bits, about 3,000 digits
_LONGEST_VALUE = 60  # characters of a wrong value that a message shows


ConfigPath = tuple[str | int, ...]  # the keys and positions that lead to a value of the config


def check(config: Mapping[str, Any]) -> None:
    """Raises Problem (bad_setting), with one sentence, for a config that is not as the schema has it."""
    try:
        _refuse_odd(config, ())
        error = best_match(_validator().iter_errors(config), key=_relevance)
        if error is not None:
            raise problem(tuple(error.absolute_path), _sentence(error))
    except RecursionError as error:
        raise Problem("bad_setting", "config: lists and mappings are nested too deeply") from error


def defaults(*path: str) -> dict[str, Any]:
    """Key -> default value, of the properties that lie at `path` in the schema."""
    properties = schema()
    for key in path:
        properties = properties[key]
    return {key: copy.deepcopy(said["default"]) for key, said in properties.items() if "default" in said}


@cache
def schema() -> dict[str, Any]:
    """What config.schema.yaml says; not to be changed."""
    said: dict[str, Any] = yaml.load(_SCHEMA_FILE.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return said


@cache
def _validator() -> Any:
    # JSON Schema takes 3.0 for an integer and NaN for a number; a count or a limit must be neither.
    types = {
        "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
        "number": lambda _, value: not isinstance(value, bool) and _is_finite(value),
    }
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(types)
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=checker)(schema())


def _relevance(error: Any) -> tuple[Any, ...]:
    """What best_match compares: an unknown key comes before the missing one that it was perhaps meant for."""
    return *relevance(error), error.validator == "required"


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:
        return False


def _refuse_odd(value: Any, path: ConfigPath) -> None:
    """Raises Problem (bad_setting) for what YAML can say and JSON cannot."""
    if isinstance(value, dict):
        for key, below in value.items():
            if not isinstance(key, str):
                raise problem(path, f"YAML read a key as {_described(key)}; quote it")
            _refuse_odd(below, (*path, key))
    elif isinstance(value, list):
        for position, below in enumerate(value):
            _refuse_odd(below, (*path, position))
    elif isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        raise problem(path, "this number has more digits than Python prints")


def _sentence(error: Any) -> str:
    """What is wrong, by a schema error, and what is right in its place."""
    if error.validator == "additionalProperties":
        return _of_unknown_key(error)
    if error.validator == "required":
        return f"`{next(key for key in error.validator_value if key not in error.instance)}` is missing"
    if error.validator == "dependentRequired":
        return "`key` names an array in a `file`, which is missing"
    titled = error
    while "title" not in titled.schema:
        titled = titled.parent
    return f"expected {titled.schema['title']}, but {_found(error)}"


def _of_unknown_key(error: Any) -> str:
    known, path = error.schema["properties"], tuple(error.absolute_path)
    key = next(key for key in error.instance if key not in known)
    if _place_of_models(path) == len(path) and key in schema()["$defs"]["model"]["properties"]:
        return f'{key!r} is a setting of a model; write it below models / "<id or glob>"'
    return f"unknown key {_shown(key)}{suggestion(key, known)}"


def _found(error: Any) -> str:
    """What is there, and how YAML came to read it so where it was perhaps meant otherwise."""
    value, path = error.instance, tuple(error.absolute_path)
    if isinstance(value, str) and error.schema.get("type") in ("number", "integer") and _is_number(value):
        return f"YAML read {_shown(value)} as text; write a number like 3 or 1.0e-6, without quotes"
    was_plain = isinstance(value, datetime.date) or _is_finite(value)
    if was_plain and _validator().evolve(schema=error.schema).is_valid(str(value)):
        remedy = "quote it" if _place_of_models(path) < len(path) else "quote it, or write a path as ./007"
        return f"YAML read it as {_described(value)}; {remedy}"
    return f"this is {_described(value)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _described(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {_shown(value)}"
        case datetime.date():
            return f"the date {value}"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return f"the list {_shown(value)}" if value else "an empty list"
    return f"the text {_shown(value)}"


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return "with very many digits"
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + " ..."


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is not known: the closest that is, or all of them."""
    closest = difflib.get_close_matches(wrong.lower(), list(known), 1)
    return f"; did you mean {closest[0]!r}?" if closest else f"; known are {', '.join(known)}"


def _place_of_models(path: ConfigPath) -> int:
    """Where in a path the `models` stand whose keys are patterns: at the top, or in an entry of `zoo`; else its end."""
    return next((position for position in (0, 2) if path[position : position + 1] == ("models",)), len(path))


def problem(path: ConfigPath, sentence: str) -> Problem:
    """The Problem (bad_setting) that says what is wrong at a path of the config."""
    place, models = "", _place_of_models(path)
    for position, part in enumerate(path):
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            # Keys that the user chose are quoted: patterns, and the names of inputs.
            is_free = position == models + 1 or position == models + 3 and path[models + 2] == "inputs"
            place += (" / " if place else "") + (quoted(part) if is_free else harmless(part))
    return Problem("bad_setting", f"config: {place + ': ' if place else ''}{sentence}")


def quoted(text: str) -> str:
    """A name in quotes, with what a terminal would not print escaped."""
    return f'"{harmless(text)}"'
