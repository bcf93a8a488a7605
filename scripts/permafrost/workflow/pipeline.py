"""What the Snakefile asks while it is parsed: which models there are, and what each job gets.

The main process looks at the zoo, hands what it found to its jobs on this machine, and keeps it at `begin` for the
processes that Snakemake starts for jobs elsewhere (on a cluster). Nothing is written before that. All that a job
depends on is in its parameters, by content: the checkpoint's fingerprint, the settings of its stage, the code of its
stage, and a token where what it made before does not hold any more.
"""

import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import os
import shlex
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from permafrost import export_packages, handed_text, layout, settings, whole_files
from permafrost.export_records import FORMATS
from permafrost.model import About, Model, Settings, Source
from permafrost.outcome import VERIFIED, Problem
from permafrost.report import run_file
from permafrost.report.run_file import Run, Started
from permafrost.workflow import invocation, leftovers, resources
from permafrost.workflow.attempts import Attempts
from permafrost.workflow.code_digest import code_digest
from permafrost.zoo import one_checkpoint, overrides, state_file
from permafrost.zoo.one_checkpoint import Place
from permafrost.zoo.state_file import State

_LIMITS = ("timeout", "memory_mb", "file_mb", "processes", "allow_ops", "allow_paths")
_STAGE_SETTINGS = {
    "import_meta": (
        *("outputs", "inputs", "weights", "unsaved_variables", "checkpoint_version", "initializer_nodes", "seed"),
        *("bake", *_LIMITS),
    ),
    "freeze": (
        *("clear_devices", "variable_names_allowlist", "variable_names_denylist", "initializer_nodes"),
        *("bake", "hashes", "timeout", "memory_mb"),
    ),
    "verify": ("trials", "seed", "tolerance", "output_tolerance", *_LIMITS),
    "list_ops": ("timeout", "memory_mb", "file_mb", "processes"),
    "export_saved_model": ("signature", "saved_model", "timeout", "memory_mb"),
    "export_onnx": ("signature", "onnx", "seed", *_LIMITS),
    "export_tflite": ("signature", "tflite", "seed", *_LIMITS),
    "judge_saved_model": ("trials", "seed", *_LIMITS),
    "judge_onnx": ("onnx", "seed", *_LIMITS),
    "judge_tflite": ("tflite", "seed", *_LIMITS),
}
_STAGE_SETTINGS["judge"] = ("judge", *dict.fromkeys(_STAGE_SETTINGS["import_meta"] + _STAGE_SETTINGS["verify"]))
# Those that look at inputs, or run a graph on them, and so depend on files that the settings name.
_FEEDING = ("import_meta", "verify", "judge", "export_onnx", "export_tflite", *(f"judge_{form}" for form in FORMATS))
_SCRIPTS = Path(__file__).parents[2]
_LONGEST_ARGUMENT = 100_000  # characters; the kernel allows 128 KiB for an argument of a command


