"""A model's panel on the page, in a real browser: what it says, how it opens, and what is copied from it."""

import pytest

from pages import HOSTILE, page_written, write_page, write_tables
from permafrost.model import About
from permafrost.report.tables.ops import OPS
from permafrost.report.tables.steps import STEPS
from written_records import export_of, records_of


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


def test_a_command_is_copied(mixed, browser):
    context = browser.new_context(offline=True, permissions=["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    tab.goto(mixed.as_uri() + "#model=a%2Fverified")
    command = tab.locator("dialog .commands li", has_text="--forcerun verify")
    command.get_by_role("button").click()
    command.get_by_role("button", name="Copied", exact=True).wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()
    context.close()


def test_a_card_has_what_its_owner_says_and_programs_to_copy(tmp_path, browser):
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
