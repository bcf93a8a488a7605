"""index.html as it is written: what is in it, what is not, and when it is not written at all."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest

import page
from pages import data_of, failed, mixed_zoo, page_written, write_page, write_tables
from permafrost.report import causes, reference, run_file
from permafrost.report.columns import INTEGER, TEXT, Table
from permafrost.report.page import content, details, head, overview, plots, trend
from permafrost.report.page.hidden_paths import hider
from permafrost.report.tables.changes import CHANGES
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.summary import SUMMARY
from permafrost.workflow.code_digest import code_digest
from written_records import records_of, write_zoo


def as_is(text: str) -> str:
    return text


def frame(rows: list[dict], table: Table) -> pd.DataFrame:
    return pd.DataFrame([[row.get(name, "") for name in table.header] for row in rows], columns=table.header, dtype=str)


def summary_of(*rows: dict) -> pd.DataFrame:
    return frame([{"expect": "verified", **row} for row in rows], SUMMARY)


def test_it_needs_nothing_from_elsewhere(tmp_path):
    html = mixed_zoo(tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)=["'](?:https?:|//)|@import|url\(""", html)
    assert set(re.findall(r"https?://[\w./]+", html)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert html.count("<script") == 2 and "default-src 'none'" in html


def test_the_same_tables_make_the_same_page(tmp_path):
    html = mixed_zoo(tmp_path)
    first = html.read_bytes(), html.with_name("summary.md").read_bytes()
    assert page_written(html, tmp_path / "frozen", html.parent) == 0
    assert (html.read_bytes(), html.with_name("summary.md").read_bytes()) == first


def test_it_says_what_a_cause_means(tmp_path):
    path = write_page(tmp_path, {"a": failed("a", "missing_shard", "a shard is gone", "copy it")})
    assert causes.MEANINGS["missing_shard"] in path.read_text(encoding="utf-8").partition('id="data">')[0]
    assert data_of(path)["causes"]["missing_shard"] == causes.MEANINGS["missing_shard"]


PRIVATE = "/Users/alice.smith/secret project/runs/model.ckpt"


def test_paths_and_users_are_in_findings_and_commands_alone(tmp_path):
    own = os.path.join(tmp_path, "my zoo")
    records = {
        "a": records_of("a", status="mismatch", cause="outputs_differ", message=f"{own}/a.index and {PRIVATE} differ"),
        "b": failed("b", "no_meta_graph", f"{PRIVATE} is missing", rf"copy C:\Users\bob.jones\b.meta to {own}"),
    }
    records["a"]["import"] |= {"prefix": f"{own}/a", "outputs_why": f"see {PRIVATE}", "findings": [f"of {PRIVATE}"]}
    records["a"]["provenance"] |= {
        "repairs": [{"repair": f"{PRIVATE}: gone", "node": "a"}],
        "versions": {"file": PRIVATE},
    }
    for model in records:
        (tmp_path / "reports" / "models" / model).mkdir(parents=True)
        advice = f"it holds {PRIVATE}, found in {own}/a.meta"
        write_tables(tmp_path, model, findings=[[model, "info", "private_string", "node", advice]])
        (tmp_path / "reports" / "models" / model / "graph.svg").write_text(f"<svg><text>{own}/x {PRIVATE}</text></svg>")
    path = write_page(tmp_path, records, zoo=own)
    data = data_of(path)
    del data["commands"]  # These are true as they stand, with the paths of the run.
    told = {model: json.dumps(detail.pop("findings")) for model, detail in data["details"].items()}
    assert all("alice.smith" in text and str(tmp_path) not in text for text in told.values())
    html = re.sub(r"<td><bdi>it holds .*?</bdi></td>", "", path.read_text(encoding="utf-8"))
    outside = html.partition('id="data">')[0] + json.dumps(data)
    for private in ("alice.smith", "bob.jones", str(tmp_path), os.path.expanduser("~") + "/"):
        assert private not in outside, private
    assert "my zoo/a.index" in outside and "…/secret" in json.dumps(data, ensure_ascii=False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/zoo/lenet/model.ckpt.index ends too early", "zoo/lenet/model.ckpt.index ends too early"),
        ("/data/zoo", "zoo"),
        ("/data/zoo2/lenet/x", "…/x"),
        ("named '/srv/bob/x/model.ckpt' in checkpoint", "named '…/model.ckpt' in checkpoint"),
        ("/srv/bob", "…"),
        ("~bob/x and ~/data/x.npz", "… and …/x.npz"),
        (r"C:\Users\bob\m.ckpt", "…/m.ckpt"),
        (r"'C:\\Users\\bob'", "'…'"),
        ("file:///srv/bob/x", "…/x"),
        ("a/b/c, 1/2, scope/op:0", "a/b/c, 1/2, scope/op:0"),
        ("models/a/b.index", "models/a/b.index"),
        ("x / y", "x / y"),
        ("no path", "no path"),
    ],
)
def test_paths_are_shortened(text, shown):
    assert hider(["/data/zoo", "/"])(text) == shown


