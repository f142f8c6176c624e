"""Data of one's own: two or more modalities, from one file or from arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.multibench.data import custom_keys as keys
from vlalign.multibench.data.arrays import ROWS, Array, Blocks, Scale, as_float32, check_finite_blocks, draw, measure
from vlalign.multibench.data.checks import SPLITS, TASKS
from vlalign.multibench.data.read import Source, read_array, read_source, source_file

if TYPE_CHECKING:
    from vlalign.multibench.data.prepared import Prepared, PreparedSplit

_SHARE = 0.15  # of the samples for validation, and for testing
_POOLS = {"classification": "cls", "sentiment": "mean", "regression": "mean"}


def source_of_arrays(
    arrays: Mapping[str, str | Path], labels: str | Path, split: str | Path | None, ids: str | Path | None
) -> Source:
    """What separate .npy files hold together.

    Raises:
        VlalignError: a file cannot be read.
    """
    paths = {**arrays, "labels": labels} | {key: path for key, path in (("split", split), ("ids", ids)) if path}
    flat = {key: read_array(path) for key, path in paths.items()}
    return Source(Path("the arrays"), {}, flat, [source_file(path) for path in paths.values()])


def prepare_custom(
    source: Source | str | Path,
    folder: str | Path,
    *,
    name: str = "custom",
    task: str | None = None,
    pool: str | None = None,
    standardise: Sequence[str] | None = None,
    valid: float | None = None,
    test: float | None = None,
    seed: int = 0,
    force: bool = False,
) -> Prepared:
    """Prepare data of one's own in ``folder``.

    Every key of the file is a modality, [N, T, features] or [N, features] (one frame), but ``labels`` [N], ``ids``
    [N], ``split`` [N] (train, valid or test, where the file has no splits of its own) and ``<modality>_lengths`` [N],
    how many frames count; those after are zero.

    Args:
        source: a file as :func:`vlalign.multibench.data.read.read_source` takes, or what it gave.
        folder: to write.
        name: of the data set.
        task: classification, sentiment or regression; None for classification where labels are whole numbers or texts,
            else regression. Classes are the labels in sorted order.
        pool: how encoders pool; None for "cls" of a classification, else "mean".
        standardise: modalities that are standardised by mean and population standard deviation of each feature over
            the frames of the train split that count; None for all.
        valid, test: shares of the samples, where neither the file nor ``split`` says which is which; None for 0.15. Who
            goes where depends on the seed and the ids, in the same shares of each class.
        seed: of these splits.
        force: replace another data set in the folder.

    Raises:
        VlalignError: the data are not as expected (which key, what was found and what was expected), or writing failed.
    """
    import torch

    from vlalign.multibench.data.prepared import PreparedSplit, write_prepared

    source = source if isinstance(source, Source) else read_source(source)
    if task not in (None, *TASKS):
        raise VlalignError(f"task is {task!r}: allowed is {', '.join(TASKS)}")
    parts = source.splits or {"": source.flat}
    if lacking := [split for split in SPLITS if split not in parts and source.splits]:
        raise VlalignError(f"{source.path} lacks the split {', '.join(lacking)}: it has {', '.join(parts)}")
    told = bool(source.splits) or "split" in source.flat
    if told and (valid is not None or test is not None):
        raise VlalignError(f"{source.path} says itself which samples are for what: leave --valid and --test out")
    valid, test = (_SHARE if share is None else share for share in (valid, test))
    modalities = keys.find_modalities(source, parts)
    chosen = modalities if standardise is None else tuple(standardise)
    if strange := [one for one in chosen if one not in modalities]:
        raise VlalignError(f"cannot standardise {', '.join(strange)}: the modalities are {', '.join(modalities)}")
    raw = {split: keys.find_labels(source, split, arrays) for split, arrays in parts.items()}
    labels, task, classes, names = keys.make_targets(source, raw, task)
    ids = {split: keys.find_ids(source, split, arrays) for split, arrays in parts.items()}
    if source.splits:
        rows = {split: (split, np.arange(len(raw[split]))) for split in SPLITS}
    else:
        strata = labels[""].tolist() if classes else [0] * len(labels[""])
        made = keys.given_splits(source) if "split" in source.flat else split_ids(ids[""], strata, valid, test, seed)
        rows = {split: ("", made[split]) for split in SPLITS}
    keys.check_classes(source, labels, rows, names)

    inputs: dict[str, dict[str, Any]] = {split: {} for split in SPLITS}
    lengths: dict[str, dict[str, Any]] = {split: {} for split in SPLITS}
    constant, notes = {}, []
    for key in modalities:
        known = [keys.find_lengths(source, part, key) for part in parts]
        if all(counts is not None for counts in known):  # frames that count in no sample
            longest = max(int(counts.max()) for counts in known if counts is not None)
            for arrays in parts.values():
                arrays[key] = arrays[key][:, :longest] if arrays[key].ndim == 3 else arrays[key]
        elif ending := sum(_end_in_zeros(arrays[key]) for arrays in parts.values()):
            notes.append(f"{key} ends in frames of zeros in {ending} samples: if they are padding, give {key}_lengths")
        for part, arrays in parts.items():
            every = np.arange(len(arrays[key]))
            counts = keys.find_lengths(source, part, key)
            check_finite_blocks(source.title(part, key), _blocks(arrays[key], every, counts))
        scale = None
        for split, (part, numbers) in rows.items():
            where, counts = source.title(part, key), keys.find_lengths(source, part, key)
            blocks = _blocks(parts[part][key], numbers, counts)
            if key in chosen and split == SPLITS[0]:
                scale = measure(where, _counted(blocks, counts))
                constant[key] = scale.told()
            inputs[split][key] = torch.from_numpy(_values(where, blocks, counts, scale))
            if counts is not None:
                lengths[split][key] = torch.from_numpy(counts[numbers])
    splits: dict[str, PreparedSplit] = {}
    for split, (part, numbers) in rows.items():
        found = labels[part][numbers]
        targets = torch.from_numpy(found if classes else as_float32(source.title(part, "labels"), found))
        splits[split] = PreparedSplit(inputs[split], lengths[split], targets, [ids[part][row] for row in numbers])
    about = {
        "source": source.files,
        "processing": {
            "splits": {split: {"samples": len(numbers), "kept": len(numbers)} for split, (_, numbers) in rows.items()},
            "standardised": constant,
            **({} if told else {"seed": seed, "valid": valid, "test": test}),
        },
        "statistics": {"classes": names} if classes else {},
        **({"notes": notes} if notes else {}),
    }
    return write_prepared(
        folder, name=name, task=task, classes=classes, pool=pool or _POOLS[task], splits=splits, about=about,
        force=force,
    )  # fmt: skip


def _end_in_zeros(values: Array) -> int:
    """Number of samples whose last frame is all zero while another one is not."""
    if values.ndim != 3:
        return 0
    used = (values != 0).any(2)
    return int((used.any(1) & ~used[:, -1]).sum())


def split_ids(ids: Sequence[str], strata: Sequence[Any], valid: float, test: float, seed: int) -> dict[str, Array]:
    """Rows of each split, int64, ascending: in each stratum the samples are ordered by a hash of seed and id.

    Raises:
        VlalignError: a share is out of range, or leaves a split empty.
    """
    for key, share in (("valid", valid), ("test", test)):
        if not 0 < share < 1 or valid + test >= 1:
            raise VlalignError(f"{key} is {share:g}: allowed are shares above 0 whose sum is below 1")
    found: dict[str, list[int]] = {split: [] for split in SPLITS}
    groups: dict[Any, list[int]] = {}
    for row, stratum in enumerate(strata):
        groups.setdefault(stratum, []).append(row)
    for rows in groups.values():
        rows.sort(key=lambda row: (draw(seed, "split", ids[row]), ids[row]))
        first, second = round(len(rows) * valid), round(len(rows) * (valid + test))
        found["valid"] += rows[:first]
        found["test"] += rows[first:second]
        found["train"] += rows[second:]
    if empty := [split for split, rows in found.items() if not rows]:
        raise VlalignError(f"{len(ids)} samples leave none for {', '.join(empty)}: give more samples or other shares")
    return {split: np.array(sorted(rows), dtype=np.int64) for split, rows in found.items()}


def _blocks(values: Array, numbers: Array, counts: Array | None) -> Blocks:
    """The rows in blocks [n, T, F], zero after their lengths."""

    def found() -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(numbers), ROWS):
            chosen = numbers[start : start + ROWS]
            rows = np.array(values[chosen])
            rows = rows[:, None] if rows.ndim == 2 else rows
            if counts is not None:
                rows[np.arange(rows.shape[1]) >= counts[chosen][:, None]] = 0
            yield chosen, rows

    return found


def _counted(blocks: Blocks, counts: Array | None) -> Blocks:
    """The frames that count alone, [n, F]."""
    if counts is None:
        return blocks
    return lambda: ((rows, v[np.arange(v.shape[1]) < counts[rows][:, None]]) for rows, v in blocks())


def _values(where: str, blocks: Blocks, counts: Array | None, scale: Scale | None) -> Array:
    """float32 [n, T, F], standardised if there is a scale, zero after their lengths."""
    found = []
    for chosen, rows in blocks():
        made = as_float32(where, scale.apply(rows) if scale else rows)
        if counts is not None:
            made[np.arange(made.shape[1]) >= counts[chosen][:, None]] = 0
        found.append(made)
    return np.concatenate(found)
