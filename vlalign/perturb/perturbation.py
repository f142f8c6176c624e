"""A perturbation: an operation, a rate, a seed, and what it does to texts and images."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.perturb.draws import draws
from vlalign.perturb.operations import OPERATIONS, Operation

if TYPE_CHECKING:
    from PIL.Image import Image

_START = re.compile(r"([^:,]*)([:,]?)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Perturbation:
    """One operation at one rate. Every draw comes from (seed, sample id, operation).

    Args:
        name: of the operation; ``OPERATIONS`` lists them.
        rate: percent of characters, words, captions, pixels or patches that are edited, 0 to 100.
        seed: a whole number of at least 0.
        parameters: of the operation, such as ``grid`` of patch_delete or ``file`` of captions_file.

    Raises:
        VlalignError: unknown operation or parameter, rate or seed out of range, or a parameter missing.

    >>> Perturbation("char_delete", 50).texts(["a"], ["platonic"])
    ['laic']
    """

    name: str
    rate: float
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in OPERATIONS:
            raise VlalignError(f"unknown operation {self.name!r}{_close(self.name)}: there is {', '.join(OPERATIONS)}")
        known = OPERATIONS[self.name].parameters
        object.__setattr__(self, "rate", _rate(self.rate, self.name))
        object.__setattr__(self, "seed", _whole(self.seed, "seed", self.name, 0))
        if unknown := sorted(set(self.parameters) - set(known)):
            takes = ", ".join(known) if known else "none but rate and seed"
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
        """What it does."""
        return OPERATIONS[self.name]

    @property
    def modality(self) -> str:
        """``text`` or ``vision``."""
        return self.operation.modality

    def describe(self) -> dict[str, Any]:
        """For the run key: everything that decides the draws; no paths (edited texts have a hash of their own)."""
        parameters = {name: value for name, value in self.parameters.items() if name != "file"}
        version = self.operation.version
        return {"operation": self.name, "rate": _number(self.rate), "seed": self.seed, "version": version, **parameters}

    def texts(self, ids: Sequence[str], texts: Sequence[str]) -> list[str]:
        """The edited captions [N] of all samples; at rate 0 the captions as they are.

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
        """The edited image (RGB) of one sample, of the same size."""
        import numpy as np
        from PIL import Image

        if self.rate == 0:
            return picture
        edit = self.operation.edit
        pixels = np.asarray(picture.convert("RGB"))
        return Image.fromarray(edit(pixels, self.rate, draws(self.seed, self.name, sample), **self.parameters))


def parse_perturbation(text: str, *, rate: float | None = None, seed: int | None = None) -> Perturbation:
    """``name[:rate][,param=value…]`` as a perturbation.

    Args:
        text: such as ``char_delete:30``, ``patch_delete:20,grid=8`` or ``captions_file:50,file=edits.json,seed=1``.
        rate, seed: used where the text names none.

    Raises:
        VlalignError: see :class:`Perturbation`; or no rate at all.

    >>> parse_perturbation("patch_delete:20,grid=8,seed=1").describe()
    {'operation': 'patch_delete', 'rate': 20, 'seed': 1, 'version': 1, 'grid': 8}
    """
    name, sign, rest = _START.fullmatch(text.strip()).groups()  # type: ignore[union-attr]  # it fits every text
    if name not in OPERATIONS:
        raise VlalignError(f"unknown operation {name!r}{_close(name)}: there is {', '.join(OPERATIONS)}")
    values: dict[str, Any] = {}
    for i, part in enumerate(part for part in rest.split(",") if part.strip()):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals and i == 0 and sign == ":":
            key, value = "rate", key
        elif not equals:
            raise VlalignError(f"{text!r}: {part!r} is no param=value; write {name}:RATE,param=value")
        if key in values:
            raise VlalignError(f"{text!r} gives the {key} twice")
        values[key] = value
    given = {"rate": rate, "seed": seed}
    known = {key: values.pop(key, default) for key, default in given.items()}
    if known["rate"] is None:
        raise VlalignError(f"{text!r} has no rate: write {name}:RATE with a rate in percent, 0 to 100")
    return Perturbation(name, known["rate"], 0 if known["seed"] is None else known["seed"], parameters=values)


def _number(rate: float) -> int | float:
    return int(rate) if rate == int(rate) else rate


def _close(name: str) -> str:
    found = difflib.get_close_matches(name, OPERATIONS, n=2)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


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
        raise VlalignError(f"{name}: {what} is a whole number of at least {least}, not {value}") from None
    return number
