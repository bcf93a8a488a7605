"""index.html in a real browser, from the disk and without a network."""

import csv
import io
import time
from pathlib import Path

import pytest

from pages import browser, failed, mixed_zoo, page_written, write_page, write_tables  # noqa: F401 - browser is a fixture
from permafrost.model import About
from permafrost.report import csv_files
from permafrost.report.page import overview
from permafrost.report.tables.changes import CHANGES
from permafrost.report.tables.exports import EXPORTS
from permafrost.report.tables.findings import FINDINGS
from permafrost.report.tables.judged import JUDGED
from permafrost.report.tables.op_types import OP_TYPES
from permafrost.report.tables.ops import OPS
from permafrost.report.tables.steps import STEPS
from permafrost.report.tables.summary import SUMMARY
from permafrost.report.tables.timings import TIMINGS
from permafrost.report.tables.verification import VERIFICATION
from written_records import export_of, records_of, write_state

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


def test_the_panel_turns_to_the_models_before_and_after(mixed, opened):
    tab = opened(mixed, "#status=verified&model=a%2Fverified")
    dialog = tab.locator("dialog[open]")
    assert "1 of 2" in dialog.inner_text() and dialog.get_by_role("button", name="Previous").is_disabled()
    dialog.get_by_role("button", name="Next").click()
    assert dialog.locator("h2").inner_text() == "b/large" and "model=b%2Flarge" in tab.url
    assert dialog.get_by_role("button", name="Next").is_disabled()


def test_the_panel_has_a_table_of_contents(mixed, opened):
    tab = opened(mixed, "#model=a%2Fverified")
    titles = tab.locator("dialog section h3").evaluate_all("all => all.map((h) => h.firstChild.textContent)")
    assert tab.locator("dialog .contents button").all_inner_texts() == titles
    tab.locator("dialog .contents").get_by_role("button", name="Do it again").click()
    tab.wait_for_function("document.activeElement.textContent.startsWith('Do it again')")


def test_a_failed_model_has_no_empty_cards(mixed, opened):
    tab = opened(mixed, "#model=d%2Ffailed")
    titles = tab.locator("dialog .contents button").all_inner_texts()
    assert not {"Card", "Inputs and outputs", "Graph", "What was frozen", "Nodes"} & set(titles)
    assert not {"card.md", "SHA256SUMS", "example.npz"} & set(tab.locator("dialog .links a").all_inner_texts())


def test_rows_are_downloaded_as_they_are_filtered(mixed, opened):
    tab = opened(mixed, "#status=verified")
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="Download these rows").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["model"] for row in rows] == ["a/verified", "b/large"]
    assert rows[1]["checkpoint_bytes"] == "5000000" and rows[0]["outputs"] == "predictions; loss:1"


def test_every_node_can_be_searched(tmp_path, opened):
    records = {"a": records_of("a")}
    html = write_page(tmp_path, records)
    node = dict.fromkeys(OPS.header, "")
    rows = [
        node | {"name": f"layer{n}/<b>w</b>", "type": "MatMul", "shapes": f"[?, {n}]", "dtypes": "float32"}
        for n in range(120)
    ]
    OPS.write(tmp_path / "reports" / "models" / "a" / "ops.csv", rows)
    OPS.write(tmp_path / "reports" / "models" / "a" / "frozen_ops.csv", rows[:3])
    assert page_written(html, tmp_path / "frozen", html.parent) == 0
    tab = opened(html, "#model=a")
    search = tab.get_by_label("Search the nodes")
    search.fill("layer2/ matmul")
    found = tab.locator("dialog section", has=search).locator("tbody tr")
    assert found.all_inner_texts() == ["layer2/<b>w</b>\tMatMul\t\tfloat32\t[?, 2]\tyes"]
    search.fill("float32")
    tab.get_by_text("120 of 120 nodes; the first 50").wait_for()
    assert found.count() == 50


