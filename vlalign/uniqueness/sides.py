"""Sides of a study: their models, their modalities, and which of them is edited."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vlalign.errors import VlalignError
from vlalign.models.registry import ALIASES, resolve
from vlalign.models.source import locate
from vlalign.models.spec import ModelSpec
from vlalign.uniqueness.config import UniquenessConfig


@dataclass(frozen=True)
class Sides:
    """Models of both sides.

    Attributes:
        x, y: models, each once.
        modalities: of x and y, ``text`` or ``vision``.
        edited: ``x`` or ``y``.
    """

    x: tuple[ModelSpec, ...]
    y: tuple[ModelSpec, ...]
    modalities: tuple[str, str]
    edited: str

    @property
    def language(self) -> str:
        """The side whose models may have a performance as language models: y, unless only x reads texts."""
        return "x" if self.modalities == ("text", "vision") else "y"

    @property
    def moving(self) -> tuple[ModelSpec, ...]:
        """The models of the edited side."""
        return self.x if self.edited == "x" else self.y

    @property
    def names(self) -> dict[ModelSpec, str]:
        """A different name for each model.

        Folders and files of one name, or of the name of a registered model, are called PARENT/NAME, or by their paths.
        """
        specs = list(dict.fromkeys([*self.x, *self.y]))
        names = {spec: spec.alias for spec in specs}
        for longer in (lambda path: f"{path.parent.name}/{path.name}", str):
            taken = Counter(names.values())
            for spec in specs:
                if (taken[names[spec]] > 1 or names[spec] in ALIASES) and spec.scheme in ("local", "gguf"):
                    names[spec] = longer(Path(spec.location))
        return names

    def pairs(self) -> list[tuple[ModelSpec, ModelSpec]]:
        """Return all pairs (x, y); pairs with one edited model follow each other."""
        if self.edited == "x":
            return [(x, y) for x in self.x for y in self.y]
        return [(x, y) for y in self.y for x in self.x]


def find_sides(config: UniquenessConfig) -> Sides:
    """Return the sides of a study, without reading weights.

    Raises:
        VlalignError: an unknown model, models of both modalities on one side, or no side that the operation can edit.
    """
    x, y = (tuple(dict.fromkeys(resolve(name) for name in names)) for names in (config.x, config.y))
    modalities = _modality(x, "x", config), _modality(y, "y", config)
    operation = config.perturbation(0)
    able = [side for side, modality in zip("xy", modalities, strict=True) if modality == operation.modality]
    what = {"text": "texts", "vision": "images"}
    if config.side != "auto" and config.side not in able:
        reads = what[modalities["xy".index(config.side)]]
        raise VlalignError(
            f"--side {config.side}: {operation.name} edits {what[operation.modality]}, but the models of that side "
            f"read {reads}"
        )
    if not able:
        raise VlalignError(
            f"{operation.name} edits {what[operation.modality]}, but the models of both sides read "
            f"{what[modalities[0]]}: choose another --op, or other models"
        )
    return Sides(x, y, modalities, able[-1] if config.side == "auto" else config.side)


def _modality(specs: tuple[ModelSpec, ...], side: str, config: UniquenessConfig) -> str:
    modalities = {
        spec: spec.modality or locate(spec, trust_remote_code=config.trust_remote_code).modality for spec in specs
    }
    if len(set(modalities.values())) > 1:
        text, vision = (next(one.alias for one, m in modalities.items() if m == kind) for kind in ("text", "vision"))
        raise VlalignError(
            f"--{side} mixes a text model ({text}) and a vision model ({vision}): put one modality on each side"
        )
    return next(iter(modalities.values()))
