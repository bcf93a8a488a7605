"""index.html in a real browser, from the disk and without a network."""

import time

import pytest

import page as page_stage
from pages import browser, failed, mixed_zoo, write_page, write_tables  # noqa: F401 - browser is a fixture
from permafrost.report import csv_files
from permafrost.report.page import overview
from permafrost.report.tables.changes import CHANGES
from permafrost.report.tables.exports import EXPORTS
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.op_types import OP_TYPES
from permafrost.report.tables.summary import SUMMARY
from permafrost.report.tables.timings import TIMINGS
from permafrost.report.tables.verification import VERIFICATION
from written_records import export_of, records_of

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


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    return mixed_zoo(tmp_path_factory.mktemp("mixed"))


@pytest.fixture
def opened(browser):  # noqa: F811
    """A function that opens a page; at the end there was no error, and no request but for the page itself."""
    seen = {"errors": [], "requests": []}
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.on("console", lambda message: seen["errors"].append(message.text))
    tab.on("pageerror", lambda error: seen["errors"].append(str(error)))
    tab.on("request", lambda request: seen["requests"].append(request.url))
    tab.on("dialog", lambda dialog: seen["errors"].append(dialog.message))
    pages = []

    def go(path, hash_: str = ""):
        pages.append(path)
        tab.goto(path.as_uri() + hash_)
        return tab

    yield go
    context.close()
    assert seen["errors"] == []
    assert {url.partition("#")[0] for url in seen["requests"] if not url.startswith("data:")} == {
        path.as_uri() for path in pages
    }


def names(tab) -> list[str]:
    return tab.locator("#table tbody tr td:first-child").all_inner_texts()


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
    assert names(tab) == ["d/failed"] and tab.locator("#count").inner_text() == "1 of 4 models"
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


def test_columns_can_be_chosen(mixed, opened):
    tab = opened(mixed)
    assert "trials" not in tab.locator("#table thead").inner_text()
    tab.locator("summary").click()
    tab.get_by_label("trials").check()
    assert "trials" in tab.locator("#table thead").inner_text()


def test_a_model_opens_and_closes_with_the_keyboard(mixed, opened):
    tab = opened(mixed)
    link = tab.locator("#table tbody a").first
    link.focus()
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.textContent") == "b/large"
    tab.keyboard.press("Enter")
    dialog = tab.locator("dialog[open]")
    dialog.wait_for()
    assert dialog.locator("h2").inner_text() == "b/large" and tab.url.endswith("#model=b%2Flarge")
    assert tab.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    tab.keyboard.press("Escape")
    tab.wait_for_function("!location.hash")  # A dialog tells of its closing in a task of its own, after it has closed.
    assert tab.locator("dialog[open]").count() == 0 and "#model" not in tab.url
    assert tab.evaluate("document.activeElement.textContent") == "b/large", "the focus is where it was"
    tab.locator("#table tbody tr").nth(2).locator("td").nth(2).click()
    assert tab.locator("dialog[open] h2").inner_text() == "c/differs"
    tab.get_by_role("button", name="Close").click()
    assert tab.locator("dialog[open]").count() == 0
    tab.go_back()


def test_a_model_says_all_that_is_known(mixed, opened):
    tab = opened(mixed, "#model=a%2Fverified")
    text = tab.locator("dialog[open]").inner_text()
    for said in (
        "verified", "float32", "the only end", "predictions", "nodes before", "28", "Add",
        "w", "100 %", "bitwise", "it is random", "Assign -> Identity: a", "import_meta", "0123abcd",
        "snakemake", "--forcerun verify",
    ):  # fmt: skip
        assert said in text, said
    links = tab.locator("dialog a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    assert "models/a/verified/verification.csv" in links and "../frozen/a/verified/frozen_graph.pb" in links
    assert tab.locator("dialog img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 10


@pytest.mark.parametrize(
    "hash_", ["#model=a%2Fverified", "#model=nobody", "#model=%E0%A4%A", "#model=__proto__", "#models"]
)
def test_deep_links(mixed, opened, hash_):
    tab = opened(mixed, hash_)
    shown = tab.locator("dialog[open] h2").all_inner_texts()
    assert shown == (["a/verified"] if "verified" in hash_ else [])


def test_back_and_forward(mixed, opened):
    tab = opened(mixed)
    tab.locator("#table tbody a").first.click()
    tab.locator("dialog[open]").wait_for()
    tab.go_back()
    tab.wait_for_function("!document.querySelector('dialog').open")
    tab.go_forward()
    tab.locator("dialog[open]").wait_for()


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


def test_no_text_can_become_html(mixed, browser):  # noqa: F811
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
def test_contrast(mixed, browser, scheme):  # noqa: F811
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
    """The tables of `count` models, and none of their records."""
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


def test_ten_thousand_models(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(overview, "MOST_DETAIL", 0)
    write_large_zoo(tmp_path, 10_000)
    path = tmp_path / "index.html"
    start = time.monotonic()
    assert page_stage.main([f"--frozen={tmp_path}", f"--reports={tmp_path}", f"--page={path}", "--", "zoo"]) == 0
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


def test_a_models_exports_with_hostile_names(tmp_path, opened):
    model = "a/<b>m</b>"
    refused = {"status": "refused", "cause": "unsupported_op", "message": HOSTILE[1], "hint": HOSTILE[2]}
    records = {model: records_of(model) | export_of(model, "onnx") | export_of(model, "tflite", refused, **refused)}
    (tmp_path / "reports" / "models" / model).mkdir(parents=True)
    write_tables(tmp_path, model)
    html = write_page(tmp_path, records, exports={"onnx": "verified", "tflite": "verified"})
    tab = opened(html, "#model=a%2F%3Cb%3Em%3C%2Fb%3E")
    section = tab.locator("dialog section", has=tab.locator("h3", has_text="Exports"))
    assert section.locator(".badge").all_inner_texts() == ["verified", "refused"]
    assert HOSTILE[1] in section.inner_text()
    assert (
        "Changed before it became onnx and tflite: 1 x Switch; 2 x Merge" in section.locator("li").all_inner_texts()[0]
    )
    texts = tab.locator("dialog .commands code").all_inner_texts()
    assert sum("--forcerun export_tflite" in text and "judged_tflite.json" in text for text in texts) == 1
    links = tab.locator("dialog .links a").all_inner_texts()
    assert "model.onnx" in links and "model.tflite" not in links and "export_tflite.json" in links
    on_top = tab.locator("section[aria-labelledby=exports-title]")
    assert on_top.locator("#export-counts tbody tr").all_inner_texts() == [
        "onnx\t1\t0\t0\t0\t0",
        "tflite\t0\t0\t0\t1\t0",
    ]
    assert on_top.locator("#exports-not-well tbody tr").count() == 1
    assert HOSTILE[1] in on_top.inner_text() and HOSTILE[2] in on_top.inner_text()
    assert tab.evaluate("window.hacked") is None
