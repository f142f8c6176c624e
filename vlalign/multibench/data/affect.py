"""MOSI, MOSEI, UR-FUNNY and MUStARD, prepared like MultiBench's loader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.multibench.data.arrays import (
    ROWS,
    Array,
    Blocks,
    Scale,
    as_float32,
    check_finite,
    check_numbers,
    count_values,
    id_texts,
    measure,
    row_blocks,
)
from vlalign.multibench.data.source import Source, read_source
from vlalign.multibench.data.validation import SPLITS
from vlalign.multibench.published import TITLES

if TYPE_CHECKING:
    from vlalign.multibench.data.prepared import Prepared, PreparedSplit

MODALITIES = ("vision", "audio", "text")
STANDARDISED = ("vision", "audio")
FRAMES = 50


@dataclass(frozen=True)
class Convention:
    """Conventions of a data set.

    Attributes:
        task: "sentiment" or "classification".
        pool: of its encoders.
        labels: description of its labels, for errors.
        widths: features of vision, audio and text in the releases.
        samples: approximate number over all splits.
    """

    task: str
    pool: str
    labels: str
    widths: tuple[tuple[int, int, int], ...]
    samples: int


_SENTIMENT = "many numbers from -3 to 3, of both signs"
CONVENTIONS = {
    "mosi": Convention("sentiment", "mean", _SENTIMENT, ((20, 5, 300), (35, 74, 300)), 2199),
    "mosei": Convention("sentiment", "mean", _SENTIMENT, ((35, 74, 300), (713, 74, 300)), 22777),
    "urfunny": Convention("classification", "cls", "0 and 1", ((371, 81, 300),), 16514),
    "mustard": Convention("classification", "cls", "0 and 1, or -1 and 1", ((371, 81, 300),), 690),
}


def label_problem(name: str, values: Array) -> str | None:
    """Return why the labels of all splits together, float64 [N], cannot be those of a data set; None if they can."""
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} values that are not finite"
    distinct = np.unique(values)
    if CONVENTIONS[name].task == "sentiment":
        fits = len(distinct) > 3 and -3 <= distinct[0] < 0 < distinct[-1] <= 3
    else:
        pairs = ([0, 1],) if name == "urfunny" else ([0, 1], [-1, 1])
        fits = len(distinct) == 2 and any((distinct == pair).all() for pair in pairs)
    if fits:
        return None
    if len(distinct) <= 5:
        return f"the values {', '.join(f'{value:g}' for value in distinct)}"
    return f"{len(distinct)} values from {distinct[0]:g} to {distinct[-1]:g}"


def plain_labels(source: Source, split: str) -> Array:
    """Return the labels [N] of a split, stored as [N], [N, 1] or [N, 1, 1].

    Raises:
        VlalignError: they have another shape, or are not numbers.
    """
    values, where = source.splits[split]["labels"], source.title(split, "labels")
    if values.dtype == object and all(isinstance(value, int | float | np.number) for value in values.reshape(-1)):
        values = values.astype(np.float64)
    if values.dtype.kind not in "fiub":
        raise VlalignError(f"{where} has dtype {values.dtype}: expected numbers")
    if values.ndim not in (1, 2, 3) or values.size != len(values) or not values.size:
        raise VlalignError(f"{where} has the shape {list(values.shape)}: expected [N], [N, 1] or [N, 1, 1]")
    return values.reshape(-1).astype(np.float64)


def prepare_affect(
    name: str, path: str | Path, folder: str | Path, *, pool: str | None = None, force: bool = False
) -> Prepared:
    """Prepare the file of a data set in ``folder``, following MultiBench's loader.

    Samples whose text is all zero are dropped; arrays are cut to their first 50 frames; −inf in audio becomes 0;
    leading frames without text are stripped from all three modalities, which are padded with zeros at the end.
    Vision and audio are standardised by mean and population standard deviation of each feature over all samples and
    frames of the cut train split, stripped ones included; a constant feature is divided by 1.

    Args:
        name: mosi, mosei, urfunny or mustard.
        path: of a file for :func:`vlalign.multibench.data.source.read_source`.
        folder: output folder.
        pool: how encoders pool; None for the convention.
        force: replace another data set in the folder.

    Raises:
        VlalignError: the file is not as expected (the message names the key, its value and the expected one), or
            writing failed.
    """
    import torch

    from vlalign.multibench.data.prepared import PreparedSplit, write_prepared

    convention, source = CONVENTIONS[name], read_source(path)
    labels, plans = plan_affect(name, source)
    width = max(plan.frames for plan in plans.values())
    about: dict[str, Any] = {
        "source": source.files,
        "processing": {"splits": {split: plans[split].counts for split in SPLITS}, "frames": width, "standardised": {}},
        "statistics": {split: _label_facts(labels[split][plans[split].kept]) for split in SPLITS},
    }
    if note := _unlike(name, source):
        about["notes"] = [note]
    inputs: dict[str, dict[str, Any]] = {split: {} for split in SPLITS}
    for key in MODALITIES:
        scale = None
        for split, plan in plans.items():
            if split == SPLITS[0] and key in STANDARDISED:
                scale = measure(source.title(split, key), plan.blocks(source, key))
                about["processing"]["standardised"][key] = scale.to_json()
            inputs[split][key] = torch.from_numpy(_stripped(source, key, plan, width, scale))
            if key != "text":
                del source.splits[split][key]  # the largest arrays: one modality at a time is held twice
    padded = any((plan.lengths < width).any() for plan in plans.values())
    classes = None if convention.task == "sentiment" else 2
    splits: dict[str, PreparedSplit] = {}
    for split, plan in plans.items():
        lengths = {key: torch.from_numpy(plan.lengths) for key in MODALITIES} if padded else {}
        chosen = labels[split][plan.kept]
        targets = (chosen > 0).astype(np.int64) if classes else chosen.astype(np.float32)
        splits[split] = PreparedSplit(inputs[split], lengths, torch.from_numpy(targets), plan.ids)
    return write_prepared(
        folder, name=name, task=convention.task, classes=classes, pool=pool or convention.pool, splits=splits,
        about=about, force=force,
    )  # fmt: skip


def _unlike(name: str, source: Source) -> str | None:
    """Return why a file looks like another data set's, None if it does not."""
    convention, train = CONVENTIONS[name], source.splits[SPLITS[0]]
    widths = tuple(int(train[key].shape[2]) for key in MODALITIES)
    if widths not in convention.widths:
        shown, known = ("/".join(map(str, each)) for each in (widths, convention.widths[0]))
        return f"vision, audio and text have {shown} features, those of {TITLES[name]} mostly {known}"
    count = sum(len(part[MODALITIES[0]]) for part in source.splits.values())
    alike = {
        other: known.samples
        for other, known in CONVENTIONS.items()
        if widths in known.widths and known.task == convention.task
    }
    nearest = min(alike, key=lambda other: abs(np.log(count / alike[other])))
    if nearest == name:
        return None
    return f"{count} samples: {TITLES[name]} has about {convention.samples}, {TITLES[nearest]} {alike[nearest]}"


