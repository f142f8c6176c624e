"""Tables: what is read off a planted one, against scipy; saving, loading, and files that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from support.synthetic import small

from vlalign.errors import VlalignError
from vlalign.study.results import make_table
from vlalign.synthetic import SyntheticResult
from vlalign.synthetic.results import (
    KEYS,
    OF_DEPTHS,
    headline,
    maxima,
    maxima_by_reference,
    medians,
    rank_correlations,
    rho_of_maxima,
    rho_of_phi,
)

METRIC = "unbiased_cka"
CONFIG = small(
    uniqueness=(0, 1, 2, 4, 6), phi_depths=(1, 2), depths=(2, 3, 5, 6, 9), seeds=(0, 1, 2), widths=(3, 8), modalities=3,
    unique_bits=3, metrics=("unbiased_cka",),
)  # fmt: skip


def planted(seed: int = 0) -> pd.DataFrame:
    """Alignment that falls with U, in rows of every encoder and reference depth, in a random order."""
    draw = np.random.default_rng(seed)
    rows = [
        {
            "seed": s, "uniqueness": u, "modality": m, "phi_depth": phi, "width": width, "depth": depth,
            "reference_depth": reference, "train": 0.9, "valid": 0.8,
            "test": round(0.5 + 0.03 * depth - 0.02 * u + draw.normal(0, 0.05), 2), "epoch": int(draw.integers(1, 9)),
            "reference_test": 0.7, METRIC: 0.9 - 0.1 * u + 0.01 * depth + draw.normal(0, 0.04) + 0.3 * reference,
            f"{METRIC} reference_layer": 1, f"{METRIC} layer": depth,
        }
        for s in CONFIG.seeds
        for u in CONFIG.uniqueness
        for m in (2, 3)
        for phi in CONFIG.phi_depths
        for width in CONFIG.hidden
        for depth in CONFIG.depths
        for reference in CONFIG.depths
    ]  # fmt: skip
    return make_table([rows[i] for i in draw.permutation(len(rows))], KEYS)


TABLE = planted()


def select(table: pd.DataFrame, **values: int) -> pd.DataFrame:
    """The rows of some values, one condition after the other; of the shallowest reference."""
    table = table[table["reference_depth"] == 2]
    for name, value in values.items():
        table = table[table[name] == value]
    return table


def test_rows_are_in_the_order_of_the_grid() -> None:
    keys = ["modality", "seed", "uniqueness", "phi_depth", "width", "depth", "reference_depth"]
    rows = TABLE[keys].apply(tuple, axis=1).tolist()
    assert rows == sorted(rows)
    assert TABLE.index.tolist() == list(range(len(rows)))


def test_the_headline_is_of_the_shallowest_reference() -> None:
    found = headline(TABLE)
    assert len(found) == len(TABLE) / 5
    assert set(found["reference_depth"]) == {2}


def test_maxima() -> None:
    found = maxima(TABLE, METRIC)
    assert found.columns.tolist() == [0, 1, 2, 4, 6]
    assert found.index.tolist() == [(2, 1), (2, 2), (3, 1), (3, 2)]
    for (modality, phi), row in found.iterrows():
        for u, value in row.items():
            assert value == select(TABLE, modality=modality, phi_depth=phi, uniqueness=u)[METRIC].max()


def test_rho_of_maxima() -> None:
    found = rho_of_maxima(TABLE, METRIC)
    assert list(found) == [(2, 1), (2, 2), (3, 1), (3, 2)]
    for (modality, phi), rho in found.items():
        largest = [
            select(TABLE, modality=modality, phi_depth=phi, uniqueness=u)[METRIC].max() for u in CONFIG.uniqueness
        ]
        assert rho is not None
        assert rho.r == pytest.approx(spearmanr(CONFIG.uniqueness, largest).statistic)
        assert rho.r < -0.8
        assert rho.n == 5


def test_rho_of_phi_and_maxima_by_reference() -> None:
    phis = (1, 2, 4, 5, 9)
    shifted = [TABLE.assign(phi_depth=phi, **{METRIC: TABLE[METRIC] - 0.1 * (phi % 5)}) for phi in phis]
    table = pd.concat([rows[TABLE["phi_depth"] == 1] for rows in shifted])
    found = rho_of_phi(table, METRIC)
    assert list(found) == [(m, u) for m in (2, 3) for u in CONFIG.uniqueness]
    for rho in found.values():
        assert rho is not None
        assert rho.r == pytest.approx(spearmanr(phis, [-(phi % 5) for phi in phis]).statistic)
    assert set(rho_of_phi(TABLE, METRIC).values()) == {None}
    every = maxima_by_reference(TABLE, [METRIC])
    assert len(every) == 2 * 5 * 2 * 5
    shallowest = every[every["reference_depth"] == 2].set_index(["modality", "phi_depth", "uniqueness"])[METRIC]
    pd.testing.assert_frame_equal(shallowest.unstack(), maxima(TABLE, METRIC))
    (one,) = every.query("modality == 3 and reference_depth == 9 and phi_depth == 2 and uniqueness == 4")[METRIC]
    assert (
        one
        == TABLE.query("modality == 3 and reference_depth == 9 and phi_depth == 2 and uniqueness == 4")[METRIC].max()
    )


def test_rho_needs_five_values_that_differ() -> None:
    few = TABLE[TABLE["uniqueness"] != 4]
    assert set(rho_of_maxima(few, METRIC).values()) == {None}
    constant = TABLE.assign(**{METRIC: 0.5})
    assert set(rho_of_maxima(constant, METRIC).values()) == {None}
    gaps = TABLE.assign(**{METRIC: TABLE[METRIC].where((TABLE["uniqueness"] != 4) | (TABLE["modality"] != 2))})
    found = rho_of_maxima(gaps, METRIC)
    assert found[2, 1] is None
    assert found[3, 1] == rho_of_maxima(TABLE, METRIC)[3, 1]


def test_rank_correlations() -> None:
    found = rank_correlations(TABLE, METRIC)
    assert len(found) == 2 * 2 * 5 * 3
    assert found.columns.tolist() == ["modality", "phi_depth", "uniqueness", "seed", *OF_DEPTHS]
    for _, row in found.iterrows():
        keys = {name: int(row[name]) for name in ("modality", "phi_depth", "uniqueness", "seed")}
        group = select(TABLE, **keys)
        assert len(group) == 10  # depths and widths
        assert row["alignment/performance"] == pytest.approx(spearmanr(group[METRIC], group["test"]).statistic)
        assert row["performance/depth"] == pytest.approx(spearmanr(group["test"], group["depth"]).statistic)
        assert row["alignment/depth"] == pytest.approx(spearmanr(group[METRIC], group["depth"]).statistic)


def test_medians() -> None:
    found, every = medians(TABLE, METRIC), rank_correlations(TABLE, METRIC)
    assert found.index.tolist() == [(m, u) for m in (2, 3) for u in CONFIG.uniqueness]
    for (modality, u), row in found.iterrows():
        group = every[(every["modality"] == modality) & (every["uniqueness"] == u)]
        for name in OF_DEPTHS:
            assert row[name] == pytest.approx(np.median(group[name]))


def test_correlations_of_few_or_constant_values_are_unknown() -> None:
    four = rank_correlations(TABLE[TABLE["width"].eq(3) & TABLE["depth"].lt(9)], METRIC)
    assert four[list(OF_DEPTHS)].isna().all(axis=None)
    assert len(four) == 60
    alike = rank_correlations(TABLE.assign(test=0.25), METRIC)
    assert alike[["alignment/performance", "performance/depth"]].isna().all(axis=None)
    assert alike["alignment/depth"].notna().all()
    # an unknown one is left out of a median, unless all are
    partly = TABLE.assign(test=TABLE["test"].where(TABLE["seed"] != 0, 0.25))
    found, every = medians(partly, METRIC), rank_correlations(partly, METRIC)
    group = every[(every["modality"] == 2) & (every["uniqueness"] == 4) & (every["seed"] != 0)]
    assert found.loc[(2, 4), "performance/depth"] == pytest.approx(np.median(group["performance/depth"]))
    assert medians(TABLE.assign(test=0.25), METRIC)["performance/depth"].isna().all()


def test_ties_have_their_mean_rank() -> None:
    table = select(TABLE, modality=2, phi_depth=1, uniqueness=0, seed=0)
    table = table.assign(test=[0.5, 0.5, 0.6, 0.6, 0.6, 0.7, 0.7, 0.8, 0.8, 0.8])
    found = rank_correlations(table, METRIC).iloc[0]
    assert found["performance/depth"] == pytest.approx(spearmanr(table["test"], table["depth"]).statistic)


def result() -> SyntheticResult:
    return SyntheticResult(CONFIG.resolved(), {"train": 1.5, "align": 0.2}, 12, {"python": "3", "threads": 2}, TABLE)


def test_save_and_load(tmp_path: Path) -> None:
    told = result()
    path = told.save(tmp_path / "new" / "run")
    assert path == tmp_path / "new" / "run" / "study.json"
    assert sorted(file.name for file in path.parent.iterdir()) == ["alignment.csv", "alignment.parquet", "study.json"]
    found = SyntheticResult.load(path.parent)
    pd.testing.assert_frame_equal(found.table, told.table)
    assert (found.config, found.seconds, found.trained) == (told.config, told.seconds, told.trained)
    assert found.environment == told.environment
    assert found.metrics == ["unbiased_cka"]
    pd.testing.assert_frame_equal(pd.read_csv(path.parent / "alignment.csv"), told.table)
    told.save(path.parent)
    pd.testing.assert_frame_equal(SyntheticResult.load(str(path.parent)).table, told.table)


def refused(folder: Path) -> str:
    with pytest.raises(VlalignError) as caught:
        SyntheticResult.load(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert str(folder) in text
    return text


def test_missing_files(tmp_path: Path) -> None:
    assert "holds no finished study (No such file or directory): make one with" in refused(tmp_path / "nowhere")
    result().save(tmp_path)
    (tmp_path / "alignment.parquet").unlink()
    assert "holds no finished study" in refused(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "\x00", '{"format": 1,', "nonsense"])
def test_damaged_summaries(tmp_path: Path, text: str) -> None:
    path = result().save(tmp_path)
    path.write_text(text)
    assert "is damaged" in refused(tmp_path)


def test_summaries_of_another_form(tmp_path: Path) -> None:
    path = result().save(tmp_path)
    told = json.loads(path.read_text())
    for other in (told | {"format": 2}, [], 3, "text", {}):
        path.write_text(json.dumps(other))
        assert "is not a study of format 1: run the study again" in refused(tmp_path)
    path.write_text(json.dumps(told | {"rows": 7}))
    assert f"alignment.parquet has {len(TABLE)} rows, study.json states 7: run the study again" in refused(tmp_path)
    path.write_bytes(b"\xff\xfe{")
    assert "is damaged" in refused(tmp_path)
    for name in ("config", "seconds", "trained", "environment"):
        path.write_text(json.dumps({key: value for key, value in told.items() if key != name}))
        assert "is damaged" in refused(tmp_path)


def test_damaged_tables(tmp_path: Path) -> None:
    result().save(tmp_path)
    path = tmp_path / "alignment.parquet"
    whole = path.read_bytes()
    for size in (0, 3, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "is damaged" in refused(tmp_path)
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    said = 0
    for place in [*range(0, footer, footer // 40), *range(footer, len(whole), (len(whole) - footer) // 80)]:
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        try:
            SyntheticResult.load(tmp_path)  # another value in a cell is another value
        except VlalignError:
            said += "is damaged" in refused(tmp_path)
    assert said > 60


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VlalignError, match=r"cannot write .*alignment\.csv: File exists"):
        result().save(tmp_path / "file")


def test_a_study_of_another_version_is_said_in_a_line(tmp_path: Path) -> None:
    result = SyntheticResult(CONFIG.resolved(), {"train": 1.0, "align": 1.0}, 1, {}, planted())
    result.save(tmp_path)
    told = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(told | {"config": told["config"] | {"flavour": 1}}))
    with pytest.raises(VlalignError, match=r"settings of another version .*flavour"):
        SyntheticResult.load(tmp_path)
    (tmp_path / "study.json").write_text(json.dumps(told))
    result.table.drop(columns=[METRIC]).to_parquet(tmp_path / "alignment.parquet")
    with pytest.raises(VlalignError, match=f"no column {METRIC}"):
        SyntheticResult.load(tmp_path)
