"""Files of named tensors that know what they are of, and their checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.files import parse_json, write_error, write_whole
from vlalign.store.checksums import sha256_bytes

_META = "vlalign"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    """Write a safetensors file, whole or not at all; its folder is made.

    Args:
        path: of the file.
        tensors: on any device.
        told: JSON values that say what they are of.

    Raises:
        VlalignError: it cannot be written.
    """
    from safetensors.torch import save

    here = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    metadata = {_META: json.dumps({**told, "sha256": _digest(here)})}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path.parent, error) from error
    write_whole(path, save(here, metadata=metadata))


def load_tensors(path: Path, told: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a file that :func:`save_tensors` wrote with the same ``told``.

    Raises:
        VlalignError: it is missing, damaged, or of something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found = parse_json((file.metadata() or {}).get(_META, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        digest = found.pop("sha256", None)
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise VlalignError(f"{path} is damaged ({' '.join(str(error).split())})") from error
    if found != told:
        raise VlalignError(f"{path} is of other settings")
    if digest != _digest(tensors):
        raise VlalignError(f"{path} is damaged: its numbers do not match their checksum")
    return tensors


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Hex sha256 of all numbers, by name."""
    return sha256_bytes(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors)))