def test_machine_paths_alone_are_shortened_in_findings():
    assert hider(["/data/zoo"], foreign=False)("/data/zoo/a holds /srv/bob/x") == "zoo/a holds /srv/bob/x"


RUN = run_file.Run(
    began="2026-11-27T19:00:00Z",
    versions={"permafrost": "0.1.0 (abc1234)", "tensorflow": "2.21.0"},
    zoos=["my zoo"],
    started=run_file.Started(
        directory="/data/my runs",
        program=[".venv/bin/snakemake", "--snakefile", "/opt/permafrost/Snakefile"],
        options=["--configfile", "my settings.yaml", "--config", "zoo=my zoo"],
    ),
    settings={"zoo": "1"},
)


def test_commands_are_those_of_the_run():
    made = head.commands(RUN, "frozen", "/data/reports")
    assert made["start"] == ".venv/bin/snakemake --snakefile /opt/permafrost/Snakefile"
    assert made["options"] == "--configfile 'my settings.yaml' --config 'zoo=my zoo'"
    assert (made["directory"], made["frozen"], made["reports"]) == ("/data/my runs", "frozen", "/data/reports")
    assert made["note"] == ""


def test_commands_of_a_run_that_nobody_remembers_say_what_they_lack():
    made = head.commands(None, "frozen", "reports")
    assert (made["start"], made["options"], made["directory"]) == ("snakemake", "", "")
    assert "settings of your workflow" in made["note"]


def test_the_head_says_which_zoo_when_how_long_and_with_what():
    last = {"date": "2026-11-27T19:24:05Z", "seconds": "1445.0", "version": "0.1.0 (abc1234)"}
    assert head.facts(RUN, ["my zoo", "other"], [{}, last]) == [
        ("Zoo", "my zoo, other"), ("Finished", "2026-11-27 19:24 UTC"), ("Took", "24 min 5 s"),
        ("Permafrost", "0.1.0 (abc1234)"), ("TensorFlow", "2.21.0"),
    ]  # fmt: skip
    assert head.facts(None, ["zoo"], []) == [("Zoo", "zoo")]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [("0.0", "0 s"), ("61", "1 min 1 s"), ("7260", "2 h 1 min"), ("", ""), ("nan", ""), ("inf", "")],
)
def test_durations(seconds, said):
    assert trend.duration(seconds) == said


def test_what_is_gravest_comes_first():
    summary = summary_of(
        {"model": "a", "status": "failed", "cause": "corrupt", "hint": "copy"},
        {"model": "b", "status": "failed", "cause": "corrupt", "hint": "copy", "expect": "failed"},
        {"model": "c", "status": "failed", "cause": "no_index", "hint": "put", "expect": "failed"},
        {"model": "d", "status": "mismatch", "cause": "outputs_differ", "hint": "do not"},
        {"model": "e", "status": "verified"},
        {"model": "f", "status": "unverifiable", "cause": "timeout", "hint": "raise"},
    )
    steps = [(step["cause"], step["models"], step["expected"]) for step in overview.next_steps(summary)]
    assert steps == [("outputs_differ", 1, 0), ("corrupt", 2, 1), ("timeout", 1, 0), ("no_index", 1, 1)]
    assert overview.worst_first(summary) == ["d", "a", "f", "b", "c", "e"]
    counted = [(row["models"], row["expected"]) for row in overview.answer(summary)]
    assert counted == [(1, 1), (1, 0), (1, 0), (3, 2)]
    assert content.verdict(summary) == "1 of 6 models are verified, and 3 are not as expected"


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ([], "There is no model"),
        ([("verified", "verified")] * 2, "All models are verified"),
        (
            [("verified", "verified"), ("failed", "failed")],
            "1 of 2 models are verified, and the others are as expected",
        ),
        ([("verified", "verified"), ("failed", "verified")], "1 of 2 models are verified, and 1 is not as expected"),
        ([("verified", "failed")], "All models are verified, and 1 is not as expected"),
    ],
)
def test_the_verdict(statuses, said):
    rows = [{"model": str(n), "status": status, "expect": expect} for n, (status, expect) in enumerate(statuses)]
    assert content.verdict(summary_of(*rows)) == said


