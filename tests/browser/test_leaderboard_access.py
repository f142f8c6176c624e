"""The leaderboard's site for every reader: keyboard, screen reader, dark, narrow and printed pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser.conftest import Watched, address, column
from support.board import collected, made_up

from vlalign.report.leaderboard.board import make_board
from vlalign.report.leaderboard.index import index_page

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_the_keyboard_is_enough(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "[document.activeElement.id || document.activeElement.dataset.sort || document.activeElement.textContent,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        seen.append(told[0])
        assert told[1] != "none", told
        if told[0] == "score":
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.dataset.sort") == "score"  # the focus stays
            assert column(page, "Score")[0] == "0.2000"
        if told[0] == "text-d":
            page.keyboard.press("Enter")
            break
    page.wait_for_selector("#map svg")
    page.go_back()
    page.focus("#tab-table")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-matrix"
    assert page.locator("#tab-matrix").get_attribute("aria-selected") == "true"
    assert page.locator("#view-table").is_hidden()


def test_everything_has_a_name_for_screen_readers(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    unnamed = page.evaluate(
        "[...document.querySelectorAll('select, input, button, a')].filter((one) => !(one.labels && one.labels.length)"
        " && !one.textContent.trim() && !one.getAttribute('aria-label')).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    assert page.get_by_role("table").get_by_role("columnheader", name="Score").count() == 1
    assert page.get_by_role("rowheader").count() == 6
    assert page.get_by_role("tab", selected=True).inner_text() == "Table"
    assert page.get_by_label("Search").count() == 1


def test_light_and_dark(watched: Watched, site: Path) -> None:
    def paper(page: Page) -> int:
        return int(page.evaluate("parseInt(getComputedStyle(document.body).backgroundColor.slice(4))"))

    page = watched.open(address(site), scheme="dark")
    assert paper(page) < 60
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    page.click("#theme")
    assert paper(page) > 200
    page.reload()
    assert paper(page) > 200  # remembered
    page.click("#body a >> nth=0")
    page.wait_for_selector("#map svg")
    assert paper(page) > 200
    page.click("#theme")
    assert paper(page) < 60
    assert paper(watched.open(address(site), scheme="light")) > 200


@pytest.mark.parametrize(("width", "height"), [(1400, 1000), (390, 844)])
def test_the_first_row_of_many_is_seen_without_scrolling(
    watched: Watched, tmp_path: Path, width: int, height: int
) -> None:
    names = [(f"vision-{i}", f"family-{j}") for i in range(10) for j in range(20)]
    records = [made_up(*pair, 0.3 + 0.001 * i) for i, pair in enumerate(names)]
    board = make_board(collected(*records, made_up(k=7), made_up(y_run={"caption": 1})))
    (tmp_path / "index.html").write_text(index_page(board, ""), encoding="utf-8")
    page = watched.open(address(tmp_path), width=width, height=height)
    first = page.locator("#body tr").first.bounding_box()
    assert first is not None
    assert first["y"] + first["height"] < height
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_screen(watched: Watched, site: Path, width: int) -> None:
    page = watched.open(address(site), width=width)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    for view in ("matrix", "scatter"):
        page.click(f"#tab-{view}")
        page.wait_for_selector(f"#{view} :is(table, svg)")
        assert page.evaluate(wide) == 0
    for pair in (site / "pairs").iterdir():
        assert page.evaluate(wide) == 0, pair
        watched.open(pair.as_uri(), page=page)
        page.click("summary >> text=All values")
        page.wait_for_selector("#values table")
        assert page.evaluate(wide) == 0, pair


def test_the_usual_table_fits_and_what_is_cut_off_fades(watched: Watched, site: Path) -> None:
    def faded(page: Page) -> bool:
        return bool(page.evaluate("getComputedStyle(document.querySelector('#view-table .wide')).maskImage !== 'none'"))

    hidden = "(box) => box.scrollWidth - box.clientWidth"
    page = watched.open(address(site), width=1265)  # a window of 1280 with its scroll bar
    page.click("#filters summary")
    for family in ("text-a", "text-d"):
        page.select_option("#family", family)
        assert page.locator("#view-table .wide").evaluate(hidden) == 0
        assert not faded(page)
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_selector("#view-table .wide.more")
    assert page.locator("#view-table .wide").evaluate(hidden) > 300
    assert faded(page)
    page.locator("#view-table .wide").evaluate("(box) => { box.scrollLeft = box.scrollWidth; }")
    page.wait_for_selector("#view-table .wide:not(.more)")
    assert not faded(page)


def test_print(watched: Watched, site: Path) -> None:
    page = watched.open(address(site), scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("#search").is_hidden()
    assert page.locator("#body tr").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
