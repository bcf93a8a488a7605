"""index.html in a real browser, from the disk and without a network."""

import csv
import io
import time
from pathlib import Path

import pytest

from pages import HOSTILE, failed, names, page_written, write_page, write_tables
from permafrost.report import csv_files
from permafrost.report.page import overview
from permafrost.report.tables.changes import CHANGES
from permafrost.report.tables.exports import EXPORTS
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.judged import JUDGED
from permafrost.report.tables.op_types import OP_TYPES
from permafrost.report.tables.summary import SUMMARY
from permafrost.report.tables.timings import TIMINGS
from permafrost.report.tables.verification import VERIFICATION
from written_records import export_of, records_of, write_state


def test_the_answer_comes_first(mixed, opened):
    tab = opened(mixed)
    assert tab.locator(".verdict").inner_text() == "2 of 4 models are verified, and 2 are not as expected"
    assert tab.locator(".tile .number").all_inner_texts() == ["2", "1", "0", "1"]
    steps = tab.locator(".step").all_inner_texts()
    assert "outputs_differ" in steps[0] and "do not use the frozen graph" in steps[0]
    assert "missing_shard" in steps[1] and "copy all" in steps[1] and "d/failed" in steps[1]
    assert names(tab) == ["a/verified", "b/large", "c/differs", "d/failed"]


def test_columns_are_sorted_with_blanks_last(mixed, opened):
    tab = opened(mixed)
    header = tab.locator('th[data-column="frozen_bytes"]')
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert names(tab)[0] == "b/large" and names(tab)[-1] == "d/failed"
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert names(tab)[-2:] == ["b/large", "d/failed"]
    assert tab.evaluate("document.activeElement.textContent") == "frozen bytes", "the focus stays on the button"
    tab.locator('th[data-column="model"] button').click()
    tab.locator('th[data-column="model"] button').click()
    assert names(tab)[0] == "d/failed"


def test_search_and_filters(mixed, opened):
    tab = opened(mixed)
    tab.get_by_label("Search").fill("SHARD missing")
    assert names(tab) == ["d/failed"] and tab.locator("#count").inner_text().startswith("1 of 4 models")
    tab.get_by_label("Search").fill("nothing has this")
    assert names(tab) == []
    tab.get_by_role("button", name="Show all").click()
    assert len(names(tab)) == 4
    for label, value, expected in (
        ("Status", "mismatch", ["c/differs"]),
        ("Cause", "missing_shard", ["d/failed"]),
        ("TensorFlow", "0.9.0", ["b/large"]),
        ("Format", "V1", ["b/large"]),
        ("Checkpoint", "1 MB to 10 MB", ["b/large"]),
        ("Expected", "no", ["c/differs", "d/failed"]),
        ("Finding", "random_op", ["a/verified", "b/large", "c/differs", "d/failed"]),
    ):
        tab.get_by_label(label, exact=True).select_option(value)
        assert names(tab) == expected, label
        tab.get_by_role("button", name="Show all").click()
    tab.locator(".step button").first.click()
    assert names(tab) == ["c/differs"]


def test_words_are_searched_in_versions_ops_and_findings(mixed, opened):
    tab = opened(mixed)
    for words, expected in (
        ("0.9.0", ["b/large"]),
        ("savev2 add 1.12.0", ["a/verified", "c/differs"]),
        ("RANDOM_op large", ["b/large"]),
        ("add nothing", []),
    ):
        tab.get_by_label("Search", exact=True).fill(words)
        assert names(tab) == expected, words


def test_enter_opens_the_only_row_left(mixed, opened):
    tab = opened(mixed)
    search = tab.get_by_label("Search", exact=True)
    search.fill("verified")
    search.press("Enter")
    assert tab.locator("dialog[open]").count() == 0, "two rows have the word"
    search.fill("large")
    search.press("Enter")
    assert tab.locator("dialog[open] h2").inner_text() == "b/large"


