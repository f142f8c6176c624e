"""A headless browser. In .ci/run it must be there; elsewhere its absence skips these tests and says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.board import collected, made_up, small_grid

from vlalign.report.leaderboard import save_leaderboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRED = "VLALIGN_BROWSER_TESTS"  # set by .ci/run: "require"


def absent(reason: str) -> None:
    """Skip, or fail where the browser is required."""
    message = f"{reason}: apt-get install chromium, pip install playwright"
    if os.environ.get(REQUIRED) == "require":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium as the system has it; playwright's own is never fetched."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        absent("no Chromium on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed")
    with sync_playwright() as driver:
        # the sandbox needs rights that containers seldom have; the pages are our own
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


class Watched:
    """Opens pages and keeps what no page may do: errors, messages on the console, requests beyond its own files."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.problems: list[str] = []

    def open(
        self, address: str, *, width: int = 1200, height: int = 900, scheme: str = "light", page: Page | None = None
    ) -> Page:
        """The page at an address, in a fresh context unless one is given."""
        if page is None:
            context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
            page = context.new_page()
            page.on("console", lambda message: self.problems.append(f"console {message.type}: {message.text}"))
            page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
            page.on("requestfailed", lambda request: self.problems.append(f"failed: {request.url}"))
            page.on("request", self._asked)
        page.goto(address)
        return page

    def _asked(self, request: object) -> None:
        url = str(request.url)  # type: ignore[attr-defined]
        if not url.startswith(("file://", "data:")):
            self.problems.append(f"request: {url}")


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """Fails the test if a page did what it may not."""
    found = Watched(browser)
    yield found
    for context in browser.contexts:
        context.close()
    assert not found.problems


ODD = '<script>alert("x")</script>"\'&'


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small site with odd names, a group apart and a record without an interval."""
    out = tmp_path_factory.mktemp("site") / "with space"
    records = [*small_grid(), made_up("vision-a", ODD, 0.3, None), made_up("vision-a", "x" * 300, 0.25)]
    save_leaderboard(collected(*records), out)
    return out


def address(site: Path, name: str = "index.html") -> str:
    """Return the address of a page of a site on disk."""
    return (site / name).as_uri()


def column(page: Page, name: str) -> list[str]:
    """Return the texts of a column of the table."""
    heads = [text.strip() for text in page.locator("#head th").all_inner_texts()]
    return [text.strip() for text in page.locator(f"#body tr > :nth-child({heads.index(name) + 1})").all_inner_texts()]
