"""Settings at the end of a hint, on one line of a table, and as the lines that people paste into a config file."""

from typing import Any

import yaml

SO_FAR = ", fed so far by "  # what is before the settings in a hint
_BLOCK = "models: {"


def split(text: str) -> tuple[str, str]:
    """A hint without the settings that it may end with, and these as lines of a config file, "" without them."""
    before, found, block = text.partition(_BLOCK)
    if not found:
        return text, ""
    try:
        lines = _lines(yaml.safe_load(found + block)["models"])
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        return text, ""
    return f"{before.removesuffix(SO_FAR)}; as they are fed now, in a config file:", lines


def _lines(models: dict[str, Any]) -> str:
    lines = ["models:"]
    for model, said in models.items():
        lines += [f"  {flow(model)}:", "    inputs:"]
        lines += [f"      {flow(name)}: {flow(fed)}" for name, fed in said["inputs"].items()]
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