def test_filters_are_in_the_address(mixed, opened):
    tab = opened(mixed, "#status=verified&search=large")
    assert names(tab) == ["b/large"]
    tab.get_by_label("Search", exact=True).fill("a&b=c %")
    tab.wait_for_url("**search=a%26b%3Dc%20%25*")
    tab.reload()
    assert tab.get_by_label("Search", exact=True).input_value() == "a&b=c %" and names(tab) == []
    tab.get_by_role("button", name="Show all").click()
    tab.wait_for_url("**/index.html")
    tab.get_by_label("Status", exact=True).select_option("verified")
    tab.locator("#table tbody tr").first.locator("td").nth(2).click()
    tab.wait_for_url("**/index.html#status=verified&model=a%2Fverified")
    tab.keyboard.press("Escape")
    tab.wait_for_url("**/index.html#status=verified")
    assert names(tab) == ["a/verified", "b/large"]


def test_rows_are_downloaded_as_they_are_filtered(mixed, opened):
    tab = opened(mixed, "#status=verified")
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="Download these rows").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["model"] for row in rows] == ["a/verified", "b/large"]
    assert rows[1]["checkpoint_bytes"] == "5000000" and rows[0]["outputs"] == "predictions; loss:1"


def test_exports_are_filtered_and_next(tmp_path, opened):
    refused = {"status": "refused", "cause": "unsupported_op", "message": "no", "hint": "choose `outputs:`"}
    records = {
        "a": records_of("a") | export_of("a", "onnx"),
        "b": records_of("b") | export_of("b", "onnx", refused, **refused),
    }
    tab = opened(write_page(tmp_path, records, exports={"onnx": "verified"}))
    step = tab.locator(".step")
    assert "refused as onnx" in " ".join(step.inner_text().split()) and "outputs:" in step.inner_text()
    step.get_by_role("button").click()
    assert names(tab) == ["b"]
    tab.get_by_label("Export", exact=True).select_option("onnx: verified")
    assert names(tab) == ["a"]


@pytest.mark.parametrize("width", [420, 800, 1000])
def test_the_table_of_exports_scrolls_by_itself(width, tmp_path, browser):
    model = "a_directory_with_a_name__of_its_owner/inference_model.ckpt"
    refused = {
        "status": "refused",
        "cause": "unsupported_op",
        "message": "node 'a' is a B",
        "hint": "choose `outputs:`",
    }
    records = {model: records_of(model) | export_of(model, "onnx", refused, **refused, max_abs_diff=0.000185534358024)}
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(write_page(tmp_path, records, exports={"onnx": "verified"}).as_uri())
    assert tab.locator("#exports-not-well").is_visible()
    assert tab.locator("html").evaluate("e => e.scrollWidth - e.clientWidth") == 0
    tab.close()


def test_frozen_graphs_of_other_tools_have_a_section(tmp_path, opened):
    html = write_page(tmp_path, {"a": records_of("a"), "b": records_of("b")})
    row = {"expect": "verified", "frozen_graph": "theirs.pb"}
    differs = {"status": "mismatch", "cause": "outputs_differ", "message": HOSTILE[0], "hint": HOSTILE[1]}
    rows = [row | {"model": "a", "status": "verified"}, row | {"model": "b", **differs}]
    JUDGED.write(tmp_path / "reports" / "judged.csv", rows)
    assert page_written(html, tmp_path / "frozen", html.parent) == 0
    tab = opened(html)
    assert tab.locator("#judged tbody tr td:first-child").all_inner_texts() == ["b", "a"]
    assert HOSTILE[0] in tab.locator("#judged").inner_text() and tab.evaluate("window.hacked") is None


def test_a_judged_table_that_is_none_is_left_out(tmp_path):
    html = write_page(tmp_path, {"a": records_of("a")})
    (html.parent / "judged.csv").write_bytes(b"\xff")
    assert page_written(html, tmp_path / "frozen", html.parent) == 0
    assert 'id="judged"' not in html.read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 900, 1366, 1600, 2560])
