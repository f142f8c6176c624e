"""Cells of the grid: each once, with a file of its own; damaged and foreign files are noticed."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from support.synthetic import hidden, member, small

from vlalign.errors import VlalignError
from vlalign.store.tensors import _digest
from vlalign.synthetic import SyntheticConfig
from vlalign.synthetic.cells import Cell, EncoderFiles, Encoders, all_cells, shape_of
from vlalign.synthetic.encoder import activations, initialise, pack
from vlalign.synthetic.study import SyntheticStudy

CELL = Cell(1, 2, 12, 7, 3)


def encoders(config: SyntheticConfig, cell: Cell = CELL, seed: int = 0) -> Encoders:
    """Made-up parameters of a cell."""
    count = len(config.uniqueness)
    ensemble, _ = initialise(shape_of(config, cell), [seed + m for m in range(count)])
    generator = torch.Generator().manual_seed(seed)
    return Encoders(
        pack(ensemble),
        torch.rand(count, 3, dtype=torch.float64, generator=generator),
        torch.randint(1, 50, (count,), generator=generator),
    )


def saved(folder: Path) -> tuple[EncoderFiles, Path]:
    config = small(folder)
    files = EncoderFiles(config)
    files.save(CELL, encoders(config))
    return files, files.path(CELL)


CONFIGS = st.builds(
    small,
    modalities=st.integers(2, 3),
    uniqueness=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    depths=st.lists(st.integers(1, 64), min_size=1, max_size=4),
    widths=st.none() | st.lists(st.integers(1, 99), min_size=1, max_size=3),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
    phi_depths=st.lists(st.integers(1, 64), min_size=1, max_size=4),
    phi_on=st.sampled_from(["others", "all"]),
    reference_per_phi=st.booleans(),
    ensemble=st.integers(1, 20),
    unique_bits=st.just(3),
)


@given(CONFIGS)
@settings(max_examples=60)
def test_cells_are_the_grid_each_once_with_a_name_of_its_own(config: SyntheticConfig) -> None:
    cells = all_cells(config)
    shapes = len(config.depths) * len(config.hidden) * len(config.seeds)
    per_phi = config.phi_on == "all" or config.reference_per_phi
    phis = [len(config.phi_depths) if per_phi or m else 1 for m in range(config.modalities)]
    assert len(cells) == len(set(cells)) == shapes * sum(phis)
    assert len({cell.name.lower() for cell in cells}) == len(cells)
    files = EncoderFiles(config)
    assert all(files.path(cell).parent == Path(config.out) / "encoders" for cell in cells)
    for cell in cells:
        assert cell.own_seed == cell.seed + cell.phi_depth + cell.depth
        assert (cell.phi_depth == 0) == (cell.modality == 0 and not per_phi)


@given(CONFIGS)
@settings(max_examples=60)
def test_ensembles_are_a_partition_into_cells_of_one_shape(config: SyntheticConfig) -> None:
    cells = [cell for i, cell in enumerate(all_cells(config)) if i % 5]
    groups = SyntheticStudy(config).groups(cells)
    assert sorted(cell for group in groups for cell in group) == sorted(cells)
    for group in groups:
        assert group
        assert len({(cell.modality, cell.depth, cell.width) for cell in group}) == 1
        assert len(group) == 1 or len(group) * len(config.uniqueness) <= config.ensemble
    shapes = {(cell.modality, cell.depth, cell.width) for cell in cells}
    per = max(1, config.ensemble // len(config.uniqueness))
    most = sum(-(-sum((cell.modality, cell.depth, cell.width) == shape for cell in cells) // per) for shape in shapes)
    assert len(groups) == most  # no more of them than it takes


def test_the_published_grid() -> None:
    config = SyntheticConfig()
    cells = all_cells(config)
    assert len(cells) == 10 * 5 + 10 * 10 * 5
    assert len(SyntheticStudy(config).groups(cells)) == 10 + 100
    published = all_cells(SyntheticConfig(reference_per_phi=True))
    assert len(published) == 2 * 10 * 10 * 5
    assert set(cells[50:]) == set(published[500:])  # of modality 2: the same
    assert cells[0].name == "modality1-phi00-depth01-width012-seed2.safetensors"
    assert cells[-1].title(4) == "modality 2, U 4, phi_depth 10, depth 10, width 12, seed 82"


def test_files_round_trip(tmp_path: Path) -> None:
    files, path = saved(tmp_path)
    found, expected = files.load(CELL), encoders(files.config)
    for name, tensor in vars(expected).items():
        assert torch.equal(getattr(found, name), tensor)
        assert getattr(found, name).dtype == tensor.dtype
    assert files.has(CELL)
    assert not files.has(replace(CELL, seed=0))
    assert [file.name for file in path.parent.iterdir()] == [CELL.name]
    second = found.ensemble(files.config, CELL, slice(1, 2))
    assert torch.equal(pack(second), expected.parameters[1:])
    x = torch.randn(1, 5, 12)
    both = activations(found.ensemble(files.config, CELL), x.expand(2, 5, 12))
    for layer, whole, network in zip(activations(second, x), both, hidden(member(second, 0), x[0]), strict=True):
        assert torch.allclose(layer[0], whole[1], atol=1e-6)
        assert torch.allclose(layer[0], network, atol=1e-5)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    files, path = saved(tmp_path)
    again = encoders(files.config, seed=1)
    files.save(CELL, again)
    assert torch.equal(files.load(CELL).parameters, again.parameters)
    assert [file.name for file in path.parent.iterdir()] == [CELL.name]


def warned(files: EncoderFiles, caplog: pytest.LogCaptureFixture) -> str:
    """What is said of a damaged file, which counts as missing."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="vlalign.study.cells"):
        assert not files.has(CELL)
    (text,) = caplog.messages
    assert "\n" not in text
    assert CELL.name in text
    assert text.endswith("; it is computed again")
    return text


