"""Arrays of a file: pickles (read safely), .npz, .safetensors, folders of .npy."""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from vlalign.display import visible
from vlalign.errors import VlalignError
from vlalign.files import one_line, sha256_file
from vlalign.multibench.data.magic import is_text, what_it_is
from vlalign.multibench.data.unpickle import key_text, read_pickle
from vlalign.multibench.data.validation import SPLITS
from vlalign.paths import user_path

#: other names of splits
ALIASES = {"val": "valid", "validation": "valid", "dev": "valid"}
#: most bytes that a byte of a .zip file can unpack to, by its kind of compression: stored, deflated
_MOST_PACKED = {0: 1, 8: 1032}
_ROW = 16  # most entries of a row in a list of lists: ids of several parts

Array = np.ndarray[Any, Any]


@dataclass
class Source:
    """Arrays of a file.

    Attributes:
        path: of the file or folder.
        splits: "train", "valid", "test" -> key -> array; {} if the file has no splits.
        flat: key -> array, outside splits.
        files: name, bytes and sha256 of each file that was read.
    """

    path: Path
    splits: dict[str, dict[str, Array]]
    flat: dict[str, Array]
    files: list[dict[str, Any]]

    @property
    def parts(self) -> dict[str, dict[str, Array]]:
        """The splits, or the arrays outside splits as the only part, named ""."""
        return self.splits or {"": self.flat}

    def title(self, split: str, key: str) -> str:
        """Return the name of an array for errors."""
        return f"{self.path}: {f'{split}.' if split else ''}{key}"


def read_source(path: str | Path) -> Source:
    """Read a file of arrays by its form.

    Args:
        path: a pickle of split -> key -> array, or of key -> array; .npz or .safetensors with keys ``train/vision``,
            ``train.vision`` or ``train_vision``; a folder with train/vision.npy or train_vision.npy. ``val``,
            ``validation`` and ``dev`` mean ``valid``.

    Raises:
        VlalignError: the file cannot be read, is of another form, is refused, or holds no arrays.
    """
    path = user_path(path)
    if path.is_dir():
        return _named(path, _read_folder(path), [source_file(file, path) for file in sorted(path.rglob("*.npy"))])
    if not path.exists():
        raise VlalignError(f"cannot read {path}: no such file")
    if path.suffix == ".npy":
        raise VlalignError(f"{path} is one array: give a folder of such files, or --array NAME=FILE of custom")
    if read := {".npz": _read_npz, ".safetensors": _read_safetensors}.get(path.suffix):
        return _named(path, read(path), [source_file(path)])
    return _from_pickle(path, read_pickle(path))


def read_array(path: str | Path) -> Array:
    """Map the array of a .npy file.

    Raises:
        VlalignError: it cannot be read, or holds Python objects.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(512)
            if not head.startswith(b"\x93NUMPY"):
                kind = what_it_is(head) or ("text" if is_text(head) else "of another kind")
                raise VlalignError(f"{path} is not a .npy file: it is {kind}")
            file.seek(0)
            _check_claim(file, Path(path).stat().st_size)
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise VlalignError(f"cannot read {path}: {one_line(error)}") from error
    except (ValueError, TypeError, EOFError) as error:
        raise VlalignError(f"{path} is not an array of numbers in .npy ({one_line(error)})") from error
    if not isinstance(array, np.ndarray):
        raise VlalignError(f"{path} is not one array in .npy")
    return array


def _check_claim(file: IO[bytes], size: int) -> None:
    """Raise ValueError unless the header of a .npy file fits its size in bytes, before memory is allocated for it."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError("an array of records")
    try:
        shape, _, dtype = read(file)
    except Exception as error:  # of Python's parser: MemoryError, RecursionError, TokenError …
        raise ValueError(visible(one_line(error), most=200) or "its header cannot be parsed") from error
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    if any(isinstance(length, bool) or not 0 <= length <= sys.maxsize for length in shape):
        raise ValueError(f"its shape is {shape}")
    need, left = math.prod(shape) * max(dtype.itemsize, 1), size - file.tell()
    if need > left:
        raise ValueError(f"its shape {list(shape)} needs {need:,} bytes, and it has {left:,}")


def source_file(path: str | Path, inside: Path | None = None) -> dict[str, Any]:
    """Return name (below the folder ``inside``), bytes and sha256 of a file."""
    file = Path(path)
    name = file.relative_to(inside).as_posix() if inside else file.name
    try:
        return {"file": name, "bytes": file.stat().st_size, "sha256": sha256_file(file)}
    except OSError as error:
        raise VlalignError(f"cannot read {file}: {one_line(error)}") from error