class Pipeline:
    """The models of a run, and the parameters of their jobs.

    zoo: a digest of all that discovery found and of what is expected of each model. seen: of the files' times, too.
    handed, handed_config: the paths at which this process hands its state, and the config with its defaults, to its
      jobs on this machine. said: a digest of that config.
    one: the checkpoint that stands for the zoo, where that is no directory.
    emptied: directories of the zoo that have lost all models since the last run -> how many, where that is not allowed.
    missed: patterns of the settings for models that only earlier runs found.
    stale, unasked: as leftovers.find has them; nothing where a directory is emptied.

    Args:
      config: Snakemake's config.
      scans: whether to look at the zoo, rather than to read what the run's main process found and kept at `begin`.
      taken: the directories that other zoos of the same workflow write to; this one's are added.
      started: how the run was started, where it is one of the main Snakefile.
    Raises Problem (bad_setting, unreadable, io_error) for what the user has to mend before anything can run.
    """

    def __init__(self, config: settings.Config, scans: bool, taken: list[str], started: Started | None = None):
        self.one = one_checkpoint.find(config.get("zoo", "")) if isinstance(config.get("zoo"), str) else None
        self.config = settings.validate(_with_own_outputs(config, self.one) if self.one else dict(config))
        self._started = started
        self.frozen, self.reports = (os.path.normpath(self.config[key]) for key in ("frozen", "reports"))
        _refuse_shared(self.frozen, self.reports, taken)
        _refuse_unwritable(self.frozen)
        _refuse_unwritable(self.reports)
        self.state_file = f"{self.reports}/{layout.STATE}"
        self._held = contextlib.ExitStack()  # what stays open as long as the pipeline is there
        self._settings = settings.ModelSettings(self.config)
        self._attempts = Attempts(self.frozen, self.reports)
        self._passed: dict[tuple[Any, ...], str] = {}
        self.zoos = [self.one.directory] if self.one else settings.zoos(self.config)
        self.missed: list[str] = []
        state = self._scan() if scans else state_file.read(self.state_file)
        self.emptied = state.emptied
        self.models = {model.id: model for model in state.models}
        self._networks = {candidate.prefix: candidate.network for candidate in state.candidates}
        self.unfollowed = [candidate for candidate in state.candidates if not candidate.series]
        self.checkpoints = len(state.candidates) - len(self.unfollowed)
        self.zoo, self.seen = state_file.digests(state)
        self.handed = state_file.handed(state)
        whole = json.dumps(self.config)
        self.handed_config, self.said = handed_text.hand(whole), _digest(whole)
        is_whole = scans and not self.emptied
        found = leftovers.find(self.frozen, self.reports, self.models) if is_whole else ([], [])
        self.stale, self.unasked = found

    def _scan(self) -> State:
        def rule_for(series: str, zoo: str) -> Any:
            if self.one and self.one.has_step:
                return "all"
            return self._settings.of(self._settings.patterns(series, series, zoo)).checkpoints

        made, follow_links = [self.frozen, self.reports], self.config["follow_links"]
        only = self.one.name if self.one else ""
        if self.one:
            _refuse_another(self.one, self.state_file)
        state = state_file.scan(self.zoos, made, self.state_file, rule_for, follow_links, only)
        self.missed = self._settings.refuse_unmatched(state.models, state.gone)
        state.gone = [id for id in state.gone if self._settings.names(id)]
        state.emptied = {} if self.config["allow_empty"] else state.emptied
        for model in state.models:
            chosen = self._settings_of(model)
            model.expect, model.judge = chosen.expect, chosen.judge
            model.exports = {form: getattr(chosen, form).expect for form in FORMATS if form in chosen.export}
            model.about = About(**{field: getattr(chosen, field) for field in About.__struct_fields__})
        for form in FORMATS:
            if any(form in model.exports for model in state.models):
                export_packages.refuse_missing(form)
        return state

    def begin(self) -> None:
        """Takes the lock of the reports directory, which ends with this process, and keeps the state for its nodes.

        Where a directory of the zoo was emptied, what the last run found stays as it is.

        Raises Problem (bad_setting) where another run has it, io_error where it cannot be made.
        """
        try:
            Path(self.reports).mkdir(parents=True, exist_ok=True)
            lock = self._held.enter_context(open(f"{self.reports}/{layout.LOCK}", "w"))  # noqa: SIM115 - held by the stack
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self.emptied:
                state_file.keep(self.handed, self.state_file)
                self._remember()
        except BlockingIOError as error:
            raise Problem(
                "bad_setting", f"another run is writing to {self.reports}; wait for it or choose another `reports`"
            ) from error
        except OSError as error:
            raise _unwritable(error.filename or self.reports, error.strerror or str(error)) from error

    def _remember(self) -> None:
        """Keeps with the reports what this run uses, where that is known. Raises OSError."""
        if self._started:
            versions = invocation.versions(os.fspath(_SCRIPTS.parent))
            digests = run_file.digests(self.config)
            run = Run(began=run_file.now(), versions=versions, zoos=self.zoos, started=self._started, settings=digests)
            run_file.write(run, self._run_file)

    @property
    def _run_file(self) -> str:
        return f"{self.reports}/{layout.RUN}"

    @property
    def other_settings(self) -> str:
        """A sentence where the last run had other settings; empty where it had the same, or none is known.

        To be asked for before `begin`.
        """
        if not self._started:
            return ""
        return run_file.other_settings(run_file.read(self._run_file), self._started, run_file.digests(self.config))

    @property
    def started(self) -> str:
        """The options of the run, as one line, on which the commands of the page depend; empty where nobody knows."""
        return shlex.join(self._started.options) if self._started else ""

    def source(self, wildcards: Any) -> str:
        """What discovery found of the model, as JSON; it holds the fingerprint of its files."""
        model = self.models[wildcards.model]
        model = overrides.apply(model, self._settings_of(model))
        said = msgspec.to_builtins(model)
        return json.dumps({key: said[key] for key in Source.__struct_fields__ if key in said}, sort_keys=True)

    def _settings_of(self, model: Model) -> Settings:
        return self._settings.of(self._patterns_of(model))

    def _patterns_of(self, model: Model) -> settings.Patterns:
        return self._settings.patterns(model.id, model.series, model.zoo)

    def settings(self, stage: str) -> Any:
        """A function of the wildcards that gives the model's settings for a stage, as JSON.

        Args:
          stage: of _STAGE_SETTINGS, with `{format}` for the wildcard of that name.
        """

        def of_model(wildcards: Any) -> str:
            model = self.models[wildcards.model]
            own = _of_format(stage, wildcards)
            key = (own, self._patterns_of(model))
            if key not in self._passed:
                self._passed[key] = self._settings_text(own, self._settings.of(key[1]), model.id)
            return self._passed[key]

        return of_model

    def _settings_text(self, stage: str, chosen: Settings, model: str) -> str:
        passed = {key: _said(stage, key, getattr(chosen, key)) for key in _STAGE_SETTINGS[stage]}
        if stage in _FEEDING:
            files = [spec["file"] for spec in _files(chosen.inputs)]
            files += [*chosen.allow_paths, *filter(None, [passed.get("judge")])]
            passed["files"] = [overrides.stamp(path) for path in files]
        text = json.dumps(passed, sort_keys=True)
        if len(text) > _LONGEST_ARGUMENT:
            raise Problem(
                "bad_setting",
                f"the settings of {model} are longer than {_LONGEST_ARGUMENT} characters",
                "put the values of its inputs into an .npz file",
            )
        return text

    def code(self, stage: str) -> str:
        """A digest of the code that a stage runs, so that changed code, and only that, runs its jobs again."""
        return code_digest(_SCRIPTS, stage)

    def for_all(self, *patterns: str) -> list[str]:
        """Each of the patterns for each model, with `{model}` in them replaced."""
        return [pattern.replace("{model}", model) for pattern in patterns for model in self.models]

    @property
    def exports(self) -> str:
        """A digest of which models are exported to what, and of what is expected of that."""
        return _digest(
            json.dumps({id: each.exports for id, each in self.models.items() if each.exports}, sort_keys=True)
        )

    def stamp(self, path: str) -> str:
        """What tells a file from the one that lay there before; empty where there is none."""
        return json.dumps(whole_files.stamp_if_there(path))

    def for_exports(self, *patterns: str) -> list[str]:
        """Each of the patterns for each export of each model, with `{model}` and `{format}` in them replaced."""
        return [path for model in self.models for path in self.exports_of(model, *patterns)]

    def exports_of(self, model: str, *patterns: str) -> list[str]:
        """The same for one model, by its id."""
        exports = self.models[model].exports
        return [pattern.replace("{model}", model).replace("{format}", form) for pattern in patterns for form in exports]

    @cached_property
    def step_before(self) -> dict[str, str]:
        """Model -> the one that is the step before it of the same network in its series, for those that have one."""
        series: dict[tuple[str, str], list[Model]] = {}
        for model in self.models.values():
            if model.step is not None and model.problem is None:
                series.setdefault((model.series, self._networks.get(model.prefix, "")), []).append(model)
        ordered = [sorted(steps, key=lambda model: (model.step or 0, model.id)) for steps in series.values()]
        return {after.id: before.id for steps in ordered for before, after in itertools.pairwise(steps)}

    def for_steps(self, pattern: str) -> list[str]:
        """The pattern for each model that has a step before it, with `{model}` in it replaced."""
        return [pattern.replace("{model}", model) for model in self.step_before]

    def step_sources(self, wildcards: Any) -> str:
        """The fingerprints of a model's files and of those of the step before, as JSON."""
        names = [self.step_before[wildcards.model], wildcards.model]
        return json.dumps([self.models[name].fingerprint for name in names])

    @property
    def judged_stamp(self) -> str:
        """A digest of judged.csv, which is made when somebody asks for it; empty where it is not there."""
        try:
            return whole_files.sha256(f"{self.reports}/{layout.JUDGED}")[:16]
        except OSError:
            return ""

    def judged(self, pattern: str) -> list[str]:
        """The pattern for each model whose settings name a frozen graph to judge, with `{model}` in it replaced.

        Raises Problem (bad_setting) where there is none.
        """
        named = [id for id, model in self.models.items() if model.judge]
        if not named:
            hint = "say `models: {<id>: {judge: <file.pb>}}` in a config file, and name that with --configfile"
            raise Problem("bad_setting", "no model's settings name a frozen graph to judge", hint)
        return [pattern.replace("{model}", model) for model in named]

    def priority(self, wildcards: Any) -> int:
        """Of a model's jobs: the bytes of its checkpoint, so that none that takes long is left for the end."""
        return self.models[wildcards.model].bytes

    def mem_mb(self, wildcards: Any) -> int:
        """The memory (MB) that a stage of the model is to ask for."""
        model = self.models[wildcards.model]
        return resources.mem_mb(model.bytes, self._own_limit(model, "memory_mb"))

    def runtime(self, stage: str) -> Any:
        """A function of the wildcards that gives the time (minutes) that a model's job is to ask for."""

        def of_model(wildcards: Any) -> int:
            model = self.models[wildcards.model]
            return resources.runtime(stage, model.bytes, self._own_limit(model, "timeout"))

        return of_model

    def group(self, wildcards: Any) -> str:
        """The group of a model's jobs: one for the many, and another for those that ask for more than the default."""
        return "models" if self.mem_mb(wildcards) <= resources.DEFAULT_MB else "large"

    def _own_limit(self, model: Model, key: str) -> int | None:
        said: int | None = self._settings.said(self._patterns_of(model), key)
        return said

    def attempt(self, stage: str) -> Any:
        """A function of the wildcards that gives the token of a job (workflow.attempts); stage: as for `settings`."""
        return lambda wildcards: self._attempts.of(_of_format(stage, wildcards), wildcards.model)

    def expected(self, model: str, form: str = "") -> str | list[str]:
        """What a model, or its export to a format, is expected to end as, as in settings.meets."""
        return self.models[model].exports.get(form, VERIFIED) if form else self.models[model].expect


