"""Perturbations of texts and images: the operations by name, and one with its rate and seed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError, did_you_mean
from vlalign.perturb import captions, image, text
from vlalign.perturb.draws import draws

if TYPE_CHECKING:
    from PIL.Image import Image

_START = re.compile(r"([^:,]*)([:,]?)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Operation:
    """An edit that gives one modality information that the other lacks.

    Attributes:
        name: used in perturbations.
        modality: ``text`` or ``vision``.
        scope: ``sample`` (edits one text or image at a time) or ``set`` (needs all captions).
        edit: the function; its arguments depend on modality and scope.
        summary: one line.
        parameters: further settings and their defaults; None for a required one.
        version: raised if the function returns other results for the same draws.
    """

    name: str
    modality: str
    scope: str
    edit: Callable[..., Any]
    summary: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


_ALL = (
    Operation("char_delete", "text", "sample", text.char_delete, "deletes characters"),
    Operation("char_replace", "text", "sample", text.char_replace, "replaces characters by random ASCII letters"),
    Operation("word_delete", "text", "sample", text.word_delete, "deletes words"),
    Operation("word_shuffle", "text", "sample", text.word_shuffle, "moves words to other places in the caption"),
    Operation("caption_swap", "text", "set", captions.caption_swap, "gives captions to other images"),
    Operation(
        "captions_file", "text", "set", captions.from_file, "takes captions edited by another program", {"file": None}
    ),
    Operation("pixel_delete", "vision", "sample", image.pixel_delete, "sets pixels to the image's mean colour"),
    Operation(
        "pixel_noise", "vision", "sample", image.pixel_noise,
        "replaces pixels by Gaussian noise of the image's mean and standard deviation",
    ),
    Operation(
        "patch_delete", "vision", "sample", image.patch_delete, "sets patches to the image's mean colour",
        {"grid": image.GRID},
    ),
)  # fmt: skip

OPERATIONS: Mapping[str, Operation] = MappingProxyType({operation.name: operation for operation in _ALL})
"""All operations by name, in the order of listings."""


@dataclass(frozen=True)
class Perturbation:
    """An operation at one rate. Every draw is seeded by (seed, sample id, operation).

    Args:
        name: of the operation, a key of ``OPERATIONS``.
        rate: percent of characters, words, captions, pixels or patches that are edited, 0 to 100.
        seed: integer of at least 0.
        parameters: of the operation, such as ``grid`` of patch_delete or ``file`` of captions_file.

    Raises:
        VlalignError: unknown operation or parameter, rate or seed out of range, or a missing parameter.

    >>> Perturbation("char_delete", 50).texts(["a"], ["platonic"])
    ['laic']
    """

    name: str
    rate: float
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in OPERATIONS:
            raise _unknown(self.name)
        known = OPERATIONS[self.name].parameters
        object.__setattr__(self, "rate", _rate(self.rate, self.name))
        object.__setattr__(self, "seed", _whole(self.seed, "seed", self.name, 0))
        if unknown := sorted(set(self.parameters) - set(known)):
            takes = ", ".join(known) or "only rate and seed"
            raise VlalignError(f"{self.name} has no parameter {unknown[0]!r}: it takes {takes}")
        if lacking := [name for name, value in known.items() if value is None and not self.parameters.get(name)]:
            raise VlalignError(f"{self.name} needs a {lacking[0]}: give it as {self.name}:…,{lacking[0]}=PATH")
        values = {name: self.parameters.get(name, default) for name, default in known.items()}
        values |= {name: _whole(values[name], name, self.name, 1) for name in values if name != "file"}
        object.__setattr__(self, "parameters", values)

    def __hash__(self) -> int:
        return hash((self.name, self.rate, self.seed, *sorted(self.parameters.items())))

    def __str__(self) -> str:
        more = [
            f"{name}={value}" for name, value in self.parameters.items() if value != self.operation.parameters[name]
        ]
        more += [f"seed={self.seed}"] * bool(self.seed)
        return ",".join([f"{self.name}:{_number(self.rate)}", *more])

    @property
    def operation(self) -> Operation:
        """The operation of this name."""
        return OPERATIONS[self.name]

    @property
    def modality(self) -> str:
        """``text`` or ``vision``."""
        return self.operation.modality

    def describe(self) -> dict[str, Any]:
        """Return the perturbation's part of the run key: all that determines the draws, without paths.

        Edited texts add a hash to the key, so the path of a file of captions does not matter.
        """
        parameters = {name: value for name, value in self.parameters.items() if name != "file"}
        version = self.operation.version
        return {"operation": self.name, "rate": _number(self.rate), "seed": self.seed, "version": version, **parameters}

    def texts(self, ids: Sequence[str], texts: Sequence[str]) -> list[str]:
        """Return the edited captions [N] of all samples; at rate 0 the captions unchanged.

        Raises:
            VlalignError: a captions file that cannot be read, or lacks the rate or ids.
        """
        edit = self.operation.edit
        if self.rate == 0:
            return list(texts)
        if self.name == "captions_file":
            from vlalign.data.edits import read_edits

            return list(edit(ids, texts, self.rate, read_edits(self.parameters["file"])))
        if self.operation.scope == "set":
            return list(edit(ids, texts, self.rate, self.seed, **self.parameters))
        return [
            edit(text, self.rate, draws(self.seed, self.name, name), **self.parameters)
            for name, text in zip(ids, texts, strict=True)
        ]

    def image(self, sample: str, picture: Image) -> Image:
        """Return the edited image (RGB) of one sample, of the same size."""
        import numpy as np
        from PIL import Image

        if self.rate == 0:
            return picture
        edit = self.operation.edit
        pixels = np.asarray(picture.convert("RGB"))
        return Image.fromarray(edit(pixels, self.rate, draws(self.seed, self.name, sample), **self.parameters))


def parse_perturbation(text: str, *, rate: float | None = None, seed: int | None = None) -> Perturbation:
    """Parse ``name[:rate][,param=value…]``.

    Args:
        text: such as ``char_delete:30``, ``patch_delete:20,grid=8`` or ``captions_file:50,file=edits.json,seed=1``.
        rate, seed: used if the text has no rate or seed.

    Raises:
        VlalignError: see :class:`Perturbation`; or no rate.

    >>> parse_perturbation("patch_delete:20,grid=8,seed=1").describe()
    {'operation': 'patch_delete', 'rate': 20, 'seed': 1, 'version': 1, 'grid': 8}
    """
    name, sign, rest = _START.fullmatch(text.strip()).groups()  # type: ignore[union-attr]  # matches every text
    if name not in OPERATIONS:
        raise _unknown(name)
    values: dict[str, Any] = {}
    for i, part in enumerate(part for part in rest.split(",") if part.strip()):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals and i == 0 and sign == ":":
            key, value = "rate", key
        elif not equals:
            raise VlalignError(f"{text!r}: {part!r} is no param=value; write {name}:RATE,param=value")
        if key in values:
            raise VlalignError(f"{text!r} has two values of {key}")
        values[key] = value
    rate, seed = values.pop("rate", rate), values.pop("seed", seed)
    if rate is None:
        raise VlalignError(f"{text!r} has no rate: write {name}:RATE with a rate in percent, 0 to 100")
    return Perturbation(name, rate, 0 if seed is None else seed, parameters=values)


def _unknown(name: str) -> VlalignError:
    return VlalignError(f"unknown operation {name!r}{did_you_mean(name, OPERATIONS)}: choose {', '.join(OPERATIONS)}")


def _number(rate: float) -> int | float:
    return int(rate) if rate == int(rate) else rate


def _rate(value: Any, name: str) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 <= rate <= 100:
        raise VlalignError(f"{name}: the rate is in percent, 0 to 100, not {value}")
    return rate


def _whole(value: Any, what: str, name: str, least: int) -> int:
    try:
        number = int(value)
        if number != float(value) or number < least:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise VlalignError(f"{name}: {what} must be an integer of at least {least}, not {value}") from None
    return number
