"""How a run was started, as words that start it again, whatever is in them."""

import os
from types import SimpleNamespace

import pytest
from snakemake.cli import parse_config

from permafrost import VERSION
from permafrost.workflow import invocation


def workflow(snakefile, files=(), **config):
    settings = SimpleNamespace(configfiles=[os.path.abspath(file) for file in files], config=config)
    return SimpleNamespace(main_snakefile=str(snakefile), config_settings=settings)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_below_the_working_directory_are_relative(here):
    (here / "Snakefile").touch()
    found = invocation.started(workflow(here / "Snakefile", [here / "my settings.yaml", "/etc/all.yaml"], zoo="../zoo"))
    assert found.directory == str(here) and len(found.program) == 1
    assert found.options == ["--configfile", "my settings.yaml", "/etc/all.yaml", "--config", "zoo=../zoo"]


def test_a_snakefile_that_is_not_found_by_itself_is_named(here):
    found = invocation.started(workflow("/opt/permafrost/Snakefile"))
    assert found.program[1:] == ["--snakefile", "/opt/permafrost/Snakefile"] and found.options == []


@pytest.mark.parametrize(
    "value",
    [
        "models",
        "a b",
        "5",
        "1.5",
        "True",
        "[a, b]",
        "{a: b}",
        "a: b",
        "'5'",
        '"x"',
        "null",
        "",
        "ä/ö",
        "x=y",
        "[",
        "7_0",
    ],
)
def test_values_are_read_back_as_they_were_read(value):
    config = parse_config([f"key={value}"])
    found = invocation.started(workflow("/x/Snakefile", key=config["key"]))
    assert parse_config(found.options[1:]) == config


def test_versions_name_the_commit_of_a_clone(tmp_path):
    assert invocation.versions(str(tmp_path))["permafrost"] == VERSION
    assert set(invocation.versions(str(tmp_path))) == {"permafrost", "tensorflow", "snakemake", "python"}


def test_the_version_is_that_of_the_project():
    import tomllib

    from conftest import HOME

    assert tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["version"] == VERSION
