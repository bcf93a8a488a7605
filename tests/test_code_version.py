"""What changes the digest of a stage's code, by which its jobs run again, and what does not."""

from importlib import metadata
from pathlib import Path

import pytest

from conftest import HOME
from permafrost import code_version

STAGES = ("discover", "import_meta", "freeze", "verify", "list_ops", "summarize", "page", "judge")


@pytest.fixture
def digests(monkeypatch):
    """A function that gives the digests of all stages, of an upgraded environment."""

    def of(upgraded: dict[str, str], scripts: Path = HOME / "scripts") -> dict[str, str]:
        installed = metadata.version
        monkeypatch.setattr(code_version.metadata, "version", lambda name: upgraded.get(name) or installed(name))
        for function in (code_version.code_version, code_version._version, code_version._parsed):
            function.cache_clear()
        found = {stage: code_version.code_version(scripts, stage) for stage in STAGES}
        monkeypatch.setattr(code_version.metadata, "version", installed)
        code_version._version.cache_clear()
        code_version.code_version.cache_clear()
        return found

    return of


@pytest.mark.parametrize(
    ("package", "unconcerned"),
    [
        ("tensorflow", {"page"}),
        ("tensorflow-cpu", {"page"}),
        ("cramjam", {"page", "verify"}),
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
    before = code_version.code_version(tmp_path, "judge")
    (tmp_path / "import_meta.py").write_text("def rehearse():\n    return 2\n")
    for function in (code_version.code_version, code_version._parsed, code_version._compiled):
        function.cache_clear()
    assert code_version.code_version(tmp_path, "judge") != before
