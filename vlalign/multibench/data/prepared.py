"""A data set ready for training, on disk: three files of tensors and data.json, which is written last.

```
<folder>/
  train|valid|test.safetensors   <modality> float32 [N, T, F], <modality>.lengths int64 [N], labels; ids in the header
  data.json                      what the data set is, shapes, sha256 of the files, how it was made
```
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.files import new_file, one_line, parse_json, read_json, sha256_file, write_error, write_whole
from vlalign.multibench.data.checks import SPLITS, check_finite, check_split, check_splits, check_task
from vlalign.paths import user_path
from vlalign.store.checksums import canonical, pretty, sha256_bytes

if TYPE_CHECKING:
    from torch import Tensor

FORMAT, MANIFEST = 1, "data.json"
_KIND = "vlalign multibench data"
_META = "vlalign"
_KEYS = ("name", "task", "classes", "pool", "modalities", "splits", "about", "fingerprint")


@dataclass(frozen=True)
class PreparedSplit:
    """Samples to train on, validate with or test with.

    Attributes:
        inputs: modality -> float32 [N, T, F], mapped from the file.
        lengths: modality -> int64 [N], how many of the T frames count (1 to T, the rest is zeros); only of modalities
            that have padding.
        labels: int64 [N], classes from 0, or float32 [N].
        ids: N texts, unique over all splits.
    """

    inputs: dict[str, Tensor]
    lengths: dict[str, Tensor]
    labels: Tensor
    ids: list[str]


@dataclass(frozen=True)
class Prepared:
    """A data set ready for training.

    Attributes:
        folder: where it is.
        name: avmnist, mosi, mosei, urfunny, mustard, or one of the user's.
        task: "classification", "regression", or "sentiment": regression whose performance is the accuracy of the
            sign, zero counting as not positive.
        classes: of a classification, else None.
        pool: how encoders of this data set pool by convention, "cls" or "mean".
        modalities: in order.
        splits: "train", "valid", "test".
        fingerprint: hex sha256 over all of data.json, the checksums of the files among it.
        about: source files with their sha256, what the processing did, statistics.
    """

    folder: Path
    name: str
    task: str
    classes: int | None
    pool: str
    modalities: tuple[str, ...]
    splits: dict[str, PreparedSplit]
    fingerprint: str
    about: dict[str, Any]


def write_prepared(
    folder: str | Path,
    *,
    name: str,
    task: str,
    classes: int | None,
    pool: str,
    splits: Mapping[str, PreparedSplit],
    about: Mapping[str, Any],
    force: bool = False,
) -> Prepared:
    """Write a data set; each file appears whole or not at all, data.json last.

    Args:
        folder: made where it is missing.
        name, task, classes, pool, splits, about: as in :class:`Prepared`; the modalities are those of the splits.
        force: replace a data set that differs.

    Returns:
        The data set as :func:`open_prepared` has it.

    Raises:
        VlalignError: something is not as :class:`Prepared` says, the folder holds another data set (the same one is
            fine), or a file cannot be written.
    """
    folder = user_path(folder)
    check_task("the data set", name, task, classes, pool)
    modalities = tuple(next(iter(splits.values())).inputs) if splits else ()
    check_splits("the data set", modalities, splits)
    for title, split in splits.items():
        check_split(title, split, modalities, classes)
        check_finite(title, split)
    told: dict[str, Any] = {
        "kind": _KIND, "format": FORMAT, "name": name, "task": task, "classes": classes, "pool": pool,
        "modalities": list(modalities), "splits": {}, "about": dict(about),
    }  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as files:  # at its end all of them get their names
            for title in SPLITS:
                part = files.enter_context(new_file(folder / f"{title}.safetensors"))
                _save(part, splits[title])
                told["splits"][title] = _described(splits[title]) | {
                    "bytes": part.stat().st_size,
                    "sha256": sha256_file(part),
                }
            told["fingerprint"] = _fingerprint(told)
            if not force:
                _check_place(folder, told["fingerprint"])
            (folder / MANIFEST).unlink(missing_ok=True)  # until the new one is there the folder is incomplete
    except OSError as error:
        raise write_error(folder, error) from error
    write_whole(folder / MANIFEST, pretty(told))
    return open_prepared(folder)


def open_prepared(folder: str | Path, verify: bool = False) -> Prepared:
    """Open a data set; its features are mapped, not read.

    Args:
        folder: that ``vlalign multibench prepare`` wrote.
        verify: read everything and compare it with the checksums.

    Raises:
        VlalignError: the folder holds none, one of another format, or one that is incomplete or damaged.
    """
    folder = user_path(folder)
    told = _read_manifest(folder)
    where = str(folder / MANIFEST)
    try:
        modalities = tuple(told["modalities"])
        check_task(where, told["name"], told["task"], told["classes"], told["pool"])
        splits = {title: _load(folder, title, modalities, told["splits"][title], verify) for title in SPLITS}
        check_splits(where, modalities, splits)
    except (KeyError, TypeError, AttributeError) as error:
        raise VlalignError(f"{where} is damaged ({one_line(repr(error))}): prepare the data set again") from error
    for title, split in splits.items():
        check_split(str(folder / f"{title}.safetensors"), split, modalities, told["classes"])
        if verify:
            check_finite(str(folder / f"{title}.safetensors"), split)
    return Prepared(
        folder, told["name"], told["task"], told["classes"], told["pool"], modalities, splits, told["fingerprint"],
        told["about"],
    )  # fmt: skip


def is_prepared(folder: str | Path) -> bool:
    """Whether a folder holds data.json."""
    return (user_path(folder) / MANIFEST).is_file()


def _fingerprint(told: Mapping[str, Any]) -> str:
    """Of all that a manifest says."""
    kept = {key: value for key, value in told.items() if key != "fingerprint"}
    return sha256_bytes(canonical(kept).encode("utf-8", "surrogatepass"))


def _described(split: PreparedSplit) -> dict[str, Any]:
    """What a manifest says of a split."""
    return {
        "samples": len(split.ids),
        "shapes": {name: list(values.shape) for name, values in split.inputs.items()},
        "lengths": sorted(split.lengths),
        "labels": str(split.labels.dtype).removeprefix("torch."),
    }


def _tensors(inputs: Iterable[str], lengths: Iterable[str]) -> set[str]:
    """Names of the tensors in a file."""
    return {"labels", *inputs, *(f"{name}.lengths" for name in lengths)}


def _save(path: Path, split: PreparedSplit) -> None:
    """Write the tensors of a split from where they are, without a copy of them."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors = {name: values.contiguous().numpy() for name, values in split.inputs.items()}
    tensors |= {f"{name}.lengths": values.contiguous().numpy() for name, values in split.lengths.items()}
    tensors["labels"] = split.labels.contiguous().numpy()
    try:
        save_file(tensors, path, metadata={_META: json.dumps({"kind": _KIND, "ids": split.ids})})
    except SafetensorError as error:
        raise OSError(one_line(error)) from error


