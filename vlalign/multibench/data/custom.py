"""Users' data: two or more modalities, from one file or from arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.multibench.data.arrays import (
    Array,
    Blocks,
    as_float32,
    check_finite,
    check_numbers,
    draw,
    id_texts,
    measure,
    row_blocks,
)
from vlalign.multibench.data.source import ALIASES, Source, read_array, read_source, source_file
from vlalign.multibench.data.validation import SPLITS, TASKS
from vlalign.row_ids import label_text

if TYPE_CHECKING:
    from vlalign.multibench.data.prepared import Prepared

LABELS, IDS, LENGTHS = ("labels", "label"), ("ids", "id"), "_lengths"
_SHARE = 0.15  # of the samples for validation, and for testing
_POOLS = {"classification": "cls", "sentiment": "mean", "regression": "mean"}
Lengths = dict[str, dict[str, Array | None]]  # modality -> split -> lengths


def source_of_arrays(
    arrays: Mapping[str, str | Path], labels: str | Path, split: str | Path | None, ids: str | Path | None
) -> Source:
    """Join separate .npy files to one source.

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
    """Prepare a user's data in ``folder``.

    Every key of the file is a modality, [N, T, features] or [N, features] (one frame), but ``labels`` [N], ``ids``
    [N], ``split`` [N] (train, valid or test, if the file is not divided into splits) and ``<modality>_lengths`` [N],
    the number of frames that count; frames after these are set to zero.

    Args:
        source: a file for :func:`vlalign.multibench.data.source.read_source`, or its result.
        folder: output folder.
        name: of the data set.
        task: classification, sentiment or regression; None for classification if labels are integers or texts, else
            regression. Classes are the labels in sorted order.
        pool: how encoders pool; None for "cls" of a classification, else "mean".
        standardise: modalities to standardise by mean and population standard deviation of each feature over the frames
            of the train split that count; None for all.
        valid, test: shares of the samples, if neither the file nor ``split`` assigns them; None for 0.15. The split of
            a sample depends on the seed and the ids, with the same shares of each class.
        seed: of these splits.
        force: replace another data set in the folder.

    Raises:
        VlalignError: the data are not as expected (the message names the key, its value and the expected one), or
            writing failed.
    """
    import torch

    from vlalign.multibench.data.prepared import PreparedSplit, write_prepared

    source = source if isinstance(source, Source) else read_source(source)
    if task not in (None, *TASKS):
        raise VlalignError(f"task is {task!r}: choose {', '.join(TASKS)}")
    parts = source.parts
    if lacking := [split for split in SPLITS if split not in parts and source.splits]:
        raise VlalignError(f"{source.path} lacks the split {', '.join(lacking)}: it has {', '.join(parts)}")
    assigned = bool(source.splits) or "split" in source.flat
    if assigned and (valid is not None or test is not None):
        raise VlalignError(f"{source.path} assigns its samples to splits: leave --valid and --test out")
    valid, test = (_SHARE if share is None else share for share in (valid, test))
    modalities = find_modalities(source)
    chosen = modalities if standardise is None else tuple(standardise)
    if strange := [key for key in chosen if key not in modalities]:
        raise VlalignError(f"cannot standardise {', '.join(strange)}: the modalities are {', '.join(modalities)}")
    labels, task, names = find_targets(source, task)
    ids = {split: _find_ids(source, split) for split in parts}
    if source.splits:
        rows = {split: (split, np.arange(len(labels[split]))) for split in SPLITS}
    else:
        strata = labels[""].tolist() if names else [0] * len(labels[""])
        by_split = _given_splits(source) if assigned else split_ids(ids[""], strata, valid, test, seed)
        rows = {split: ("", by_split[split]) for split in SPLITS}
    part, numbers = rows[SPLITS[0]]
    known = set(labels[part][numbers].tolist())
    if absent := [text for i, text in enumerate(names) if i not in known]:
        raise VlalignError(f"{source.path}: train has no sample with the label {', '.join(absent[:5])}")

    counts = find_lengths(source, modalities)
    notes = [note for key in modalities for note in _trim(parts, key, list(counts[key].values()))]
    scales = {}
    splits: dict[str, PreparedSplit] = {}
    for split, (part, numbers) in rows.items():
        inputs, lengths = {}, {}
        for key in modalities:
            where, frames = source.title(part, key), counts[key][part]
            blocks = _blocks(parts[part][key], numbers, frames)
            if key in chosen and split == SPLITS[0]:
                scales[key] = measure(where, _counted(blocks, frames))
            scaled = (scales[key].apply(block) if key in scales else block for _, block in blocks())
            values = np.concatenate([as_float32(where, block) for block in scaled])
            if frames is not None:
                lengths[key] = torch.from_numpy(frames[numbers])
                values[_padding(values, frames[numbers])] = 0
            inputs[key] = torch.from_numpy(values)
        targets = labels[part][numbers]
        targets = targets if names else as_float32(source.title(part, "labels"), targets)
        splits[split] = PreparedSplit(inputs, lengths, torch.from_numpy(targets), [ids[part][row] for row in numbers])
    about = {
        "source": source.files,
        "processing": {
            "splits": {split: {"samples": len(numbers), "kept": len(numbers)} for split, (_, numbers) in rows.items()},
            "standardised": {key: scale.to_json() for key, scale in scales.items()},
            **({} if assigned else {"seed": seed, "valid": valid, "test": test}),
        },
        "statistics": {"classes": names} if names else {},
        **({"notes": notes} if notes else {}),
    }
    return write_prepared(
        folder, name=name, task=task, classes=len(names) or None, pool=pool or _POOLS[task], splits=splits,
        about=about, force=force,
    )  # fmt: skip


