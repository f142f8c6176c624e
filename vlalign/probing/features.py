"""Features to probe: a run, the runs of one model on the splits of a data set, or arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vlalign.arrays import as_float32, refuse_infinite, whole
from vlalign.data.splits import WORDS
from vlalign.errors import VlalignError
from vlalign.scoring.inputs import Arrays, Side, is_run
from vlalign.store.checksums import canonical

if TYPE_CHECKING:
    from vlalign.store import Run

_OF_SPLIT = ("split", "n", "content", "ids")  # parts of a key's data that differ between splits


class ProbedFeatures:
    """Layers of one model on N samples, read one at a time.

    Args:
        parts: one run or arrays; or runs of one model, each on one split.
        split: train, valid or test of each run; None for one part.

    Attributes:
        title: name of the model.
        n: number of samples.
        ids: of the samples; None without.
        names: ids, or the index of a frame without other ids; None without either.
        axis: layers: index, name, width and convention of each.
        split: train, valid or test of each sample, where each run is one split.
        run: whose performance the probes are: the only one, or that of the test split; None for arrays.
    """

    def __init__(self, parts: Sequence[Any], split: Sequence[str] | None = None) -> None:
        self._sides = [Side(part, "x") for part in parts]
        first = self._sides[0]
        self.title, self.axis, self.modality = first.model, first.axis, first.modality
        self.n = sum(side.n for side in self._sides)
        ids = [name for side in self._sides for name in side.ids or ()]
        self.ids: list[str] | None = ids if len(ids) == self.n else None
        self.names = self.ids if len(self._sides) > 1 else first.names
        self.split = None if split is None else [
            part for side, part in zip(self._sides, split, strict=True) for _ in range(side.n)
        ]  # fmt: skip
        self.run: Run | None = self._sides[-1 if split is None else list(split).index("test")].run
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise VlalignError(
                f"{self.title}: the sample {twice!r} is in two splits: extract with an id column (--id-column)"
            )

    @property
    def content(self) -> list[str]:
        """Hash of each run, or digest of the arrays."""
        return [side.run.key.hash if side.run else side.describe()["tensor"]["sha256"] for side in self._sides]

    def check(self) -> None:
        """Check the checksums of all runs.

        Raises:
            VlalignError: a shard is missing or damaged.
        """
        for side in self._sides:
            if side.run is not None:
                side.run.check()

    def load(self, i: int, device: torch.device | None = None) -> Tensor:
        """Return the layer at position ``i``, float32 [N, D]; see :func:`vlalign.arrays.as_float32`.

        Raises:
            VlalignError: a value is not finite, or a shard is missing or damaged.
        """
        layers = [whole(side.load(i)) for side in self._sides]
        layer = layers[0] if len(layers) == 1 else torch.cat(layers)
        refuse_infinite(layer, f"layer {self.axis[i]['name']} of {self.title}")
        layer = as_float32(layer)
        return layer if device is None else layer.to(device)


def features_of(given: Any, ids: Any = None) -> ProbedFeatures:
    """Return the features of a run or of arrays.

    Raises:
        VlalignError: ids for a run, or features that :func:`vlalign.arrays.as_layers` refuses.
    """
    if is_run(given):
        if ids is not None:
            raise VlalignError("a run has ids: leave them out")
        return ProbedFeatures([given])
    if isinstance(given, Arrays):
        return ProbedFeatures([given])
    return ProbedFeatures([Arrays(given, ids=ids, label="features")])


def by_model(runs: Sequence[Run]) -> list[ProbedFeatures]:
    """Return the features of each run; runs that differ only in the split of their data are taken together.

    That needs one run each of the splits train, validation and test, such as ``train[:1024]``.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        data = {name: value for name, value in (run.key.data.get("data") or {}).items() if name not in _OF_SPLIT}
        groups.setdefault(canonical(run.key.data | {"data": data}), []).append(run)
    features = []
    for members in groups.values():
        parts = [_part(run) for run in members]
        if sorted(map(str, parts)) == ["test", "train", "valid"]:
            features.append(ProbedFeatures(members, [str(part) for part in parts]))
        else:
            features += [ProbedFeatures([run]) for run in members]
    return features


def _part(run: Run) -> str | None:
    """Return train, valid or test by the split in a run's key; None for another one."""
    name = str((run.key.data.get("data") or {}).get("split", "")).partition("[")[0].strip()
    known = next((part for part, words in WORDS.items() if re.fullmatch(words, name)), None)
    return "valid" if known == "validation" else known
