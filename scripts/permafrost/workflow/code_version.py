"""A digest of the code that a stage runs: its script, what that imports, and its templates."""

import contextlib
import dis
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from types import CodeType

_IMPORT_NAME, _IMPORT_FROM, _EXTENDED_ARG = map(dis.opmap.get, ("IMPORT_NAME", "IMPORT_FROM", "EXTENDED_ARG"))


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
        digest.update(f"{path.relative_to(scripts)}\n{_digest(path)}\n".encode())
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
def _compiled(path: Path) -> CodeType:
    # Not what Python keeps beside it: that is known by the second of the last change alone.
    return compile(path.read_bytes(), "", "exec", dont_inherit=True, optimize=0)


@cache
def _digest(path: Path) -> str:
    """A digest of what a file is compiled to, without the numbers of its lines."""
    return hashlib.sha256(_told(_compiled(path)).encode(errors="surrogatepass")).hexdigest()


def _told(value) -> str:
    if isinstance(value, CodeType):
        names = (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars, value.co_name)
        counts = (value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags)
        constants = [_told(constant) for constant in value.co_consts]
        return f"{value.co_code.hex()} {value.co_exceptiontable.hex()} {names} {counts} {constants}"
    # The order of a frozenset is by chance.
    return f"frozenset {sorted(map(_told, value))}" if isinstance(value, frozenset) else repr(value)


@cache
def _imports(path: Path) -> set[str]:
    """The modules that a file imports, here or in a function, and what it takes from them, which may be modules too."""
    return set(_imported(_compiled(path)))


def _imported(code: CodeType) -> Iterator[str]:
    module, argument = "", 0
    for opcode, low in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        argument = argument << 8 | low
        if opcode == _IMPORT_NAME:
            module = code.co_names[argument]
            yield module
        elif opcode == _IMPORT_FROM:
            yield f"{module}.{code.co_names[argument]}"
        if opcode != _EXTENDED_ARG:
            argument = 0
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported(constant)


def _packages(path: Path) -> set[str]:
    """The top-level modules that a file imports."""
    return {module.partition(".")[0] for module in _imports(path)}


# Module -> the distributions that may hold it, where they have other names.
_DISTRIBUTIONS = {"google": ("protobuf",), "tensorflow": ("tensorflow", "tensorflow-cpu"), "yaml": ("PyYAML",)}


@cache
def _version(module: str) -> str:
    """The installed version of what holds a module; empty for the standard library and our own."""
    for name in _DISTRIBUTIONS.get(module, (module,)):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return ""