def test_the_least_sure_of_the_verified_come_first():
    rows = [
        ("a", "verified", "0.95", "1"), ("b", "verified", "0.6", ""), ("c", "verified", "0.99", "0.2"),
        ("d", "failed", "0.1", ""), ("e", "verified", "0.3", "0.9"), ("f", "verified", "1", ""),
    ]  # fmt: skip
    columns = ["model", "status", "outputs_confidence", "weights_reached"]
    found = overview.unsure(pd.DataFrame(rows, columns=columns).assign(outputs="out"))
    assert [(row["model"], row["few"]) for row in found["named"]] == [("e", False), ("b", False), ("c", True)]
    assert (found["models"], found["few"]) == (3, 1)


def test_where_all_outputs_are_sure_there_is_nothing_to_look_at():
    rows = [("a", "verified", "0.95", "0.9", "out"), ("b", "failed", "0.1", "", "")]
    columns = ["model", "status", "outputs_confidence", "weights_reached", "outputs"]
    assert overview.unsure(pd.DataFrame(rows, columns=columns)) == {"models": 0, "few": 0, "named": []}


def test_texts_that_repeat_are_there_once():
    table = frame(
        [{"model": f"m{n}", "status": "verified", "nodes": str(n), "max_abs_diff": "inf"} for n in range(9)],
        SUMMARY,
    )
    packed = overview.packed(table)
    assert packed["model"] == [f"m{n}" for n in range(9)] and packed["nodes"] == list(range(9))
    assert packed["status"] == {"values": ["verified"], "codes": [0] * 9}
    assert packed["max_abs_diff"] == ["inf"] * 9 and packed["trials"] == [None] * 9


def test_details_are_given_while_there_is_room(monkeypatch):
    monkeypatch.setattr(overview, "MOST_DETAIL", 100)
    asked = []

    def detail(model):
        asked.append(model)
        return {"text": "x" * 30}

    assert list(overview.details("abcdef", detail)) == ["a", "b"] and asked == ["a", "b", "c"]


def test_long_texts_are_cut_where_models_are_many():
    rows = [{"model": f"m{n}", "status": "verified", "message": "x" * 500} for n in range(1001)]
    empty = frame([], FINDINGS)
    many, few = (overview.models_table(summary_of(*found), empty, as_is) for found in (rows, rows[:2]))
    assert len(many["message"]["values"][0]) == 200 and few["message"]["values"] == ["x" * 500]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe", b"a,b\n1\n", b'"', b"[" * 100_000])
@pytest.mark.parametrize(
    "name", ["import.json", "verify.json", "variables.csv", "verification.csv", "findings.csv", "graph.svg"]
)
def test_files_that_cannot_be_read_are_left_out(tmp_path, name, content):
    write_zoo(tmp_path, {"a": records_of("a")})
    write_tables(tmp_path, "a")
    path = tmp_path / "reports" / "models" / "a" / name
    path.unlink() if content is None else path.write_bytes(content)
    made = details.detail(tmp_path / "frozen", tmp_path / "reports", "a", (as_is, as_is))
    json.dumps(made, allow_nan=False)
    assert made["op_types"] and ("graph" in made) == (name != "graph.svg" or bool(content) and content != b"\xff\xfe")


ODD = {
    "import": ({"inputs": {"x": 3}}, {"op_types": {"A": "x"}}, {"timing": 1}),
    "provenance": ({"op_types": {"A": [1]}}, {"sha256": 3}, {"repairs": [None]}, {"inputs": []}),
    "verify": ({"control": 7}, {"environment": [1]}, {"timing": {"stage": "verify"}}),
}


