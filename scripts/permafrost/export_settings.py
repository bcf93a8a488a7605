"""What the config says of exports, beyond what a schema can say: which formats there are, what options need."""

from collections.abc import Iterable
from typing import Any

from permafrost.config_schema import ConfigPath, problem, quoted, suggestion
from permafrost.export_records import FORMATS, ONNX, TFLITE
from permafrost.outcome import CAUSES

# Settings that are mappings of settings: merged key by key from the patterns that match a model.
GROUPS = ("signature", *FORMATS)

_DEPTH = 6  # of zoo / 0 / models / <pattern> / onnx / dynamic_axes


def with_text_axes(config: Any, depth: int = _DEPTH) -> Any:
    """A config in which the axes under `dynamic_axes` are texts, as JSON has keys, though YAML reads them as numbers.

    Whatever is not as the schema has it stays as it is. `config` is not changed.
    Args:
      depth: how far below it they stand at most.
    """
    if not depth:
        return config
    if isinstance(config, list):
        return [with_text_axes(each, depth - 1) for each in config]
    if not isinstance(config, dict):
        return config
    return {
        key: _axes(value) if key == "dynamic_axes" else with_text_axes(value, depth - 1)
        for key, value in config.items()
    }


def _axes(value: Any) -> Any:
    """dynamic_axes with numbers as texts; a truth value, which is a number to Python, stays one."""
    if not isinstance(value, dict):
        return value
    return {
        key: {str(axis) if type(axis) is int else axis: name for axis, name in axes.items()}
        if isinstance(axes, dict)
        else axes
        for key, axes in value.items()
    }


def merged(chosen: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Settings with those of a further pattern over them: its keys, and of the groups the keys of these."""
    whole = {**chosen, **said}
    return whole | {group: {**chosen.get(group, {}), **said[group]} for group in GROUPS if group in said}


def check(chosen: dict[str, Any], path: ConfigPath) -> None:
    """Raises Problem (bad_setting) for what is wrong in the settings of one pattern, which stand at `path`."""
    for export in chosen.get("export", []):
        if export not in FORMATS:
            raise problem((*path, "export"), f"there is no format {export!r}{suggestion(export, FORMATS)}")
    for export in FORMATS:
        check_causes(chosen.get(export, {}).get("expect", []), (*path, export, "expect"))
    for ends in ("inputs", "outputs"):
        _refuse_repeated(chosen.get("signature", {}).get(ends, {}), (*path, "signature", ends))


def check_causes(expect: str | Iterable[str], path: ConfigPath) -> None:
    """Raises Problem (bad_setting) for a cause that is expected and that there is none of, or that is Permafrost's."""
    for expected in [expect] if isinstance(expect, str) else expect:
        cause = expected.partition("/")[2]
        if cause == "internal":
            raise problem(path, "`internal` is an error in Permafrost, which cannot be expected")
        if cause and cause not in CAUSES:
            raise problem(path, f"there is no cause {cause!r}{suggestion(cause, CAUSES)}")


def _refuse_repeated(names: dict[str, str], path: ConfigPath) -> None:
    seen: dict[str, str] = {}
    for key, tensor in names.items():
        other = seen.setdefault(tensor.removesuffix(":0"), key)
        if other != key:
            raise problem(path, f"{quoted(other)} and {quoted(key)} name the same tensor; leave one of them out")


def check_whole(chosen: dict[str, Any], path: ConfigPath) -> None:
    """Raises Problem (bad_setting) for options that need one another, in what all patterns together say of a model.

    Args:
      path: of the last pattern that says anything of them.
    """
    if chosen[TFLITE].get("quantize") and "tolerance" not in chosen[TFLITE]:
        sentence = "`quantize` changes what the file computes; say with `tolerance` how far an output may be off"
        raise problem((*path, TFLITE), sentence)
    if {ONNX, TFLITE} & set(chosen["export"]):
        names = chosen["signature"]
        if both := sorted({*names.get("inputs", {})} & {*names.get("outputs", {})}):
            sentence = (
                f"{quoted(both[0])} is an input and an output, which ONNX and TensorFlow Lite tell apart by name; "
                "give one of them another key"
            )
            raise problem((*path, "signature"), sentence)
