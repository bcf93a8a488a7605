"""How Snakemake was started, as far as it decides what a run makes, and by which versions."""

import contextlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from snakemake.cli import parse_config

from permafrost import VERSION
from permafrost.report.run_file import Started

_FOUND_BY_ITSELF = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
_PACKAGES = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "snakemake": ("snakemake",)}


def started(workflow: Any) -> Started:
    """The program and the options that repeat what a workflow is told: its Snakefile, config files and `--config`.

    Paths are relative to the working directory where they lie below it, and absolute elsewhere.
    """
    directory = os.getcwd()
    snakefile = _short(workflow.main_snakefile, directory)
    program = [_snakemake(directory)]
    if snakefile != next(filter(os.path.isfile, _FOUND_BY_ITSELF), None):
        program += ["--snakefile", snakefile]
    settings = workflow.config_settings
    files = [_short(path, directory) for path in settings.configfiles]
    values = [f"{key}={_value(value)}" for key, value in settings.config.items()]
    options = [*(["--configfile", *files] if files else []), *(["--config", *values] if values else [])]
    return Started(directory=directory, program=program, options=options)


def _snakemake(directory: str) -> str:
    """The program beside the Python that runs, as a shell in `directory` finds it."""
    beside = os.path.join(os.path.dirname(sys.executable), "snakemake")
    return _short(beside, directory) if os.path.isfile(beside) else "snakemake"


def _short(path: str | os.PathLike[str], directory: str) -> str:
    path = os.path.abspath(path)
    below = os.path.relpath(path, directory)
    return path if below.split("/")[0] == ".." else below


def _value(value: Any) -> str:
    """A value as `--config` reads it back: a text as it is where that gives the same, else as JSON, which is YAML."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    is_same = isinstance(value, str) and parse_config([f"key={value}"]) == {"key": value}
    return str(value) if is_same else json.dumps(value)


def versions(home: str) -> dict[str, str]:
    """What runs: Permafrost, with the commit where `home` is a clone, Python, TensorFlow and Snakemake."""
    commit = _commit(home)
    found = {"permafrost": f"{VERSION} ({commit})" if commit else VERSION}
    for name, packages in _PACKAGES.items():
        for package in packages:
            with contextlib.suppress(metadata.PackageNotFoundError):
                found.setdefault(name, metadata.version(package))
    return found | {"python": ".".join(map(str, sys.version_info[:3]))}


def _commit(home: str) -> str:
    """The commit of a clone, marked where files were changed since; empty where it is none, or there is no git."""
    if not Path(home, ".git").exists():
        return ""
    command = ["git", "-C", home, "describe", "--always", "--dirty", "--exclude=*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""
