"""What a model is called and where it comes from: ``ModelSpec``, and ``resolve``, which turns a name into one."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vlalign.errors import VlalignError

Modality = Literal["text", "vision"]

SCHEMES = ("hub", "timm", "wheel", "local", "gguf")
_REPO = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be loaded. What is not known before its config is read is ``None``."""

    alias: str
    """The name shown and stored: short for registered models, the repository id or file name for others."""
    source: str
    """``hub:<repo>`` (transformers), ``timm:<pretrained name>``, ``wheel:<name>``, ``local:<folder>``, or
    ``gguf:<file>`` / ``gguf:<repo>/<file>``."""
    modality: Modality | None
    family: str | None
    """Models of one family share architecture and training recipe, e.g. ``bloomz``, ``dinov2``."""
    params: int | None = None
    """Weights, tied ones once: with the LM head for text models, without the classifier for vision models."""
    layers: int | None = None
    """Transformer blocks (a text model has one hidden state more: the embeddings)."""
    width: int | None = None
    """Size of the hidden states."""
    licence: str | None = None
    """As the Hub or timm states it."""
    gated: bool = False
    """Whether the Hub asks for a token of someone who accepted the terms."""
    tokenizer: str | None = None
    """``sentencepiece``: read from ``tokenizer.model`` as it is; ``None``: the tokenizer that comes with the model."""
    note: str = ""

    @property
    def scheme(self) -> str:
        """The part of ``source`` before the colon."""
        return self.source.partition(":")[0]

    @property
    def location(self) -> str:
        """The part of ``source`` after the colon."""
        return self.source.partition(":")[2]


def resolve(name: str) -> ModelSpec:
    """Find the model called ``name``, without network and without reading weights.

    ``name`` is an alias of the registry; or the source of a registered model, with or without its prefix; or a local
    folder or ``.gguf`` file; or ``timm:<name>``; or ``owner/repo`` and ``owner/repo/<file>.gguf`` on the Hub
    (``hub:<repo>`` too). What exists on disk goes before what may be on the Hub.

    Raises:
        VlalignError: ``name`` is none of these; the message lists close matches.

    >>> resolve("llama-7b").source
    'hub:huggyllama/llama-7b'
    >>> resolve("vit_small_patch14_dinov2.lvd142m").alias
    'dinov2-small'
    >>> resolve("EleutherAI/pythia-70m").modality is None
    True
    """
    from vlalign.models.registry import ALIASES, MODELS, SOURCES

    name = name.strip()
    known = (
        ALIASES.get(name.lower())
        or SOURCES.get(name)
        or next((SOURCES[f"{scheme}:{name}"] for scheme in SCHEMES if f"{scheme}:{name}" in SOURCES), None)
    )
    if known is not None:
        return known
    scheme, colon, rest = name.partition(":")
    if colon and scheme in SCHEMES:
        return {"hub": _hub, "timm": _timm, "wheel": _wheel, "local": _local, "gguf": _gguf}[scheme](rest)

    path = Path(name).expanduser()
    if name.lower().endswith(".gguf"):
        return _gguf(name)
    if name and path.is_dir():
        return _local(name)
    if name.startswith(("/", "./", "../", "~", ".\\")):
        raise VlalignError(f"there is no model folder {name}: name one that exists, an alias or a Hub repository")
    if name.startswith("timm/"):  # timm's repositories on the Hub are called as its models
        return resolve(f"timm:{name.removeprefix('timm/')}")
    if _REPO.fullmatch(name) and "/" in name:
        return _hub(name)
    close = _close(name, [*ALIASES, *(spec.location for spec in MODELS)])
    raise VlalignError(
        f"unknown model {name!r}{close}; `vlalign models` lists all, and a Hub repository (owner/name), timm:<name>, "
        "a folder or a .gguf file work too"
    )


def model_set(name: str) -> tuple[ModelSpec, ...]:
    """The models of the published set ``name`` (a key of ``registry.MODEL_SETS``).

    Raises:
        VlalignError: there is no such set.

    >>> len(model_set("prh-text")), len(model_set("prh-vision"))
    (12, 17)
    """
    from vlalign.models.registry import ALIASES, MODEL_SETS

    if name not in MODEL_SETS:
        raise VlalignError(f"unknown model set {name!r}; there are: {', '.join(MODEL_SETS)}")
    return tuple(ALIASES[alias] for alias in MODEL_SETS[name])


def _hub(repo: str) -> ModelSpec:
    if not _REPO.fullmatch(repo):
        raise VlalignError(f"hub:{repo} is not a Hub repository: write hub:owner/name")
    return ModelSpec(alias=repo, source=f"hub:{repo}", modality=None, family=None)


def _timm(name: str) -> ModelSpec:
    from timm.models import get_pretrained_cfg, is_model, list_pretrained

    architecture = name.partition(".")[0]
    names = list_pretrained()
    if name not in names and not (name == architecture and is_model(name)):
        close = _close(name, names)
        raise VlalignError(f"timm has no pretrained model {name!r}{close}; timm.list_pretrained() lists all")
    if name == architecture:  # no tag: timm's default weights, named so that the choice is on record
        tag = getattr(get_pretrained_cfg(name), "tag", None)
        if not tag or f"{name}.{tag}" not in names:
            raise VlalignError(f"timm has no pretrained weights for {name!r}: choose a name of timm.list_pretrained()")
        return resolve(f"timm:{name}.{tag}")
    return ModelSpec(alias=name, source=f"timm:{name}", modality="vision", family=architecture.partition("_")[0])


def _wheel(name: str) -> ModelSpec:
    from vlalign.models.registry import MODELS

    names = [spec.location for spec in MODELS if spec.scheme == "wheel"]
    raise VlalignError(f"unknown wheel model {name!r}{_close(name, names)}; there are: {', '.join(names)}")


def _local(name: str) -> ModelSpec:
    folder = Path(name).expanduser().resolve()
    path = folder / "config.json"
    if not path.is_file():
        what = f"{folder} holds no config.json" if folder.is_dir() else f"there is no folder {folder}"
        raise VlalignError(f"{what}: a model folder has config.json and its weights, as save_pretrained writes them")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        timm_name = config.get("architecture")
        family = config.get("model_type")
    except (ValueError, AttributeError) as error:
        raise VlalignError(f"{path} is not a model config ({error}): save the model again") from error
    if timm_name:
        return ModelSpec(folder.name, f"local:{folder}", "vision", str(timm_name).partition("_")[0])
    return ModelSpec(folder.name, f"local:{folder}", None, family)


def _gguf(name: str) -> ModelSpec:
    path = Path(name).expanduser()
    if path.is_file():
        return ModelSpec(path.name, f"gguf:{path.resolve()}", "text", None)
    parts = name.split("/")
    if len(parts) >= 3 and _REPO.fullmatch("/".join(parts[:2])) and name.lower().endswith(".gguf"):
        return ModelSpec(name, f"gguf:{name}", "text", None)
    raise VlalignError(f"there is no GGUF file {name}: name one that exists, or one on the Hub as owner/repo/file.gguf")


def _close(name: str, names: Iterable[str]) -> str:
    """``" (close: a, b)"``, or nothing when no name is near."""
    by_lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=4, cutoff=0.5)
    return f" (close: {', '.join(by_lower[n] for n in near)})" if near else ""
