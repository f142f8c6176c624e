"""The command that makes the features of one run again, kept with them."""

from __future__ import annotations

import shlex
from dataclasses import MISSING, fields
from typing import Any

from vlalign.extraction.config import ExtractConfig
from vlalign.extraction.plan import ModelPlan
from vlalign.models.names import resolve
from vlalign.perturb.apply import applied

#: fields whose flag is not their name
_FLAGS = {"source": "data", "revision": "data-revision", "config": "data-config"}
#: not part of the command: given separately, or without effect on the features
_LEFT_OUT = {"models", "data", "store", "perturb", "loss", "alpha", "batch_tokens", "batch_images", "workers"}


def extract_command(config: ExtractConfig, plan: ModelPlan) -> str:
    """Return the ``vlalign extract`` command for one run of a plan, without ``--store``.

    Args:
        config: settings of the extraction, which may be of several models.
        plan: the run.
    """
    name = next((name for name in config.models if resolve(name) == plan.source.spec), plan.source.spec.alias)
    words = ["vlalign", "extract", "--model", name, *_flags(config.data, _FLAGS), *_flags(config, {})]
    for edit in applied(plan.data):
        if edit.modality == plan.source.modality:
            words += ["--perturb", str(edit)]
    return shlex.join(words + ["--no-loss"] * (not config.loss))


def _flags(settings: Any, names: dict[str, str]) -> list[str]:
    """Return the flags of fields that differ from their defaults."""
    words = []
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if entry.name in _LEFT_OUT or (value == entry.default and entry.name != "source") or entry.default is MISSING:
            continue
        words.append(f"--{names.get(entry.name, entry.name).replace('_', '-')}")
        words += [] if value is True else [str(value)]
    return words
