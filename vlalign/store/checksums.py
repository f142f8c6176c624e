"""Canonical JSON and checksums."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(data: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal data give equal text.

    >>> canonical({"b": 1, "a": (2, 3)})
    '{"a":[2,3],"b":1}'
    """
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode(text: str) -> bytes:
    """Encode as UTF-8; lone surrogates (odd file names used as ids) survive the round trip through ``json.loads``."""
    return text.encode("utf-8", "surrogatepass")


def pretty(data: Any) -> bytes:
    """Return readable JSON with sorted keys; equal data give equal bytes."""
    return encode(json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_bytes(*parts: Any) -> str:
    """Return the hex sha256 of bytes, or of arrays of them, one after the other."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()
