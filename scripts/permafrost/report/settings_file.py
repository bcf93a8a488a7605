"""A config file that says what was found: for each model its outputs and inputs, and what else could be chosen.

It says all that the config of the run said besides, so that a run with it alone does the same.
"""

from dataclasses import dataclass
from typing import Any, assert_never

import yaml

from permafrost import input_kinds as kinds
from permafrost.model import Model
from permafrost.outcome import OK
from permafrost.records import ImportRecord
from permafrost.report.columns import Row
from permafrost.settings import Config, ModelSettings
from permafrost.signature import feeds

_HEAD = """\
# What was found in each model, to be looked through and edited; with it, a run gives the same results:
#
#     {command}
#
# `batch` is a dimension that each trial chooses. Commented lines are what was not chosen, and why.

"""
_MOST_ALTERNATIVES = 20
_FOUND = ("outputs", "inputs")  # settings of a model of which the file says what was found


@dataclass(frozen=True)
class Found:
    """A model, what its import found, and what the config says of it: {} where that is nothing."""

    model: str
    record: ImportRecord
    said: Row


def of_run(config: Config, models: list[Model], records: list[ImportRecord]) -> tuple[Row, list[Found]]:
    """What a run's config says of the whole, and of each series and model.

    Args:
      config: as settings.validate returns it.
      models, records: of the zoo, in the same order.
    """
    whole, settings = {key: value for key, value in config.items() if key != "models"}, ModelSettings(config)
    whole["zoo"] = [entry if isinstance(entry, str) else entry["directory"] for entry in _listed(config["zoo"])]
    if isinstance(config["zoo"], str):
        whole["zoo"] = config["zoo"]
    found = []
    for model, record in zip(models, records, strict=True):
        said = settings.said_of(settings.patterns(model.id, model.series, model.zoo))
        found.append(Found(model.id, record, {key: value for key, value in said.items() if key != "checkpoints"}))
    rules = {
        model.series: settings.said_of(settings.patterns(model.series, model.series, model.zoo)) for model in models
    }
    steps = {series: said["checkpoints"] for series, said in rules.items() if "checkpoints" in said}
    return whole | (
        {"models": {series: {"checkpoints": rule} for series, rule in steps.items()}} if steps else {}
    ), found


def _listed(zoo: Any) -> list[Any]:
    return [zoo] if isinstance(zoo, str) else zoo


def text(command: str, whole: Row, models: list[Found]) -> str:
    """The file's content.

    Args:
      command: that runs the pipeline with the file, for its first lines.
      whole: the settings at the top of the config; under `models` of series, as of_run gives them.
      models: those whose import failed get a comment.
    """
    series = dict(whole.get("models", {}))
    lines = [f"{_scalar(key)}: {_scalar(value)}" for key, value in whole.items() if key != "models"]
    lines += ["", "models:"]
    is_empty = not series and not any(_is_known(found.record) or found.said for found in models)
    lines[-1] += " {}" * is_empty
    for found in models:
        lines += ["", *_model(found, series.pop(found.model, {}))]
    lines += [f"  {_scalar(name)}: {_scalar(said)}" for name, said in series.items()]
    return _HEAD.format(command=command) + "\n".join(lines).lstrip("\n") + "\n"


def _is_known(record: ImportRecord) -> bool:
    return record.status == OK and bool(record.outputs)


def _model(found: Found, of_series: Row) -> list[str]:
    said = {key: value for key, value in (of_series | found.said).items() if key not in _FOUND}
    if not _is_known(found.record):
        said = of_series | found.said
        failed = f"  # {_scalar(found.model)}: {_plain(found.record.cause)}: {_plain(found.record.message)}"
        return [failed, *([f"  {_scalar(found.model)}:"] if said else []), *_said(said)]
    return [f"  {_scalar(found.model)}:", *_said(said), *_of_record(found.record)]


def _said(said: Row) -> list[str]:
    return [f"    {_scalar(key)}: {_scalar(value)}" for key, value in said.items()]


def _of_record(record: ImportRecord) -> list[str]:
    lines = ["    outputs:"]
    reasons = {entry.name: ", ".join(entry.reasons) for entry in record.outputs_ranking}
    lines += [f"      - {_scalar(name)}{_comment(reasons.get(name, ''))}" for name in record.outputs]
    others = [name for name in reasons if name not in record.outputs]
    lines += [f"      # - {_scalar(name)}{_comment(reasons[name])}" for name in others[:_MOST_ALTERNATIVES]]
    if others[_MOST_ALTERNATIVES:]:
        lines.append(f"      # {len(others) - _MOST_ALTERNATIVES} more are in the model's outputs.csv")
    settings = {name: (setting(spec), spec.why) for name, spec in record.inputs.items()}
    fed = [_input(name, *found) for name, found in settings.items() if found[0] is not None]
    lines += ["    inputs:", *(f"      {line}" for line in fed)] if fed else ["    inputs: {}"]
    lines += [f"      # {_scalar(n)}:{_comment(why)}" for n, (found, why) in settings.items() if found is None]
    if len(record.batches) == 1 and feeds.has_batch(record.inputs):
        lines.append(f"    # It ran with a batch of {record.batches[0]}, and with no other that was tried.")
    if record.rehearsal:
        lines.append(f"    # It did not run on these inputs: {_plain(record.rehearsal)}")
    return lines


def setting(spec: kinds.Input) -> Any:
    """What config.yaml says to feed an input so; None for one that stays at its default.

    Kinds that no setting can name, such as words or the parts of a sparse tensor, are found again from their shape.
    """
    shape = ["batch" if size is None else size for size in spec.shape or ()]
    match spec:
        case kinds.Default():
            return None
        case kinds.File():
            return {"file": spec.file} | ({"key": spec.key} if spec.key else {})
        case kinds.Value():
            return {"value": spec.value, "shape": shape} if shape else spec.value
        case kinds.Uniform():
            return {"shape": shape, "range": [spec.low, spec.high]}
        case kinds.Integers(high=int(high)):
            return {"shape": shape, "range": [spec.low, high - 1]}
        case kinds.OneHot() | kinds.State() | kinds.Integers() | kinds.Strings():
            return {"shape": shape}
        case kinds.Indices() | kinds.Sizes() | kinds.RowSplits():
            return {"shape": shape}
        case _:
            assert_never(spec)


def _input(name: str, found: Any, why: str) -> str:
    return f"{_scalar(name)}: {_scalar(found)}{_comment(why)}"


def _scalar(value: Any) -> str:
    """A value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(why: str) -> str:
    return f"  # {_plain(why)}" if why else ""


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() and c.isascii() else "?" for c in text)
