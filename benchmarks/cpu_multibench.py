"""Measure the MultiBench study: ensembles against one model after the other, alignment against pair by pair.

  python benchmarks/cpu_multibench.py
  python benchmarks/cpu_multibench.py --quick --json multibench.json

Ours is what `vlalign multibench run` does on CPUs: as many ensembles of three encoders (three seeds) at a time as
torch has threads, each in a process of its own. Its time is that between the ends of epochs, so it includes
validation but neither the start of the processes nor the performance of the best checkpoint. The usual loop trains
one torch module after the other: a Dataset that makes tensors of single samples of all modalities, padded with a mask
where there are lengths, a collate function, a DataLoader with two workers, AdamW, validation after the epoch. Both
are timed in turn, after a round that warms up. The data are made up, of the shapes of AVMNIST and MOSI. Measure on an
idle machine.
"""

from __future__ import annotations

import copy
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measure import Row, alternate, row_of, run_alone
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from vlalign.multibench import Encoder, MultibenchConfig, MultibenchStudy, PreparedSplit, load_encoder, write_prepared
from vlalign.multibench.align import align
from vlalign.multibench.cells import Cell, all_cells, ensembles
from vlalign.study.grid import train_in_worker
from vlalign.study.workers import run_in_workers

_SHAPES: dict[str, dict[str, tuple[int, int]]] = {  # tokens, features
    "avmnist": {"image": (49, 16), "audio": (20, 36)},
    "mosi": {"vision": (50, 20), "audio": (50, 5), "text": (50, 300)},
}


def make_data(name: str, folder: Path, train: int, valid: int = 640, test: int = 640) -> None:
    """A made-up data set of the shapes of a real one; lengths 5 to 50 where the real one is padded."""
    generator = torch.Generator().manual_seed(0)
    ragged = name != "avmnist"
    splits = {}
    for split, count in (("train", train), ("valid", valid), ("test", test)):
        labels = torch.randint(0, 10, (count,), generator=generator)
        lengths = torch.randint(5, 51, (count,), generator=generator)
        inputs = {}
        for modality, (tokens, features) in _SHAPES[name].items():
            x = torch.randn(count, tokens, features, generator=generator) + 0.1 * labels[:, None, None]
            inputs[modality] = x * (torch.arange(tokens) < lengths[:, None])[..., None] if ragged else x
        splits[split] = PreparedSplit(
            inputs, dict.fromkeys(inputs, lengths) if ragged else {}, labels.float() - 4.5 if ragged else labels,
            [f"{split}-{i}" for i in range(count)],
        )  # fmt: skip
    task, pool = ("sentiment", "mean") if ragged else ("classification", "cls")
    classes = None if ragged else 10
    write_prepared(folder, name=name, task=task, classes=classes, pool=pool, splits=splits, about={})


class OneByOne(Dataset):
    """Samples of a split, all modalities, each made into tensors when it is asked for."""

    def __init__(self, split: PreparedSplit) -> None:
        self.inputs = {name: x.numpy() for name, x in split.inputs.items()}
        self.lengths = {name: n.numpy() for name, n in split.lengths.items()}
        self.labels = split.labels.numpy()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[list[Any], Any]:
        found: list[Any] = []
        for name, values in self.inputs.items():
            if name not in self.lengths:
                found.append(torch.tensor(values[i]))
                continue
            frames = torch.tensor(values[i])[: self.lengths[name][i]]
            padded = nn.functional.pad(frames, (0, 0, 0, values.shape[1] - len(frames)))
            found.append((padded, int(self.lengths[name][i])))
        return found, torch.tensor(self.labels[i])


def collate(samples: Sequence[tuple[list[Any], Tensor]]) -> tuple[list[tuple[Tensor, Tensor | None]], Tensor]:
    """Batches of every modality, with lengths where there are some."""
    columns = list(zip(*(inputs for inputs, _ in samples), strict=True))
    batches: list[tuple[Tensor, Tensor | None]] = [
        (torch.stack([x for x, _ in column]), torch.tensor([n for _, n in column])) if isinstance(column[0], tuple)
        else (torch.stack(column), None)
        for column in columns
    ]  # fmt: skip
    return batches, torch.stack([label for _, label in samples])


