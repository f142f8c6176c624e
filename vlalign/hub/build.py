"""A data set of features as a local folder: Parquet files, their descriptions, the card."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.files import sha256_file, write_whole
from vlalign.hub.cards import render, size_category, versions
from vlalign.hub.metadata import About, Part, norms_path
from vlalign.hub.parquet import check_written, extras_of, write_run
from vlalign.models.registry import ALIASES, SOURCES
from vlalign.store import Run, RunKey, Shard
from vlalign.store.run import read_events

log = logging.getLogger(__name__)

#: languages of data sets whose captions are known
_LANGUAGES = {"minhuh/prh": "en", "builtin:emoji": "en"}
#: content of columns other than features
_EXTRAS = {
    "extra_bits": "bits of a text under its language model",
    "extra_bytes": "size of a text in bytes",
    "extra_bytes_read": "size in bytes of the part of a text that the model read",
    "extra_tokens": "tokens of a text that the model read",
}


def build_run(run: Run, folder: Path, config: str, dtype: str, command: str | None = None) -> About:
    """Check a run's shards, write it as Parquet, read that back and compare; returns the description.

    Args:
        run: complete.
        folder: of the data set.
        config: name of the configuration.
        dtype: of the features there.
        command: that pushes it.

    Raises:
        VlalignError: a shard is damaged, float16 cannot hold a value, the files differ from the store, no space.
    """
    if problems := run.verify():
        raise VlalignError(f"{problems[0]}; {run.repair}")
    licence = licence_of(run.key)
    meta: dict[str, Any] = {"config": config, "dtype": dtype, "licence": licence}
    meta |= {"run": {"hash": run.key.hash, "key": run.key.data, "facts": run.facts}}
    meta |= {"layers": [layer.name for layer in run.layers], "shards": [shard.sha256 for shard in run.shards]}
    parts, precision = write_run(run, folder, config, dtype, meta)
    digests = check_written(run, folder, parts, dtype)
    about = About(
        config=config,
        key=run.key,
        facts=run.facts,
        n=run.n,
        shard_rows=run.shard_rows,
        ids_sha256=sha256_file(run.layout.ids),
        dtype=dtype,
        precision=precision,
        layers=tuple(run.layers),
        extras=tuple(extras_of(run)),
        shards=run.shards,
        parts=tuple(parts),
        licence=licence,
        made_with=versions(),
        extracted_with=_extracted_with(run),
        command=command,
        digests=tuple(digests),
        norms=_write_norms(run, folder, config),
    )
    path = folder / about.path
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, about.to_bytes())
    About.read(path.read_bytes(), str(path))
    log.info("%s: %.1f MB, %s", config, about.size / 1e6, loss_text(about))
    return about


def _write_norms(run: Run, folder: Path, config: str) -> Part | None:
    """Write the token norms of all samples as one file; None where they were not measured."""
    norms = run.token_norms()
    if norms is None:
        return None
    name = norms_path(config)
    norms.write(folder / name, run.key.hash, Shard(0, 0, run.n))
    return Part(name, sha256_file(folder / name), (folder / name).stat().st_size, 0, run.n)


def build_runs(jobs: Sequence[tuple[Run, str]], folder: Path, dtype: str, command: str | None = None) -> list[About]:
    """Run :func:`build_run` for several runs with their configurations, one per thread at a time."""
    import torch

    from vlalign.study.jobs import run_jobs

    made: dict[str, About] = {}

    def work(job: tuple[Run, str], check: Callable[[], None]) -> None:
        check()
        made[job[1]] = build_run(job[0], folder, job[1], dtype, command)

    run_jobs(jobs, work, torch.device("cpu"))
    return [made[config] for _, config in jobs]


def licence_of(key: RunKey) -> str | None:
    """Return the licence of the model's weights, if the model is registered."""
    model = key.data["model"]
    spec = SOURCES.get(str(model.get("source"))) or ALIASES.get(key.model.lower())
    return None if spec is None else spec.licence


def _extracted_with(run: Run) -> dict[str, str]:
    """Return the versions that the extractions into this run recorded, several of one package joined by commas."""
    versions: dict[str, list[str]] = {}
    for event in read_events(run.layout):
        environment = event.get("environment")
        packages = environment.get("packages") if isinstance(environment, dict) else None
        for name, version in packages.items() if isinstance(packages, dict) and event.get("shards") != 0 else ():
            versions.setdefault(name, []).append(str(version))
    return {name: ", ".join(dict.fromkeys(recorded)) for name, recorded in versions.items()}