def _with_own_outputs(config: settings.Config, place: Place) -> settings.Config:
    """A config with directories for the outputs of one checkpoint, where it names none."""
    own = {key: f"{place.outputs}/{key}" for key in ("frozen", "reports")}
    return {**own, **config}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _of_format(stage: str, wildcards: Any) -> str:
    """A stage's name with the format that a job is for."""
    return stage.replace("{format}", wildcards.format) if "{format}" in stage else stage


def _said(stage: str, key: str, value: Any) -> Any:
    """What a stage is told of a setting: of a format not what is expected of it, and the judge its tolerance alone."""
    said = msgspec.to_builtins(value, str_keys=True)
    if key not in FORMATS:
        return said
    told = ("tolerance",) if stage.startswith("judge_") else said.keys() - {"expect"}
    return {name: said[name] for name in told}


def _refuse_another(place: Place, path: str) -> None:
    """Raises Problem (bad_setting) where the state file at `path` is of a checkpoint in another directory."""
    try:
        kept = state_file.read(path).models
    except Problem:
        return
    for other in {model.directory for model in kept}:
        if os.path.realpath(other) != os.path.realpath(place.directory):
            message = f"{os.path.dirname(path)} has the reports of a checkpoint in {other}"
            raise Problem("bad_setting", message, "name other directories as `frozen` and `reports`")