class TorchEncoder(Encoder):
    """An encoder with the passes of torch's modules."""

    def forward(self, x: Tensor, lengths: Tensor | None = None, dropout: object = None) -> Tensor:
        """Return outputs [B, outputs] for tokens [B, T, features]."""
        h = self.proj(x)
        if self.shape.cls:
            h = torch.cat([self.cls_token.expand(len(x), 1, -1), h], dim=1)
        h = h + self.pos_embedding[:, : h.shape[1]]
        padding = None if lengths is None else torch.arange(x.shape[1]) >= lengths[:, None]
        for layer in self.transformer.layers:
            h = layer(h, src_key_padding_mask=padding)
        if self.shape.cls:
            return self.head(h[:, 0])
        weights = torch.ones(x.shape[:2]) if padding is None else (~padding).float()
        return self.head((h * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True))


class Usual:
    """One encoder, trained as it usually is."""

    def __init__(self, study: MultibenchStudy, modality: str, depth: int) -> None:
        config, data = study.config, study.data
        self.place = data.modalities.index(modality)
        self.classes, self.clip, self.batch, self.best = data.classes, config.clip, config.batch, -float("inf")
        member = next(one for one in all_cells(config) if (one.modality, one.depth) == (modality, depth))
        self.model = TorchEncoder(study.files.shape(member))
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
            elif isinstance(module, nn.MultiheadAttention):
                module.dropout = config.dropout
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.train, self.valid = OneByOne(data.splits["train"]), OneByOne(data.splits["valid"])

    def loss(self, out: Tensor, labels: Tensor) -> Tensor:
        """Of a batch."""
        if self.classes:
            return nn.functional.cross_entropy(out, labels)
        return nn.functional.l1_loss(out[:, 0], labels)

    def epoch(self) -> None:
        """Training, validation, the best state kept."""
        self.model.train()
        options: dict[str, Any] = {"batch_size": self.batch, "num_workers": 2, "collate_fn": collate}
        for inputs, labels in DataLoader(self.train, shuffle=True, **options):
            self.optimiser.zero_grad()
            self.loss(self.model(*inputs[self.place]), labels).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimiser.step()
        self.model.eval()
        score = 0.0
        with torch.no_grad():
            for inputs, labels in DataLoader(self.valid, **options):
                out = self.model(*inputs[self.place])
                right = (out.argmax(dim=1) == labels).sum() if self.classes else -(out[:, 0] - labels).abs().sum()
                score += float(right)
        if score > self.best:
            self.best, self.state = score, copy.deepcopy(self.model.state_dict())


def training_row(name: str, modality: str, depth: int, train: int, epochs: int = 6, repeats: int = 2) -> Row:
    """A model-epoch of ensembles, one on each thread, against the usual loop."""
    load, threads = os.getloadavg()[0], torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        make_data(name, Path(folder) / "data", train)
        config = MultibenchConfig(
            data=f"{folder}/data", out=f"{folder}/run", depths=(depth,), seeds=tuple(range(3 * threads)), ensemble=3,
            epochs=epochs, learning_rate=(1e-3,), weight_decay=(0.0,), cpu=True,
        )  # fmt: skip
        study = MultibenchStudy(config)
        groups = [one for one in ensembles(study.config, all_cells(study.config)) if one[0].modality == modality]

        work = partial(train_in_worker, MultibenchStudy, study.config)

        seconds: list[float] = []

        def ours() -> None:
            ends: list[float] = []
            run_in_workers(work, groups, threads, lambda group: ends.append(time.perf_counter()))
            seconds.append((ends[-1] - ends[0]) / (len(ends) - 1) / len(groups[0]))

        _, slow = alternate(ours, Usual(study, modality, depth).epoch, repeats)
    models, (tokens, features) = sum(map(len, groups)), _SHAPES[name][modality]
    return row_of(
        f"a model-epoch of depth {depth}, {tokens}×{features} ({name} {modality}), {train:,} samples",
        "one after the other, Dataset, 2 workers", statistics.median(seconds), slow, "s",
        at_least=5, models=models, load_before=load,
    )  # fmt: skip


