"""The operations by name: one entry each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from vlalign.perturb import captions, image, text


@dataclass(frozen=True)
class Operation:
    """A way to give one modality information of its own.

    Attributes:
        name: as users type it.
        modality: ``text`` or ``vision``.
        scope: ``sample`` (edits one text or image at a time) or ``set`` (needs all captions).
        edit: the function; its arguments depend on modality and scope.
        summary: one line.
        parameters: further settings and their defaults; None for one that must be given.
        version: raised when the function gives other results for the same draws.
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
        "captions_file", "text", "set", captions.from_file, "takes captions edited by someone else", {"file": None}
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
"""All operations, in the order in which they are listed."""
