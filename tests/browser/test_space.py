"""The Gradio Space as visitors use it: files and models in, the card out, errors shown, the network left alone."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from support.hub import HubServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SPACE = Path(__file__).resolve().parents[2] / "examples" / "space"
PATIENCE = 90_000  # milliseconds, on a machine that does much else


@pytest.fixture(scope="module")
def address(browser: Browser, hub: HubServer) -> Iterator[str]:
    """The address of the running Space, whose models come from the stand-in Hub."""
    gradio = pytest.importorskip("gradio")
    spec = importlib.util.spec_from_file_location("space_app", SPACE / "app.py")
    assert spec is not None
    assert spec.loader is not None
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    page = app.build()
    assert isinstance(page, gradio.Blocks)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", footer_links=[])
    yield url
    page.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Page]:
    """The open page; the test fails if it asks another machine for anything."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert not [url for url in asked if not re.match(rf"{address}|data:|blob:", url)]


def test_files_and_models_give_a_card_and_mistakes_a_message(visit: Page, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    shared = draw.normal(size=(80, 4))
    score = visit.get_by_role("button", name="Score the files")
    score.click()
    visit.get_by_text("Upload a file for each side.").wait_for()
    for left, name in ((1, "clip-${1+1}"), (0, "bge")):
        np.save(tmp_path / f"{name}.npy", shared @ draw.normal(size=(4, 12)))
        visit.locator("input[type=file]").first.set_input_files(tmp_path / f"{name}.npy")
        visit.wait_for_function(f"document.querySelectorAll('input[type=file]').length === {left}")
    score.click()
    card = visit.locator(".vlalign-card:visible")
    card.wait_for()
    assert "× bge" in card.locator("strong").inner_text()
    assert "above chance (p ≤ 0.001)" in card.inner_text()
    assert card.locator("img").evaluate("(image) => image.naturalWidth") > 300

    visit.get_by_role("tab", name="Two small models").click()
    for side, model in (("X", "dinov2-small"), ("Y", "llama-7b")):
        visit.get_by_role("textbox", name=f"Model {side}").fill(model)
    visit.get_by_role("button", name="Score the models").click()
    card.wait_for()
    assert card.locator("strong").inner_text() == "dinov2-small × llama-7b"
    assert "N = 128" in card.inner_text()


def test_the_front_matter_names_what_is_there() -> None:
    head = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert (SPACE / head["app_file"]).is_file()
    assert head["sdk"] == "gradio"
    assert len(head["short_description"]) <= 60  # the Hub refuses longer ones
