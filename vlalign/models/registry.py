"""Names of models: those that are registered (of the reference, and small ones of the package index), and others.

``registered.csv`` has a row per model with the fields of :class:`~vlalign.models.spec.ModelSpec`. Parameter counts are
those of the published configurations, counted on torch's meta device; licences are those stated by the authors'
repositories (transformers) and by timm, empty where neither states one for these very weights.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vlalign.errors import VlalignError, did_you_mean
from vlalign.models.source import read_config
from vlalign.models.spec import SCHEMES, ModelSpec
from vlalign.paths import user_path

_REPO = re.compile(r"[\w.-]+(/[\w.-]+)?")


def _read_models() -> tuple[ModelSpec, ...]:
    """Read registered.csv."""
    with (Path(__file__).parent / "registered.csv").open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    for row in rows:
        row |= {name: int(row[name]) for name in ("params", "layers", "width") if name in row} | {
            "gated": "gated" in row
        }
    return tuple(ModelSpec(**row) for row in rows)


MODELS: tuple[ModelSpec, ...] = _read_models()
"""All registered models, in the order in which they are listed."""

ALIASES: Mapping[str, ModelSpec] = MappingProxyType({spec.alias: spec for spec in MODELS})
SOURCES: Mapping[str, ModelSpec] = MappingProxyType({spec.source: spec for spec in MODELS})


def _aliases(*families: str) -> tuple[str, ...]:
    return tuple(m.alias for family in families for m in MODELS if m.family == family and m.scheme != "wheel")


_PRH_TEXT = _aliases("bloomz", "open-llama", "llama")
_PRH_VISION = _aliases("augreg", "mae", "dinov2", "clip", "clip-ft-in12k")

MODEL_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prh": _PRH_TEXT + _PRH_VISION,
        "prh-text": _PRH_TEXT,
        "prh-vision": _PRH_VISION,
        "prh-2": _aliases("olmo", "gemma", "mistral", "mixtral", "llama-3"),
    }
)
"""Published sets: the grid of 12 language and 17 vision models, its two halves, and the second text set."""


def family_of(model: Mapping[str, Any], otherwise: str = "") -> str:
    """Return the family of the model that a run key describes: of the registry, else its architecture.

    Args:
        model: the entry ``model`` of the key.
        otherwise: family where the key names no architecture.

    >>> family_of({"name": "llama-7b"}), family_of({"name": "own", "architecture": "GPT2Model"}), family_of({}, "m")
    ('llama', 'GPT2Model', 'm')
    """
    spec = ALIASES.get(str(model.get("name"))) or SOURCES.get(str(model.get("source")))
    family = spec.family if spec is not None else None
    return family or str(model.get("architecture") or model.get("name") or otherwise)


def resolve(name: str) -> ModelSpec:
    """Return the model called ``name``, without network and without reading weights.

    ``name`` is an alias of the registry; or the source of a registered model, with or without its prefix; or a local
    folder or ``.gguf`` file; or ``timm:<name>``; or ``owner/repo`` and ``owner/repo/<file>.gguf`` on the Hub
    (``hub:<repo>`` too). A folder or file on disk has priority over a repository of the same name.

    Raises:
        VlalignError: no model has this name (the message lists close matches), or an alias is the name of a model
            folder, too.

    >>> resolve("llama-7b").source
    'hub:huggyllama/llama-7b'
    >>> resolve("vit_small_patch14_dinov2.lvd142m").alias
    'dinov2-small'
    >>> resolve("EleutherAI/pythia-70m").modality is None
    True
    """
    name = name.strip()
    if (known := ALIASES.get(name.lower())) is not None:
        if (user_path(name) / "config.json").is_file():
            raise VlalignError(
                f"{name} is a registered model and a model folder: write ./{name} for the folder or {known.source} for "
                "the registered one"
            )
        return known
    known = next((SOURCES[key] for key in (name, *(f"{s}:{name}" for s in SCHEMES)) if key in SOURCES), None)
    if known is not None and (name in SOURCES or not user_path(name).is_dir()):
        return known
    scheme, colon, rest = name.partition(":")
    if colon and scheme in SCHEMES:
        return {"hub": _hub, "timm": _timm, "wheel": _wheel, "local": _local, "gguf": _gguf}[scheme](rest)

    if name.lower().endswith(".gguf"):
        return _gguf(name)
    if name and user_path(name).is_dir():
        return _local(name)
    if name.startswith(("/", "./", "../", "~", ".\\")):
        raise VlalignError(f"no model folder {name}: name an existing folder, an alias or a Hub repository")
    if name.startswith("timm/"):  # timm's repositories on the Hub are called like its models
        return resolve(f"timm:{name.removeprefix('timm/')}")
    if _REPO.fullmatch(name) and "/" in name:
        return _hub(name)
    close = did_you_mean(name, [*ALIASES, *(spec.location for spec in MODELS)])
    raise VlalignError(
        f"unknown model {name!r}{close}; `vlalign models` lists all, and a Hub repository (owner/name), timm:<name>, "
        "a folder or a .gguf file work too"
    )


def _hub(repo: str) -> ModelSpec:
    if not _REPO.fullmatch(repo):
        raise VlalignError(f"hub:{repo} is not a Hub repository: write hub:owner/name")
    return ModelSpec(alias=repo, source=f"hub:{repo}", modality=None, family=None)


def _timm(name: str) -> ModelSpec:
    from timm.models import get_pretrained_cfg, is_model, list_pretrained

    architecture = name.partition(".")[0]
    names = list_pretrained()
    if name not in names and not (name == architecture and is_model(name)):
        close = did_you_mean(name, names)
        raise VlalignError(f"timm has no pretrained model {name!r}{close}; timm.list_pretrained() lists all")
    if name == architecture:  # no tag: timm's default weights, by name so that the record states the choice
        tag = getattr(get_pretrained_cfg(name), "tag", None)
        if not tag or f"{name}.{tag}" not in names:
            raise VlalignError(f"timm has no pretrained weights for {name!r}: choose a name of timm.list_pretrained()")
        return resolve(f"timm:{name}.{tag}")
    return ModelSpec(alias=name, source=f"timm:{name}", modality="vision", family=architecture.partition("_")[0])


def _wheel(name: str) -> ModelSpec:
    names = [spec.location for spec in MODELS if spec.scheme == "wheel"]
    raise VlalignError(f"unknown wheel model {name!r}{did_you_mean(name, names)}; known are: {', '.join(names)}")


def _local(name: str) -> ModelSpec:
    folder = user_path(name).resolve()
    path = folder / "config.json"
    if not path.is_file():
        problem = f"{folder} holds no config.json" if folder.is_dir() else f"no folder {folder}"
        raise VlalignError(f"{problem}: a model folder has config.json and its weights, as save_pretrained writes them")
    config = read_config(path)
    if timm_name := config.get("architecture"):
        return ModelSpec(folder.name, f"local:{folder}", "vision", timm_name.partition("_")[0])
    return ModelSpec(folder.name, f"local:{folder}", None, config.get("model_type"))


def _gguf(name: str) -> ModelSpec:
    path = user_path(name)
    if path.is_file():
        return ModelSpec(path.name, f"gguf:{path.resolve()}", "text", None)
    parts = name.split("/")
    if len(parts) >= 3 and _REPO.fullmatch("/".join(parts[:2])) and name.lower().endswith(".gguf"):
        return ModelSpec(name, f"gguf:{name}", "text", None)
    raise VlalignError(f"no GGUF file {name}: name an existing one, or one on the Hub as owner/repo/file.gguf")
