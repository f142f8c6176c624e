"""Trivial pairs beside scores of models: only those of the same samples, metric and settings."""

from __future__ import annotations

from support.board import made_up, trivial_pair

from vlalign.scoring.beside import beside_text, is_trivial
from vlalign.scoring.records import ScoreRecords


def test_the_best_of_features_and_of_random_weights() -> None:
    model = made_up(value=0.5)
    pairs = [trivial_pair(0.2), trivial_pair(0.3, p=0.04), trivial_pair(0.1, random=True, half=None)]
    assert [is_trivial(one) for one in (model, *pairs)] == [False, True, True, True]
    text = beside_text(model, [model, *pairs])
    assert text == (
        "pixels × TF-IDF 0.3000 (0.250 – 0.350, p = 0.04), best of 2 pairs; "
        "random vision-a × random text-a 0.1000 (p ≤ 0.01)"
    )
    assert beside_text(pairs[0], pairs) == ""
    assert beside_text(model, [model]) == ""
    assert ScoreRecords([pairs[0], model]).card().sentences[0].startswith("trivial pairs on the same samples reach")


def test_pairs_of_other_samples_or_settings_are_not_compared() -> None:
    model = made_up(value=0.5)
    others = [trivial_pair(0.3, n=59), trivial_pair(0.3, preset="cosine")]
    assert "of other samples or settings, so they are not compared" in beside_text(model, others)
    assert beside_text(model, [trivial_pair(0.3, k=7)]) == ""  # another metric is no answer at all
    edited = made_up(value=0.5, y_run={"edits": [{"operation": "char_delete", "rate": 30}]})
    assert "so they are not compared" in beside_text(edited, [trivial_pair(0.3)])
