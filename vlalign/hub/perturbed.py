"""Perturbed data sets: push to the Hub, and the card next to a local Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlalign.data import PairedData
from vlalign.files import write_whole
from vlalign.hub.cards import render, size_category, versions
from vlalign.hub.samples import PushedSamples, push_samples
from vlalign.perturb import applied, describe_perturbations, write_perturbed

_FILE = "data/train-00000-of-00001.parquet"


def push_perturbed(
    data: PairedData,
    repo: str,
    *,
    command: str = "",
    licence: str | None = None,
    private: bool = False,
    force: bool = False,
) -> PushedSamples:
    """Push ids and edited captions and images to a data set of the Hub.

    ``vlalign extract --data owner/name`` and ``load_dataset("owner/name")`` read them.

    Args:
        data: of :func:`vlalign.perturb.perturb_data`.
        repo, private, force: as for :func:`vlalign.hub.samples.push_samples`, which raises the same errors.
        command: that makes the data again, for the card.
        licence: of the data set, as the Hub spells it (default: that of an earlier push, else unknown).
    """
    settings = {
        kind: {"data": data.identity(kind), "perturbations": describe_perturbations(data, kind)}
        for kind in _modalities(data)
    }
    return push_samples(
        repo, "perturbed", settings, [_FILE], lambda folder: write_perturbed(data, folder / _FILE),
        lambda given: card(data, _FILE, command=command, licence=given, repo=repo), f"Edited: {_edits(data)}",
        licence=licence, private=private, force=force,
    )  # fmt: skip


def save_card(data: PairedData, path: str | Path, *, command: str = "", licence: str | None = None) -> Path:
    """Write the card of a data set of :func:`vlalign.perturb.write_perturbed`, as ``<name>.card.md`` next to the file.

    Raises:
        VlalignError: it cannot be written.
    """
    path = Path(path)
    target = path.with_name(f"{path.stem}.card.md")
    write_whole(target, card(data, path.name, command=command, licence=licence).encode())
    return target


def _edits(data: PairedData) -> str:
    return ", ".join(f"{one.name} {one.rate:g} %" for one in applied(data)) or "nothing"


def _modalities(data: PairedData) -> list[str]:
    return [name for name, has in (("text", data.captions is not None), ("vision", data.has_images)) if has]


def card(data: PairedData, file: str, *, command: str = "", licence: str | None = None, repo: str = "") -> str:
    """Render the README.md of edited data in ``file``, on the Hub in ``repo`` or (without) on this machine."""
    source = Path(data.name).name if data.base is not None else data.name
    on_hub = data.revision is not None and data.name.count("/") == 1
    kinds = [{"vision": "image"}.get(name, name) for name in _modalities(data)]
    metadata: dict[str, Any] = {
        "pretty_name": f"{source}, edited: {_edits(data)}",
        "license": licence or "unknown",
        "size_categories": [size_category(data.n)],
        "task_categories": ["image-to-text"] if len(kinds) == 2 else ["feature-extraction"],
        "tags": ["vlalign", "perturbed", "representation-alignment", *kinds],
        "source_datasets": [data.name] if on_hub else ["original"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": file}]}],
    }
    rows = [
        {
            "operation": one.name,
            "of": {"text": "captions", "vision": "images"}[one.modality],
            "rate": one.rate,
            "seed": one.seed,
            "parameters": ", ".join(f"{k}={Path(v).name if k == 'file' else v}" for k, v in one.parameters.items()),
        }
        for one in applied(data)
    ]
    return render(
        "perturbed",
        metadata,
        title=metadata["pretty_name"],
        samples=data.n,
        source=source,
        revision=f", revision {data.revision}" if data.revision else "",
        edits=_edits(data),
        operations=rows,
        file=file,
        repo=repo,
        has_text=data.captions is not None,
        has_images=data.has_images,
        command=command,
        made_with=versions(),
    )