def _from_pickle(path: Path, content: Any) -> Source:
    if isinstance(content, int) and content == 0x1950A86A20F9469CFC6C:
        raise VlalignError(f"{path} is a file of torch.save: load it with torch and save the arrays with numpy.savez")
    if not isinstance(content, dict) or not content:
        kind = "an array" if isinstance(content, np.ndarray) else f"a {type(content).__name__}"
        raise VlalignError(f"{path} holds {kind}: expected a dict of train, valid and test, each a dict of arrays")
    splits: dict[str, dict[str, Array]] = {}
    flat: dict[str, Array] = {}
    for key, value in content.items():
        split = ALIASES.get(str(key), str(key))
        if isinstance(value, dict) and split in SPLITS:
            if split in splits:
                raise VlalignError(f"{path} has the split {split} twice, under several names")
            splits[split] = {str(name): _as_array(entry, f"{path}: {split}.{name}") for name, entry in value.items()}
        elif split in SPLITS:
            raise VlalignError(f"{path}: {key} is not a dict of arrays")
        elif isinstance(value, np.ndarray | list):
            flat[str(key)] = _as_array(value, f"{path}: {key}")
    return _checked(Source(path, splits, flat, [source_file(path)]))


def _as_array(value: Any, where: str) -> Array:
    """Return an array; a list of plain values, or of short rows of them, becomes one."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, list):
        raise VlalignError(f"{where} is a {type(value).__name__}: expected an array")
    rows = [entry if isinstance(entry, list) else [entry] for entry in value]
    if any(len(row) > _ROW or any(isinstance(entry, list | dict | np.ndarray) for entry in row) for row in rows):
        raise VlalignError(f"{where} is a list, not an array: save it as one array (numpy.stack)")
    numbers = all(isinstance(entry, int | float | np.number) for row in rows for entry in row)
    if numbers and len({len(row) for row in rows}) == 1:
        return np.array(value)
    array = np.empty(len(value), dtype=object)
    for at, row in enumerate(rows):
        array[at] = tuple(row) if isinstance(value[at], list) else row[0]
    return array


def _named(path: Path, arrays: Mapping[str, Array], files: list[dict[str, Any]]) -> Source:
    """Assign arrays to splits by names such as train/vision."""
    splits: dict[str, dict[str, Array]] = {}
    flat: dict[str, Array] = {}
    for raw, value in arrays.items():
        name = key_text(raw)
        for mark in "/._":
            first, separator, key = name.partition(mark)
            split = ALIASES.get(first, first)
            if separator and key and split in SPLITS:
                if key in splits.setdefault(split, {}):
                    raise VlalignError(f"{path} has {split}.{key} twice, under several names")
                splits[split][key] = value
                break
        else:
            flat[name] = value
    return _checked(Source(path, splits, flat, files))


def _checked(source: Source) -> Source:
    if not source.splits and not source.flat:
        raise VlalignError(f"{source.path} holds no arrays")
    order = [split for split in SPLITS if split in source.splits]
    source.splits = {split: source.splits[split] for split in order}
    return source


def _read_folder(path: Path) -> dict[str, Array]:
    files = sorted(path.rglob("*.npy"))
    if not files:
        raise VlalignError(f"{path} holds no .npy files: expected train/vision.npy and the like")
    return {file.relative_to(path).with_suffix("").as_posix(): read_array(file) for file in files}


def _read_npz(path: Path) -> dict[str, Array]:
    from zipfile import BadZipFile, ZipFile

    arrays: dict[str, Array] = {}
    key = ""
    try:
        with ZipFile(path) as archive:
            for entry in archive.infolist():
                key = entry.filename.removesuffix(".npy")
                if key != entry.filename:
                    with archive.open(entry) as file:
                        most = _MOST_PACKED.get(entry.compress_type, math.inf) * entry.compress_size
                        _check_claim(file, int(min(entry.file_size, most)))
                    with archive.open(entry) as file:
                        arrays[key] = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, TypeError) as error:
        problem = f"{key} cannot be read: {one_line(error)}" if key else "not a .npz file"
        raise VlalignError(f"{path}: {problem}: save arrays of numbers with numpy.savez") from error
    except (OSError, BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        raise VlalignError(f"{path} is not a whole .npz file ({one_line(error)}): copy or make it again") from error
    return arrays


def _read_safetensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:
        raise VlalignError(f"{path} is not a whole .safetensors file of numpy's types ({one_line(error)})") from error
