"""README and the pages of docs/ say what the code does."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import HOME, SAMPLE_ZOO
from permafrost import recording, whole_files
from permafrost.layout import MADE_FILES, RUN
from permafrost.outcome import CAUSES, EXPORT_STATUSES, STATUSES, TRANSIENT
from permafrost.report.causes import MEANINGS
from permafrost.report.tables.summary import SUMMARY
from stages import frozen, imported, sources

README = (HOME / "README.md").read_text(encoding="utf-8")
PAGES = [*sorted(HOME.glob("*.md")), *sorted((HOME / "docs").glob("*.md"))]


def test_every_cause_has_a_meaning_and_a_heading():
    text = (HOME / "docs" / "causes.md").read_text(encoding="utf-8")
    assert list(MEANINGS) == list(CAUSES) == re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert all(meaning.endswith(".") and meaning[0].isupper() for meaning in MEANINGS.values())
    assert set(re.findall(r"^\| `(\w+)` \| ", text, re.MULTILINE)) == set(STATUSES)
    assert set(re.findall(r"^\| `(\w+)` \| ", section("exports.md", "What exports.csv says"), re.MULTILINE)) == set(
        EXPORT_STATUSES
    )
    assert set(TRANSIENT) <= set(CAUSES)


def test_every_finding_stands_on_its_page():
    rows = re.findall(
        r"^\| (`.+`) \| (?:error|warning|info) \|", (HOME / "docs" / "findings.md").read_text(), re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    code = "".join(path.read_text(encoding="utf-8") for path in (HOME / "scripts" / "permafrost").rglob("*.py"))
    found = set(re.findall(r'Finding\(\s*(?:ERROR|WARNING|INFO),\s*"(\w+)"', code))
    assert len(found) > 10 and found <= named, found - named


def section(page: str, title: str) -> str:
    """The text below a heading of the second level, up to the next heading."""
    text = (HOME / "docs" / page).read_text(encoding="utf-8")
    return re.split(r"^##", text.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


def test_files_and_columns_that_the_docs_name_exist():
    assert all(column in SUMMARY.header for column in ("model", "status", "repairs", "outputs_why", "match"))
    text = README + (HOME / "docs" / "files.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\.?\w+\.(?:csv|json|pb)", text))
    assert named <= MADE_FILES | {RUN}, named - MADE_FILES


def test_the_readme_is_one_screen_and_leads_to_every_page():
    assert len(README.encode()) < 6_000
    linked = set(re.findall(r"\]\((docs/[^)#]+)", README))
    assert {f"docs/{path.name}" for path in (HOME / "docs").glob("*.md")} <= linked


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return runpy.run_path(str(HOME / "docs" / "make_reference.py"))["pages"]()


@pytest.mark.parametrize("name", ["reports.md", "causes.md", "settings.md", "programs.md"])
def test_the_reference_is_what_the_code_says(name, pages):
    if name == "programs.md" and sys.version_info[:2] != (3, 11):
        pytest.skip("each Python words the help of programs in its own way, and the page is Python 3.11's")
    assert (HOME / "docs" / name).read_text(encoding="utf-8") == pages[name], "run: python docs/make_reference.py"


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for name, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text(encoding="utf-8")):
        if "://" not in name:
            target = page.parent / name if name else page
            assert target.exists(), name
            assert not anchor or anchor in headings(target), f"{name}#{anchor}"


def test_pictures_are_small():
    assert all(path.stat().st_size < 150_000 for path in (HOME / "docs").glob("*.png"))


def test_the_frozen_graph_is_used_as_the_docs_say(tmp_path, monkeypatch, capsys):
    page = (HOME / "docs" / "frozen-graphs.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
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
