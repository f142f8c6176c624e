"""The command that makes a run again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def changed(kind: type, config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are not the defaults of their dataclass, lists as tuples.

    >>> from vlalign.synthetic import SyntheticConfig
    >>> changed(SyntheticConfig, SyntheticConfig(seeds=(1, 2), clip=9).resolved())
    {'seeds': (1, 2), 'clip': 9.0}
    """
    found = {
        entry.name: tuple(config[entry.name]) if isinstance(config[entry.name], list) else config[entry.name]
        for entry in fields(kind)
    }
    return {entry.name: found[entry.name] for entry in fields(kind) if found[entry.name] != entry.default}


def command_line(kind: type, config: Mapping[str, Any], *words: str) -> str:
    """``words``, then every setting that is not the default as a flag."""
    line = list(words)
    for name, value in changed(kind, config).items():
        line.append(f"--{name.replace('_', '-')}")
        line += [] if value is True else map(str, value if isinstance(value, tuple) else (value,))
    return shlex.join(line)
