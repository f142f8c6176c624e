"""Small MultiBench studies, and encoders as anyone would train them: torch modules, one at a time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vlalign.multibench import Encoder, MultibenchConfig, Prepared
from vlalign.multibench.data.prepared import PreparedSplit, write_prepared
from vlalign.multibench.encoder import initialise
from vlalign.multibench.shape import Shape
from vlalign.multibench.train import Samples
from vlalign.study.ensembles import Ensemble

SMALL: dict[str, Any] = {
    "depths": (1, 2), "seeds": (0, 7), "epochs": 2, "batch": 16, "metrics": ("unbiased_cka", "mutual_knn:k=5"),
    "permutations": 99, "cpu": True,
}  # fmt: skip


def small(data: Prepared, out: object, **values: Any) -> MultibenchConfig:
    """A study whose encoders train in a few hundredths of a second."""
    return MultibenchConfig(**{**SMALL, "data": str(data.folder), "out": str(out), **values})


def toy_data(folder: Path, task: str = "classification", seed: int = 0, scale: float = 1.0, **sizes: int) -> Prepared:
    """Three modalities: vision (times ``scale``) and audio depend on the label, text does not; audio is padded."""
    generator = torch.Generator().manual_seed(seed)
    splits = {}
    for name, count in {"train": 60, "valid": 30, "test": 40, **sizes}.items():
        labels = torch.randint(0, 3, (count,), generator=generator)
        vision = scale * (torch.randn(count, 5, 4, generator=generator) + labels[:, None, None])
        audio = torch.randn(count, 6, 3, generator=generator) - 0.7 * labels[:, None, None]
        text = torch.randn(count, 5, 4, generator=generator)
        lengths = torch.randint(1, 7, (count,), generator=generator)
        audio = audio * (torch.arange(6) < lengths[:, None])[..., None]
        if task != "classification":
            labels = labels - 1 + 0.1 * torch.randn(count, generator=generator)
        splits[name] = PreparedSplit(
            {"vision": vision, "audio": audio, "text": text}, {"audio": lengths}, labels,
            [f"{name}-{i}" for i in range(count)],
        )  # fmt: skip
    return write_prepared(
        folder, name="toy", task=task, classes=3 if task == "classification" else None,
        pool="cls" if task == "classification" else "mean", splits=splits, about={},
    )  # fmt: skip


class TorchEncoder(Encoder):
    """The same encoder with the passes of torch's modules, for one encoder."""

    def forward(self, x: Tensor, lengths: Tensor | None = None, dropout: object = None) -> Tensor:
        return self.head(self.states(x, lengths)[-1])

    def states(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        h = self.proj(x)
        if self.shape.cls:
            h = torch.cat([self.cls_token.expand(len(x), 1, -1), h], dim=1)
        h = h + self.pos_embedding[:, : h.shape[1]]
        padding = weights = None
        if lengths is not None:
            padding = torch.arange(h.shape[1]) >= (lengths[:, None] + self.shape.cls)
            weights = (~padding).to(h.dtype)[..., None] / lengths[:, None, None]
        found = []
        for layer in self.transformer.layers:
            h = layer(h, src_key_padding_mask=padding)
            if self.shape.cls:
                found.append(h[:, 0])
            elif weights is None or self.shape.pool == "mean-padded":
                found.append(h.mean(dim=1))
            else:
                found.append((h * weights).sum(dim=1))
        return found


def random_ensemble(shape: Shape, members: int, dtype: torch.dtype = torch.float64) -> Ensemble[Encoder]:
    """Encoders whose layers differ."""
    start = initialise(shape, range(members))
    noise = torch.randn(start.flat.shape, generator=torch.Generator().manual_seed(1))
    return Ensemble(start.make, (start.flat + 0.2 * noise).to(dtype))


def module_of(ensemble: Ensemble[Encoder], member: int) -> TorchEncoder:
    """One member as a module."""
    encoder = TorchEncoder(ensemble.module.shape).to(ensemble.flat.dtype)
    encoder.load_state_dict(ensemble.state(member))
    return encoder


def samples_of(
    shape: Shape, count: int, *, ragged: bool, numbers: bool = False, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Samples:
    """Random samples that an encoder of the shape takes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, shape.tokens, shape.features, generator=generator, dtype=dtype)
    lengths = torch.randint(1, shape.tokens + 1, (count,), generator=generator) if ragged else None
    labels = torch.randint(0, max(2, shape.outputs), (count,), generator=generator)
    x[..., 0] += labels[:, None]
    return Samples(x, lengths, labels.float() - 0.5 if numbers else labels)


def trained_alone(
    shape: Shape,
    splits: Sequence[Samples],
    *,
    task: str,
    seed: int,
    learning_rate: float,
    weight_decay: float,
    epochs: int,
    batch: int,
    clip: float,
) -> tuple[dict[str, Tensor], int]:
    """The best state dict and its epoch: torch's modules, loop, loss, AdamW and clipping, without dropout."""
    torch.manual_seed(seed)
    encoder = TorchEncoder(shape).to(splits[0].x.dtype)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=learning_rate, weight_decay=weight_decay)
    generator = torch.Generator().manual_seed(seed)
    train, valid = splits[:2]
    best, kept, epoch_of = -float("inf"), {}, 0
    for epoch in range(1, epochs + 1):
        encoder.train()
        for rows in torch.randperm(len(train), generator=generator).split(batch):
            out = encoder(train.x[rows], None if train.lengths is None else train.lengths[rows])
            loss = (
                F.cross_entropy(out, train.labels[rows]) if task == "classification"
                else F.l1_loss(out[:, 0], train.labels[rows].to(out.dtype))
            )  # fmt: skip
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), clip)
            optimiser.step()
        encoder.eval()
        with torch.no_grad():
            out = encoder(valid.x, valid.lengths)
        if task == "classification":
            score = float((out.argmax(dim=1) == valid.labels).double().mean())
        else:
            score = -float((out[:, 0] - valid.labels).abs().mean())
        if score > best:
            best, kept, epoch_of = score, copy.deepcopy(encoder.state_dict()), epoch
    return kept, epoch_of
