"""Conditions of a score: only records of equal conditions may be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlalign.metrics.base import metric_text
from vlalign.metrics.registry import METRICS
from vlalign.scoring.options import recorded_search
from vlalign.scoring.record import ScoreRecord
from vlalign.store.checksums import canonical, encode

#: Entries of a run key that describe the source of the data, which does not change its content.
_ORIGIN = ("name", "revision", "config", "split", "id_source", "image_column", "text_column")


@dataclass(frozen=True)
class Conditions:
    """Metric, preset, samples and variant of a score.

    Attributes:
        id: digest of all of them; equal for records that may be compared.
        metric: name and parameters, as ``--metric`` takes them.
        symmetric: whether exchanging the sides leaves the score as it is; False for metrics not known here.
        n: paired samples.
        parts: name and text of each condition, in the order in which they are shown.
        known: whether the samples are recorded; without (plain tensors), a record is comparable to no other.
    """

    id: str
    metric: str
    symmetric: bool
    n: int
    parts: Mapping[str, str]
    known: bool

    @property
    def title(self) -> str:
        """All conditions on one line."""
        return ", ".join(f"{name} {text}" for name, text in self.parts.items())


def conditions(record: ScoreRecord, alone: str, *, edits: bool = True) -> Conditions:
    """Return the conditions of a record.

    The data of both sides count by content: ids, captions or pictures, caption index and edits. Data sets of the same
    content are the same wherever they were read from; pairs of other modalities are pairs of other data.

    Args:
        record: a valid one (see :mod:`vlalign.scoring.collect`).
        alone: name of the record, so that one without recorded samples is equal to itself only.
        edits: whether edits count.
    """
    metric = metric_text(record.metric["name"], record.metric["params"])
    known = METRICS.get(record.metric["name"])
    parts = {"metric": metric, "preset": _preset(record.preprocessing), "N": str(record.n)}
    sides = [data_of(side) for side in (record.x, record.y)]
    recorded = [side for side in sides if side is not None]
    if len(recorded) == len(sides):
        parts["data"] = "; ".join(sorted({text for text, _ in recorded}))
        counted = ({**content, "edits": content["edits"] if edits else []} for _, content in recorded)
        samples: Any = sorted({canonical(content) for content in counted})
    else:
        parts["data"] = f"not recorded, {alone}"
        samples = alone
    groups, positives = record.pairing.get("groups"), record.pairing.get("positives")
    variant = [
        *(["with the concatenation of all layers"] if record.axes["x"][-1].get("index") == -1 else []),
        *([f"samples in {groups.get('groups')} groups{_digest(groups)}"] if isinstance(groups, dict) else []),
        *([f"approximate neighbours ({search})"] if (search := recorded_search(record)) != "exact" else []),
        *(
            [f"{positives.get('samples')} samples in {positives.get('items')} items{_digest(positives)}"]
            if isinstance(positives, dict)
            else []
        ),
        *(["ties in the order of the rows"] if _has_ordered_ties(record) else []),
    ]
    if variant:
        parts["variant"] = ", ".join(variant)
    settings = {name: record.preprocessing.get(name) for name in ("preset", "clip_quantile", "normalise")}
    whole = {"metric": record.metric, "preprocessing": settings, "n": record.n, "data": samples, "variant": variant}
    digest = hashlib.sha256(encode(canonical(whole))).hexdigest()[:12]
    symmetric = known is not None and known.info.symmetric
    return Conditions(digest, metric, symmetric, record.n, parts, len(recorded) == len(sides))


def _digest(groups: Mapping[str, Any]) -> str:
    """Return the first digits of the digest of groups in brackets; nothing for records from before it was stored."""
    return f" ({groups['sha256'][:8]})" if isinstance(groups.get("sha256"), str) else ""


def _has_ordered_ties(record: ScoreRecord) -> bool:
    """Return whether identical rows had neighbours by row number, as before ties were broken at random."""
    identical = any(record.checks.get(side, {}).get("duplicates") for side in ("x", "y"))
    return identical and bool({"k", "max_k"} & set(record.metric["params"])) and "ties" not in record.preprocessing


def different(a: Conditions, b: Conditions) -> list[str]:
    """List the conditions in which two records differ, as ``name: a and b``; empty if they may be compared."""
    if a.id == b.id:
        return []
    unequal = [name for name in dict.fromkeys([*a.parts, *b.parts]) if a.parts.get(name) != b.parts.get(name)]
    texts = [f"{name}: {a.parts.get(name, 'none')} and {b.parts.get(name, 'none')}" for name in unequal]
    return texts or ["the content of their data"]


def _preset(preprocessing: Mapping[str, Any]) -> str:
    quantile = preprocessing.get("clip_quantile")
    return str(preprocessing["preset"]) + (f" (clip {quantile:g})" if isinstance(quantile, float | int) else "")


def data_of(side: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return text and content of the data that one side of a record read; None where its run does not record it."""
    key = side["run"]["key"] if side.get("run") else {}
    data = key.get("data")
    if not isinstance(data, dict) or not data:
        return None
    modality = str(side.get("modality") or "")
    edits = key.get("perturbations") or []
    by_content = {name: value for name, value in data.items() if "content" not in data or name not in _ORIGIN}
    words = [str(data["name"])] if data.get("name") else [str(key["kind"])] if key.get("kind") else []
    words += [{"vision": "images", "text": "texts"}.get(modality, modality)]
    if isinstance(data.get("content"), str):
        words.append(data["content"][:8])
    if modality == "text" and data.get("caption") is not None:
        words.append(f"caption {data['caption']}")
    words += [f"{one['operation']}:{one.get('rate')}" for one in edits if isinstance(one, dict) and "operation" in one]
    return " ".join(words), {"modality": modality, "data": by_content, "edits": edits}
