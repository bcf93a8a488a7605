"""The lists of packages: what runs, what exports need besides, what tests and formatting need; all of it pinned."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conftest import HOME
from permafrost import export_packages

# What is called by name, and imported by none of our code: as an executor, and by the Makefile and pyproject.toml.
CALLED = {"snakemake-executor-plugin-slurm"}
CALLED_BESIDES = {"import-linter", "mypy", "pytest-timeout", "pytest-xdist", "ruff", "snakefmt"}
TENSORFLOW = {"tensorflow", "tensorflow-cpu"}  # One of them is for this machine.


def listed(name: str) -> dict[str, Requirement]:
    """The packages of a list, by canonical name."""
    lines = [line for line in (HOME / name).read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "-")]
    found = [(canonicalize_name(Requirement(line).name), Requirement(line)) for line in lines]
    assert len(found) == len(dict(found)), "each stands there once"
    return dict(found)


RUN, EXPORT, BESIDES = (
    listed(name) for name in ("requirements.txt", "requirements-export.txt", "requirements-dev.txt")
)
# What exports import, late, and nothing else may.
EXPORTING = {package for packages in export_packages.NEEDED.values() for package in packages.values()}


def required_by(package: str) -> list[Requirement]:
    """What an installed package asks for on this machine, without its extras; by another of its names, nothing."""
    if package in TENSORFLOW - installed():
        return []
    found = map(Requirement, metadata.requires(package) or [])
    return [needed for needed in found if needed.marker is None or needed.marker.evaluate({"extra": ""})]


def closure(packages: Iterable[str]) -> set[str]:
    """These packages with all that they need, and that needs."""
    found, pending = set(), list(packages)
    while pending:
        package = pending.pop()
        if package not in found:
            found.add(package)
            pending += [canonicalize_name(needed.name) for needed in required_by(package)]
    return found


def imported(*directories: str) -> set[str]:
    """The packages that the code in these directories imports, wherever in a file that stands."""
    texts = [path.read_text(encoding="utf-8") for name in directories for path in (HOME / name).rglob("*.py")]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    if "scripts" in directories:
        modules |= set(re.findall(r"^(?:from|import) (\w+)", (HOME / "Snakefile").read_text(), re.MULTILINE))
    known = metadata.packages_distributions()
    names = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - own_modules()
    assert names <= known.keys(), names - known.keys()
    return {canonicalize_name(package) for name in names for package in known[name]}


def own_modules() -> set[str]:
    """The names of the repository's own modules and packages."""
    directories = ("scripts", "tests", "benchmarks", "models", "docs")
    paths = [path for name in directories for path in (HOME / name).rglob("*.py")]
    return {path.parent.name if path.stem == "__init__" else path.stem for path in paths}


def test_all_are_pinned_and_stand_in_one_list():
    for needed in (*RUN.values(), *EXPORT.values(), *BESIDES.values()):
        assert [specifier.operator for specifier in needed.specifier] == ["=="], needed
    assert len(RUN) + len(EXPORT) + len(BESIDES) == len(RUN | EXPORT | BESIDES)
    assert "-r requirements.txt" in (HOME / "requirements-export.txt").read_text().splitlines()
    assert "-r requirements-export.txt" in (HOME / "requirements-dev.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("requirements.txt", RUN),
        ("requirements-export.txt", RUN | EXPORT),
        ("requirements-dev.txt", RUN | EXPORT | BESIDES),
    ],
)
def test_a_list_has_all_that_its_packages_need(name, there):
    for package in listed(name).keys() & installed():
        for needed in required_by(package):
            pinned = there.get(canonicalize_name(needed.name))
            assert pinned is not None, f"{package} needs {needed}, which is not in {name}"
            (version,) = (specifier.version for specifier in pinned.specifier)
            assert needed.specifier.contains(version, prereleases=True), f"{package} needs {needed}, not {version}"


def installed() -> set[str]:
    return {canonicalize_name(found.metadata["Name"]) for found in metadata.distributions()}


def test_what_runs_is_the_first_list_and_no_more():
    needed = closure(imported("scripts", "models") - EXPORTING | CALLED)
    assert needed - RUN.keys() == set()
    assert RUN.keys() - needed <= TENSORFLOW and TENSORFLOW & needed


def test_what_exports_need_besides_is_a_list_of_its_own_and_no_more():
    assert EXPORT.keys() >= EXPORTING
    assert closure(EXPORTING) - RUN.keys() == set(EXPORT)


def test_what_tests_and_benchmarks_need_besides_is_the_second_list_and_no_more():
    needed = closure(imported("tests", "benchmarks", "docs") | CALLED_BESIDES)
    assert needed - RUN.keys() - EXPORT.keys() == set(BESIDES)


def test_make_empties_nothing_that_a_link_leads_to(tmp_path):
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(HOME / name, tmp_path)
    kept = tmp_path / "elsewhere" / "kept"
    kept.parent.mkdir()
    kept.touch()
    (tmp_path / ".venv").symlink_to("elsewhere")
    done = subprocess.run(["make"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and ".venv is a link" in done.stderr
    assert list(kept.parent.iterdir()) == [kept]


def test_make_installs_what_runs_alone_and_all_lists_for_the_tests():
    makefile = (HOME / "Makefile").read_text()
    needs = dict(re.findall(r"^([\w$()-]+): (.+)$", makefile, re.MULTILINE))
    assert needs["all"] == needs["models"] == "$(READY)" and needs["$(READY)"] == "requirements.txt"
    assert needs["lint"] == needs["test-slurm"] == "$(READY_TO_TEST)" and needs["test"] == "lint"
    assert needs["exports"] == "$(READY_TO_EXPORT)"
    assert needs["$(READY_TO_EXPORT)"] == "requirements-export.txt $(READY)"
    assert needs["$(READY_TO_TEST)"] == "requirements-dev.txt requirements-export.txt $(READY)"