def test_nothing_is_off_the_screen(mixed, browser, width, scheme):
    """The page and the panel do not scroll sideways, and the menu of columns is all there."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.goto(mixed.as_uri())
    sideways = "e => e.scrollWidth - e.clientWidth"
    assert tab.locator("html").evaluate(sideways) == 0
    tab.locator("summary").click()
    menu = tab.locator(".filters fieldset").bounding_box()
    assert menu["x"] >= 0 and menu["x"] + menu["width"] <= width and menu["width"] > 150
    tab.keyboard.press("Escape")
    if width >= 1366:
        assert tab.locator(".scroller", has=tab.locator("#table")).evaluate(sideways) == 0, "the table is cut"
    tab.locator("#table tbody a").first.click()
    assert tab.locator("dialog[open]").evaluate(sideways) == 0
    assert tab.locator("html").evaluate(sideways) == 0
    tab.close()


def test_columns_can_be_chosen(mixed, opened):
    tab = opened(mixed)
    assert "trials" not in tab.locator("#table thead").inner_text()
    tab.locator("summary").click()
    tab.get_by_label("trials").check()
    assert "trials" in tab.locator("#table thead").inner_text()


def test_hostile_names_are_text(tmp_path, opened):
    records = {}
    for number, text in enumerate(HOSTILE):
        model = text if text.isidentifier() else f"{number} {text.replace('/', '|')}"
        records[model] = records_of(model, status="unverifiable", cause="no_feed", message=text, hint=f"do {text}")
        records[model]["import"] |= {"tensorflow_version": text, "outputs": [text], "outputs_why": text}
        records[model]["import"]["inputs"] = {text: {"dtype": text, "shape": [text, None], "why": text}}
        records[model]["import"]["op_types"] = {text: 3, "Add": 1}
        records[model]["provenance"] |= {
            "repairs": [{"repair": text, "node": text}],
            "versions": {text: text},
            "op_types": {text: 2, "Add": 1},
        }
        (tmp_path / "reports" / "models" / model).mkdir(parents=True)
        write_tables(
            tmp_path,
            model,
            variables=[[text, text, text, text, 4, text, text, text]],
            verification=[[text] * len(VERIFICATION.header)],
            findings=[[model, "error", text, text, text]],
        )
    page = write_page(tmp_path, records)
    tab = opened(page)
    assert sorted(names(tab)) == sorted(records)
    for model, text in zip(records, HOSTILE, strict=True):
        tab.evaluate("id => { location.hash = 'model=' + encodeURIComponent(id) }", model)
        tab.wait_for_function("id => document.querySelector('dialog h2')?.textContent === id", arg=model)
        assert text in tab.locator("dialog").evaluate("dialog => dialog.textContent")
        tab.keyboard.press("Escape")
    content = tab.evaluate("document.body.textContent")
    assert all(text in content for text in HOSTILE)
    assert tab.evaluate("window.hacked") is None and tab.locator("main img, main script").count() == 0


def test_no_text_can_become_html(mixed, browser):
    tab = browser.new_page()
    tab.goto(mixed.as_uri())
    with pytest.raises(Exception, match="TrustedHTML"):
        tab.evaluate("document.body.innerHTML = '<b>x</b>'")
    tab.evaluate("""() => {
        const script = document.createElement('script');
        try { script.textContent = 'window.hacked = 1' } catch { return }
        document.body.append(script);
    }""")
    assert tab.evaluate("window.hacked") is None
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(mixed, browser, scheme):
    """Text stands out from what is behind it by 4.5 to 1, as WCAG 2 AA asks."""
    tab = browser.new_page(color_scheme=scheme)
    tab.goto(mixed.as_uri() + "#model=c%2Fdiffers")
    poor = tab.evaluate(
        """() => {
        const parts = (color) => color.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = (element) => {
            for (let e = element; e; e = e.parentElement) {
                const back = parts(getComputedStyle(e).backgroundColor);
                if (back.length === 3 || back[3] > 0.99) return back;
            }
            return parts(getComputedStyle(document.body).backgroundColor);
        };
        const poor = [];
        for (const element of document.querySelectorAll("body *")) {
            const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
            if (!own || element.closest("script, style, svg") || !element.checkVisibility()) continue;
            const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) poor.push([element.tagName, element.className, element.textContent.slice(0, 30), ratio]);
        }
        return poor;
    }"""
    )
    assert poor == []
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(back.split("(")[1].split(",")[0])
    assert (red < 60) == (scheme == "dark")
    tab.close()


def test_headings_labels_and_names(mixed, opened):
    tab = opened(mixed, "#model=a%2Fverified")
    levels = tab.locator("h1, h2, h3, h4").evaluate_all("all => all.map((h) => Number(h.tagName[1]))")
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all(tab.locator("h1, h2, h3, h4").all_text_contents())
    nameless = tab.locator("button, select, input, a, summary").evaluate_all(
        "all => all.filter((e) => !e.textContent.trim() && !(e.labels && e.labels.length)).map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert tab.locator("table:not(.plain)").evaluate_all("all => all.every((table) => table.caption.textContent)")
    assert tab.locator("th").evaluate_all("all => all.every((th) => th.scope)")
    assert tab.locator("html").get_attribute("lang") == "en"
    assert tab.locator("img").evaluate_all("all => all.every((image) => image.alt)")


def write_large_zoo(home, count: int):
    """The tables of `count` models in `home`, and none of their records."""
    home.mkdir()
    rows = []
    for number in range(count):
        status = "verified" if number % 10 else "failed"
        facts = {"model": f"team{number % 90}/net{number:05}", "status": status, "expect": "verified", "format": "V2"}
        facts |= {"cause": "" if number % 10 else "missing_shard", "tensorflow_version": f"1.{number % 16}.0"}
        facts |= {"nodes": number * 7, "checkpoint_bytes": number * 99_991 + 1, "frozen_bytes": number * 33_331 + 1}
        facts |= {"inputs_why": f"x: float32 [?, {number}], floats from 0 to 1", "outputs": f"scope{number}/out:0"}
        rows.append([csv_files.text(facts.get(column)) for column in SUMMARY.header])
    csv_files.write(home / "summary.csv", SUMMARY.header, sorted(rows))
    empty = {"changes": CHANGES, "findings": FINDINGS, "timings": TIMINGS, "op_types": OP_TYPES, "exports": EXPORTS}
    for name, table in empty.items():
        table.write(home / f"{name}.csv", [])
    write_state(home.parent, [row[SUMMARY.header.index("model")] for row in rows])


def test_ten_thousand_models(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(overview, "MOST_DETAIL", 0)
    path = tmp_path / "reports" / "index.html"
    write_large_zoo(path.parent, 10_000)
    start = time.monotonic()
    assert page_written(path, tmp_path / "frozen", path.parent) == 0
    assert time.monotonic() - start < 30
    assert path.stat().st_size < 12_000_000
    start = time.monotonic()
    tab = opened(path)
    assert tab.locator("#count").inner_text() == "10,000 models"
    assert time.monotonic() - start < 15
    assert len(names(tab)) == 100 and tab.locator("#pages span").inner_text() == "Page 1 of 100"
    start = time.monotonic()
    tab.get_by_role("button", name="Next").click()
    tab.get_by_label("Status", exact=True).select_option("failed")
    tab.locator('th[data-column="nodes"] button').click()
    tab.get_by_label("Search").fill("net0999")
    assert names(tab) == ["team0/net09990"]
    assert time.monotonic() - start < 10
    tab.get_by_role("button", name="Show all").click()
    tab.locator('th[data-column="checkpoint_bytes"] button').click()
    assert names(tab)[0] == "team9/net09999"
    tab.locator("#table tbody a").first.click()
    assert "the details of 0 of 10000 models" in tab.locator("dialog[open]").inner_text()


def test_no_models(tmp_path, opened):
    tab = opened(write_page(tmp_path, {}))
    assert tab.locator(".verdict").inner_text() == "There is no model" and names(tab) == []
    assert "No checkpoint was found" in tab.locator("main").inner_text()


def test_models_of_which_nothing_is_known(tmp_path, opened):
    tab = opened(write_page(tmp_path, {"a": {}, "b": failed("b", "corrupt", "x")}), "#model=a")
    assert "cannot be read" in tab.locator("dialog[open]").inner_text()
