"""Prepared data sets on disk: three files of tensors and data.json, which is written last.

```
<folder>/
  train|valid|test.safetensors   <modality> float32 [N, T, F], <modality>.lengths int64 [N], labels; ids in the header
  data.json                      description, shapes, sha256 of the files, sources and processing
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
from vlalign.multibench.data.validation import SPLITS, check_finite, check_split, check_splits, check_task
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
        lengths: modality -> int64 [N], number of frames before the padding with zeros (1 to T); only of modalities
            with padding.
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
        folder: its files.
        name: avmnist, mosi, mosei, urfunny, mustard, or the user's.
        task: "classification", "regression", or "sentiment": regression whose performance is the accuracy of the
            sign, zero counting as not positive.
        classes: of a classification, else None.
        pool: pooling of encoders of this data set by convention, "cls" or "mean".
        modalities: in order.
        splits: "train", "valid", "test".
        fingerprint: hex sha256 over all of data.json, which holds the checksums of the files.
        about: source files with their sha256, processing, statistics.
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
        folder: created if missing.
        name, task, classes, pool, splits, about: as in :class:`Prepared`; the modalities are those of the splits.
        force: replace a data set that differs.

    Returns:
        The data set as :func:`open_prepared` opens it.

    Raises:
        VlalignError: an argument is not as in :class:`Prepared`, the folder holds another data set (the same is fine),
            or a file cannot be written.
    """
    folder = user_path(folder)
    check_task("the data set", name, task, classes, pool)
    modalities = tuple(next(iter(splits.values())).inputs) if splits else ()
    check_splits("the data set", modalities, splits)
    for title, split in splits.items():
        check_split(title, split, modalities, classes)
        check_finite(title, split)
    manifest: dict[str, Any] = {
        "kind": _KIND, "format": FORMAT, "name": name, "task": task, "classes": classes, "pool": pool,
        "modalities": list(modalities), "splits": {}, "about": dict(about),
    }  # fmt: skip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as files:  # at its end all files get their names
            for title in SPLITS:
                part = files.enter_context(new_file(folder / f"{title}.safetensors"))
                _save(part, splits[title])
                manifest["splits"][title] = _described(splits[title]) | {
                    "bytes": part.stat().st_size,
                    "sha256": sha256_file(part),
                }
            manifest["fingerprint"] = _fingerprint(manifest)
            if not force:
                _check_place(folder, manifest["fingerprint"])
            (folder / MANIFEST).unlink(missing_ok=True)  # the folder is incomplete until the new manifest exists
    except OSError as error:
        raise write_error(folder, error) from error
    write_whole(folder / MANIFEST, pretty(manifest))
    return open_prepared(folder)


def open_prepared(folder: str | Path, verify: bool = False) -> Prepared:
    """Open a data set; its features are mapped, not read.

    Args:
        folder: that ``vlalign multibench prepare`` wrote.
        verify: read everything and compare it with the checksums.

    Raises:
        VlalignError: the folder holds no data set, or one of another format, incomplete or damaged.
    """
    folder = user_path(folder)
    manifest = _read_manifest(folder)
    where = str(folder / MANIFEST)
    try:
        modalities = tuple(manifest["modalities"])
        check_task(where, manifest["name"], manifest["task"], manifest["classes"], manifest["pool"])
        splits = {title: _load(folder, title, modalities, manifest["splits"][title], verify) for title in SPLITS}
        check_splits(where, modalities, splits)
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(where, one_line(repr(error))) from error
    for title, split in splits.items():
        file = str(folder / f"{title}.safetensors")
        check_split(file, split, modalities, manifest["classes"])
        if verify:
            check_finite(file, split)
    return Prepared(
        folder=folder, modalities=modalities, splits=splits,
        **{key: manifest[key] for key in ("name", "task", "classes", "pool", "fingerprint", "about")},
    )  # fmt: skip


def is_prepared(folder: str | Path) -> bool:
    """Return whether a folder holds data.json."""
    return (user_path(folder) / MANIFEST).is_file()


def _fingerprint(manifest: Mapping[str, Any]) -> str:
    """Return the fingerprint of a manifest."""
    kept = {key: value for key, value in manifest.items() if key != "fingerprint"}
    return sha256_bytes(canonical(kept).encode("utf-8", "surrogatepass"))


def _described(split: PreparedSplit) -> dict[str, Any]:
    """Return the manifest's description of a split."""
    return {
        "samples": len(split.ids),
        "shapes": {name: list(values.shape) for name, values in split.inputs.items()},
        "lengths": sorted(split.lengths),
        "labels": str(split.labels.dtype).removeprefix("torch."),
    }


