"""Trivial pairs on a leaderboard: a family beside the models, no models of a correlation, and a line on every page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from support.board import collected, made_up, trivial_pair
from support.html import EMPTY, Page

from vlalign.report.leaderboard import save_leaderboard
from vlalign.scoring.beside import Baselines

EMPTY.update({"link", "input"})


def test_trivial_pairs_stand_beside_the_models(tmp_path: Path) -> None:
    models = [made_up("vision-a", f"text-{i}", 0.3 + 0.05 * i, bits=1 - 0.1 * i) for i in range(5)]
    trivial = [trivial_pair(0.2), trivial_pair(0.15, random=True), trivial_pair(0.4, n=59)]
    mixed = made_up("vision-a", "TF-IDF", 0.1, bits=0.0)  # a baseline that was probed, with the model of the ranking
    mixed = replace(mixed, y={**trivial[0].y, "modality": "text"})
    board = save_leaderboard(collected(*models, *trivial, mixed), tmp_path)
    assert {model.family for model in board.models.values()} >= {"baseline"}
    assert sorted(model.name for model in board.models.values() if model.family == "baseline")[:2] == [
        "TF-IDF (N = 59)", "TF-IDF (N = 60)",
    ]  # fmt: skip
    text = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', (tmp_path / "index.html").read_text(), re.DOTALL
    )[0]
    group = next(one for one in json.loads(text)["groups"] if one["n"] == 60)
    assert group["trivial"]["score"] == 0.2
    assert group["trivial"]["text"].startswith("pixels × TF-IDF 0.2000 (0.150 – 0.250, p ≤ 0.01); random")
    first = group["rankings"][0]
    assert first["name"] == "vision-a"
    assert re.fullmatch(r"ρ = −1.00 \(−1.00 to .*; 5 families\)", first["rho"]["score"])  # of the five models
    names = [one["name"] for one in group["rankings"]]
    assert names[-1] == "all pairs"
    assert {name.partition(" (")[0] for name in names[-5:-1]} == {
        "pixels", "TF-IDF", "random vision-a", "random text-a",
    }  # fmt: skip
    for entry in board.entries:
        page = "".join(Page((tmp_path / entry.page).read_text(encoding="utf-8")).texts["main"]).replace("\xa0", " ")
        beside = Baselines([*trivial, mixed]).text(entry.record)
        assert ("Beside baselines on the same samples" in page) == bool(beside)
        assert beside in page
