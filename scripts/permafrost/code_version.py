"""A digest of the code that a stage runs: its script, what that imports, and its templates."""

import ast
import contextlib
import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path
from types import CodeType


@cache
def code_version(scripts: Path, stage: str) -> str:
    """The digest for `scripts/<stage>.py`, in hexadecimal; comments and layout of the Python code do not count.

    The installed versions of the packages that it imports do.

    Files of other kinds that a stage needs lie in `scripts/<stage>/`.

    Raises OSError and SyntaxError where a file cannot be read.
    """
    digest = hashlib.sha256()
    files = sorted(_files(scripts, scripts / f"{stage}.py", set()))
    for path in files:
        digest.update(f"{path.relative_to(scripts)}\n{_compiled(path)}\n".encode())
    for module in sorted({module for path in files for module in _packages(path)}):
        digest.update(f"{module} {_version(module)}\n".encode())
    for path in sorted((scripts / stage).glob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(scripts)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _files(scripts: Path, path: Path, found: set[Path]) -> set[Path]:
    if path in found or not path.exists():
        return found
    found.add(path)
    for module in _imports(path):
        _files(scripts, scripts / f"{module.replace('.', '/')}.py", found)
    return found


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _compiled(path: Path) -> str:
    """What a file is compiled to, without its lines' numbers; faster to come by than a dump of its syntax tree."""
    return _told(compile(_parsed(path), "", "exec", dont_inherit=True, optimize=0))


def _told(value) -> str:
    if isinstance(value, CodeType):
        names = (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars, value.co_name)
        counts = (value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags)
        constants = [_told(constant) for constant in value.co_consts]
        return f"{value.co_code.hex()} {value.co_exceptiontable.hex()} {names} {counts} {constants}"
    # The order of a frozenset is by chance.
    return f"frozenset {sorted(map(_told, value))}" if isinstance(value, frozenset) else repr(value)


@cache
def _imports(path: Path) -> list[str]:
    modules = []
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            # What is no file of ours is left out later.
            modules += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return modules


@cache
def _packages(path: Path) -> set[str]:
    """The top-level modules that a file imports."""
    names = set()
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


# Module -> the distributions that may hold it, where they have other names.
_DISTRIBUTIONS = {"google": ("protobuf",), "tensorflow": ("tensorflow", "tensorflow-cpu"), "yaml": ("PyYAML",)}


@cache
def _version(module: str) -> str:
    """The installed version of what holds a module; empty for the standard library and our own."""
    for name in _DISTRIBUTIONS.get(module, (module,)):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return ""
