"""Results: what is planted is found, files come back as they were, damage is one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.multibench_study import small, toy_data

from vlalign.errors import VlalignError
from vlalign.multibench import MultibenchResult, MultibenchStudy, correlate, correlations


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> MultibenchResult:
    folder = tmp_path_factory.mktemp("results")
    config = small(toy_data(folder / "toy"), folder / "run", depths=(1, 2, 3, 4, 5), epochs=1, permutations=999)
    found = MultibenchStudy(config).run(report=False)
    assert found is not None
    return found


def planted(result: MultibenchResult, noise: float, slope: float = 0.5, by_depth: float = 0.0) -> MultibenchResult:
    """The result with test performance that alignment tells, but for noise of each encoder and of each depth."""
    draws = np.random.default_rng(0)
    table = result.alignment.copy()
    count = len(table)
    table["unbiased_cka"] = draws.uniform(size=count)
    table["test"] = 0.5 + slope * table["unbiased_cka"] + noise * draws.normal(size=count)
    table["test"] += by_depth * draws.normal(size=6)[table["depth"]]
    return MultibenchResult(**{**vars(result), "alignment": table})


def test_a_planted_correlation_is_found_exactly(result: MultibenchResult) -> None:
    perfect = planted(result, 0.0)
    for modality, reference in perfect.directions:
        found = correlate(perfect, modality, reference, "unbiased_cka")
        assert found is not None
        assert (found.r, found.n) == (pytest.approx(1), 10)
        assert found.p_value == 1 / 1000  # the least that 999 permutations can say
        opposite = correlate(planted(result, 0.0, slope=-0.5), modality, reference, "unbiased_cka", "spearman")
        assert opposite is not None
        assert opposite.r == pytest.approx(-1)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_a_planted_correlation_is_that_of_scipy(result: MultibenchResult, method: str) -> None:
    noisy = planted(result, 0.2)
    rows = noisy.rows("vision", "audio")
    found = correlate(noisy, "vision", "audio", "unbiased_cka", method)
    expected = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[method](rows["unbiased_cka"], rows["test"])
    assert found is not None
    assert found.r == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.05)
    assert found.low < found.r < found.high


def test_depths_are_counted_once(result: MultibenchResult) -> None:
    noisy = planted(result, 0.2)
    encoders, depths = (correlate(noisy, "vision", "audio", "unbiased_cka", by_depth=flag) for flag in (False, True))
    assert encoders is not None
    assert depths is not None
    assert encoders.r == depths.r
    assert depths.low < encoders.low
    assert (encoders.p_from, depths.p_from) == ("999 permutations", "all permutations of 5 blocks")


def test_what_has_no_correlation_has_none(result: MultibenchResult) -> None:
    table = result.alignment.copy()
    table["test"] = 0.5
    assert (
        correlate(MultibenchResult(**{**vars(result), "alignment": table}), "vision", "audio", "unbiased_cka") is None
    )
    few = MultibenchResult(**{**vars(result), "alignment": result.alignment[result.alignment["depth"] < 3]})
    assert correlate(few, "vision", "audio", "unbiased_cka") is None  # four encoders
    some = MultibenchResult(**{**vars(result), "alignment": result.alignment[result.alignment["depth"] < 5]})
    assert correlate(some, "vision", "audio", "unbiased_cka") is not None
    assert correlate(some, "vision", "audio", "unbiased_cka", by_depth=True) is None  # four depths
    assert correlations(few)["r"].isna().all()


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (("vision", "smell", "unbiased_cka"), "no comparison of vision with smell: the study has vision with audio"),
        (("vision", "vision", "unbiased_cka"), "no comparison of vision with vision"),
        (("vision", "audio", "unbiased-cka"), "no metric unbiased-cka: the study has unbiased_cka, mutual_knn:k=5"),
    ],
)
def test_what_is_not_in_the_study_is_named(result: MultibenchResult, of: tuple[str, str, str], message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        correlate(result, *of)


def test_all_correlations_are_in_the_table(result: MultibenchResult) -> None:
    table = correlations(result)
    assert len(table) == 6 * 2 * 2 * 2  # directions, metrics, methods, what is independent
    row = table[(table["modality"] == "audio") & (table["reference"] == "vision")].iloc[0]
    found = correlate(result, "audio", "vision", row["metric"], row["method"])
    assert found is not None
    assert (row["r"], row["low"], row["high"], row["p"]) == (found.r, found.low, found.high, found.p_value)


def test_files_hold_what_was_found(result: MultibenchResult) -> None:
    folder = Path(result.config["out"])
    again = MultibenchResult.load(folder)
    for name in ("encoders", "alignment", "layers"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(result, name))
    assert (again.config, again.data, again.seconds) == (result.config, result.data, result.seconds)
    text = pd.read_csv(folder / "alignment.csv")
    pd.testing.assert_frame_equal(text, result.alignment)
    assert list(pd.read_csv(folder / "correlations.csv")["r"]) == pytest.approx(list(correlations(result)["r"]))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("study.json", None, "holds no finished study"),
        ("layers.parquet", None, "holds no finished study"),
        ("study.json", b"{", "is damaged"),
        ("study.json", b"[]", "is not a study of format 1"),
        ("study.json", b'{"format": 1}', "no config, seconds"),
        ("alignment.parquet", b"PAR1", "is damaged"),
    ],
)
def test_damage_is_one_line(
    result: MultibenchResult, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    folder = shutil.copytree(result.config["out"], tmp_path / "run")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises(VlalignError) as error:
        MultibenchResult.load(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_tables_that_do_not_belong_together_are_noticed(result: MultibenchResult, tmp_path: Path) -> None:
    folder = shutil.copytree(result.config["out"], tmp_path / "run")
    result.alignment.drop(columns="unbiased_cka layer").to_parquet(folder / "alignment.parquet")
    with pytest.raises(VlalignError, match="no column unbiased_cka layer"):
        MultibenchResult.load(folder)
    result.alignment.iloc[:-1].to_parquet(folder / "alignment.parquet")
    with pytest.raises(VlalignError, match=r"has 59 rows, study\.json states 60"):
        MultibenchResult.load(folder)
    told = json.loads((folder / "study.json").read_text())
    told["config"]["colour"] = "red"
    (folder / "study.json").write_text(json.dumps(told))
    with pytest.raises(VlalignError, match="settings of another version"):
        MultibenchResult.load(folder)