def _trim(parts: Mapping[str, dict[str, Array]], key: str, counts: Sequence[Array | None]) -> list[str]:
    """Drop frames of a modality that count in no sample; return a note if it has no lengths but may be padded."""
    known = [frames for frames in counts if frames is not None]
    arrays = [part[key] for part in parts.values() if part[key].ndim == 3]
    if len(known) < len(counts):
        used = [(values != 0).any(2) for values in arrays]
        ending = sum(int((frames.any(1) & ~frames[:, -1]).sum()) for frames in used)
        note = f"{key} ends in frames of zeros in {ending} samples: if they are padding, give {key}_lengths"
        return [note] if ending else []
    if arrays:
        longest = max(int(frames.max()) for frames in known)
        for part in parts.values():
            part[key] = part[key][:, :longest]
    return []


def split_ids(ids: Sequence[str], strata: Sequence[Any], valid: float, test: float, seed: int) -> dict[str, Array]:
    """Return the rows of each split, int64, ascending: each stratum is ordered by a hash of seed and id, then cut.

    Raises:
        VlalignError: a share is out of range, or leaves a split empty.
    """
    for key, share in (("valid", valid), ("test", test)):
        if not 0 < share < 1 or valid + test >= 1:
            raise VlalignError(f"{key} is {share:g}: give shares above 0 whose sum is below 1")
    splits: dict[str, list[int]] = {split: [] for split in SPLITS}
    groups: dict[Any, list[int]] = {}
    for row, stratum in enumerate(strata):
        groups.setdefault(stratum, []).append(row)
    for rows in groups.values():
        rows.sort(key=lambda row: (draw(seed, "split", ids[row]), ids[row]))
        first, second = round(len(rows) * valid), round(len(rows) * (valid + test))
        splits["valid"] += rows[:first]
        splits["test"] += rows[first:second]
        splits["train"] += rows[second:]
    few = f"{len(ids)} samples are too few for {{}}: give more samples or other shares"
    return _checked_rows({split: sorted(rows) for split, rows in splits.items()}, few)