def _refuse_shared(frozen: str, reports: str, taken: list[str]) -> None:
    """Raises Problem (bad_setting) where this and another zoo of the same workflow would write to the same place."""
    own = [os.path.abspath(path) for path in (frozen, reports)]
    for path in own:
        for other in taken:
            if os.path.commonpath([path, other]) in (path, other):
                raise Problem(
                    "bad_setting",
                    f"config: {path} and {other} belong to two zoos of one workflow, and one holds the other",
                    "give each zoo `frozen` and `reports` of its own, beside the other's",
                )
    taken += own


def _refuse_unwritable(directory: str) -> None:
    """Raises Problem (io_error) where what a directory would be made in is none, or may not be written to."""
    existing = os.path.abspath(directory)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK | os.X_OK):
        code = errno.EACCES if os.path.isdir(existing) else errno.ENOTDIR
        raise _unwritable(directory, os.strerror(code))


def _unwritable(path: str, why: str) -> Problem:
    return Problem(
        "io_error",
        f"{path} cannot be written: {why}",
        "make room, or name other directories as `frozen` and `reports`, and run again",
    )


def _files(inputs: dict[str, Any]) -> list[dict[str, Any]]:
    return [spec for _, spec in sorted(inputs.items()) if isinstance(spec, dict) and "file" in spec]
