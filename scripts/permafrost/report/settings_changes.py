"""What differs between the settings that somebody has edited and those that were found since."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_MOST = 5  # names that are told


def sentence(yours: Path, found: Path) -> str:
    """One sentence on how the config file `yours` differs from the one that was found. Raises OSError."""
    try:
        mine = yaml.safe_load(yours.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return f"{yours} is no YAML any more, and stays as it is; {found} has what is found now"
    if differences := _differences(mine, yaml.safe_load(found.read_text(encoding="utf-8"))):
        shown = "; ".join(differences[:_MOST]) + ("; ..." if differences[_MOST:] else "")
        return f"{yours} is yours and stays as it is; {found} has what is found now, which is other in: {shown}"
    return f"{yours} is yours and stays as it is; what is found now, in {found}, says the same"


def _differences(mine: Any, found: Any) -> list[str]:
    old, new = (content if isinstance(content, Mapping) else {} for content in (mine, found))
    told = [str(key) for key in dict.fromkeys([*new, *old]) if key != "models" and old.get(key) != new.get(key)]
    before, after = (content.get("models") or {} for content in (old, new))
    if not isinstance(before, Mapping):
        return [*told, "models"]
    return told + [of for model in dict.fromkeys([*after, *before]) if (of := _of_model(model, before, after))]


def _of_model(model: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if model not in before or model not in after:
        return f"{model} (only {'found' if model in after else 'in yours'})"
    old, new = (content[model] if isinstance(content[model], Mapping) else {} for content in (before, after))
    keys = [str(key) for key in dict.fromkeys([*new, *old]) if old.get(key) != new.get(key)]
    return f"{model} ({', '.join(keys)})" if keys else ""
