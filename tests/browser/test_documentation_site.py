"""The documentation's site as its readers use it, opened from files in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.conftest import Watched, address
from end_to_end.conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site that `make docs` built, if it is newer than its pages, or else one without the Python reference."""
    sources = [ROOT / "README.md", ROOT / "mkdocs.yml", *(ROOT / "docs").glob("*.*")]
    built = ROOT / "build" / "site" / "index.html"
    if built.exists() and built.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return built.parent
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    out = tmp_path_factory.mktemp("documentation")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(out))
    config.plugins["mkdocstrings"].config.enabled = False
    build(config)
    return out


def test_search_and_dark_mode(watched: Watched, documentation: Path) -> None:
    page = watched.open(address(documentation))
    page.click("[data-md-component=search-query]")
    page.keyboard.type("calibrated")
    page.locator(".md-search-result__link", has_text="Reading a score").first.click()
    page.wait_for_url("**/reading.html*")
    scheme = page.locator("body")
    assert scheme.get_attribute("data-md-color-scheme") == "default"
    page.locator("label[title='Dark mode']").click()
    assert scheme.get_attribute("data-md-color-scheme") == "slate"
    page.wait_for_load_state("networkidle")
    page.goto(address(documentation, "method.html"))
    assert scheme.get_attribute("data-md-color-scheme") == "slate"  # kept for the next page
    assert page.locator(".formula svg").count() > 30
    page.wait_for_load_state("networkidle")


def test_nothing_scrolls_sideways_on_a_phone(browser: Browser, documentation: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 900}, java_script_enabled=False)
    page, wide = context.new_page(), {}
    for name in ("index", "start", "method", "paper", "speed", "cli", "synthetic/RESULTS"):
        page.goto(address(documentation, f"{name}.html"))
        wide[name] = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert set(wide.values()) == {390}, wide
