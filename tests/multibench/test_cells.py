"""Files of encoders: each its own, noticed when damaged or foreign, and ready to use when loaded."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.multibench_study import small, toy_data

from vlalign.errors import VlalignError
from vlalign.multibench import MultibenchConfig, Prepared, load_encoder
from vlalign.multibench.cells import Cell, EncoderFiles, TrainedEncoder, all_cells, ensembles
from vlalign.multibench.config import complete
from vlalign.multibench.encoder import initialise

MEMBER = Cell("audio", 2, 7)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return toy_data(tmp_path_factory.mktemp("data") / "toy")


def saved(data: Prepared, out: Path, **values: object) -> tuple[EncoderFiles, TrainedEncoder]:
    files = EncoderFiles(complete(small(data, out, **values), data), data)
    state = initialise(files.shape(MEMBER), [3]).state(0)
    trained = TrainedEncoder({name: value.clone() for name, value in state.items()}, 4, (0.5, 0.25, 0.125))
    files.save(MEMBER, trained)
    return files, trained


def test_a_checkpoint_comes_back_as_it_was(data: Prepared, tmp_path: Path) -> None:
    files, trained = saved(data, tmp_path)
    found = files.load(MEMBER)
    assert (found.epoch, found.performance) == (4, (0.5, 0.25, 0.125))
    assert found.state.keys() == trained.state.keys()
    assert all(torch.equal(found.state[name], value) for name, value in trained.state.items())
    assert files.has(MEMBER)
    assert not files.has(replace(MEMBER, seed=8))


def test_a_loaded_encoder_is_ready_to_use(data: Prepared, tmp_path: Path) -> None:
    files, trained = saved(data, tmp_path)
    encoder = load_encoder(files.path(MEMBER))
    assert not encoder.training
    part = data.splits["test"]
    out = encoder(part.inputs["audio"], part.lengths["audio"])
    assert out.shape == (40, 3)
    assert torch.equal(encoder.proj.weight, trained.state["proj.weight"])


@pytest.mark.parametrize(
    "values",
    [{"epochs": 3}, {"width": 5}, {"dropout": 0.2}, {"learning_rate": (0.1,)}, {"train_samples": 50}, {"pool": "mean"}],
)
def test_encoders_of_other_settings_are_not_taken(data: Prepared, tmp_path: Path, values: dict[str, object]) -> None:
    files, _ = saved(data, tmp_path)
    other = EncoderFiles(complete(small(data, tmp_path, **values), data), data)
    with pytest.raises(VlalignError, match="is of other settings"):
        other.load(MEMBER)
    assert files.has(MEMBER)


def test_encoders_of_other_data_are_not_taken(data: Prepared, tmp_path: Path) -> None:
    saved(data, tmp_path)
    other = toy_data(tmp_path / "other", seed=1)
    assert not EncoderFiles(complete(small(other, tmp_path), other), other).has(MEMBER)


def test_what_changes_no_encoder_does_not_make_it_another(data: Prepared, tmp_path: Path) -> None:
    saved(data, tmp_path)
    more = {"modalities": ("vision", "audio"), "depths": (1, 2, 3), "metrics": ("cka",), "ensemble": 1}
    assert EncoderFiles(complete(small(data, tmp_path, **more), data), data).has(MEMBER)


@pytest.mark.parametrize("how", ["cut", "bit", "not finite", "shape"])
def test_damage_is_noticed_and_named(
    data: Prepared, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, trained = saved(data, tmp_path)
    path = files.path(MEMBER)
    content = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(content[:-10])
    elif how == "bit":
        content[-3] ^= 1
        path.write_bytes(content)
    else:
        broken = dict(trained.state)
        broken["head.bias"] = torch.full((3 if how == "not finite" else 4,), torch.nan)
        files.save(MEMBER, replace(trained, state=broken))
    monkeypatch.setattr(logging.getLogger("vlalign"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="vlalign"):
        assert not files.has(MEMBER)
    assert f"{path} is damaged" in caplog.text
    assert "computed again" in caplog.text


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_a_file_that_is_no_encoder(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    if content is None:
        save_file({"x": torch.zeros(1)}, path)
        assert load_file(path)
    else:
        path.write_bytes(content)
    with pytest.raises(VlalignError, match="is not an encoder of a study"):
        load_encoder(path)


@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=5),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5),
    st.integers(1, 6),
)
def test_the_grid_each_once_with_its_own_seed_and_file(depths: list[int], seeds: list[int], ensemble: int) -> None:
    config = MultibenchConfig(
        data="x", modalities=("a", "b", "c"), depths=tuple(depths), seeds=tuple(seeds), ensemble=ensemble
    )
    members = all_cells(config)
    assert len(members) == len(set(members)) == 3 * len(set(depths)) * len(set(seeds))
    assert len({member.name for member in members}) == len({member.own_seed for member in members}) == len(members)
    assert all(0 <= member.own_seed < 2**63 for member in members)
    groups = ensembles(config, members)
    assert sorted(one for group in groups for one in group) == sorted(members)
    for group in groups:
        assert len(group) <= ensemble
        assert len({(member.modality, member.depth) for member in group}) == 1
