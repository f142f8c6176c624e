"""Trivial pairs beside scores of models: only those of the same samples, metric and settings."""

from __future__ import annotations

from dataclasses import replace

from support.board import made_up, trivial_pair

from vlalign.scoring.beside import Baselines, is_trivial
from vlalign.scoring.records import ScoreRecords


def test_the_best_of_features_and_of_random_weights() -> None:
    model = made_up(value=0.5)
    pairs = [trivial_pair(0.2), trivial_pair(0.3, p=0.04), trivial_pair(0.1, random=True, half=None)]
    assert [is_trivial(one) for one in (model, *pairs)] == [False, True, True, True]
    text = Baselines([model, *pairs]).text(model)
    assert text == (
        "pixels × TF-IDF 0.3000 (0.250 – 0.350, p = 0.04), best of 2 pairs; "
        "random vision-a × random text-a 0.1000 (p ≤ 0.01)"
    )
    assert Baselines(pairs).text(pairs[0]) == ""
    assert Baselines([model]).text(model) == ""
    assert ScoreRecords([pairs[0], model]).card().sentences[0].startswith("vision-a × text-a beside baselines")


def test_pairs_with_a_baseline_in_place_of_one_model() -> None:
    model, trivial = made_up(value=0.5), trivial_pair(0.2)
    above, below, strange = (
        replace(made_up(name, value=value), y=trivial.y)
        for name, value in (("vision-a", 0.6), ("vision-a", 0.3), ("b", 0.9))
    )
    known = Baselines([model, trivial, below, above, strange])
    assert known.beside_one(model) == [[above, below]]
    text = known.text(model)
    assert text.endswith("; vision-a × TF-IDF 0.6000 (0.550 – 0.650, p ≤ 0.01), best of 2 pairs")
    assert known.text(above) == ""  # neither a pair of models


def test_pairs_of_other_samples_or_settings_are_not_compared() -> None:
    model = made_up(value=0.5)
    others = [trivial_pair(0.3, n=59), trivial_pair(0.3, preset="cosine")]
    assert "of other samples or settings, so they are not compared" in Baselines(others).text(model)
    assert Baselines([trivial_pair(0.3, k=7)]).text(model) == ""  # another metric is no answer at all
    edited = made_up(value=0.5, y_run={"edits": [{"operation": "char_delete", "rate": 30}]})
    assert "so they are not compared" in Baselines([trivial_pair(0.3)]).text(edited)
