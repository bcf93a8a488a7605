"""Takes the pictures of reports/index.html, that of the sample zoo, for README and docs, with Debian's Chromium."""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

HOME = Path(__file__).parents[1]
PAGE = (HOME / "reports" / "index.html").as_uri()
_SIZE = {"width": 1240, "height": 820}
_SMALLER = 0.85  # of the plots, whose many shades make a large file


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        light, dark = (browser.new_page(viewport=_SIZE, color_scheme=scheme) for scheme in ("light", "dark"))
        light.goto(PAGE)
        light.screenshot(path=HOME / "docs" / "page.png")
        small = browser.new_page(viewport=_SIZE, color_scheme="light", device_scale_factor=_SMALLER)
        small.goto(PAGE)
        small.locator(".plots").screenshot(path=HOME / "docs" / "plots.png")
        dark.goto(f"{PAGE}#model=lstm_while%2Flstm.ckpt")
        picture = dark.locator("dialog section", has=dark.locator("img"))
        picture.evaluate("section => section.parentElement.parentElement.scrollTo(0, section.offsetTop - 75)")
        dark.screenshot(path=HOME / "docs" / "model.png")
        browser.close()


if __name__ == "__main__":
    main()
