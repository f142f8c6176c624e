"""Samples of a task: drawn bits and labels, the split, and each modality's features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.synthetic.config import SyntheticConfig
from vlalign.synthetic.distribution import all_bits, label_table
from vlalign.synthetic.transforms import make_phi

Ints = NDArray[np.int64]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class SyntheticData:
    """Samples at one uniqueness.

    Attributes:
        config: their settings.
        uniqueness: U.
        states: [S] number of the state of each sample, of all bits.
        labels: [S].
        splits: sample numbers, ascending, of ``train``, ``validation`` and ``test``.
    """

    config: SyntheticConfig
    uniqueness: int
    states: Ints
    labels: Ints
    splits: dict[str, Ints]

    def codes(self, modality: int) -> Ints:
        """Return the number [S], of 2^width values, of the bits that a modality (from 0) sees of each sample."""
        config = self.config
        own = config.unique_bits
        shared = self.states >> (own * config.modalities)
        mine = (self.states >> (own * (config.modalities - 1 - modality))) & (2**own - 1)
        return np.asarray((shared << own) | mine, dtype=np.int64)

    def inputs(self, modality: int, phi_depth: int) -> tuple[Tensor, Ints]:
        """Return distinct rows [R, width] of a modality's features, and the row [S] of each sample.

        The features are the bits, or φ of them, with noise if any, standardised by mean and
        standard deviation of the train split.

        Args:
            modality: from 0.
            phi_depth: of φ; it does not affect a modality without φ.

        Raises:
            VlalignError: φ is so deep that inputs become equal by rounding.
        """
        config = self.config
        codes = self.codes(modality)
        rows = torch.from_numpy(all_bits(config.width)).float()
        if config.has_phi(modality):
            first = 0 if config.phi_on == "all" else 1
            phis = make_phi(
                config.width, phi_depth, config.modalities - first, config.phi_nonlinearity, config.transforms_seed
            )
            rows = phis[modality - first](rows)
            if (distinct := len(rows.unique(dim=0))) < len(rows):
                raise VlalignError(
                    f"phi_depths has {phi_depth}: with {config.phi_nonlinearity} only {distinct} of {len(rows)} inputs "
                    "stay distinct in float32; lower phi_depths, or take another phi_nonlinearity"
                )
        rows = self._standardised(rows, codes)
        if config.noise:
            draw = np.random.RandomState([config.data_seed, 3, modality])
            rows = rows[torch.from_numpy(codes)] + config.noise * torch.from_numpy(
                draw.standard_normal((config.samples, config.width)).astype(np.float32)
            )
            codes = np.arange(config.samples)
            rows = self._standardised(rows, codes)
        return rows, codes

    def features(self, modality: int, phi_depth: int) -> Tensor:
        """Return features [S, width] of a modality, as encoders see them."""
        rows, codes = self.inputs(modality, phi_depth)
        return rows[torch.from_numpy(codes)]

    def _standardised(self, rows: Tensor, codes: Ints) -> Tensor:
        count = torch.from_numpy(np.bincount(codes[self.splits["train"]], minlength=len(rows))).double()
        share = count / count.sum()
        mean = share @ rows.double()
        sd = (share @ (rows.double() - mean).square()).sqrt()
        return ((rows - mean) / sd.where(sd > 0, torch.ones_like(sd))).float()


def make_data(config: SyntheticConfig, uniqueness: int) -> SyntheticData:
    """Draw the samples of one uniqueness. The bits, and the draw that decides the label, are the same for every U.

    Raises:
        VlalignError: the uniqueness is outside of what the bits allow.
    """
    table = label_table(config, uniqueness).reshape(-1, config.classes)
    states = np.random.RandomState([config.data_seed, 0]).randint(0, len(table), config.samples, dtype=np.int64)
    chance = np.random.RandomState([config.data_seed, 1]).random_sample(config.samples)
    labels = (chance[:, None] >= table.cumsum(axis=1)[states, :-1]).sum(axis=1)
    return SyntheticData(config, uniqueness, states, labels, _split(config, labels))


def _split(config: SyntheticConfig, labels: Ints) -> dict[str, Ints]:
    """Split randomly, stratified: each split has its share of each class, up to a sample or two of common ones."""
    order = np.random.RandomState([config.data_seed, 2]).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # class after class, random within
    counts = np.bincount(labels, minlength=config.classes)
    place = np.concatenate([(np.arange(count) + 0.5) / count for count in counts if count])
    mixed = order[np.argsort(place, kind="stable")]
    train, valid, _ = config.sizes
    parts = np.split(mixed, [train, train + valid])
    return {name: np.sort(part) for name, part in zip(SPLITS, parts, strict=True)}
