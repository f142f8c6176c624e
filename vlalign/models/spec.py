"""Specification of a model: its name and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Modality = Literal["text", "vision"]

SCHEMES = ("hub", "timm", "wheel", "local", "gguf")


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be loaded. Facts that are unknown before its config is read are ``None``."""

    alias: str
    """The name shown and stored: short for registered models, the repository id or file name for others."""
    source: str
    """``hub:<repo>`` (transformers), ``timm:<pretrained name>``, ``wheel:<name>``, ``local:<folder>``, or
    ``gguf:<file>`` / ``gguf:<repo>/<file>``."""
    modality: Modality | None
    family: str | None
    """Models of one family share architecture and training recipe, e.g. ``bloomz``, ``dinov2``."""
    params: int | None = None
    """Number of weights, tied ones once: with the LM head for text, without the classifier for vision models."""
    layers: int | None = None
    """Transformer blocks (a text model has one hidden state more: the embeddings)."""
    width: int | None = None
    """Size of the hidden states."""
    licence: str | None = None
    """As the Hub or timm states it."""
    gated: bool = False
    """Whether the Hub requires the token of an account that accepted the terms."""
    tokenizer: str | None = None
    """``sentencepiece``: read directly from ``tokenizer.model``; ``None``: the model's own tokenizer."""
    note: str = ""

    @property
    def scheme(self) -> str:
        """The part of ``source`` before the colon."""
        return self.source.partition(":")[0]

    @property
    def location(self) -> str:
        """The part of ``source`` after the colon."""
        return self.source.partition(":")[2]
