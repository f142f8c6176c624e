"""Synthetic samples as a data set of the Hub: Parquet for each split, settings, card, in one commit."""

from __future__ import annotations

import json
from pathlib import Path

from vlalign.hub.cards import render, size_category, versions
from vlalign.hub.samples import PushedSamples, push_samples
from vlalign.synthetic.data import SyntheticData
from vlalign.synthetic.export import settings_of, to_datasets
from vlalign.synthetic.quantities import information


def push_synthetic(
    data: SyntheticData,
    phi_depth: int,
    repo: str,
    *,
    licence: str | None = None,
    private: bool = False,
    force: bool = False,
) -> PushedSamples:
    """Push the samples to a data set of the Hub.

    Args:
        data: of :func:`vlalign.synthetic.make_data`.
        phi_depth: of φ.
        repo, licence, private, force: as for :func:`vlalign.hub.samples.push_samples`, which raises the same errors.
    """
    paths = {name: _path(name) for name in data.splits}

    def write(folder: Path) -> None:
        for name, split in to_datasets(data, phi_depth).items():
            split.to_parquet(str(folder / paths[name]))

    settings, title = json.loads(settings_of(data, phi_depth)), f"Synthetic samples, U = {data.uniqueness}"
    return push_samples(
        repo, "synthetic", settings, [*paths.values()], write, lambda kept: card(data, phi_depth, repo, kept), title,
        licence=licence, private=private, force=force,
    )  # fmt: skip


def _path(split: str) -> str:
    return f"data/{split}-00000-of-00001.parquet"


def card(data: SyntheticData, phi_depth: int, repo: str | None = None, licence: str | None = None) -> str:
    """Render the README.md of the samples, on the Hub or (without ``repo``) of ``save_to_disk``; the default licence is
    this program's."""
    bits = information(data.config, data.uniqueness)
    splits = {name: len(rows) for name, rows in data.splits.items()}
    metadata = {
        "pretty_name": f"Synthetic modalities, uniqueness {data.uniqueness}",
        "license": licence or "apache-2.0",
        "size_categories": [size_category(sum(splits.values()))],
        "task_categories": ["feature-extraction", "tabular-classification"],
        "task_ids": ["multi-class-classification"],
        "annotations_creators": ["machine-generated"],
        "tags": ["vlalign", "synthetic", "representation-alignment", "multimodal"],
        "source_datasets": ["original"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": name, "path": _path(name)} for name in splits]}
        ],
    }
    facts = {
        "uniqueness U": data.uniqueness,
        "relevant bits that all modalities share": bits.shared,
        "relevant bits of one modality only": ", ".join(map(str, bits.unique)),
        "depth of the transform φ": phi_depth,
        "classes": data.config.classes,
        "information about the label in all modalities (bits)": f"{bits.joint:.4f}",
        "information about the label in each modality (bits)": ", ".join(f"{one:.4f}" for one in bits.single),
    }
    push = f" --push {repo}" if repo else " --out FOLDER"
    return render(
        "synthetic",
        metadata,
        title=metadata["pretty_name"],
        repo=repo or "",
        samples=sum(splits.values()),
        modalities=data.config.modalities,
        facts=facts,
        splits=splits,
        settings=json.dumps(json.loads(settings_of(data, phi_depth)), indent=1, ensure_ascii=False),
        command=f"vlalign synthetic data --uniqueness {data.uniqueness} --phi-depth {phi_depth}{push}",
        made_with=versions(),
    )
