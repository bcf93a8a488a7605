"""summary.md: one sheet, in which no stranger's text is Markdown, and nothing that matters is missing."""

import re

import pytest

from pages import failed, mixed_zoo, write_page
from permafrost.report import amounts
from written_records import export_of, records_of


def test_it_says_how_it_went_and_what_to_do(tmp_path):
    text = mixed_zoo(tmp_path).with_name("summary.md").read_text(encoding="utf-8")
    assert text.startswith("# 2 of 4 models are verified, and 2 are not as expected\n")
    assert "| verified | 2 | 2 |" in text and "| failed | 1 | 0 |" in text
    assert "- **1** mismatch, outputs\\_differ: do not use the frozen graph" in text and "(c/differs)" in text
    assert "random_op (4 models): it is random" in text and "[index.html](index.html)" in text
    assert len(text.splitlines()) < 60


def test_exports_are_in_it(tmp_path):
    refused = {"status": "refused", "cause": "unsupported_op", "message": "no", "hint": "choose `outputs:` anew"}
    records = {"a": records_of("a") | export_of("a", "onnx", refused, **refused)}
    text = write_page(tmp_path, records, exports={"onnx": "verified"}).with_name("summary.md").read_text()
    assert "| onnx | 0 | 0 | 0 | 1 | 0 |" in text
    assert "onnx refused, unsupported\\_op: choose `outputs:` anew (a)" in text


@pytest.mark.parametrize("name", ["<img src=x>", "[x](y)", "a|b", "**b**", "`c", "# h", "_e_"])
def test_names_are_text(tmp_path, name):
    text = write_page(tmp_path, {name: failed(name, "corrupt", name, name)}).with_name("summary.md").read_text()
    escaped = "".join(f"\\{character}" if character in "`*_[]<>|#" else character for character in name)
    assert text.count(escaped) == 2 and not re.search(rf"(?<!\\){re.escape(name)}", text)


def test_a_zoo_of_nothing(tmp_path):
    text = write_page(tmp_path, {}).with_name("summary.md").read_text()
    assert text.startswith("# There is no model\n") and "see `zoo`" in text


@pytest.mark.parametrize(
    ("count", "said"), [(0.0, "0 B"), (999.0, "999 B"), (1_234_567.0, "1.23 MB"), (5e15, "5e+03 TB")]
)
def test_sizes(count, said):
    assert amounts.size(count) == said