def _load(folder: Path, title: str, modalities: Iterable[str], told: Mapping[str, Any], verify: bool) -> PreparedSplit:
    """The split that a manifest tells of."""
    from safetensors import SafetensorError, safe_open

    path = folder / f"{title}.safetensors"
    try:
        size = path.stat().st_size
        if size != told["bytes"]:
            raise VlalignError(f"{path} is damaged: {size} bytes, not {told['bytes']}: prepare the data set again")
        if verify and sha256_file(path) != told["sha256"]:
            raise VlalignError(f"{path} is damaged: its sha256 is not that of {MANIFEST}: prepare the data set again")
        with safe_open(path, framework="pt") as file:
            ids = parse_json((file.metadata() or {})[_META])["ids"]
            names = set(file.keys())
            if names != _tensors(told["shapes"], told["lengths"]):
                raise VlalignError(
                    f"{path} is damaged: it holds {', '.join(sorted(names))}: prepare the data set again"
                )
            inputs = {name: file.get_tensor(name) for name in modalities}
            lengths = {name: file.get_tensor(f"{name}.lengths") for name in told["lengths"]}
            split = PreparedSplit(inputs, lengths, file.get_tensor("labels"), ids)
    except OSError as error:
        raise VlalignError(f"cannot read {path} ({one_line(error)}): prepare the data set again") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise VlalignError(f"{path} is damaged ({one_line(repr(error))}): prepare the data set again") from error
    if found := [key for key, value in _described(split).items() if value != told[key]]:
        raise VlalignError(f"{path} is damaged: {found[0]} is not that of {MANIFEST}: prepare the data set again")
    return split


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        told = read_json(path)
    except OSError as error:
        raise VlalignError(
            f"{folder} holds no prepared data set ({one_line(error)}): make one with `vlalign multibench prepare`"
        ) from error
    except ValueError as error:
        raise VlalignError(f"{path} is damaged ({one_line(error)}): prepare the data set again") from error
    if not isinstance(told, dict) or told.get("kind") != _KIND:
        raise VlalignError(f"{path} is not of a prepared data set: make one with `vlalign multibench prepare`")
    if told.get("format") != FORMAT:
        raise VlalignError(f"{path} is of format {told.get('format')}, not {FORMAT}: prepare the data set again")
    if lacking := [key for key in _KEYS if key not in told]:
        raise VlalignError(f"{path} is damaged (no {', '.join(lacking)}): prepare the data set again")
    try:
        if _fingerprint(told) == told["fingerprint"]:
            return told
    except ValueError:
        pass
    raise VlalignError(f"{path} is damaged: its fingerprint is not of what it says: prepare the data set again")


def _check_place(folder: Path, fingerprint: str) -> None:
    """Raise VlalignError where a data set of another fingerprint, or a file of something else, would be replaced."""
    from safetensors import SafetensorError, safe_open

    if (folder / MANIFEST).exists():
        try:
            found = _read_manifest(folder)["fingerprint"]
        except VlalignError as error:
            raise VlalignError(f"{error}, in another folder or with --force") from error
        if found != fingerprint:
            raise VlalignError(
                f"{folder} holds another prepared data set ({found[:16]}, this one is {fingerprint[:16]}): choose "
                "another folder with --out, or replace it with --force"
            )
        return
    names = {f"{title}.safetensors" for title in SPLITS}
    if other := sorted(one.name for one in folder.iterdir() if one.name not in names and one.name[0] != "."):
        raise VlalignError(
            f"{folder} holds other things ({', '.join(other[:3])}): choose another folder with --out, or use --force"
        )
    for title in SPLITS:
        path = folder / f"{title}.safetensors"
        if not path.exists():
            continue
        try:
            with safe_open(path, framework="pt") as file:
                own = _KIND in (file.metadata() or {}).get(_META, "")
        except (OSError, SafetensorError, ValueError):
            own = False
        if not own:
            raise VlalignError(f"{path} is of something else: choose another folder with --out, or use --force")