def test_truncated_files_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files, path = saved(tmp_path)
    whole = path.read_bytes()
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "is damaged" in warned(files, caplog)
    path.write_bytes(whole + b"x")
    assert "is damaged" in warned(files, caplog)


def test_any_flipped_bit_of_a_header_is_noticed_or_of_no_effect(tmp_path: Path) -> None:
    files, path = saved(tmp_path)
    whole, expected = path.read_bytes(), files.load(CELL)
    header = 8 + int.from_bytes(whole[:8], "little")
    said = []
    for place in range(header):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << 5 * place % 8]) + whole[place + 1 :])
        try:
            found = files.load(CELL)
        except VlalignError as error:
            said.append(str(error))
        else:
            assert all(torch.equal(tensor, vars(expected)[name]) for name, tensor in vars(found).items())
    assert len(said) > 0.95 * header
    assert not any("\n" in text for text in said)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, value: float) -> None:
    files, _ = saved(tmp_path)
    broken = encoders(files.config)
    broken.parameters[1, 17] = value
    files.save(CELL, broken)
    assert "values that are not finite" in warned(files, caplog)


def test_a_flipped_bit_of_a_number_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files, path = saved(tmp_path)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1  # still a finite number, or another epoch
    path.write_bytes(data)
    assert "damaged: its numbers do not match their checksum" in warned(files, caplog)


def test_files_of_another_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files, path = saved(tmp_path)
    tensors = load_file(path)

    def write(other: dict[str, torch.Tensor]) -> None:
        told = {"key": files.key, "cell": vars(CELL), "sha256": _digest(other)}
        save_file(other, path, metadata={"vlalign": json.dumps(told)})

    write(tensors)
    assert files.has(CELL)
    for other in (
        {name: tensor for name, tensor in tensors.items() if name != "epoch"},
        tensors | {"more": torch.zeros(1)},
    ):
        write(other)
        assert "is damaged" in warned(files, caplog)
    write(tensors | {"parameters": tensors["parameters"][:, 1:].contiguous()})
    assert "parameters have shape [2, 389]" in warned(files, caplog)
    save_file(tensors, path)
    assert "is of other settings" in warned(files, caplog)


def test_files_of_other_settings_and_cells(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files, path = saved(tmp_path)
    other = EncoderFiles(replace(files.config, clip=1.0))
    assert other.path(CELL) == path
    assert "is of other settings" in warned(other, caplog)
    assert "is of other settings" in warned(EncoderFiles(files.config, {"modality 1": {0: (0.1, 0.0)}}), caplog)
    grown = replace(
        files.config, reference_per_phi=True, seeds=(1,), depths=(9,), metrics=("rsa",), ensemble=3, cpu=False
    )
    assert EncoderFiles(grown).has(CELL)
    neighbour = replace(CELL, seed=0)
    path.rename(files.path(neighbour))
    with pytest.raises(VlalignError, match="is of other settings"):
        files.load(neighbour)
    with pytest.raises(VlalignError, match=r"is damaged .*No such file"):
        files.load(CELL)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = EncoderFiles(small(tmp_path / "file" / "run"))
    with pytest.raises(VlalignError, match="cannot write") as caught:
        files.save(CELL, encoders(files.config))
    assert "\n" not in str(caught.value)