@pytest.mark.parametrize(("name", "changed"), [(name, changed) for name, found in ODD.items() for changed in found])
def test_a_record_with_a_field_of_an_odd_type_is_left_out(tmp_path, name, changed):
    records = records_of("a")
    records[name] |= changed
    write_zoo(tmp_path, {"a": records})
    made = details.detail(tmp_path / "frozen", tmp_path / "reports", "a", (as_is, as_is))
    json.dumps(made, allow_nan=False)
    shown = {"import": "inputs", "provenance": "repairs", "verify": "control"}
    assert {key for key in shown.values() if key in made} == {"inputs", "repairs"} - {shown[name]}
    assert data_of(write_page(tmp_path, {"a": records}))["details"]["a"] == made


def test_a_number_that_json_lacks_makes_no_odd_page(tmp_path):
    timing = {"stage": "verify", "seconds": float("nan"), "cpu_seconds": 1, "peak_mb": 1}
    write_zoo(tmp_path, {"a": records_of("a", timing=timing)})
    made = details.detail(tmp_path / "frozen", tmp_path / "reports", "a", (as_is, as_is))
    json.dumps(made, allow_nan=False)
    assert made["timings"]["rows"][2][1] == "nan"


def test_the_times_of_all_stages_are_shown(tmp_path):
    write_zoo(tmp_path, {"a": records_of("a")})
    shown = details.detail(tmp_path / "frozen", tmp_path / "reports", "a", (as_is, as_is))["timings"]
    assert [row[0] for row in shown["rows"]] == ["import_meta", "freeze", "verify", "list_ops"]
    assert shown["rows"][3][1:] == [1.5, 1.0, 100.5]


def test_the_largest_variables_are_shown_with_the_sum_of_all(tmp_path):
    write_zoo(tmp_path, {"a": records_of("a")})
    rows = [[f"v{n}", "Variable", "", "", n, "", "", "no"] for n in range(100)]
    write_tables(tmp_path, "a", variables=rows)
    shown = details.detail(tmp_path / "frozen", tmp_path / "reports", "a", (as_is, as_is))["variables"]
    assert (shown["of"], shown["total"], len(shown["rows"])) == (100, 4950, details.MOST_ROWS)
    assert [row[0] for row in shown["rows"][:2]] == ["v99", "v98"]


def test_numbers_of_any_length_leave_a_page(tmp_path):
    write_zoo(tmp_path, {"a": records_of("a")})
    write_tables(tmp_path, "a", variables=[["v", "Variable", "", "", "9" * 5000, "", "", "no"]])
    assert data_of(write_page(tmp_path, {"a": records_of("a")}))["details"]["a"]["variables"]["of"] == 1


def test_a_plot_that_cannot_be_drawn_is_left_out(monkeypatch, capsys, tmp_path):
    def fail(spec):
        raise ValueError("no")

    monkeypatch.setattr(plots.vl_convert, "vegalite_to_svg", fail)
    html = mixed_zoo(tmp_path).read_text(encoding="utf-8")
    assert "There is nothing to draw." in html and "not drawn" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 3, plots.MOST_MODELS + 1])
@pytest.mark.parametrize("name", ["plain", "constructor", "__proto__", "<b>&\"'", "·", "😀"])
def test_plots_of_any_names(count, name):
    models = [f"{name}{n}" if n else name for n in range(count)]
    sizes = {"checkpoint_bytes": "5", "frozen_bytes": "7", "tensorflow_version": "1.2.3-rc1", "format": name}
    summary = summary_of(*({"model": model, "status": "verified", **sizes} for model in models))
    timings = pd.DataFrame([(model, name, "1.5") for model in models], columns=["model", "stage", "seconds"])
    op_types = pd.DataFrame([(name, model, "3") for model in models], columns=["op_type", "model", "frozen_nodes"])
    made = list(plots.plots(summary, timings, op_types))
    assert [plot["title"].split()[0] for plot in made] == ["Sizes", "Time", "TensorFlow", "Op"]
    assert not any("<b>" in plot["svg"] for plot in made)


