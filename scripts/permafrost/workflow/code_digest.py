"""A digest of the code that a stage runs: its script, what that imports, and what lies beside those files."""

import contextlib
import hashlib
import re
from functools import cache
from importlib import metadata
from pathlib import Path

# An import, wherever it stands; what only looks like one does no harm.
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|[^(\n]*)", re.MULTILINE)
_COMMENT = re.compile(r"#.*")
_NAME = re.compile(r"[\w.]+(?=(?:[ \t]+as[ \t]+\w+)?\s*(?:,|$|\)))")


@cache
def code_digest(scripts: Path, stage: str) -> str:
    """The digest for `scripts/<stage>.py`, in hexadecimal: of its own code, and of the versions of what it imports.

    What a module needs besides, such as templates, lies in the directory `assets` beside it.

    Raises OSError where a file cannot be read.
    """
    digest = hashlib.sha256()
    files = sorted(_files(scripts, scripts / f"{stage}.py"))
    assets = [
        asset for room in sorted({path.parent for path in files}) for asset in sorted((room / "assets").glob("*"))
    ]
    for path in [*files, *assets]:
        digest.update(f"{path.relative_to(scripts)}\n".encode() + _content(path))
    for module in sorted({module.partition(".")[0] for path in files for module in imports(path)}):
        digest.update(f"{module} {_version(module)}\n".encode())
    return digest.hexdigest()[:16]


def _files(scripts: Path, first: Path) -> set[Path]:
    """A file and all that it imports below `scripts`, one by way of another too."""
    found, waiting = set(), [first]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported_files(scripts, path)
    return found


@cache
def _imported_files(scripts: Path, path: Path) -> list[Path]:
    modules = _modules(scripts)
    return [modules[module] for module in imports(path) if module in modules]


@cache
def _modules(scripts: Path) -> dict[str, Path]:
    """Each module below `scripts`, by its name, and its file."""
    return {".".join(path.relative_to(scripts).with_suffix("").parts): path for path in scripts.rglob("*.py")}


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


@cache
def imports(path: Path) -> set[str]:
    """The modules that a file imports, here or in a function, and what it takes from them, which may be modules too.

    Raises OSError.
    """
    found = set()
    for module, names in _IMPORT.findall(_content(path).decode("utf-8")):
        taken = _NAME.findall(_COMMENT.sub("", names))
        found |= {module, *(f"{module}.{name}" for name in taken)} if module else set(taken)
    return found


# Module -> the distributions that may hold it, where they have other names.
_DISTRIBUTIONS = {"google": ("protobuf",), "tensorflow": ("tensorflow", "tensorflow-cpu"), "yaml": ("PyYAML",)}


@cache
def _version(module: str) -> str:
    """The installed version of what holds a module; empty for the standard library and our own."""
    for name in _DISTRIBUTIONS.get(module, (module,)):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return ""
