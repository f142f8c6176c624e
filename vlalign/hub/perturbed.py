"""The card of a perturbed data set, beside its Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlalign.data import PairedData
from vlalign.hub.cards import render, size_category, versions
from vlalign.perturb import applied
from vlalign.store.files import write_atomic


def save_card(data: PairedData, path: str | Path) -> Path:
    """Write the card of a data set that :func:`vlalign.perturb.write_perturbed` wrote; returns its path.

    It lies beside the file as ``<name>.card.md``; on the Hub it becomes the README.md.

    Raises:
        VlalignError: it cannot be written.
    """
    path = Path(path)
    target = path.with_name(f"{path.stem}.card.md")
    write_atomic(target, card(data, path.name).encode())
    return target


def card(data: PairedData, file: str) -> str:
    """The README.md of edited data that lie in ``file``."""
    edits = applied(data)
    source = Path(data.name).name if data.base is not None else data.name
    on_hub = data.revision is not None and data.name.count("/") == 1
    kinds = [name for name, has in (("text", data.captions is not None), ("image", data.has_images)) if has]
    metadata: dict[str, Any] = {
        "pretty_name": f"{source}, edited: {', '.join(f'{one.name} {one.rate:g} %' for one in edits)}",
        "license": "unknown",
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
        for one in edits
    ]
    words = " ".join(f"--op {row['operation']}:{row['rate']:g},seed={row['seed']}" for row in rows)
    return render(
        "perturbed",
        metadata,
        title=metadata["pretty_name"],
        samples=data.n,
        source=source,
        revision=f", revision {data.revision}" if data.revision else "",
        edits=", ".join(f"{row['operation']} at {row['rate']:g} %" for row in rows),
        operations=rows,
        file=file,
        has_text=data.captions is not None,
        has_images=data.has_images,
        command=f"vlalign perturb {source} {words} --out {file}",
        made_with=versions(),
    )
