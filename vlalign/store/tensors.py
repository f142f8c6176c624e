"""Files of named tensors with a description of their contents and a checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.files import parse_json, write_whole
from vlalign.store.checksums import sha256_bytes

_META = "vlalign"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a safetensors file, whole or not at all; its folder is created.

    Args:
        path: of the file.
        tensors: on any device.
        about: JSON values that describe the tensors.

    Raises:
        VlalignError: it cannot be written.
    """
    from safetensors.torch import save

    local = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    metadata = {_META: json.dumps({**about, "sha256": _digest(local)})}
    write_whole(path, save(local, metadata=metadata))


def load_tensors(path: Path, about: Mapping[str, Any]) -> dict[str, Tensor]:
    """Load the tensors of a file that :func:`save_tensors` wrote with the same ``about``.

    Raises:
        VlalignError: it is missing, damaged, or of another description.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            stored = parse_json((file.metadata() or {}).get(_META, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        digest = stored.pop("sha256", None)
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise VlalignError(f"{path} is damaged ({' '.join(str(error).split())})") from error
    if stored != about:
        raise VlalignError(f"{path} is of other settings")
    if digest != _digest(tensors):
        raise VlalignError(f"{path} is damaged: its numbers do not match their checksum")
    return tensors


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the hex sha256 of all numbers, by name."""
    return sha256_bytes(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors)))
