"""What changes the digest of a stage's code, by which its jobs run again, and what does not."""

import ast
from importlib import metadata
from pathlib import Path

import pytest

from conftest import HOME
from permafrost.workflow import code_digest

STAGES = ("discover", "import_meta", "freeze", "verify", "list_ops", "summarize", "page", "judge")


@pytest.fixture
def digests(monkeypatch):
    """A function that gives the digests of all stages, of an upgraded environment."""

    def of(upgraded: dict[str, str], scripts: Path = HOME / "scripts") -> dict[str, str]:
        installed = metadata.version
        monkeypatch.setattr(code_digest.metadata, "version", lambda name: upgraded.get(name) or installed(name))
        for function in (code_digest.code_digest, code_digest._version):
            function.cache_clear()
        found = {stage: code_digest.code_digest(scripts, stage) for stage in STAGES}
        monkeypatch.setattr(code_digest.metadata, "version", installed)
        code_digest._version.cache_clear()
        code_digest.code_digest.cache_clear()
        return found

    return of


@pytest.mark.parametrize(
    ("package", "unconcerned"),
    [
        ("tensorflow", set()),
        ("tensorflow-cpu", set()),
        ("cramjam", {"verify"}),
        ("Jinja2", set(STAGES) - {"page"}),
        ("pytest", set(STAGES)),
    ],
)
def test_an_upgraded_requirement_concerns_the_stages_that_import_it(package, unconcerned, digests):
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed under this name")
    names = {"Jinja2": "jinja2"}
    before, after = digests({}), digests({names.get(package, package): "999"})
    assert {stage for stage in STAGES if before[stage] == after[stage]} == unconcerned


def test_a_stage_that_another_imports_counts_too(tmp_path, digests):
    (tmp_path / "judge.py").write_text("from import_meta import rehearse\n")
    (tmp_path / "import_meta.py").write_text("def rehearse():\n    return 1\n")
    before = code_digest.code_digest(tmp_path, "judge")
    (tmp_path / "import_meta.py").write_text("def rehearse():\n    return 2\n")
    for function in (code_digest.code_digest, code_digest._imported_files, code_digest.imports, code_digest._content):
        function.cache_clear()
    assert code_digest.code_digest(tmp_path, "judge") != before


def imported_by_syntax(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_imports_are_those_that_the_source_states(tmp_path):
    odd = tmp_path / "odd.py"
    odd.write_text(
        "def f():\n    from c.d import e, f as g  # from x import y\n    import g.h as i, j\n"
        "from k import (\n    l,  # because, of (this\n    m as n,\n)\n"
    )
    assert imported_by_syntax(odd) == {"c.d", "c.d.e", "c.d.f", "g.h", "j", "k", "k.l", "k.m"}
    for path in (odd, *(HOME / "scripts").rglob("*.py")):
        assert code_digest.imports(path) >= imported_by_syntax(path), path