def _check_layout(source: Source) -> None:
    """Raise VlalignError unless a file has the splits, keys and shapes of affect data."""
    if lacking := [split for split in SPLITS if split not in source.splits]:
        held = ", ".join([*source.splits, *source.flat][:8]) or "nothing"
        raise VlalignError(
            f"{source.path} lacks the split {', '.join(lacking)}: it has {held}; expected train, valid and test"
        )
    for split, arrays in source.splits.items():
        if lacking := [key for key in (*MODALITIES, "labels") if key not in arrays]:
            raise VlalignError(
                f"{source.path}: {split} lacks {', '.join(lacking)}: it has {', '.join(arrays) or 'nothing'}; expected "
                "vision, audio, text, labels"
            )
        for key in MODALITIES:
            check_numbers(source.title(split, key), arrays[key])
        samples, frames, _ = arrays[MODALITIES[0]].shape
        for key in (key for key in (*MODALITIES, "labels", "id", "ids") if key in arrays):
            values, where = arrays[key], source.title(split, key)
            if values.ndim == 0 or len(values) != samples:
                count = len(values) if values.ndim else "no"
                raise VlalignError(f"{where} has {count} samples, vision has {samples}: expected {samples} samples")
            if key in MODALITIES and values.shape[1] != frames:
                raise VlalignError(
                    f"{where} has {values.shape[1]} frames, vision has {frames}: "
                    "expected modalities aligned to equal numbers of frames"
                )
        for key in MODALITIES:
            width, train = arrays[key].shape[2], source.splits[SPLITS[0]][key].shape[2]
            if width != train:
                raise VlalignError(f"{source.title(split, key)} has {width} features, expected {train} as in train")


@dataclass(frozen=True)
class SplitPlan:
    """Samples that a split keeps, and the counts of changes.

    Attributes:
        split: its name.
        kept: int64 [n], rows of the file that are kept.
        starts: int64 [n], their first frame with text.
        lengths: int64 [n], frames from the first with text to the last.
        frames: of the cut arrays.
        ids: n texts.
        counts: dropped samples, cut and stripped frames, replaced values.
    """

    split: str
    kept: Array
    starts: Array
    lengths: Array
    frames: int
    ids: list[str]
    counts: dict[str, int]

    def blocks(self, source: Source, key: str) -> Blocks:
        """Return the kept rows of a modality in blocks, cut, with −inf in audio replaced."""

        def change(_: Array, rows: Array) -> Array:
            if key == "audio" and rows.dtype.kind == "f":
                rows[rows == -np.inf] = 0
            return rows

        return row_blocks(source.splits[self.split][key][:, : self.frames], self.kept, change)