def _save(path: Path, split: PreparedSplit) -> None:
    """Write the tensors of a split without copying them."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors = {name: values.contiguous().numpy() for name, values in split.inputs.items()}
    tensors |= {f"{name}.lengths": values.contiguous().numpy() for name, values in split.lengths.items()}
    tensors["labels"] = split.labels.contiguous().numpy()
    try:
        save_file(tensors, path, metadata={_META: json.dumps({"kind": _KIND, "ids": split.ids})})
    except SafetensorError as error:
        raise OSError(one_line(error)) from error


def _load(folder: Path, title: str, modalities: Iterable[str], entry: Mapping[str, Any], verify: bool) -> PreparedSplit:
    """Load the split that an entry of the manifest describes."""
    from safetensors import SafetensorError, safe_open

    path = folder / f"{title}.safetensors"
    try:
        size = path.stat().st_size
        if size != entry["bytes"]:
            raise _damaged(path, f"{size} bytes, not {entry['bytes']}")
        if verify and sha256_file(path) != entry["sha256"]:
            raise _damaged(path, f"its sha256 is not that of {MANIFEST}")
        with safe_open(path, framework="pt") as file:
            ids = parse_json((file.metadata() or {})[_META])["ids"]
            names = set(file.keys())
            if names != {"labels", *entry["shapes"], *(f"{name}.lengths" for name in entry["lengths"])}:
                raise _damaged(path, f"it holds {', '.join(sorted(names))}")
            inputs = {name: file.get_tensor(name) for name in modalities}
            lengths = {name: file.get_tensor(f"{name}.lengths") for name in entry["lengths"]}
            split = PreparedSplit(inputs, lengths, file.get_tensor("labels"), ids)
    except OSError as error:
        raise VlalignError(f"cannot read {path} ({one_line(error)}): prepare the data set again") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, one_line(repr(error))) from error
    if wrong := [key for key, value in _described(split).items() if value != entry[key]]:
        raise _damaged(path, f"{wrong[0]} is not that of {MANIFEST}")
    return split


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = read_json(path)
    except OSError as error:
        raise VlalignError(
            f"{folder} holds no prepared data set ({one_line(error)}): make one with `vlalign multibench prepare`"
        ) from error
    except ValueError as error:
        raise _damaged(path, one_line(error)) from error
    if not isinstance(manifest, dict) or manifest.get("kind") != _KIND:
        raise VlalignError(f"{path} is not of a prepared data set: make one with `vlalign multibench prepare`")
    if manifest.get("format") != FORMAT:
        raise VlalignError(f"{path} is of format {manifest.get('format')}, not {FORMAT}: prepare the data set again")
    if lacking := [key for key in _KEYS if key not in manifest]:
        raise _damaged(path, f"no {', '.join(lacking)}")
    with contextlib.suppress(ValueError):
        if _fingerprint(manifest) == manifest["fingerprint"]:
            return manifest
    raise _damaged(path, "its fingerprint does not match its content")


def _damaged(path: Path | str, problem: str) -> VlalignError:
    return VlalignError(f"{path} is damaged: {problem}: prepare the data set again")


def _check_place(folder: Path, fingerprint: str) -> None:
    """Raise VlalignError if a data set of another fingerprint, or a foreign file, would be replaced."""
    from safetensors import SafetensorError, safe_open

    if (folder / MANIFEST).exists():
        try:
            existing = _read_manifest(folder)["fingerprint"]
        except VlalignError as error:
            raise VlalignError(f"{error}, in another folder or with --force") from error
        if existing != fingerprint:
            raise VlalignError(
                f"{folder} holds another prepared data set ({existing[:16]}, not {fingerprint[:16]}): choose "
                "another folder with --out, or replace it with --force"
            )
        return
    advice = "choose another folder with --out, or use --force"
    files = [folder / f"{title}.safetensors" for title in SPLITS]
    if other := sorted(path.name for path in folder.iterdir() if path not in files and path.name[0] != "."):
        raise VlalignError(f"{folder} holds other files ({', '.join(other[:3])}): {advice}")
    for path in filter(Path.exists, files):
        own = False
        with contextlib.suppress(OSError, SafetensorError, ValueError), safe_open(path, framework="pt") as file:
            own = _KIND in (file.metadata() or {}).get(_META, "")
        if not own:
            raise VlalignError(f"{path} is no part of a prepared data set: {advice}")
