"""Similarity of edited captions: as a file states it, as a sentence encoder measures it, in results and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hub import HubServer
from support.studies import Y, config_in, run, runs_by
from support.study import made_up_points, made_up_record, study_of

from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError
from vlalign.perturb import parse_perturbation, perturb_data
from vlalign.uniqueness import UniquenessConfig, UniquenessResult
from vlalign.uniqueness.edits import EditFacts
from vlalign.uniqueness.report import write_report
from vlalign.uniqueness.similarity import stated_similarities


def with_similarities(places: dict[float, float]) -> UniquenessResult:
    """A made-up study whose edits have these similarities."""
    plain = study_of(made_up_points(1, 2))
    rates = [rate for rate in plain.curves[0].rates if rate > 0]
    edits = [EditFacts(rate, 100.0, 100 - rate, None, 0, [], places.get(rate)) for rate in rates]
    about = {"data": plain.data, "seconds": plain.seconds, "environment": plain.environment}
    return UniquenessResult.from_points(plain.points, config=plain.config | {"encoder": "minilm"}, edits=edits, **about)


def test_a_sentence_encoder_measures_them(hub: HubServer, tmp_path: Path) -> None:
    config = config_in(tmp_path, y=Y[1], rates=(30, 90), axis="similarity", encoder=Y[0])
    result = run(config)
    runs = runs_by(tmp_path)
    assert len(runs[Y[0]]) == 3  # extracted for similarities alone
    assert {point.y for point in result.points} == {Y[1]}
    last = [one.load(one.layers[-1].name).numpy().astype(float) for one in runs[Y[0]]]
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in last]
    expected = {0.0: 1.0, 30.0: (unit[0] * unit[1]).sum(1).mean(), 90.0: (unit[0] * unit[2]).sum(1).mean()}
    assert result.similarities == pytest.approx(expected, abs=1e-9)
    assert expected[90.0] < expected[30.0] < 1
    table = result.to_frame()
    assert list(table["similarity"]) == [result.similarities[rate] for rate in table["rate"]]
    assert UniquenessResult.load(tmp_path / "out").similarities == result.similarities
    again = run(config_in(tmp_path, y=Y[1], rates=(30, 90)))  # the same folder without them
    assert not again.similarities
    assert "similarity" not in again.to_frame()


def test_a_file_states_them(tmp_path: Path) -> None:
    value: list[Any] = [
        {
            f"Index - {i}": {
                "sentences": {f"Caption {j} - {rate}%": f"c{i}-{rate}" for j, rate in enumerate((0, 10, 20))},
                "similarities": [0.5 + i / 10, 0.1 + i / 10],
            }
        }
        for i in range(4)
    ]
    path = tmp_path / "edits.json"

    def stated(samples: int) -> dict[float, float]:
        path.write_text(json.dumps(value))
        data = open_data(DataSpec(str(path), max_samples=samples), {"text"})
        return stated_similarities(
            [data, *(perturb_data(data, [parse_perturbation(f"captions_file:{r},file={path}")]) for r in (10, 20))]
        )

    assert stated(4) == pytest.approx({10: 0.65, 20: 0.25})
    assert stated(2) == pytest.approx({10: 0.55, 20: 0.15})
    del value[3]["Index - 3"]["similarities"]
    with pytest.raises(VlalignError, match=r"no similarity of 'row-000003' at 10 %: name a sentence encoder"):
        stated(4)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "images": ({"op": "pixel_noise", "encoder": "llama-7b"}, "pixel_noise edits images"),
    "no encoder": ({}, "no file states the similarity of captions after char_delete: name a sentence encoder"),
    "a pool": ({"encoder": "llama-7b", "text_pool": "last"}, "means over tokens, not last: leave out --text-pool"),
    "a preset with a pool": ({"encoder": "llama-7b", "preset": "robust"}, "not mean-nosink: leave out --preset robust"),
    "no axis": ({"axis": "rate", "encoder": "llama-7b"}, "give --axis similarity, too"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused(name: str) -> None:
    values, message = WRONG[name]
    with pytest.raises(VlalignError, match=message):
        UniquenessConfig(**{"x": "dinov2-small", "y": "bloomz-560m", "op": "char_delete", "rates": (50,)} | {
            "axis": "similarity"
        } | values)  # fmt: skip


def test_an_encoder_of_images_is_refused(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="--encoder dinov2-small reads images: name a model of texts"):
        run(config_in(tmp_path, axis="similarity", encoder="dinov2-small"))


def test_shown_beside_u(tmp_path: Path) -> None:
    rates = [rate for rate in with_similarities({}).curves[0].rates if rate > 0]
    result = with_similarities({rate: 1 - (rate / 100) ** 2 for rate in rates})
    first, last = rates[0], rates[-1]
    ends = f"{1 - (first / 100) ** 2:.3f} at {first:g} %, {1 - (last / 100) ** 2:.3f} at {last:g} %"
    assert f"mean cosine of edited to original captions: {ends}" in result.findings
    assert any("a straight line against measured similarity has r² = " in finding for finding in result.findings)
    files = write_report(result, tmp_path, load=made_up_record)
    assert {"similarity.png", "similarity.pdf"} < {path.name for path in files}
    page = files[-1].read_text(encoding="utf-8")
    assert "in the last layer of minilm" in page
    assert "cosine to the original" in page
    plain = replace(result, edits=[])
    assert not plain.similarities
    assert "similarity.png" not in {path.name for path in write_report(plain, tmp_path / "b", load=made_up_record)}
