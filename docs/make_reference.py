"""Writes the reference pages, reports.md, causes.md, settings.md and programs.md, from what the code says of itself."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

HOME = Path(__file__).parents[1]
sys.path.insert(0, str(HOME / "scripts"))

from permafrost.report import causes, reference  # noqa: E402 - after the path
from permafrost.whole_files import written_whole  # noqa: E402 - after the path

_SETTINGS_HEAD = """# The settings

What config.yaml, and any `--configfile` or `--config` over it, may say. The keys of the first table stand at the top;
those of the second in an entry of `zoo`, `zoo: [{directory: <dir>, models: {...}}]`; those of the third in a model's
settings, under `models: {<id or glob>: {...}}`, at the top or in an entry of `zoo`; those of the others in a model's
settings too, under `inputs`, `signature`, `saved_model`, `onnx` and `tflite`.

This page is made from `config.schema.yaml` by `python docs/make_reference.py`.

"""
_DEFINITIONS = {
    **{"a zoo": "zoo", "a model": "model", "an input": "input", "the signature of exports": "signature"},
    **{"`saved_model`": "saved_model", "`onnx`": "onnx", "`tflite`": "tflite"},
}
_PROGRAMS_HEAD = """# The programs

Each stage is a program of its own, which the rule of its name in `rules/` calls; it can be called by hand,
for a debugger say. The log of a job has its errors, `snakemake -n --printshellcmds` its command.

This page is made from each program's `--help` by `python docs/make_reference.py`.

"""


def settings(schema: Path) -> str:
    """All keys of config.schema.yaml with what they take, their defaults and their descriptions."""
    found = yaml.safe_load(schema.read_text(encoding="utf-8"))
    parts = [_SETTINGS_HEAD]
    tables = [("At the top", found)]
    tables += [(f"Of {name}", found["$defs"][definition]) for name, definition in _DEFINITIONS.items()]
    for title, of in tables:
        rows = [_row(name, key, found["$defs"]) for name, key in of["properties"].items()]
        parts.append(
            f"## {title}\n\n" + "\n".join(["| key | takes | default | |", "|---|---|---|---|", *rows]) + "\n\n"
        )
    return "".join(parts).rstrip("\n") + "\n"


def _row(name: str, key: dict, definitions: dict) -> str:
    named = definitions[key["$ref"].rpartition("/")[2]] if "$ref" in key else {}
    takes = key.get("title") or named.get("title", "")
    default = _yaml(key["default"]) if "default" in key else ""
    cells = [f"`{name}`", takes, default and f"`{default}`", key.get("description", "")]
    return f"| {' | '.join(' '.join(str(cell).split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _yaml(value) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def programs(scripts: Path) -> str:
    """What each program in `scripts` says of itself. Raises CalledProcessError where one does not."""
    parts = [_PROGRAMS_HEAD]
    environment = os.environ | {"COLUMNS": "110"}
    for path in sorted(scripts.glob("*.py")):
        if path.stem == "warm":
            continue
        command = [sys.executable, str(path), "--help"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        parts.append(f"## {path.name}\n\n```\n{said.strip()}\n```\n\n")
    return "".join(parts).rstrip("\n") + "\n"


def pages() -> dict[str, str]:
    """The name of each page in docs/, with its content."""
    return {
        "reports.md": reference.page(),
        "causes.md": causes.page(),
        "settings.md": settings(HOME / "config.schema.yaml"),
        "programs.md": programs(HOME / "scripts"),
    }


if __name__ == "__main__":
    for name, content in pages().items():
        with written_whole(HOME / "docs" / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
