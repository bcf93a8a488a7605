"""What a run used is remembered: read back as it was written, told from another run, and repeated by a command."""

import json
import shlex

import msgspec
import pytest

from permafrost.report import run_file
from permafrost.report.run_file import Run, Started

STARTED = Started(directory="/runs", program=["snakemake"], options=["--configfile", "a b.yaml"])


def run_of(**config) -> Run:
    settings = run_file.digests(config)
    return Run(began=run_file.now(), versions={"permafrost": "1"}, zoos=["zoo"], started=STARTED, settings=settings)


def test_a_run_is_read_as_it_was_written(tmp_path):
    run = run_of(zoo="a", models={"x": {"outputs": ["y"]}})
    run_file.write(run, tmp_path / "run.json")
    assert run_file.read(tmp_path / "run.json") == run
    assert run_file.command(run.started, "all") == "snakemake all --configfile 'a b.yaml'"
    assert shlex.split(run_file.command(run.started)) == ["snakemake", "--configfile", "a b.yaml"]


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"began": 3}', "\ud800"])
def test_what_is_no_run_is_none(tmp_path, content):
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content, encoding="utf-8", errors="surrogatepass")
    assert run_file.read(path) is None


def test_other_settings_are_told_in_one_sentence():
    last = run_of(zoo="a", models={"x": {}}, on_failure="fail")
    assert run_file.other_settings(None, STARTED, {}) == ""
    assert run_file.other_settings(last, STARTED, last.settings) == ""
    edited = run_file.digests({"zoo": "a", "models": {}, "on_failure": "fail"})
    said = run_file.other_settings(last, STARTED, edited)
    assert said == "The settings are not those of the last run: `models` differs."
    plain = msgspec.structs.replace(STARTED, options=[])
    said = run_file.other_settings(last, plain, run_file.digests({"zoo": "b", "on_failure": "fail"}))
    assert said.startswith("The settings are not those of the last run: `models`, `zoo` differ; ")
    assert said.endswith("that run had `--configfile 'a b.yaml'`.")
    other = msgspec.structs.replace(plain, program=["python", "-m", "snakemake"])
    assert run_file.other_settings(last, other, edited).endswith("that run was `snakemake --configfile 'a b.yaml'`.")
    bare = msgspec.structs.replace(last, started=plain)
    assert run_file.other_settings(bare, STARTED, edited).endswith("that run had no such options.")
    moved = msgspec.structs.replace(plain, directory="/elsewhere")
    assert run_file.other_settings(last, moved, edited).endswith(" in /runs.")


def test_the_order_of_keys_is_no_other_setting():
    assert run_file.digests({"a": {"b": 1, "c": 2}}) == run_file.digests(json.loads('{"a": {"c": 2, "b": 1}}'))
