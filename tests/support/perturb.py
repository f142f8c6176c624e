"""A small image-text set in memory, for edits: ids, captions and images of several sizes."""

from __future__ import annotations

from collections.abc import Sequence

from support.data import picture, png
from vlalign.data import PairedData

CAPTIONS = (
    "A red kite over the grey sea, seen from the harbour.",
    "Zwei Flaggen 🇩🇪🇫🇷 und eine Familie 👩‍👩‍👧",
    "東京タワーの夜景",
    "one",
    "the same words as elsewhere",
    "the same words as elsewhere",
    "Cafe\u0301 de l'Universite\u0301\r\n  two lines, $5 [red] and $6  ",
    "한국어 캡션 하나",
)


def small_set(captions: Sequence[str] | None = CAPTIONS, *, n: int = 8, images: bool = True) -> PairedData:
    """``n`` samples ``s0`` …; captions and images where asked for."""
    from datasets import Dataset

    rows = [{"bytes": png(picture(i)), "path": f"{i}.png"} for i in range(n)]
    modalities = [*(["text"] if captions is not None else []), *(["vision"] if images else [])]
    return PairedData(
        ids=[f"s{i}" for i in range(n)],
        id_source="column",
        name="small",
        revision=None,
        captions=None if captions is None else list(captions[:n]),
        skipped=[],
        has_images=images,
        identities={modality: {"name": "small", "of": modality} for modality in modalities},
        images=Dataset.from_dict({"image": rows}) if images else None,
        rows=range(n),
        image_column="image" if images else "",
    )
