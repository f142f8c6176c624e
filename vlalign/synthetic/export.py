"""Samples as a ``datasets.DatasetDict``, to use or to save in a folder (`vlalign.hub` pushes them)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.arithmetic import exact_float32
from vlalign.errors import VlalignError
from vlalign.files import check_space, read_json, sweep, work_folder, write_error
from vlalign.store.checksums import canonical
from vlalign.synthetic.data import SyntheticData
from vlalign.synthetic.distribution import all_bits

if TYPE_CHECKING:
    from datasets import DatasetDict


@exact_float32()
def to_datasets(data: SyntheticData, phi_depth: int = 1) -> DatasetDict:
    """Return the samples as a ``datasets.DatasetDict`` with splits train, validation and test.

    Columns: ``id``; ``label``; ``x1``, ``x2`` … float32 features as encoders see them; ``bits1``, ``bits2`` … the bits
    behind them. The settings that they were drawn with are in the description.

    Args:
        data: of :func:`vlalign.synthetic.make_data`.
        phi_depth: of φ.
    """
    from datasets import ClassLabel, Dataset, DatasetDict, DatasetInfo, Features, List, Value

    config = data.config
    kinds: dict[str, Any] = {
        "id": Value("string"),
        "label": ClassLabel(names=[f"class {c}" for c in range(config.classes)]),
    }
    columns: dict[str, Any] = {}
    bits = all_bits(config.width)
    for m in range(config.modalities):
        columns[f"x{m + 1}"] = data.features(m, phi_depth).numpy()
        columns[f"bits{m + 1}"] = bits[data.codes(m)]
        kinds[f"x{m + 1}"] = List(Value("float32"), length=config.width)
        kinds[f"bits{m + 1}"] = List(Value("int8"), length=config.width)
    made = {}
    for name, rows in data.splits.items():
        values: dict[str, Any] = {"id": [f"sample-{row:06d}" for row in rows], "label": data.labels[rows]}
        values |= {key: list(column[rows]) for key, column in columns.items()}
        info = DatasetInfo(description=settings_of(data, phi_depth), features=Features(kinds))
        made[name] = Dataset.from_dict(values, info=info)
    return DatasetDict(made)


def settings_of(data: SyntheticData, phi_depth: int) -> str:
    """Return the settings that the samples depend on, as JSON on one line."""
    kept = {name: value for name, value in data.config.identity().items() if name not in ("epochs", "batch", "clip")}
    return canonical(kept | {"uniqueness": data.uniqueness, "phi_depth": phi_depth})


def save_datasets(data: SyntheticData, phi_depth: int, folder: str | Path) -> Path:
    """Save the samples where ``datasets.load_from_disk`` reads them, all or nothing; returns the folder.

    Raises:
        VlalignError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not (folder / "dataset_dict.json").exists():
        raise VlalignError(f"{folder} exists and holds no data set: name another folder with --out")
    if taken and _stored(folder) != settings_of(data, phi_depth):
        raise VlalignError(f"{folder} holds a data set of other settings: name another folder with --out")
    sweep(folder.parent)
    if taken and all((folder / split / "state.json").exists() for split in data.splits):
        return folder
    check_space(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with work_folder(folder.parent) as work:
            to_datasets(data, phi_depth).save_to_disk(str(work / "data"))
            os.replace(work / "data", folder)  # the folder is missing or empty
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


def _stored(folder: Path) -> str | None:
    """Return the settings of the data set in a folder."""
    try:
        info = read_json(folder / "train" / "dataset_info.json")
    except (OSError, ValueError):
        return None
    return str(info.get("description"))
