"""The config: checked against config.schema.yaml, and what it says of each model.

A model's settings are merged key by key from the patterns that match it: globs in their order, then its series' id,
then its own id; of each of these those of its zoo's entry first, then those at the top of the config.
"""

import copy
import difflib
import fnmatch
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from permafrost import config_schema, export_settings
from permafrost.config_schema import ConfigPath, defaults, problem, quoted
from permafrost.model import Model, Settings
from permafrost.outcome import VERIFIED, Problem

Config = dict[str, Any]  # as Snakemake has it; settings of models are read out of it as Settings
Patterns = tuple[tuple[str, str], ...]  # the directory of a zoo, or '' for the top of the config, and a pattern


@dataclass(frozen=True)
class _Group:
    """Patterns with their settings, where they stand in the config, and the zoo that they are for, '' for all zoos."""

    path: ConfigPath
    zoo: str
    models: dict[str, Any]


def validate(config: Config) -> Config:
    """The config with the defaults of its top-level keys filled in; `config` itself stays as it is.

    Model settings stay partial; for_model fills them.
    Raises Problem (bad_setting) with one sentence that names the key's path and what is wrong with it.
    """
    config = export_settings.with_text_axes(config)
    config_schema.check(config)
    whole = {**defaults("properties"), **copy.deepcopy(dict(config))}
    # Snakemake's --config gives `True` as a truth value, and `true` as a text.
    for key in ("follow_links", "allow_empty"):
        whole[key] = whole[key] in (True, "true")
    groups = _groups(whole)
    for group in groups:
        for pattern, chosen in group.models.items():
            _check_model(chosen, (*group.path, pattern))
    _refuse_repeated(groups)
    for key in ("frozen", "reports"):
        _refuse_patterns(key, whole[key])
    _refuse_nested_directories(whole["frozen"], whole["reports"])
    return whole


def zoos(config: Config) -> list[str]:
    """The directories below which checkpoints are looked for, in the order of a config that validate returned."""
    return [entry if isinstance(entry, str) else entry["directory"] for entry in _entries(config)]


class ModelSettings:
    """All settings of each model, with defaults; a key of a model is taken as a whole (inputs are not merged).

    Of the groups of settings on exports each key is.

    In the shapes of inputs the batch is None, however the config writes it.

    Args:
      config: as validate returns it.
    """

    def __init__(self, config: Config):
        self._groups = _groups(config)
        self._models = {group.zoo: group.models for group in self._groups}
        self._defaults = {**defaults("$defs", "model", "properties"), "checkpoints": config["checkpoints"]}
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
                chosen = export_settings.merged(chosen, self._models[zoo][pattern])
            export_settings.check_whole(chosen, self._path(patterns))
            chosen = copy.deepcopy(chosen)
            for spec in chosen["inputs"].values():
                if isinstance(spec, dict) and "shape" in spec:
                    spec["shape"] = [None if size == "batch" else size for size in spec["shape"]]
            if isinstance(named := chosen["initializer_nodes"], str):
                chosen["initializer_nodes"] = [name for text in named.split(",") if (name := text.strip())]
            self._chosen[patterns] = msgspec.convert(chosen, Settings, str_keys=True)
        return self._chosen[patterns]

    def _path(self, patterns: Patterns) -> ConfigPath:
        """Where in the config the last of these patterns stands that says anything of exports."""
        for zoo, pattern in reversed(patterns):
            if {"export", *export_settings.GROUPS} & self._models[zoo][pattern].keys():
                return (*next(group.path for group in self._groups if group.zoo == zoo), pattern)
        return ()

    def said(self, patterns: Patterns, key: str) -> Any:
        """What the config says of `key` where these patterns hold; None where it says nothing."""
        saying = (self._models[zoo][name] for zoo, name in reversed(patterns) if key in self._models[zoo][name])
        return next((chosen[key] for chosen in saying), None)

    def said_of(self, patterns: Patterns) -> dict[str, Any]:
        """All that the config says where these patterns hold, without defaults; as the config writes it."""
        chosen: dict[str, Any] = {}
        for zoo, pattern in patterns:
            chosen = export_settings.merged(chosen, self._models[zoo][pattern])
        return copy.deepcopy(chosen)

    def names(self, model_id: str) -> bool:
        """Whether a pattern of the config, in whatever zoo, matches this id."""
        return any(
            model_id in models or any(matches(model_id) for _, matches in self._globs[zoo])
            for zoo, models in self._models.items()
        )

    def refuse_unmatched(self, models: Iterable[Model], gone: Iterable[str] = ()) -> list[str]:
        """The patterns that match no model, but one that the zoo once had.

        A pattern of a zoo's entry is to match a model of that directory, one at the top a model of any.
        Args:
          models: as discovery.select gives them.
          gone: the ids of models that the zoo once had.
        Raises Problem (bad_setting) for the first other pattern that matches no model, naming the closest id.
        """
        models, gone = list(models), set(gone)
        missed = []
        for group in self._groups:
            there = [model for model in models if group.zoo in ("", model.zoo)]
            missed += unmatched(group.models, there, group.path, group.zoo, gone)
        return missed


