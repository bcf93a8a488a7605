"""A config file that says what was found: for each model its outputs and inputs, and what else could be chosen."""

from typing import Any, assert_never

import yaml

from permafrost import input_kinds as kinds
from permafrost.outcome import OK
from permafrost.records import ImportRecord
from permafrost.signature import feeds

_HEAD = """\
# What was found in each model, to be looked through and edited; with it, a run gives the same results:
#
#     snakemake --configfile {path}
#
# `batch` is a dimension that each trial chooses. Commented lines are what was not chosen, and why.
"""
_MOST_ALTERNATIVES = 20


def text(path: str, models: list[tuple[str, ImportRecord]]) -> str:
    """The file's content.

    Args:
      path: of the file, for the command in its first lines.
      models: (id, import record) of each model; those whose import failed get a comment.
    """
    lines = [_HEAD.format(path=path), "models:" if any(_is_known(record) for _, record in models) else "models: {}"]
    for model, record in models:
        lines += ["", *(_model(model, record) if _is_known(record) else _unknown(model, record))]
    return "\n".join(lines) + "\n"


def _is_known(record: ImportRecord) -> bool:
    return record.status == OK and bool(record.outputs)


def _unknown(model: str, record: ImportRecord) -> list[str]:
    return [f"  # {_scalar(model)}: {_plain(record.cause)}: {_plain(record.message)}"]


def _model(model: str, record: ImportRecord) -> list[str]:
    lines = [f"  {_scalar(model)}:", "    outputs:"]
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
