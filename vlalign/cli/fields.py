"""Flags made of the fields of a dataclass of settings: one place says what each of them means."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

_TYPES = {"int": int, "float": float, "str": str}
_METAVARS = {"int": "N", "float": "X", "str": "NAME", "out": "FOLDER", "data": "FOLDER", "tuned": "FILE"}


def add_field_flags(parser: argparse._ActionsContainer, config: type, names: Iterable[str]) -> None:
    """A flag for each of the fields, without default, so that a file's settings show through.

    Types are those of the annotations (str, int, float, bool, tuples of them); helps are from the class's docstring.
    """
    kinds = {entry.name: str(entry.type) for entry in fields(config)}
    defaults = {entry.name: entry.default for entry in fields(config)}
    told = field_docs(config)
    for name in names:
        kind, flag = kinds[name].partition(" | ")[0], f"--{name.replace('_', '-')}"
        plain = re.sub(r"; (?:None|empty) for (.*)$", r" (default: \1)", told[name])
        text = (plain + _default(defaults[name])).replace("%", "%%")
        if kind == "bool":
            parser.add_argument(flag, action="store_true", default=None, help=told[name].replace("%", "%%"))
            continue
        inner = kind.removeprefix("tuple[").partition(",")[0]
        several: dict[str, Any] = {"nargs": "+"} if kind.startswith("tuple") else {}
        parser.add_argument(
            flag, type=_TYPES[inner], metavar=_METAVARS.get(name, _METAVARS[inner]), help=text, **several
        )


def given(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The fields that flags were given for; lists as tuples."""
    found = {name: getattr(arguments, name, None) for name in names}
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in found.items() if value is not None
    }


def field_docs(config: type) -> dict[str, str]:
    """What the docstrings of a dataclass and its bases say of each field under ``Attributes:``.

    >>> from vlalign.synthetic import SyntheticConfig
    >>> field_docs(SyntheticConfig)["clip"]
    'largest norm of a gradient'
    """
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        part = inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("Attributes:\n")[2]
        part = part.partition("\n\n")[0]
        for entry in re.split(r"\n(?=    \S)", part) if part else ():
            names, _, text = entry.strip().partition(": ")
            plain = re.sub(r":(?:func|class|meth):`(?:[\w.]*\.)?(\w+)`", r"\1", " ".join(text.split()))
            found |= {name.strip(): plain.replace("``", "").rstrip(".") for name in names.split(",")}
    return found


def _default(value: Any) -> str:
    if value in (None, ""):
        return ""
    return f" (default: {' '.join(map(str, value)) if isinstance(value, tuple) else value})"