@pytest.mark.parametrize("value", ["", "0", "-1", "inf", "nan", "x"])
def test_no_plot_of_numbers_that_are_none(value):
    summary = summary_of({"model": "m", "status": "failed", "checkpoint_bytes": value, "frozen_bytes": "7"})
    timings = pd.DataFrame([("m", "freeze", value)], columns=["model", "stage", "seconds"])
    op_types = pd.DataFrame([("Add", "m", value)], columns=["op_type", "model", "frozen_nodes"])
    assert [plot["title"] for plot in plots.plots(summary, timings, op_types)] == ["TensorFlow versions and formats"]


@pytest.mark.parametrize("name", ["summary", "timings", "op_types", "findings", "changes", "exports"])
@pytest.mark.parametrize("content", [None, b"", b"a,b\n", b"\xff\xfe\0"])
def test_a_table_that_cannot_be_read_leaves_no_page(tmp_path, name, content, capsys):
    html = mixed_zoo(tmp_path)
    before = html.read_bytes()
    path = tmp_path / "reports" / f"{name}.csv"
    path.unlink() if content is None else path.write_bytes(content)
    assert page_written(html, tmp_path, tmp_path / "reports") == 1 and f"{name}.csv" in capsys.readouterr().err
    assert html.read_bytes() == before and not list(tmp_path.rglob("*.tmp"))


def test_changes_are_shown_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(overview, "MOST_CHANGES", 2)
    html = mixed_zoo(tmp_path)
    assert "all models are new" in html.read_text(encoding="utf-8")
    rows = [{"model": f"<m{n}>", "change": "gone", "column": "status", "before": "verified"} for n in range(5)]
    CHANGES.write(tmp_path / "reports" / "changes.csv", rows)
    assert page_written(html, tmp_path, html.parent) == 0
    text = html.read_text(encoding="utf-8")
    assert "5 gone" in text and "The first 2 of 5 models" in text and "&lt;m1&gt;" in text and "m2" not in text


def test_one_row_tells_what_became_of_a_model():
    rows = [
        ("a", "worse", "status", "verified", "failed"),
        ("b", "gone", "status", "failed", ""),
        ("a", "changed", "cause", "", "corrupt"),
        ("a", "changed", "step", "1", "2"),
        ("c", "changed", "step", "3", "4"),
        ("c", "changed", "frozen_bytes", "5", "6"),
    ]
    told = overview.told_changes(pd.DataFrame(rows, columns=list(CHANGES.header)))
    assert [tuple(row.values()) for row in told] == [
        ("a", "worse", "status", "verified", "failed, corrupt"),
        ("b", "gone", "status", "failed", ""),
        ("c", "changed", "step, frozen_bytes", "3", "4"),
    ]


def test_a_column_that_is_new_to_the_page_is_shown(tmp_path):
    html = mixed_zoo(tmp_path)
    path = tmp_path / "reports" / "summary.csv"
    pd.read_csv(path, dtype=str, keep_default_na=False).assign(behaviour="fine").to_csv(path, index=False)
    assert page_written(html, tmp_path, html.parent) == 0
    assert data_of(html)["models"]["behaviour"] == {"values": ["fine"], "codes": [0] * 4}


def test_columns_have_types():
    assert reference.type_of("frozen_bytes") == INTEGER and reference.type_of("unknown") == TEXT


def test_a_changed_style_is_changed_code(tmp_path):
    scripts = Path(page.__file__).parent
    shutil.copytree(scripts, tmp_path / "one")
    shutil.copytree(scripts, tmp_path / "two")
    (tmp_path / "two" / "permafrost" / "report" / "page" / "assets" / "page.css").write_text("body {}")
    of_page, of_gate = ([code_digest(tmp_path / copy, stage) for copy in ("one", "two")] for stage in ("page", "gate"))
    assert of_page[0] != of_page[1] and of_gate[0] == of_gate[1]


def test_help(capsys):
    with pytest.raises(SystemExit) as caught:
        page.main(["--help"])
    assert caught.value.code == 0 and "--reports" in capsys.readouterr().out


def test_two_thousand_models_take_seconds(tmp_path):
    start = time.monotonic()
    names = [f"m{n:04}" for n in range(2000)]
    path = write_page(tmp_path, {name: records_of(name) for name in names})
    assert time.monotonic() - start < 60 and path.stat().st_size < 2 * overview.MOST_DETAIL