def _checked_rows(splits: Mapping[str, list[int]], message: str) -> dict[str, Array]:
    """Return the rows of each split as arrays; raise VlalignError with the names of those without samples."""
    if empty := [split for split, rows in splits.items() if not rows]:
        raise VlalignError(message.format(", ".join(empty)))
    return {split: np.array(rows, dtype=np.int64) for split, rows in splits.items()}


def _padding(rows: Array, counts: Array) -> Array:
    """Return which frames [n, T] of rows [n, T, F] follow those that count."""
    return np.arange(rows.shape[1]) >= counts[:, None]


def _blocks(values: Array, numbers: Array, counts: Array | None) -> Blocks:
    """Return blocks of the rows [n, T, F], zero after their lengths."""

    def change(chosen: Array, rows: Array) -> Array:
        rows = rows[:, None] if rows.ndim == 2 else rows
        if counts is not None:
            rows[_padding(rows, counts[chosen])] = 0
        return rows

    return row_blocks(values, numbers, change)


def _counted(blocks: Blocks, counts: Array | None) -> Blocks:
    """Return blocks of only the frames that count, [n, F]."""
    if counts is None:
        return blocks
    return lambda: ((chosen, rows[~_padding(rows, counts[chosen])]) for chosen, rows in blocks())


# -- the arrays of a file: modalities, labels, ids, splits, lengths ---------------------------------------------------


def find_modalities(source: Source) -> tuple[str, ...]:
    """Return the keys that are modalities, in order, after checking the shapes of all arrays.

    Raises:
        VlalignError: fewer than two, or an array does not fit the others.
    """
    first, start = next(iter(source.parts.items()))
    modalities = tuple(key for key in start if key not in (*LABELS, *IDS, "split") and not key.endswith(LENGTHS))
    if len(modalities) < 2:
        raise VlalignError(
            f"{source.path} has the modalities {', '.join(modalities) or 'none'} (keys {', '.join(start) or 'none'}): "
            "expected two or more besides labels, ids and split"
        )
    for split, arrays in source.parts.items():
        if lacking := [key for key in modalities if key not in arrays]:
            raise VlalignError(f"{source.path}: {split} lacks {', '.join(lacking)}, which {first} has")
        for key in modalities:
            check_numbers(source.title(split, key), arrays[key], (2, 3))
            if arrays[key].shape[1:] != start[key].shape[1:]:
                shape, expected = (f"[N, {', '.join(map(str, one[key].shape[1:]))}]" for one in (arrays, start))
                raise VlalignError(f"{source.title(split, key)} is {shape}: expected {expected}, as in {first}")
        count = len(arrays[modalities[0]])
        for key, values in arrays.items():
            if values.ndim == 0 or len(values) != count:
                length = len(values) if values.ndim else "no"
                raise VlalignError(
                    f"{source.title(split, key)} has {length} samples, expected {count} as {modalities[0]} has"
                )
            if key.endswith(LENGTHS) and key.removesuffix(LENGTHS) not in modalities:
                raise VlalignError(
                    f"{source.title(split, key)} is of no modality: the modalities are {', '.join(modalities)}"
                )
    return modalities


def _find_labels(source: Source, split: str) -> Array:
    """Return the labels [N] of a split: numbers or texts."""
    arrays = source.parts[split]
    key = next((name for name in LABELS if name in arrays), None)
    if key is None:
        raise VlalignError(f"{source.title(split, 'labels')} is missing: the keys are {', '.join(arrays)}")
    values = arrays[key]
    if values.size != len(values):
        raise VlalignError(f"{source.title(split, key)} has the shape {list(values.shape)}: expected [N]")
    values = values.reshape(-1)
    if values.dtype.kind in "OS":
        texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values.tolist()]
        values = np.array(texts)
        if values.dtype.kind not in "fiubU" or len({isinstance(text, str) for text in texts}) > 1:
            raise VlalignError(f"{source.title(split, key)} is neither numbers nor texts: expected one kind")
    if values.dtype.kind == "f":
        check_finite(source.title(split, key), lambda: [(np.arange(len(values)), values[:, None])])
    return values


