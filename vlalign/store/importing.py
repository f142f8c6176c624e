"""Import of embeddings made elsewhere, as runs of a store."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.store.key import RunKey
from vlalign.store.layout import Layer
from vlalign.store.run import Run
from vlalign.store.store import FeatureStore

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

#: kind of a run in its key; runs of an extraction have no kind
KIND = "imported"
MODALITIES = ("vision", "text", "audio", "other")
_SHARD_BYTES = 64 * 2**20
_LOST = 0.01  # of a standard deviation, as the error of rounding to float32


def import_embeddings(
    store: str | Path | FeatureStore,
    name: str,
    features: Any,
    *,
    ids: Sequence[Any] | None = None,
    labels: Sequence[Any] | Mapping[Any, Any] | None = None,
    modality: str = "other",
    source: str = "",
    data: Mapping[str, Any] | None = None,
) -> Run:
    """Write embeddings into a store as a run that every command takes; the same content is written once.

    Args:
        store: folder of the store; made if missing.
        name: of the model.
        features: [N, D], [N, L, D], or layers, as :func:`vlalign.arrays.as_layers` reads them. The store keeps float32.
        ids: distinct ids of the samples; without, the column ``id`` or the index of a frame if it has one,
            else row numbers, and rows of several imports are pairs by their order.
        labels: class of each sample, text or whole numbers, by row or by id (a mapping, or a series with an index),
            kept as codes beside the features.
        modality: vision, text, audio or other.
        source: where the embeddings are from, such as a file or a data set of the Hub.
        data: what is known of the data they were made from (``name``, ``split``, …); part of the key.

    Raises:
        VlalignError: features as of :func:`vlalign.arrays.as_layers`, values that are not finite, rows whose
            differences float32 loses, ids or labels that are not one for each sample, an unknown modality, or a store
            that cannot be written.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = import_embeddings(folder, "siglip", torch.eye(4), ids=["a", "b", "c", "d"], modality="vision")
    ...     run.key.data["kind"], run.n, run.layers[0].width
    ('imported', 4, 4)
    """
    import torch

    from vlalign.arrays import as_layers, content_digest, refuse_infinite
    from vlalign.row_ids import by_row, features_ids, features_index, is_missing

    what = source or name
    layers, names = as_layers(features, what)
    n = len(layers[0])
    ids = features_ids(features, what) if ids is None else ids
    for layer, tensor in zip(names, layers, strict=True):
        where = what if len(layers) == 1 else f"{layer} of {what}"
        refuse_infinite(tensor, where)
        _refuse_lost(tensor, where)
    if modality not in MODALITIES:
        raise VlalignError(f"the modality of {name} must be one of {', '.join(MODALITIES)}, got {modality!r}")
    if not name.strip():
        raise VlalignError(f"name the model of {what}, as NAME={what}")
    texts = [f"row-{i}" for i in range(n)] if ids is None else [str(value) for value in ids]
    _one_each(what, "ids", texts, n)
    key_data = {
        "kind": KIND,
        "model": {"name": name, "modality": modality},
        "content": content_digest(layers, repr((names, texts))),
        "data": {
            "name": None,
            **(data or {}),
            "n": n,
            "id_source": "row" if ids is None else "given",
            "ids": _digest(sorted(texts)),  # the order is part of the content
        },
    }
    extras: dict[str, Tensor] = {}
    facts: dict[str, Any] = {"dtype": sorted({str(layer.dtype).removeprefix("torch.") for layer in layers})}
    if labels is not None:
        index = features_index(features) if ids is None else None
        order = None if ids is None and index is None else texts if index is None else [str(one) for one in index]
        labels = by_row(labels, order, n, f"labels of {what}")
        if empty := [i for i, label in enumerate(labels) if is_missing(label)]:
            raise VlalignError(f"{what}: sample {empty[0]} (from 0) has no label: give it one, or leave it out")
        classes = sorted({str(label) for label in labels})
        code = {label: i for i, label in enumerate(classes)}
        extras["label"] = torch.tensor([code[str(label)] for label in labels])
        facts["labels"] = classes
        key_data["labels"] = _digest([str(label) for label in labels])
    store = store if isinstance(store, FeatureStore) else FeatureStore(store)
    rows = max(128, _SHARD_BYTES // (4 * sum(layer.shape[1] for layer in layers)))
    writer = store.writer(RunKey(key_data), texts, shard_rows=rows)
    missing = writer.missing(require=list(extras))
    described = [
        Layer(i, layer, tensor.shape[1], KIND) for i, (layer, tensor) in enumerate(zip(names, layers, strict=True))
    ]
    if missing:
        writer.log({"event": KIND, "source": source, "samples": n})
    for shard in missing:
        part = slice(shard.start, shard.stop)
        writer.write(
            shard,
            {layer: tensor[part].float() for layer, tensor in zip(names, layers, strict=True)},
            described,
            {extra: values[part] for extra, values in extras.items()},
        )
    return writer.finish(facts)


def _refuse_lost(layer: Tensor, what: str) -> None:
    """Check that float32 keeps the differences between the rows of a layer [N, D]; warn of single columns it rounds."""
    import torch

    from vlalign.arrays import ROUNDING, row_blocks

    if layer.dtype != torch.float64:
        return
    first = layer[:1].cpu()
    sums, largest = torch.zeros(4, layer.shape[1], dtype=torch.float64), first[0].abs()
    for _, part in row_blocks(layer):
        part = part.cpu()
        largest = torch.maximum(largest, part.abs().amax(dim=0))
        moved = part - first, (part.float().double() - part) - (first.float().double() - first)
        sums += torch.stack([moment for each in moved for moment in (each.sum(dim=0), each.square().sum(dim=0))])
    mean, square, mean_lost, square_lost = sums / len(layer)
    variance, lost = square - mean.square(), square_lost - mean_lost.square()
    varies = variance > (ROUNDING * torch.finfo(layer.dtype).eps * largest).square()
    rounded = varies & (lost > _LOST**2 * variance)
    if not rounded.any():
        return
    advice = "subtract the mean of each column, or scale it; or score the arrays without a store, in float64"
    if float(lost[varies].sum()) > _LOST**2 * float(variance[varies].sum()):
        raise VlalignError(f"the rows of {what} differ by too little for float32, which a store keeps: {advice}")
    log.warning(
        "%d of %d columns of %s (first: %d, from 0) vary too little for float32, which a store keeps: %s",
        int(rounded.sum()), len(rounded), what, int(torch.nonzero(rounded)[0, 0]), advice,
    )  # fmt: skip


def _one_each(what: str, kind: str, values: Sequence[Any], n: int) -> None:
    if len(values) != n:
        raise VlalignError(f"{what} has {n} samples and {len(values)} {kind}: give one for each")


def _digest(texts: Sequence[str]) -> str:
    content = hashlib.sha256()
    for text in texts:
        part = text.encode("utf-8", "surrogatepass")
        content.update(b"%d " % len(part) + part)
    return content.hexdigest()
