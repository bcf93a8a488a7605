"""The README says what the code does."""

import re
import runpy
import subprocess
import sys

import pytest

from conftest import HOME, SAMPLE_ZOO
from permafrost import recording, whole_files
from permafrost.layout import MADE_FILES
from permafrost.outcome import CAUSES, EXPORT_STATUSES, STATUSES, TRANSIENT
from permafrost.report.tables.summary import SUMMARY
from stages import frozen, imported, sources

README = (HOME / "README.md").read_text(encoding="utf-8")


def test_every_cause_stands_in_the_readme_with_its_hint():
    rows = set(re.findall(r"^\| `(\w+)` \| (.+) \|$", README, re.MULTILINE))  # A finding may have a cause's name.
    assert [row for row in CAUSES.items() if row not in rows] == []
    assert {*STATUSES, *EXPORT_STATUSES} <= {name for name, _ in rows}
    assert set(TRANSIENT) <= set(CAUSES)


def test_files_and_columns_that_the_readme_names_exist():
    assert all(column in SUMMARY.header for column in ("model", "status", "repairs", "outputs_why", "match"))
    named = set(re.findall(r"[\w]+\.(?:csv|json|pb)", README)) - {"feeds.npz", "lenet.pb", "verified.csv"}
    assert named <= MADE_FILES | {"frozen_graph.pb"}, named - MADE_FILES


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return runpy.run_path(str(HOME / "docs" / "make_reference.py"))["pages"]()


@pytest.mark.parametrize("name", ["reports.md", "settings.md", "programs.md"])
def test_the_reference_is_what_the_code_says(name, pages):
    if name == "programs.md" and sys.version_info[:2] != (3, 11):
        pytest.skip("each Python words the help of programs in its own way, and the page is Python 3.11's")
    assert (HOME / "docs" / name).read_text(encoding="utf-8") == pages[name], "run: python docs/make_reference.py"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/tour.md",
        "docs/how-to.md",
        "docs/reports.md",
        "docs/exports.md",
    ],
)
def test_links_and_pictures_exist(page):
    text = (HOME / page).read_text(encoding="utf-8")
    linked = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in linked if not (HOME / page).parent.joinpath(link).exists()] == []
    assert all(path.stat().st_size < 200_000 for path in (HOME / "docs").glob("*.png"))


def test_the_frozen_graph_is_used_as_the_readme_says(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    directory = tmp_path / "frozen" / "lookup_table" / "model.ckpt"
    record = imported(sources(SAMPLE_ZOO)["lookup_table/model.ckpt"])
    provenance, _ = frozen(record, directory)
    whole_files.write_json(directory / "provenance.json", recording.content(provenance))
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert "array(" in capsys.readouterr().out


@pytest.mark.parametrize("stage", sorted(path.stem for path in (HOME / "scripts").glob("*.py") if path.stem != "warm"))
def test_every_stage_explains_itself(stage):
    done = subprocess.run(
        [sys.executable, HOME / "scripts" / f"{stage}.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "usage:" in done.stdout and len(done.stdout) > 200


def test_the_committed_files_name_no_machine_and_no_registry():
    files = subprocess.run(["git", "ls-files"], cwd=HOME, capture_output=True, text=True, check=True).stdout.split("\n")
    # A letter of each in brackets, so that the pattern is none of what it finds.
    words = re.compile(r"/[h]ome/[a-z]+/|/[r]oot/|py[p]i\.|python[h]osted|--inde[x]-url|fin[d]-links")
    for name in filter(None, files):
        path = HOME / name
        if path.suffix in (".py", ".md", ".yaml", ".txt", ".toml", ".rst", "") and path.is_file():
            content = path.read_bytes()
            if b"\0" not in content:
                assert not words.search(content.decode("utf-8", "replace")), name