def plan_affect(name: str, source: Source) -> tuple[dict[str, Array], dict[str, SplitPlan]]:
    """Check a file as that of a data set, reading all of it; return the labels float64 [N] and plans of its splits.

    Raises:
        VlalignError: the file is not as expected, or no sample of a split is kept.
    """
    _check_layout(source)
    labels = {split: plain_labels(source, split) for split in SPLITS}
    _check_labels(name, source, labels)
    plans = {split: _plan_split(source, split) for split in SPLITS}
    for split, plan in plans.items():
        for key in MODALITIES:
            check_finite(source.title(split, key), plan.blocks(source, key))
    return labels, plans


def _plan_split(source: Source, split: str) -> SplitPlan:
    """Plan the preparation of a split; at least one sample must be kept."""
    arrays = source.splits[split]
    text, audio = arrays["text"], arrays["audio"]
    count, frames = len(text), min(text.shape[1], FRAMES)
    starts, any_text = np.zeros(count, np.int64), np.zeros(count, bool)
    for start in range(0, count, ROWS):
        spoken = (text[start : start + ROWS] != 0).any(2)
        any_text[start : start + ROWS] = spoken.any(1)
        spoken = spoken[:, :frames]
        starts[start : start + ROWS] = np.where(spoken.any(1), spoken.argmax(1), frames)
    kept = np.flatnonzero(starts < frames)
    if not len(kept):
        raise VlalignError(f"{source.title(split, 'text')} is all zero in every sample: expected word vectors")
    audio_blocks = (audio[kept[start : start + ROWS], :frames] for start in range(0, len(kept), ROWS))
    names = id_texts(arrays.get("id", arrays.get("ids")), count)
    ids = [f"{split}-{row:05d}" + (f"+{names[row]}" if names[row] else "") for row in kept]
    counts = {
        "samples": count,
        "kept": len(kept),
        "dropped_without_text": int((~any_text).sum()),
        "dropped_without_text_in_first_frames": int(count - len(kept) - (~any_text).sum()),
        "frames_cut_of_each": int(text.shape[1] - frames),
        "samples_stripped": int((starts[kept] > 0).sum()),
        "frames_stripped": int(starts[kept].sum()),
        "minus_infinity_replaced": sum(int((rows == -np.inf).sum()) for rows in audio_blocks),
    }
    return SplitPlan(split, kept, starts[kept], frames - starts[kept], frames, ids, counts)


def _stripped(source: Source, key: str, plan: SplitPlan, width: int, scale: Scale | None) -> Array:
    """Return float32 [n, width, F]: the frames from the first with text on, standardised by the scale, then zeros."""
    padded = np.zeros((len(plan.kept), width, source.splits[plan.split][key].shape[2]), np.float32)
    places = zip(padded, plan.starts, plan.lengths, strict=True)
    for _, block in plan.blocks(source, key)():
        for row in as_float32(source.title(plan.split, key), scale.apply(block) if scale else block):
            out, start, length = next(places)
            out[:length] = row[start:]
    return padded


def _check_labels(name: str, source: Source, labels: Mapping[str, Array]) -> None:
    """Raise VlalignError unless the labels float64 [N] of all splits together are those of a data set."""
    convention = CONVENTIONS[name]
    for split, values in labels.items():
        if not np.isfinite(values).all():
            problem = label_problem(name, values)
            raise VlalignError(f"{source.title(split, 'labels')}: {problem}: expected {convention.labels}")
    every = np.concatenate(list(labels.values()))
    if problem := label_problem(name, every):
        others = [f"`{other}`" for other in CONVENTIONS if other != name and not label_problem(other, every)]
        hint = f" (they would fit {' or '.join(others)})" if others else ""
        raise VlalignError(f"{source.path}: labels have {problem}: {TITLES[name]} has {convention.labels}{hint}")


def _label_facts(values: Array) -> dict[str, Any]:
    """Return statistics of the kept labels."""
    if len(np.unique(values)) <= 5:
        return {"labels": count_values(values)}
    return {
        "mean": round(float(values.mean()), 6), "std": round(float(values.std()), 6), "min": float(values.min()),
        "max": float(values.max()), "positive": int((values > 0).sum()), "zero": int((values == 0).sum()),
    }  # fmt: skip
