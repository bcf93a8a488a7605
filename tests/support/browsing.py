"""Fixtures for tests that open pages in a browser."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium; the test skips where it is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """The page that pages.mixed_zoo makes."""
    import pages  # Here, since few tests want a page.

    return pages.mixed_zoo(tmp_path_factory.mktemp("mixed"))


@pytest.fixture
def opened(browser):
    """A function that opens a page; at the end there was no error, and no request but for the page itself."""
    seen = {"errors": [], "requests": []}
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.on("console", lambda message: seen["errors"].append(message.text))
    tab.on("pageerror", lambda error: seen["errors"].append(str(error)))
    tab.on("request", lambda request: seen["requests"].append(request.url))
    tab.on("dialog", lambda dialog: seen["errors"].append(dialog.message))
    opened = []

    def go(path, hash_: str = ""):
        opened.append(path)
        tab.goto(path.as_uri() + hash_)
        return tab

    yield go
    context.close()
    assert seen["errors"] == []
    assert {url.partition("#")[0] for url in seen["requests"] if not url.startswith("data:")} == {
        path.as_uri() for path in opened
    }