def test_a_command_is_copied(mixed, browser):  # noqa: F811
    context = browser.new_context(offline=True, permissions=["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    tab.goto(mixed.as_uri() + "#model=a%2Fverified")
    command = tab.locator("dialog .commands li", has_text="--forcerun verify")
    command.get_by_role("button").click()
    command.get_by_role("button", name="Copied", exact=True).wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()
    context.close()


def test_a_card_has_what_its_owner_says_and_programs_to_copy(tmp_path, browser):  # noqa: F811
    text = HOSTILE[2]
    records = records_of("a") | export_of("a", "onnx")
    records["verify"]["example"] = {"sha256": "ef" * 32, "bytes": 9, "changed": 1, "seed": 0, "batch": 2}
    about = About(title="Weather", task=text, licence="MIT", notes=f"one\n{text}")
    html = write_page(tmp_path, {"a": records}, about=about, exports={"onnx": "verified"})
    context = browser.new_context(offline=True, permissions=["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    tab.goto(html.as_uri() + "#model=a")
    assert tab.locator("dialog .contents button").all_inner_texts()[:3] == ["In short", "Card", "Inputs and outputs"]
    card = tab.locator("dialog section[data-title=Card]")
    assert card.locator("dt").all_inner_texts() == ["title", "task", "licence"]
    assert card.locator("dd").all_inner_texts() == ["Weather", text, "MIT"]
    assert card.locator(".notes").inner_text() == f"one\n{text}" and tab.evaluate("window.hacked") is None
    assert card.locator("h4").all_inner_texts() == ["With the frozen graph", "With ONNX"]
    assert card.locator("p code").all_inner_texts() == ["example.npz", "frozen_graph.pb"]
    for number, (file, button) in enumerate([("frozen_graph.pb", "first"), ("model.onnx", "last")]):
        getattr(card.locator("button"), button).click()
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert copied == card.locator("pre").nth(number).text_content() and file in copied
    links = tab.locator("dialog .links a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    assert {f"../frozen/a/{name}" for name in ("card.md", "SHA256SUMS", "example.npz")} < set(links)
    panel = tab.locator("dialog").inner_text()
    assert panel.count("the only end") == 1 and panel.count("75% sure") == 1 and "outputs confidence" not in panel
    context.close()


def test_the_card_of_a_model_that_is_not_verified_has_no_program(mixed, opened):
    tab = opened(mixed, "#model=c%2Fdiffers")
    card = tab.locator("dialog section[data-title=Card]")
    assert "from the graph, 75% sure." in card.inner_text() and card.locator("pre, h4, button").count() == 0
    links = tab.locator("dialog .links a").all_inner_texts()
    assert "card.md" in links and "example.npz" not in links


def test_steps_of_a_series_are_compared(tmp_path, opened):
    html = write_page(tmp_path, {name: records_of(name) for name in ("m-1", "m-2")})
    told = {"since": "m-1", "dtype": "float32", "shape": "[2]", "elements": 2, "frozen": "yes"}
    rows = [
        told | {"tensor": "w", "change": "changed", "changed_elements": 1, "relative_change": 0.25},
        told | {"tensor": "b", "change": "same", "changed_elements": 0, "relative_change": 0.0},
    ]
    STEPS.write(tmp_path / "reports" / "models" / "m-2" / "steps.csv", rows)
    assert page_written(html, tmp_path / "frozen", html.parent) == 0
    tab = opened(html, "#model=m-2")
    section = tab.locator("dialog section", has=tab.locator("h3", has_text="Since the step before"))
    assert "1 of 2 weights are other than in m-1." in section.inner_text()
    assert section.locator("tbody tr").all_inner_texts() == ["w\tchanged\tfloat32\t[2]\t2\t1\t0.25\t"]
    section.get_by_role("link", name="m-1").click()
    tab.wait_for_function("document.querySelector('dialog h2').textContent === 'm-1'")


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
def test_the_table_of_exports_scrolls_by_itself(width, tmp_path, browser):  # noqa: F811
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
def test_nothing_is_off_the_screen(mixed, browser, width, scheme):  # noqa: F811
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