def find_targets(source: Source, task: str | None) -> tuple[dict[str, Array], str, list[str]]:
    """Return labels by split as int64 classes or floats, the task, and the names of the classes ([] without).

    Raises:
        VlalignError: labels are missing, of another shape, or do not fit the task.
    """
    raw = {split: _find_labels(source, split) for split in source.parts}
    kinds = {values.dtype.kind for values in raw.values()}
    if "U" in kinds and kinds != {"U"}:
        raise VlalignError(f"{source.path}: labels are texts in one split and numbers in another")
    if task is None:
        task = "regression" if "f" in kinds else "classification"
    if task != "classification":
        if "U" in kinds:
            raise VlalignError(f"{source.path}: labels are texts: a {task} needs numbers")
        return {split: values.astype(np.float64) for split, values in raw.items()}, task, []
    if "f" in kinds and not all((values == np.round(values)).all() for values in raw.values()):
        raise VlalignError(f"{source.path}: labels are not integers: a classification needs classes")
    every = np.concatenate(list(raw.values()))
    known = np.unique(every)
    if len(known) < 2 or (len(known) > 1000 and len(known) > len(every) // 2):
        raise VlalignError(
            f"{source.path}: labels have {len(known)} values: a classification needs 2 or more classes, and samples of "
            "each (--task regression takes numbers)"
        )
    names = [label_text(value) for value in known.tolist()]
    return {split: np.searchsorted(known, values).astype(np.int64) for split, values in raw.items()}, task, names


def _find_ids(source: Source, split: str) -> list[str]:
    """Return the ids of a split: those of the file, which must be unique, or row numbers."""
    arrays = source.parts[split]
    key = next((name for name in IDS if name in arrays), None)
    count = len(next(iter(arrays.values())))
    if key is None:
        return [f"{split or 'sample'}-{row:05d}" for row in range(count)]
    ids = id_texts(arrays[key], count)
    if len(set(ids)) < count:
        double = Counter(ids).most_common(1)[0][0]
        raise VlalignError(f"{source.title(split, key)} has {double!r} twice: expected unique ids")
    return ids


def _given_splits(source: Source) -> dict[str, Array]:
    """Return the rows of each split by the array ``split``."""
    splits: dict[str, list[int]] = {split: [] for split in SPLITS}
    where, expected = source.title("", "split"), "expected train, valid and test"
    for row, value in enumerate(id_texts(source.flat["split"], len(source.flat["split"]))):
        split = ALIASES.get(value, value)
        if split not in splits:
            raise VlalignError(f"{where} has {value[:40]!r} at sample {row}: {expected}")
        splits[split].append(row)
    return _checked_rows(splits, f"{where} has no {{}}: {expected}")


def find_lengths(source: Source, modalities: Sequence[str]) -> Lengths:
    """Return int64 [N], the frames of each modality that count, by split; None where the file does not state them.

    Raises:
        VlalignError: a length is out of range, or a value of a frame that counts is not finite.
    """
    lengths: Lengths = {key: {} for key in modalities}
    for key, by_split in lengths.items():
        for split, arrays in source.parts.items():
            values, where = arrays.get(key + LENGTHS), source.title(split, key + LENGTHS)
            if values is not None:
                frames = arrays[key].shape[1] if arrays[key].ndim == 3 else 1
                if values.dtype.kind not in "iu" or values.ndim != 1:
                    raise VlalignError(f"{where} is {values.dtype} {list(values.shape)}: expected integers [N]")
                if values.min() < 1 or values.max() > frames:
                    raise VlalignError(f"{where} has {values.min()} to {values.max()}: expected 1 to {frames}")
                values = values.astype(np.int64)
            by_split[split] = values
            blocks = _blocks(arrays[key], np.arange(len(arrays[key])), values)
            check_finite(source.title(split, key), blocks)
    return lengths
