"""The leaderboard's site as its readers use it, opened from files in a real browser."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser.conftest import ODD, Watched, address, column
from support.board import collected, made_up

from vlalign.report.leaderboard.board import make_board
from vlalign.report.leaderboard.index import index_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

MANY = 5000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 records in one group, without their pages."""
    out = tmp_path_factory.mktemp("large")
    names = [(f"vision-{i // 100:03d}", f"text-{i % 100:03d}") for i in range(MANY)]
    values = [0.2 + (i * 7919 % MANY) / MANY / 2 for i in range(MANY)]
    board = make_board(collected(*(made_up(*pair, value) for pair, value in zip(names, values, strict=True))))
    (out / "index.html").write_text(index_page(board, ""), encoding="utf-8")
    return out


def test_table_ranks_and_reference(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    assert column(page, "Model")[:4] == ["text-a", "text-b", "text-c", ODD]
    assert column(page, "Rank") == ["1–2", "1–2", "3", "–", "4–5", "4–5"]
    assert column(page, "Score")[0] == "0.6000"
    assert page.locator("#unranked").is_visible()
    page.select_option("#reference", label="text-d (2)")
    assert column(page, "Model") == ["vision-a", "vision-b"]
    page.select_option("#reference", label="all pairs (10)")
    assert len(column(page, "With")) == 10
    page.reload()
    assert len(column(page, "With")) == 10  # the address keeps what was chosen


def test_groups_are_never_mixed(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    assert page.locator("#metric option").all_inner_texts() == ["mutual kNN, k = 5", "mutual kNN, k = 10"]
    page.select_option("#metric", "mutual_knn:k=10")
    assert column(page, "Score") == ["0.7000"]
    page.click("#filters summary")
    assert "mutual_knn:k=10" in page.locator("#conditions").inner_text()


def test_intervals_are_drawn_on_one_scale(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    assert page.locator("#body .interval").count() == 5  # the record without an interval has none
    score = "(all) => all.map((one) => Number(one.getAttribute('cx')))"
    places = page.locator("#body .interval circle").evaluate_all(score)
    assert places == sorted(places, reverse=True)
    assert all(0 <= place <= 100 for place in places)


def test_sorting(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    scores = column(page, "Score")
    assert scores == sorted(scores, reverse=True)
    head = page.locator("#head th", has_text="Score")
    assert head.get_attribute("aria-sort") == "descending"
    page.click("[data-sort=score]")
    assert column(page, "Score") == scores[::-1]
    assert head.get_attribute("aria-sort") == "ascending"
    page.click("[data-sort=rank]")
    assert column(page, "Rank") == ["1–2", "1–2", "3", "4–5", "4–5", "–"]
    page.click("[data-sort=rank]")
    assert column(page, "Rank") == ["4–5", "4–5", "3", "1–2", "1–2", "–"]
    page.click("[data-sort=performance]")
    assert column(page, "Performance")[0].startswith("1.0")
    page.click("[data-sort=interval]")
    assert column(page, "Interval")[-1] == "–"
    page.click("[data-sort=interval]")
    assert column(page, "Interval")[-1] == "–"  # what has none is last either way
    assert page.locator("#head th[aria-sort=none]").count() == page.locator("#head th").count() - 1


def test_filters(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    page.fill("#search", "TEXT-B")
    assert column(page, "Model") == ["text-b"]
    assert "6 without filters" in page.locator("#status").inner_text()
    assert column(page, "Rank") == ["1–2"]  # ranks are those among all
    page.fill("#search", "<script>")
    assert column(page, "Model") == [ODD]
    page.fill("#search", "no such model")
    assert "No match among 6" in page.locator("#status").inner_text()
    page.fill("#search", "")
    page.click("#filters summary")
    page.select_option("#family", "text-c")
    assert column(page, "Model") == ["text-c"]
    page.select_option("#family", "")
    assert page.locator("#modality option").all_inner_texts() == ["all", "text"]


def test_a_pair_page(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    page.click("#body a >> nth=0")
    page.wait_for_selector("#map svg")
    assert page.locator("h1").inner_text() == "vision-a × text-a"
    assert page.locator(".lead").inner_text().startswith("Above chance (p\u00a0≤\u00a00.01)")
    assert page.locator("#map rect[data-row]").count() == 3 * 2
    assert page.locator("#null svg").count() == 1
    assert page.locator("#curve-n svg").count() == page.locator("#curve-k svg").count() == 1
    page.focus("#map svg")
    best = page.locator("#readout").inner_text()
    assert ": 0.6000, above" in best
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    assert "layer_" in page.locator("#readout").inner_text()
    page.click("summary >> text=All values")
    page.wait_for_selector("#values table")
    assert page.locator("#values td").count() == 1 + 3 * 2
    page.click("summary >> text=x: vision-a")
    assert '"name": "vision-a"' in page.locator(".json >> nth=0").inner_text()
    assert "vlalign score features" in page.locator("main").inner_text()
    page.click("text=← Leaderboard")
    page.wait_for_selector("#board")
    assert page.locator("h1").inner_text() == "Alignment leaderboard"
    assert page.locator("#reference option:checked").inner_text().startswith("vision-a")


CHOSEN = ("search", "family", "modality", "measure", "size", "reference", "group")


def chosen(page: Page) -> dict[str, Any]:
    """Everything that a reader has set, and what the table then shows."""
    found: dict[str, Any] = {name: page.locator(f"#{name}").input_value() for name in CHOSEN}
    found["view"] = page.get_by_role("tab", selected=True).inner_text()
    found["sorted"] = page.locator("#head th:not([aria-sort=none])").evaluate_all(
        "(all) => all.map((one) => [one.innerText.trim(), one.getAttribute('aria-sort')])"
    )
    return {**found, "models": column(page, "Model"), "status": page.locator("#status").inner_text()}


@pytest.mark.parametrize("way", ["history", "link", "reload", "opened anew"])
def test_what_was_chosen_is_there_again_after_a_pair(watched: Watched, site: Path, way: str) -> None:
    page = watched.open(address(site))
    page.select_option("#reference", label="all pairs (10)")
    page.click("#filters summary")
    page.select_option("#modality", "text")
    page.select_option("#measure", label="calibrated")
    page.select_option("#size", "200")
    page.fill("#search", "text-b vision & =?#")
    assert column(page, "Model") == []
    page.fill("#search", "text-b vision")
    page.click("[data-sort=performance]")
    page.click("[data-sort=performance]")
    before = chosen(page)
    assert before["search"] == "text-b vision"
    assert before["models"] == ["vision-a", "vision-b"]
    assert before["sorted"] == [["Performance", "descending"]]
    if way != "reload":
        page.click("#body a >> nth=1")
        page.wait_for_selector("#map svg")
    if way == "history":
        page.go_back()
    elif way == "link":
        page.click("text=← Leaderboard")
    elif way == "reload":
        page.reload()
    else:
        kept = page.locator("#back").evaluate("(link) => link.href")
        page = watched.open(kept)
    page.wait_for_selector("#board")
    assert chosen(page) == before


def test_the_page_of_the_table_is_kept_and_the_address_is_short_where_all_is_as_usual(
    watched: Watched, large: Path
) -> None:
    page = watched.open(address(large))
    page.select_option("#reference", label=f"all pairs ({MANY})")
    usual = page.evaluate("location.hash")
    assert {part.split("=")[0] for part in usual.removeprefix("#").split("&")} == {"group", "reference", "view"}
    page.click("#next")
    page.click("#next")
    shown = page.locator("#status").inner_text()
    assert shown.startswith("101–150 of")
    page.reload()
    assert page.locator("#status").inner_text() == shown
    page.evaluate("location.hash = location.hash.replace('page=2', 'page=-7&size=3&sort=none&measure=x&view=y')")
    page.wait_for_selector("#status >> text=/^1–50 of/")
    page.click("[data-sort=score]")
    page.click("[data-sort=score]")
    assert page.evaluate("location.hash") == usual


def test_back_leads_to_the_view_before(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    first = page.locator("#reference").input_value()
    page.click("[role=tab] >> text=Model × model")
    page.select_option("#reference", label="all pairs (10)")
    page.fill("#search", "text-b")
    page.wait_for_url("**query=text-b*")
    page.go_back()
    page.wait_for_selector("#view-matrix:visible")
    assert page.locator("#reference").input_value() == first
    assert page.locator("#search").input_value() == ""
    page.go_back()
    page.wait_for_selector("#view-table:visible")
    page.go_forward()
    page.go_forward()
    page.wait_for_selector("#view-matrix:visible")
    assert page.locator("#search").input_value() == "text-b"


def test_skipping_to_the_table_keeps_what_was_chosen(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    page.fill("#search", "text-b")
    page.focus(".skip")
    page.keyboard.press("Enter")
    page.wait_for_selector("#main:focus")
    assert column(page, "Model") == ["text-b"]
    assert page.locator("#search").input_value() == "text-b"


def test_odd_names_are_shown_as_they_are(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    page.on("dialog", lambda dialog: pytest.fail("a name was run"))
    page.click(f"#body a >> text={ODD[:20]}")
    page.wait_for_selector("#map svg")
    assert page.locator("h1").inner_text() == f"vision-a × {ODD}"


def test_the_matrix(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    page.click("#tab-matrix")
    page.wait_for_selector("#matrix table")
    assert page.locator("#matrix tbody tr").count() == 2
    assert page.locator("#matrix thead th").count() == 6
    assert page.locator("#matrix a").count() == 10
    assert page.locator("#matrix a[tabindex='0']").count() == 1
    page.focus("#matrix a[tabindex='0']")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.stop") == "1,1"
    page.click("#filters summary")
    page.select_option("#measure", label="calibrated")
    page.wait_for_selector("#matrix caption >> text=calibrated")
    page.focus("#matrix a[tabindex='0']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#map svg")


def luminance(colour: Sequence[int]) -> float:
    """Relative luminance of an sRGB colour (WCAG 2)."""
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in (c / 255 for c in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_numbers_are_read_on_every_colour_of_the_matrix(watched: Watched, site: Path) -> None:
    page = watched.open(address(site))
    ramp = page.evaluate("[...Array(2001).keys()].map((i) => viridis(i / 2000))")
    assert {one["ink"] for one in ramp} == {"#000", "#fff"}
    ratios = []
    for one in ramp:
        fill = luminance([int(part) for part in one["fill"][4:-1].split(",")])
        ratios.append(1.05 / (fill + 0.05) if one["ink"] == "#fff" else (fill + 0.05) / 0.05)
    assert min(ratios) >= 4.5


def test_the_scatter(watched: Watched, site: Path) -> None:
    from playwright.sync_api import expect

    page = watched.open(address(site))
    page.click("#tab-scatter")
    page.wait_for_selector("#scatter svg")
    assert page.locator("#scatter a").count() == 6
    assert page.locator("#scatter .fitted").count() == 1
    assert "ρ = −0.12 (−0.97 to 0.96; 6 families)" in page.locator("#scatter p").inner_text()
    assert "bits per byte (lower is better)" in page.locator("#scatter svg").text_content()
    page.fill("#search", "text-a")
    expect(page.locator("#scatter a")).to_have_count(1)
    page.fill("#search", "")
    page.select_option("#reference", label="text-d (2)")
    page.wait_for_selector("#scatter >> text=known performance")


def test_all_pairs_show_whose_performance_it_is(watched: Watched, tmp_path: Path) -> None:
    records = [
        made_up(f"text-{x}", f"text-{y}", level + 0.01 * i, bits=1 + 0.1 * i, modalities=("text", "text"))
        for x, level in (("x", 0.1), ("y", 0.5))
        for i, y in enumerate("abcdef")
    ]
    (tmp_path / "index.html").write_text(index_page(make_board(collected(*records)), ""), encoding="utf-8")
    page = watched.open(address(tmp_path))
    page.click("#tab-scatter")
    page.wait_for_selector("#scatter .fitted")
    page.select_option("#reference", label="all pairs (12)")
    page.wait_for_selector("#scatter >> text=mean over 2 references")
    assert "Spearman's ρ = 1.00" in page.locator("#scatter p").inner_text()
    assert page.locator("#scatter .fitted").count() == 0
    marks = page.locator("#scatter a").evaluate_all(
        "(all) => all.map((one) => [one.getAttribute('aria-label'), one.querySelector('path').getAttribute('fill')])"
    )
    families = page.evaluate("DATA.families")
    assert [label.rpartition(" of ")[2] for label, _ in marks] == [f"text-{y}" for y in "abcdef"] * 2
    assert all(fill == families[label.rpartition(" of ")[2]]["colour"] for label, fill in marks)
    page.click("#tab-table")
    assert "bits per byte of text-f" in column(page, "Performance")[0]


def milliseconds(page: Page, act: str, values: Sequence[str] = ("",)) -> float:
    """Time until what ``act`` does with ``value`` is laid out: the slowest value, each at its best of three."""
    code = f"""(values) => Math.max(...values.map((value) => {{
        const times = [];
        for (let i = 0; i < 3; i += 1) {{
          const start = performance.now();
          {act}
          document.body.getBoundingClientRect();
          times.push(performance.now() - start);
        }}
        return Math.min(...times);
    }}))"""
    return float(page.evaluate(code, list(values)))


def test_five_thousand_records_can_be_searched(watched: Watched, large: Path) -> None:
    page = watched.open(address(large))
    page.select_option("#reference", label=f"all pairs ({MANY})")
    assert f"of {MANY} pairs" in page.locator("#status").inner_text()
    search = "const box = document.getElementById('search'); box.value = value; box.dispatchEvent(new Event('input'));"
    sort = "document.querySelector(`[data-sort=${value}]`).click();"
    keys = page.locator("[data-sort]").evaluate_all("(all) => all.map((one) => one.dataset.sort)")
    assert len(keys) == 16
    found = {
        "search": milliseconds(page, search, ["t", "text-0", "vision-01 text", "7", "zzz", ""]),
        "sort": milliseconds(page, sort, keys),
        "next page": milliseconds(page, "document.getElementById('next').click();"),
    }
    print(found)  # not compared: they are those of this machine, whatever else it does
    page.fill("#search", "vision-007 text-042")
    assert column(page, "Model") == ["vision-007"]


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The site behind a web server, as a static Space has it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_behind_a_web_server_it_asks_for_its_own_files_only(watched: Watched, served: str) -> None:
    page = watched.open(f"{served}/index.html")
    page.click("#body a >> nth=0")
    page.wait_for_selector("#map svg")
    asked = [problem for problem in watched.problems if problem.startswith("request: ")]
    watched.problems = [problem for problem in watched.problems if problem not in asked]
    names = [one.removeprefix(f"request: {served}/") for one in asked]
    assert names[0] == "index.html"
    assert names[1].startswith("pairs/")
    assert sorted(names[2:]) == ["pair.js", "site.css"]
