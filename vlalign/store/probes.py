"""Results of linear probes beside a run: what they were computed from, the result, and its checksum.

``<run>/probes/<labels>.<score>.json``: one result for each name of labels and each main score; another one replaces it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.files import one_line, read_json, write_whole
from vlalign.store.checksums import canonical, encode, pretty, sha256_bytes
from vlalign.store.layout import Problem

log = logging.getLogger(__name__)

#: names of the performance of language models in records; other names are of probes
OF_TEXT = ("bits_per_byte", "truncated")
_PARTS = ("key", "performance", "result")


def probe_path(folder: Path, labels: str, score: str) -> Path:
    """Return the file of the probes of a run in ``folder``."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", labels).strip("-")[:80] or "labels"
    if name != labels:  # other names may have the same form
        name += f"-{hashlib.sha256(encode(labels)).hexdigest()[:8]}"
    return folder / "probes" / f"{name}.{score}.json"


def write_probe(
    folder: Path, labels: str, score: str, key: Mapping[str, Any], result: Mapping[str, Any],
    performance: Mapping[str, float],
) -> Path:  # fmt: skip
    """Write a result beside the run in ``folder``, whole or not at all, and return its path.

    Args:
        folder: of the run.
        labels: name of the labels.
        score: the main score.
        key: everything that the result depends on.
        result: JSON values.
        performance: of the model, by name, for scores and leaderboards.

    Raises:
        VlalignError: the file cannot be written.
    """
    content = dict(zip(_PARTS, (dict(key), dict(performance), dict(result)), strict=True))
    checksum = sha256_bytes(encode(canonical(content)))
    return write_whole(probe_path(folder, labels, score), pretty(content | {"sha256": checksum}))


def read_probe(folder: Path, labels: str, score: str, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the stored result if it is of this key; None without one, with a warning if it is damaged."""
    path = probe_path(folder, labels, score)
    try:
        content = _read(path) if path.exists() else None
    except VlalignError as error:
        log.warning("%s", error)
        return None
    same = content is not None and canonical(content["key"]) == canonical(dict(key))
    return content["result"] if content is not None and same else None


def stored_performance(folder: Path) -> dict[str, float]:
    """Return the performance that the probes beside a run found, by name, such as ``macro F1 of genres``.

    Raises:
        VlalignError: a file is damaged.
    """
    performance: dict[str, float] = {}
    for path in sorted(folder.glob("probes/*.json")):
        performance |= {str(name): float(value) for name, value in _read(path)["performance"].items()}
    return performance


def stored_results(folder: Path) -> list[dict[str, Any]]:
    """Return the results of all probes beside a run.

    Raises:
        VlalignError: a file is damaged.
    """
    return [_read(path)["result"] for path in sorted(folder.glob("probes/*.json"))]


def damaged_probes(folder: Path) -> list[Problem]:
    """Return the files of probes beside a run that are damaged."""
    problems = []
    for path in sorted(folder.glob("probes/*.json")):
        try:
            _read(path)
        except VlalignError as error:
            problems.append(Problem(path, str(error)))
    return problems


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
        if not isinstance(content, dict) or not all(isinstance(content.get(part), dict) for part in _PARTS):
            raise ValueError("it is not of probes")
        if sha256_bytes(encode(canonical({part: content[part] for part in _PARTS}))) != content.get("sha256"):
            raise ValueError("its sha256 is not that of its content")
    except (OSError, ValueError, TypeError) as error:
        raise VlalignError(f"{path} is damaged: {one_line(error)}: remove it, or probe again with --force") from error
    return content
