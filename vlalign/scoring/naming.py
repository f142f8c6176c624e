"""Names of runs in tables, figures and pages: the model, and what differs between several runs of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def run_names(sides: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name runs of one model by what differs, such as ``dinov2-small (224 px)``; else by digits of their keys.

    Args:
        sides: ``x`` or ``y`` of records, each of another run.
    """
    texts = differences([run_facts(side) for side in sides])
    return [
        (f"{side['model']} ({text})" if text else str(side["model"]))
        + (f"@{side['run']['hash'][:8]}" if texts.count(text) > 1 else "")
        for side, text in zip(sides, texts, strict=True)
    ]


def run_facts(side: Mapping[str, Any]) -> dict[str, str]:
    """Return by name, in words, in what runs of one model may differ."""
    key = side["run"]["key"] if side["run"] else {}
    model, data, image, text = (
        {} if not isinstance(part := key.get(name), dict) else part for name in ("model", "data", "image", "text")
    )
    size = image.get("input_size")
    return {
        "precision": precision_of(side),
        "pooling": str(key.get("pooling") or ""),
        "size": f"{size[-1]} px" if isinstance(size, list) and size else "",
        "length": "" if text.get("max_length") is None else f"{text['max_length']} tokens",
        "layers": "" if key.get("layers") in (None, "all") else f"layers {key['layers']}",
        "caption": "" if data.get("caption") is None else f"caption {data['caption']}",
        "column": str(data.get("text_column") or data.get("image_column") or ""),
        "data": str(data.get("name") or ""),
        "split": str(data.get("split") or ""),
        "n": f"N = {data['n']}" if data.get("n") is not None else "",
        "revision": "" if model.get("revision") is None else f"revision {str(model['revision'])[:8]}",
    }


def differences(facts: Sequence[Mapping[str, str]]) -> list[str]:
    """Return for each of several things the facts that are not the same for all, in words.

    >>> differences([{"size": "224 px", "data": "coco"}, {"size": "518 px", "data": "coco"}])
    ['224 px', '518 px']
    """
    names = dict.fromkeys(name for one in facts for name in one)
    unequal = [name for name in names if len({one.get(name) for one in facts}) > 1]
    return [", ".join(one[name] for name in unequal if one.get(name)) for one in facts]


def precision_of(side: Mapping[str, Any]) -> str:
    """Return the quantization of a side's run, else the dtype of its weights (of embeddings made elsewhere "imported"),
    and the dtype its features were rounded to; empty where it is not recorded.

    >>> precision_of({"run": {"key": {"dtype": "float32", "quantization": "none", "stored": "float16"}}})
    'float32, stored as float16'
    """
    key = side["run"]["key"] if side.get("run") else {}
    quantization = str(key.get("quantization") or "none")
    weights = quantization if quantization != "none" else str(key.get("dtype") or key.get("kind") or "")
    return ", ".join([*([weights] if weights else []), *([f"stored as {key['stored']}"] if key.get("stored") else [])])
