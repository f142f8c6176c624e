"""The run key: everything that can change a run's features, and its hash."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.files import one_line, read_json
from vlalign.store.checksums import canonical, encode, pretty, sha256_bytes

#: kind, in its key, of a run of trivial features or of random weights; runs of an extraction have no kind
BASELINE = "baseline"
_SHOWN = 80  # characters of a value shown in a difference: a sha256 fits


@dataclass(frozen=True, eq=False)
class RunKey:
    """What identifies a run's features. Keys are equal when their hashes are.

    Args:
        data: JSON-able dict with at least ``model.name`` and ``model.modality``. Copied; do not change it afterwards.

    Attributes:
        hash: hex sha256 of the canonical JSON (sorted keys, no spaces).

    Raises:
        VlalignError: the model's name or modality is missing, or a value is not JSON.

    >>> key = RunKey({"model": {"name": "org/a b", "modality": "text"}, "dtype": "float32"})
    >>> key.slug, key.short
    ('org__a-b', '700dba0534ba97d6')
    """

    data: dict[str, Any]
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            data = json.loads(canonical(self.data))  # as it will be read back
            text = canonical(data)
        except (TypeError, ValueError) as error:
            raise VlalignError(f"the run key cannot be written as JSON: {one_line(error)}") from error
        model = data.get("model") if isinstance(data, dict) else None
        for name in ("name", "modality"):
            if not isinstance(model, dict) or not isinstance(model.get(name), str) or not model[name]:
                raise VlalignError(f"the run key lacks model.{name}: it must be a non-empty string")
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "hash", sha256_bytes(encode(text)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunKey) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"RunKey({self.model}@{self.short})"

    @property
    def short(self) -> str:
        """First 16 hex digits of the hash, the run's folder name."""
        return self.hash[:16]

    @property
    def model(self) -> str:
        """The model's display name, such as ``llama-7b``."""
        return str(self.data["model"]["name"])

    @property
    def edits(self) -> str:
        """Perturbations of the data, such as ``char_delete:30``; empty for unedited data.

        >>> edit = {"operation": "patch_delete", "rate": 20, "seed": 1, "version": 1, "grid": 14}
        >>> RunKey({"model": {"name": "m", "modality": "vision"}, "perturbations": [edit]}).title
        'm patch_delete:20,grid=14,seed=1'
        """
        names = []
        for edit in self.data.get("perturbations") or []:
            if isinstance(edit, dict) and "operation" in edit:
                hidden = {"operation", "rate", "version"} | ({"seed"} if not edit.get("seed") else set())
                more = [f"{name}={edit[name]}" for name in sorted(set(edit) - hidden)]
                names.append(",".join([f"{edit['operation']}:{edit.get('rate')}", *more]))
        return " ".join(names)

    @property
    def title(self) -> str:
        """The model's display name with the edits."""
        return f"{self.model} {self.edits}".rstrip()

    @property
    def modality(self) -> str:
        """``text`` or ``vision``."""
        return str(self.data["model"]["modality"])

    @property
    def slug(self) -> str:
        """The model's name as a folder name: ``/`` becomes ``__``, other odd characters ``-``."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", re.sub(r"[/\\]+", "__", self.model))
        return name.lstrip("._-")[:100] or "model"

    def to_bytes(self) -> bytes:
        """Return the content of ``key.json``."""
        return pretty(self.data)

    @classmethod
    def read(cls, path: Path) -> RunKey:
        """Read ``key.json``.

        Raises:
            VlalignError: the file is missing, unreadable or no run key.
        """
        try:
            return cls(read_json(path))
        except (OSError, ValueError, VlalignError) as error:
            raise VlalignError(
                f"cannot read the run key {path}: {one_line(error)}; remove the folder {path.parent} and extract again"
            ) from error


def is_baseline(key: Any) -> bool:
    """Return whether a run key, as data, is that of trivial features or of random weights."""
    return isinstance(key, Mapping) and key.get("kind") == BASELINE


def flatten(data: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested values by dotted paths; an empty dict is a value."""
    if not isinstance(data, dict) or (not data and prefix):
        return {prefix: data}
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat |= flatten(value, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _text(flat: dict[str, Any], path: str) -> str | None:
    return canonical(flat[path]) if path in flat else None  # as texts 1, True and 1.0 differ


def _show(flat: dict[str, Any], path: str) -> str:
    if path not in flat:
        return "absent"
    value = flat[path]
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def diff_keys(a: RunKey, b: RunKey) -> list[str]:
    """Return the differences of two keys: a line ``path: a != b`` per value, with dotted paths in sorted order.

    >>> a = RunKey({"model": {"name": "m", "modality": "text"}, "dtype": "float32"})
    >>> b = RunKey({"model": {"name": "m", "modality": "text", "backend": "hf"}, "dtype": "bfloat16"})
    >>> diff_keys(a, b)
    ['dtype: float32 != bfloat16', 'model.backend: absent != hf']
    """
    left, right = flatten(a.data), flatten(b.data)
    paths = [path for path in sorted(left | right) if _text(left, path) != _text(right, path)]
    lines = [f"{path}: {_show(left, path)} != {_show(right, path)}" for path in paths]
    return lines if lines or a == b else ["the same values, nested differently"]
