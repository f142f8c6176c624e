"""`vlalign reproduce platonic X Y` as users run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from end_to_end.conftest import Command
from support.tiny import TinyModels

import vlalign
from vlalign.cli import main


@pytest.fixture(scope="module")
def store(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two text models, a vision transformer, and a network whose layers differ in width, on the 24 rows."""
    folder = tmp_path_factory.mktemp("reproduced") / "features"
    models = [str(tiny.path(name)) for name in ("llama", "bloom", "timm_dinov2_small", "timm_resnet")]
    vlalign.extract(models, data=str(tiny.path("prh")), store=str(folder))
    return folder


def plain_reference(x: torch.Tensor, y: torch.Tensor, k: int, exact: bool) -> tuple[float, tuple[int, int] | None]:
    """Score and (y, x) indices of features [N, L, D], in the plainest steps."""
    found: list[list[list[set[int]]]] = []
    for features in (x, y):
        sizes = features.abs().flatten(1)
        bound = sizes.flatten().sort().values[int(0.95 * sizes.numel())]
        if not exact:
            bound = torch.quantile(sizes, 0.95, dim=1).mean()
        found.append([])
        for layer in features.clamp(-bound, bound).unbind(1):
            rows = torch.nn.functional.normalize(layer, dim=-1)
            order = (rows @ rows.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)
            found[-1].append([set(row[:k].tolist()) for row in order])
    best, indices = 0.0, None
    for j, b in enumerate(found[1]):
        for i, a in enumerate(found[0]):
            shared = torch.tensor([float(len(p & q)) for p, q in zip(a, b, strict=True)])
            if (value := (shared / k).mean().item()) > best:
                best, indices = value, (j, i)
    return best, indices


@pytest.mark.parametrize("quantile", ["exact", "mean"])
def test_the_verb(command: Command, store: Path, tmp_path: Path, quantile: str) -> None:
    (tmp_path / "features").symlink_to(store)
    line = f"python scripts/reproduce.py platonic llama timm_dinov2_small --k 5 --quantile {quantile}"
    said = command(line).stdout
    features = vlalign.FeatureStore(store)
    x, y = (torch.stack(features.find(name).features(), dim=1) for name in ("llama", "timm_dinov2_small"))
    score, indices = plain_reference(x, y, 5, quantile == "exact")
    data = json.loads(command(f"{line} --json").stdout)
    assert data["reference"]["score"] == score
    assert data["reference"]["indices"] == list(indices or ())
    assert data["ours"]["matrix"] == vlalign.score(x, y, k=5, permutations=0).matrix
    assert data["x"]["model"] == "llama"
    for part in (repr(score), f"{indices}  = (y, x)", "stored layer indices"):
        assert part in said
    assert ("clip threshold" in [entry["what"] for entry in data["differences"]]) == (quantile == "mean")
    assert "not explained" not in said


def test_mistakes(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in (
        (["llama", "timm_resnet"], "[N, L, D]"),
        (["llama", "blom"], "bloom"),
        (["llama", "bloom", "--k", "24"], "k=24"),
        (["llama", "bloom", "--metric", "svcca"], "random"),
        (["llama", "bloom", "--metric", "procrustes"], "mutual_knn"),
    ):
        assert main(["reproduce", "platonic", *arguments, "--store", str(store)]) == 1
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert word in lines[0]
    with pytest.raises(SystemExit):
        main(["reproduce", "plato", "llama", "bloom"])
    assert "platonic" in capsys.readouterr().err
