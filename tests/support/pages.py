"""Writes a page from records that a test makes, as the pipeline's stages would."""

import json
from pathlib import Path

import changes
import list_exports
import page
import summarize
from permafrost.outcome import Problem
from permafrost.records import failure
from permafrost.report import csv_files
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.variables import VARIABLES
from permafrost.report.tables.verification import VERIFICATION
from written_records import TABLES, records_of, said, write_zoo

HOSTILE = [
    "<script>window.hacked = 1<\\script>",
    "<img src=x onerror=window.hacked=1>",
    "</script><script>window.hacked=1</script>",
    "\"><svg onload=window.hacked=1> 'quoted'",
    "{{ 7 * 7 }} {% raw %} ${hacked}",
    "\u202etfel ot thgir\u202c العربية",
    "😀 emoji 日本",
    "&lt;b&gt; &amp; <!-- --> ]]>",
    "__proto__",
    "constructor",
    "100% %41 #x ?y",
]


def failed(model: str, cause: str, message: str, hint: str = "") -> dict[str, dict]:
    """The records of a model that could not be imported."""
    outcome = failure("import_meta", Problem(cause, message, hint))
    return {name: {**said(outcome), "model": model} for name in ("import", "provenance", "verify")}


def write_tables(home: Path, model: str, **replaced: list[list]) -> None:
    """A model's own tables, with a row or two in each; `replaced` gives other rows for some of them."""
    rows = {
        "variables": [["w", "VariableV2", "float", "[2, 3]", 24, "w", "", "yes"]],
        "verification": [
            ["out:0", 0, 0, 2, "fresh", "float32", "[2]", "random", "bitwise", None]
            + [0, 0.0, 0.0, 0, 1.0, 0, 0, 0, 0, "", "", "", ""]
        ],
        "findings": [[model, "warning", "random_op", "drop", "it is random"]],
    } | replaced  # fmt: skip
    for name, table in {"variables": VARIABLES, "verification": VERIFICATION, "findings": FINDINGS}.items():
        cells = [[csv_files.text(value) for value in row] for row in rows[name]]
        csv_files.write(home / "reports" / "models" / model / f"{name}.csv", table.header, cells)
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><text>graph</text></svg>'
    (home / "reports" / "models" / model / "graph.svg").write_text(picture)


def write_page(home: Path, records: dict[str, dict[str, dict]], zoo: str = "zoo", **of_model) -> Path:
    """index.html of a zoo with these records, in `home`/reports; tables of the models are to be there already."""
    write_zoo(home, records, **of_model)
    reports = home / "reports"
    made = [f"--{name.replace('_', '-')}={reports / name}.csv" for name in TABLES]
    where = [f"--frozen={home / 'frozen'}", f"--reports={reports}"]
    assert summarize.main([f"--state={home / 'state.json'}", *where, *made]) == 0
    compared = [f"--kept={home / 'kept.csv'}", str(reports / "summary.csv"), str(reports / "changes.csv")]
    assert changes.main(compared) == 0
    assert list_exports.main([f"--state={home / 'state.json'}", *where, str(reports / "exports.csv")]) == 0
    assert page_written(reports / "index.html", home / "frozen", reports, zoo) == 0
    return reports / "index.html"


def page_written(html: Path, frozen: Path, reports: Path, zoo: str = "zoo") -> int:
    """The exit status of what writes a page, and the brief beside it; the state lies where write_zoo puts it."""
    made = [f"--page={html}", f"--brief={html.with_name('summary.md')}"]
    return page.main(
        [f"--state={html.parents[1] / 'state.json'}", f"--frozen={frozen}", f"--reports={reports}", *made, "--", zoo]
    )


def data_of(html: Path) -> dict:
    """What the page's script gets."""
    text = html.read_text(encoding="utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


def mixed_zoo(home: Path) -> Path:
    """The page of four models: two verified, one that differs, one that failed as expected."""
    records = {
        "a/verified": records_of("a/verified"),
        "b/large": records_of("b/large"),
        "c/differs": records_of("c/differs", status="mismatch", cause="outputs_differ", message="out:0 differs"),
        "d/failed": failed("d/failed", "missing_shard", "shard 1 of 2 is missing"),
    }  # fmt: skip
    records["b/large"]["import"] |= {"checkpoint_bytes": 5_000_000, "format": "V1", "tensorflow_version": "0.9.0"}
    records["b/large"]["provenance"] |= {"frozen_bytes": 4_000_000}
    for model in records:
        (home / "reports" / "models" / model).mkdir(parents=True)
        write_tables(home, model)
    return write_page(home, records)


def names(tab) -> list[str]:
    return tab.locator("#table tbody tr td:first-child").all_inner_texts()
