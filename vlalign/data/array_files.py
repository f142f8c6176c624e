"""Files of arrays and tensors: .npy, .npz, .pt, .pth and .safetensors, read without loading a pickled object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vlalign.display import quoted
from vlalign.errors import VlalignError, did_you_mean, short_line

#: names of arrays that hold the ids of the samples of the others
IDS = ("ids", "id")


def decode(path: Path, read: Callable[[], Any]) -> Any:
    """Return what ``read`` returns; its errors become one line that names the file."""
    try:
        return read()
    except VlalignError:
        raise
    except MemoryError:
        raise VlalignError(f"{path} is too large for the memory at hand") from None
    except Exception as error:  # decoders of damaged files raise errors of many kinds
        raise VlalignError(f"cannot read {path}: {short_line(error)}") from error


def _read_npy(path: Path, key: str) -> Any:
    import numpy as np

    if key:
        raise VlalignError(f"{path} holds one array: leave out :{key}")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" in str(error):
            raise _objects(path) from None
        if "allow_pickle" in str(error):  # any file that NumPy did not write
            raise VlalignError(f"{path} is no .npy array: write one with np.save") from None
        raise VlalignError(f"cannot read {path}: {short_line(error)}") from error
    except (OSError, EOFError) as error:
        raise VlalignError(f"cannot read {path}: {short_line(error)}") from error


def _objects(path: Path) -> VlalignError:
    return VlalignError(
        f"{path} holds pickled objects, which are not loaded as that can run code: save numbers, of vectors np.stack(…)"
    )


def _read_npz(path: Path, key: str) -> Any:
    import numpy as np

    archive = decode(path, lambda: np.load(path, allow_pickle=False))
    if not hasattr(archive, "files"):
        raise VlalignError(f"{path} is no .npz archive")
    name = _one(path, key, archive.files)
    try:
        return archive[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise _objects(path) from None
        raise VlalignError(f"cannot read {path}:{name}: {short_line(error)}") from error


def _read_pt(path: Path, key: str) -> Any:
    import pickle

    import torch

    try:
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise _more_than_tensors(path) from None
    except Exception as error:
        if "mmap" not in str(error):
            raise VlalignError(f"cannot read {path}: {short_line(error)}") from error
        try:  # the format of PyTorch before 1.6, or an ordinary pickle
            value = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            raise _more_than_tensors(path) from None
        except Exception as again:
            raise VlalignError(f"cannot read {path}: {short_line(again)}") from again
    if isinstance(value, dict):
        return value[_one(path, key, [str(name) for name in value])]
    if key:
        raise VlalignError(f"{path} holds one value: leave out :{key}")
    return value


def _more_than_tensors(path: Path) -> VlalignError:
    return VlalignError(
        f"{path} holds more than tensors, which is not loaded as that can run code: save the tensor itself"
    )


def _read_safetensors(path: Path, key: str) -> Any:
    from safetensors import safe_open

    def read() -> Any:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(_one(path, key, list(file.keys())))

    return decode(path, read)


def read_ids(path: Path, key: str) -> list[str] | None:
    """Return the array ``ids`` or ``id`` [N] beside an array of a .npz or .safetensors file; None without.

    Raises:
        VlalignError: it does not hold texts or whole numbers.
    """
    import numpy as np

    if path.suffix.lower() == ".npz":
        names = decode(path, lambda: np.load(path, allow_pickle=False)).files
    elif path.suffix.lower() == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
    else:
        return None
    name = next((one for one in IDS if one in names and one != key), None)
    if name is None or len(names) == 1:
        return None
    ids = np.asarray(READERS[path.suffix.lower()](path, name))
    if ids.ndim != 1 or ids.dtype.kind not in "iuUS":
        raise VlalignError(f"{path}:{name} must hold the ids [N], texts or whole numbers, not {ids.dtype} {ids.shape}")
    return [one.decode() if isinstance(one, bytes) else str(one) for one in ids.tolist()]


def _one(path: Path, key: str, names: Sequence[str]) -> str:
    """Return the key if the file has it, or the only name beside those of ids."""
    others = [name for name in names if name not in IDS] if len(names) > 1 else names
    if not key and len(others) == 1:
        return others[0]
    if key in names:
        return key
    problem = f"has no {quoted(key)}{did_you_mean(key, names)}" if key else f"holds {len(names)} arrays"
    raise VlalignError(f"{path} {problem}: name one as {path.name}:KEY, of {listed(names)}")


def listed(names: Sequence[str]) -> str:
    return short_line(", ".join(names), 200) or "none"


#: by the ending of the file: a function of its path and of the key of an array in it
READERS: dict[str, Callable[[Path, str], Any]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".safetensors": _read_safetensors,
}