def pair_by_pair(
    study: MultibenchStudy, members: Sequence[Cell], best: Cell, dtype: torch.dtype = torch.float32
) -> list[float]:
    """Alignment of encoders as the released code measures it.

    Two models are loaded for each pair, a batch is made of single samples, and every layer pair is compared by itself
    with the full kernels.
    """
    found = []
    places = [study.data.modalities.index(one.modality) for one in (members[0], best)]
    for member in members:
        encoders = [load_encoder(study.files.path(one)) for one in (member, best)]
        data = OneByOne(study.data.splits["test"])
        loader = DataLoader(data, batch_size=study.config.align_samples, num_workers=2, collate_fn=collate)
        inputs, _ = next(iter(loader))
        with torch.no_grad():
            x, y = (
                [h.to(dtype) for h in model.states(*inputs[place])]
                for model, place in zip(encoders, places, strict=True)
            )
            found.append(max(slow_unbiased_cka(own, other) for own in x for other in y))
    return found


def slow_unbiased_cka(x: Tensor, y: Tensor) -> float:
    """Unbiased CKA of two states from its definition, each cut and normalised."""
    kernels = []
    for h in (x, y):
        limit = float(h.abs().flatten().sort().values[int(0.95 * h.numel())])
        h = nn.functional.normalize(h.clamp(-limit, limit), dim=1)
        kernels.append((h @ h.T).fill_diagonal_(0))

    def hsic(a: Tensor, b: Tensor) -> float:
        n = len(a)
        sums = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a.sum(dim=0) @ b.sum(dim=0)) / (n - 2)
        return float(((a * b).sum() + sums) / (n * (n - 3)))

    return hsic(*kernels) / (hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1])) ** 0.5


def alignment_row(depths: int, seeds: int, samples: int) -> Row:
    """Alignment of all encoders of a modality with the best of another, against pair by pair; values must agree."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        make_data("avmnist", Path(folder) / "data", 640, test=samples)
        config = MultibenchConfig(
            data=f"{folder}/data", out=f"{folder}/run", depths=tuple(range(1, depths + 1)), seeds=tuple(range(seeds)),
            epochs=1, metrics=("unbiased_cka",), cpu=True,
        )  # fmt: skip
        study = MultibenchStudy(config)
        result = study.run(report=False)
        assert result is not None
        best = Cell("audio", int(result.best("audio")["depth"]), int(result.best("audio")["seed"]))
        images = [member for member in all_cells(study.config) if member.modality == "image"]
        some = [member for member in images if member.seed == 0]  # pair by pair takes minutes
        encoders = {member: study.files.load(member) for member in [*images, best]}
        start = time.perf_counter()
        found, _ = align(study.config, study.files, encoders, study.align_samples)
        middle = time.perf_counter()
        pair_by_pair(study, some, best)
        end = time.perf_counter()
        # states of little trained encoders are nearly equal, and kernels in float32 lose digits there
        exact = pair_by_pair(study, some[::3], best, torch.float64)
    ours = {Cell(row["modality"], row["depth"], row["seed"]): row["unbiased_cka"] for row in found}
    apart = max(abs(ours[member] - value) for member, value in zip(some[::3], exact, strict=True))
    if not apart < 1e-4:
        raise AssertionError(f"alignment differs from that of each pair by {apart}")
    return row_of(
        f"alignment of an encoder: {len(images)} of depth 1 to {depths} with one of depth {best.depth}, N={samples:,}",
        f"two models loaded for each pair ({len(some)} of them)",
        1000 * (middle - start) / len(images), 1000 * (end - middle) / len(some), "ms",
        at_least=20, difference=apart, load_before=load,
    )  # fmt: skip


def rows(quick: bool = False) -> list[Row]:
    """All rows; ``quick`` measures few samples, to see that everything runs."""
    if quick:
        return [training_row("mosi", "audio", 2, 64, epochs=3, repeats=1), alignment_row(2, 2, 64)]
    made = [training_row("avmnist", modality, depth, 3200) for modality in ("image", "audio") for depth in (1, 4, 8)]
    made += [training_row("mosi", "audio", 4, 1280), training_row("mosi", "text", 2, 640, 2)]
    return [*made, alignment_row(10, 3, 4096)]


if __name__ == "__main__":
    sys.exit(run_alone(rows, __doc__))