def loss_text(about: About) -> str:
    """Describe the loss of storing."""
    if about.dtype == "float32":
        return "float32, as in the store, bit for bit"
    if about.precision.exact:
        return f"{about.dtype}, which holds every value exactly"
    value, row = about.precision.largest_relative_error, about.precision.largest_row_error
    return (
        f"{about.dtype}: values are off by at most {value:.2g} of their size (or of 6.1e-05 where they are smaller), "
        f"a layer's vector by at most {row:.2g} of its norm"
    )


def card(abouts: Sequence[About], repo: str, *, branch: str, licence: str | None = None) -> str:
    """Render the README.md of a data set of features.

    Args:
        abouts: of all its configurations.
        repo: ``owner/name``.
        branch: that it is committed to.
        licence: of the data set; without, those of the models.
    """
    abouts = sorted(abouts, key=lambda about: about.config)
    models = sorted({hub_id(about.key) or about.key.model for about in abouts})
    data = [dict(about.key.data.get("data") or {}) for about in abouts]
    modalities = sorted({about.key.modality for about in abouts})
    names = sorted({str(one["name"]) for one in data if one.get("name")})
    metadata = {
        "pretty_name": f"Features of {_few(sorted({about.key.model for about in abouts}))}",
        "language": sorted({_LANGUAGES[name] for name in names if name in _LANGUAGES and "text" in modalities}),
        **_licences(abouts, licence),
        "size_categories": [size_category(sum(about.n for about in abouts))],
        "task_categories": ["feature-extraction"],
        "tags": ["vlalign", "embeddings", "representation-alignment", *modalities],
        "source_datasets": [name for name in names if name.count("/") == 1] or ["original"],
        "models": [name for name in models if name.count("/") == 1],
        "configs": [
            {"config_name": one.config, "data_files": [{"split": "train", "path": [part.path for part in one.parts]}]}
            for one in abouts
        ],
    }
    first, columns = abouts[0], sorted({extra.column for one in abouts for extra in one.extras})
    rows = [
        {
            "config": one.config,
            "model": one.key.model,
            "modality": one.key.modality,
            "data": source.get("name", "–"),
            "edits": one.key.edits or "–",
            "n": one.n,
            "layers": len(one.layers),
            "widths": "–".join(map(str, sorted({min(w := [x.width for x in one.layers]), max(w)}))),
            "dtype": one.dtype,
            "licence": one.licence or "see its page",
            "hash": one.key.hash,
            "bytes": one.size,
            "loss": loss_text(one),
            "source": one.key.data["model"].get("source", "–"),
            "model_revision": one.key.data["model"].get("revision") or "–",
            "data_revision": source.get("revision") or "–",
        }
        for one, source in zip(abouts, data, strict=True)
    ]
    return render(
        "embeddings",
        metadata,
        title=metadata["pretty_name"],
        repo=repo,
        models=models,
        configs=rows,
        first={"config": first.config, "column": first.columns[-1]},
        extras={column: _EXTRAS.get(column) for column in columns},
        normed=any(one.norms is not None for one in abouts),
        data=names,
        given=licence is not None,
        worst=max(one.precision.largest_row_error for one in abouts),
        rounded=any(not one.precision.exact for one in abouts),
        revision="" if branch == "main" else f', revision="{branch}"',
        pull_revision="" if branch == "main" else f" --revision {branch}",
        commands=_commands(abouts),
        made_with=dict(sorted(first.made_with.items())),
        unrecorded=[one.config for one in abouts if not one.extracted_with],
    )


def hub_id(key: RunKey) -> str | None:
    """Return the model's repository on the Hub, None for local ones and wheels."""
    scheme, _, rest = str(key.data["model"].get("source", "")).partition(":")
    return {"hub": rest, "timm": f"timm/{rest}"}.get(scheme)


def _commands(abouts: Sequence[About]) -> list[dict[str, Any]]:
    """List each command with the configurations that it made; None for those without a recorded command."""
    made: dict[str | None, list[str]] = {}
    for about in abouts:
        made.setdefault(about.command, []).append(about.config)
    return [{"command": command, "configs": configs} for command, configs in made.items()]


def _licences(abouts: Sequence[About], licence: str | None) -> dict[str, Any]:
    if licence is not None:
        return {"license": licence}
    known = sorted({one.licence or "unknown" for one in abouts})
    if "other" not in known:
        return {"license": known[0] if len(known) == 1 else known}
    pages = [hub_id(one.key) for one in abouts if one.licence == "other"]  # the Hub accepts only URLs
    page = next((f"https://huggingface.co/{page}" for page in pages if page), None)
    return {"license": "other", "license_name": "those-of-the-models", "license_link": page}


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
