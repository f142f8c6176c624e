"""Data of the experiment from what users have: files of embeddings, two runs of a store, prepared data sets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.advice.data import PairedData, make_data
from vlalign.data.array_files import IDS
from vlalign.data.embeddings import is_embeddings, read_embeddings, split_key
from vlalign.data.sample_values import read_groups, read_values
from vlalign.display import quoted
from vlalign.errors import VlalignError
from vlalign.paths import user_path
from vlalign.row_ids import by_row
from vlalign.scoring.inputs import Arrays, Side, check_pairing, has_ids

if TYPE_CHECKING:
    from torch import Tensor

    from vlalign.multibench.data.prepared import PreparedSplit

log = logging.getLogger(__name__)

_OTHERS = ("labels", *IDS, "split", "groups")  # arrays of a file that are no modality


def read_source(
    words: Sequence[str],
    labels: str | None = None,
    unlabelled: Sequence[str] = (),
    modalities: Sequence[str] = (),
    ids: Sequence[str] = (),
    id_column: str | None = None,
    groups: str | None = None,
) -> PairedData:
    """Read the data that a command names.

    Args:
        words: one file with two arrays, two files, a store and two of its runs, or the folder of a prepared data set.
        labels: file of labels, by id where it has ids, else by row; not for a prepared data set, which has labels.
            Samples that it has no id of are pairs without a label.
        unlabelled: one file with two arrays, or two files, of more pairs.
        modalities: two arrays of a file, or modalities of a prepared data set, where it has more.
        ids: files of ids of the rows of files of embeddings: none, one for both, or one for each.
        id_column: column of ids in tables.
        groups: file of the groups of the labelled samples, as ``labels``.

    Raises:
        VlalignError: a file, run or label that does not exist or does not fit; one line that names it.
    """
    from vlalign.multibench.data.prepared import is_prepared

    if len(modalities) not in (0, 2):
        raise VlalignError(f"--modalities takes two names, got {len(modalities)}: advise compares two modalities")
    if len(ids) > 2:
        raise VlalignError(f"--ids takes one file for both sides or two, one for each side; {len(ids)} given")
    if ids and not is_embeddings(words[0]):
        raise VlalignError(f"--ids is for files of embeddings, not for {words[0]}")
    if is_prepared(words[0]):
        if len(words) > 1 or labels:
            raise VlalignError(f"{words[0]} is a prepared data set, which has its labels: name it alone")
        unpaired = _files(unlabelled, (), None) if unlabelled else None
        return _from_prepared(words[0], unpaired, modalities, _groups(groups, id_column, True))
    if is_embeddings(words[0]):
        sides = _files(words, modalities, id_column, ids)
    else:
        sides = _runs(words)
    if labels is None:
        raise VlalignError("--labels names the file of the labels, one for each sample")
    names = _names(sides, modalities)
    x, of_rows = _paired(sides)
    more = None if not unlabelled else _paired(_files(unlabelled, modalities, id_column))[0]
    known = any(map(has_ids, sides))
    values, grouped = read_groups(labels, id_column, what="labels", has_ids=known), _groups(groups, id_column, known)
    if groups and not isinstance(grouped, Mapping):
        grouped = by_row(grouped, of_rows, len(x[0]), f"groups of {groups}")
    if isinstance(values, Mapping):
        x, has, values, more = _by_id(x, of_rows, values, more, labels)
        of_rows = [of_rows[i] for i in has] if of_rows else of_rows
        grouped = [grouped[i] for i in has] if isinstance(grouped, list) else grouped
    if isinstance(grouped, Mapping):
        grouped = by_row(grouped, of_rows, len(x[0]), f"groups of {groups}")
    return make_data(*x, values, more, names=names, groups=grouped)


def _groups(groups: str | None, id_column: str | None, has_ids: bool) -> Any:
    """Return the groups of samples in a file, by id or by row; None without."""
    return None if groups is None else read_groups(groups, id_column, what="groups of samples", has_ids=has_ids)


def _files(
    words: Sequence[str], modalities: Sequence[str], id_column: str | None, ids: Sequence[str] = ()
) -> list[Side]:
    """Return the sides of one file with two arrays, or of two files."""
    if len(words) == 1:
        path, key = split_key(words[0])
        if key:
            raise VlalignError(f"{words[0]} is one array: name a second one, or the file alone")
        words = [f"{words[0]}:{name}" for name in modalities or _arrays(path)]
    if len(words) != 2:
        raise VlalignError(f"{len(words)} files given: advise compares two modalities, in one file or in two")
    read = [read_embeddings(word, id_column) for word in words]
    given = [read_values(name, "ids") for name in ids]
    return [
        Side(Arrays(one.features, one.name, given[i % len(given)] if given else one.ids, label, one.source), label)
        for i, (one, label) in enumerate(zip(read, "xy", strict=True))
    ]


def _arrays(path: Path) -> list[str]:
    """Return the names of the two arrays of a file that has no others.

    Raises:
        VlalignError: it has another number of arrays, or its kind holds one array only.
    """
    import numpy as np

    if not path.is_file():
        raise VlalignError(f"{path} does not exist" if not path.exists() else f"{path} is a folder: name a file of it")
    if path.suffix.lower() == ".npz":
        try:
            names = list(np.load(path, allow_pickle=False).files)
        except (OSError, ValueError, EOFError) as error:
            raise VlalignError(f"cannot read {path}: {error}") from error
    elif path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                names = list(file.keys())
        except (OSError, SafetensorError) as error:
            raise VlalignError(f"cannot read {path}: {error}") from error
    else:
        raise VlalignError(f"{path} is one file: name a second one, of the other modality")
    chosen = [name for name in names if name not in _OTHERS]
    if len(chosen) != 2:
        raise VlalignError(
            f"{path} holds {', '.join(map(quoted, names[:9]))}: name the two modalities with --modalities A B"
        )
    return chosen


def _runs(words: Sequence[str]) -> list[Side]:
    """Return the sides of a store and two runs."""
    from vlalign.store import FeatureStore

    if not user_path(words[0]).is_dir():
        raise VlalignError(f"{words[0]} is no file of embeddings, feature store or prepared data set")
    if len(words) != 3:
        raise VlalignError(f"name two runs of the store {words[0]}, one of each modality; {len(words) - 1} given")
    store = FeatureStore(words[0])
    return [Side(store.find(word), label) for word, label in zip(words[1:], "xy", strict=True)]


def _names(sides: Sequence[Side], modalities: Sequence[str]) -> tuple[str, str]:
    """Return names of the modalities: those given, the key in their file, or the model."""
    first, second = modalities or [side.model.rpartition(":")[2] or side.model for side in sides]
    return (first, second) if first != second else (f"first {first}", f"second {second}")


def _paired(sides: Sequence[Side]) -> tuple[tuple[Tensor, Tensor], list[str] | None]:
    """Return the last layers [N, D] of both sides, rows paired, and the ids if rows are paired by id."""
    x, y = sides
    by_id = check_pairing(x, y) == "id"
    if by_id and x.ids is not None:
        y.put_in_order(x.ids)
    first, second = (side.load(len(side.axis) - 1)[:] for side in sides)  # all rows, also of a layer read when used
    return (first, second), x.ids


def _by_id(
    x: tuple[Tensor, Tensor],
    ids: list[str] | None,
    values: Mapping[str, Any],
    more: tuple[Tensor, Tensor] | None,
    labels: str,
) -> tuple[tuple[Tensor, Tensor], list[int], list[Any], tuple[Tensor, Tensor] | None]:
    """Return the labelled pairs, their rows, their labels, and the pairs without a label, those given included."""
    import torch

    if ids is None:
        raise VlalignError(
            f"{labels} has labels by id, but the features have no ids: give theirs with --ids, or labels by row"
        )
    has = [i for i, name in enumerate(ids) if name in values]
    lacks = [i for i, name in enumerate(ids) if name not in values]
    if not has:
        raise VlalignError(f"{labels} has no id of the features, such as {quoted(ids[0])}")
    if lacks:
        log.info("%d samples have no label in %s: they are used as pairs without one", len(lacks), labels)
        parts = [(side[lacks],) + (() if more is None else (more[m],)) for m, side in enumerate(x)]
        more = torch.cat(parts[0]), torch.cat(parts[1])
    return (x[0][has], x[1][has]), has, [values[ids[i]] for i in has], more


def _from_prepared(folder: str, unlabelled: list[Side] | None, modalities: Sequence[str], groups: Any) -> PairedData:
    """Return a prepared data set: means over time, its split; a sentiment is positive or not."""
    import torch

    from vlalign.multibench.data.prepared import open_prepared
    from vlalign.multibench.data.validation import SPLITS

    prepared = open_prepared(folder)
    chosen = list(modalities) or list(prepared.modalities)
    if unknown := [name for name in chosen if name not in prepared.modalities]:
        raise VlalignError(f"{folder} has no modality {unknown[0]}: it has {', '.join(prepared.modalities)}")
    if len(chosen) != 2:
        raise VlalignError(f"{folder} has {', '.join(prepared.modalities)}: name two with --modalities")
    parts = [prepared.splits[name] for name in SPLITS]
    x1, x2 = (torch.cat([_mean(part, name) for part in parts]) for name in chosen)
    target = torch.cat([part.labels for part in parts])
    values: list[Any] = target.tolist()
    if prepared.task == "sentiment":
        values = ["positive" if value > 0 else "not positive" for value in values]
    split = [name for name, part in zip(SPLITS, parts, strict=True) for _ in part.ids]
    more = None if unlabelled is None else _paired(unlabelled)[0]
    grouped = None if groups is None else by_row(groups, [one for part in parts for one in part.ids], len(x1), "groups")
    names = (chosen[0], chosen[1])
    return make_data(x1, x2, values, more, split, names, prepared.task == "regression", grouped)


def _mean(part: PreparedSplit, modality: str) -> Tensor:
    """Return features [N, F], means over the frames before the padding."""
    import torch

    frames = part.inputs[modality].float()
    lengths = part.lengths.get(modality)
    if lengths is None:
        return frames.mean(1)
    valid = torch.arange(frames.shape[1]) < lengths.unsqueeze(1)
    return (frames * valid.unsqueeze(2)).sum(1) / lengths.unsqueeze(1)