def for_model(config: Config, model_id: str, series_id: str, zoo: str = "") -> Settings:
    """All settings of a single model, as ModelSettings has them."""
    settings = ModelSettings(config)
    return settings.of(settings.patterns(model_id, series_id, zoo))


def unmatched(
    patterns: Iterable[str],
    models: Iterable[str | Model],
    path: ConfigPath = ("models",),
    directory: str = "",
    gone: Iterable[str] = (),
) -> list[str]:
    """The patterns that match none of the models, but one of those that are gone.

    Args:
      models: ids, or models as discovery.select gives them, which a pattern matches by `id` or by `series`.
      path: of the patterns in the config.
      directory: the zoo that the models are of, where these are not all.
      gone: ids of models that were there once.
    Raises Problem (bad_setting) for the first pattern that matches none of either, naming the closest id.
    """
    ids = {name for model in models for name in ([model] if isinstance(model, str) else (model.id, model.series))}
    of_zoo, zoo = (f" below {quoted(directory)}", quoted(directory)) if directory else ("", "the zoo")
    patterns = tuple(patterns)
    globs, gone, missed = dict(_globs(patterns)), set(gone), []
    for pattern in patterns:
        if _matches(pattern, globs, ids):
            continue
        if _matches(pattern, globs, gone):
            missed.append(pattern)
            continue
        closest = difflib.get_close_matches(pattern, sorted(ids), 1, 0)
        known = f"the closest is {quoted(closest[0])}" if closest else f"{zoo} has no models"
        raise problem((*path, pattern), f"no model{of_zoo} has this id or matches this glob; {known}")
    return missed


def _matches(pattern: str, globs: dict[str, Callable[[str], object]], ids: set[str]) -> bool:
    return pattern in ids or (pattern in globs and any(map(globs[pattern], ids)))


def meets(expect: str | list[str], status: str, cause: str) -> bool:
    """Whether a model or an export that ended with `status` and `cause` is as expected: `status` or `status/cause`.

    Nothing satisfies the cause `internal`, which is a fault of Permafrost. An export that was not made since its model
    is not verified says nothing beside that.
    """
    expected = [expect] if isinstance(expect, str) else expect
    if cause == "not_verified":
        return True
    return cause != "internal" and (status in expected or f"{status}/{cause}" in expected)


def _entries(config: Config) -> list[str | dict[str, Any]]:
    return [config["zoo"]] if isinstance(config["zoo"], str) else config["zoo"]


def _groups(config: Config) -> list[_Group]:
    """The patterns of each entry of `zoo` that has some, and those at the top."""
    entries = [(number, entry) for number, entry in enumerate(_entries(config)) if isinstance(entry, dict)]
    of_zoos = [
        _Group(("zoo", number, "models"), entry["directory"], entry["models"])
        for number, entry in entries
        if entry.get("models")
    ]
    return [*of_zoos, _Group(("models",), "", config["models"])]


def _globs(patterns: Iterable[str]) -> list[tuple[str, Callable[[str], object]]]:
    return [
        (pattern, re.compile(fnmatch.translate(pattern)).match)
        for pattern in patterns
        if any(character in pattern for character in "*?[")
    ]


def _check_model(chosen: dict[str, Any], path: ConfigPath) -> None:
    """What the schema cannot say."""
    export_settings.check_causes(chosen.get("expect", VERIFIED), (*path, "expect"))
    export_settings.check(chosen, path)
    for name, spec in chosen.get("inputs", {}).items():
        if not isinstance(spec, dict):
            continue
        for one, other in (("range", "value"), ("range", "file"), ("value", "file"), ("shape", "file")):
            if one in spec and other in spec:
                raise problem((*path, "inputs", name), f"`{one}` and `{other}` exclude each other")
        if "range" in spec and spec["range"][0] > spec["range"][1]:
            raise problem((*path, "inputs", name, "range"), "the lowest value comes first")


def _refuse_repeated(groups: list[_Group]) -> None:
    """A zoo's directory stands for its patterns."""
    for position, group in enumerate(groups):
        if group.zoo in (earlier.zoo for earlier in groups[:position]):
            path = (*group.path[:2], "directory")
            raise problem(path, f"{quoted(group.zoo)} has `models` already; write all of them into one entry")


def _refuse_patterns(key: str, directory: str) -> None:
    """The outputs' paths are Snakemake's, which reads braces as wildcards and `<name>` as a path variable."""
    if found := re.search(r"[{}]|<[a-z][a-z0-9_]*>", directory):
        raise problem((key,), f"{quoted(directory)} has {found[0]}, which Snakemake replaces; choose another name")


def _refuse_nested_directories(frozen: str, reports: str) -> None:
    """What is stale is looked for below `frozen` and below `reports`/models; neither may hold the other's files."""
    outer, inner, models = (os.path.abspath(path) for path in (frozen, reports, os.path.join(reports, "models")))
    if os.path.commonpath([outer, inner]) == outer or os.path.commonpath([outer, models]) == models:
        places = f"frozen is {quoted(frozen)} and reports is {quoted(reports)}"
        raise Problem(
            "bad_setting", f"config: {places}; frozen may neither hold the reports nor lie in their models directory"
        )
