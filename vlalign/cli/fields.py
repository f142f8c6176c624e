"""Flags made of the fields of a dataclass of settings: one place says what each of them means."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vlalign.config import descriptions

_TYPES = {"int": int, "float": float, "str": str}
_METAVARS = {"int": "N", "float": "X", "str": "NAME", "out": "FOLDER", "data": "FOLDER", "tuned": "FILE"}


def add_field_flags(parser: argparse._ActionsContainer, config: type, names: Iterable[str]) -> None:
    """A flag for each of the fields, without default, so that a file's settings show through.

    Types are those of the annotations (str, int, float, bool, tuples of them); helps are from the class's docstring.
    """
    hints = get_type_hints(config)
    kinds = {entry.name: _kind(hints[entry.name]) for entry in fields(config)}
    defaults = {entry.name: entry.default for entry in fields(config)}
    told = descriptions(config)
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


def _kind(hint: Any) -> str:
    """Return the name of a type without its ranges."""
    inner = [kind for kind in get_args(hint) if kind is not type(None)]
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return _kind(inner[0])
    if get_origin(hint) is Literal:
        return "str"
    return f"tuple[{inner[0].__name__}, ...]" if get_origin(hint) is tuple else str(hint.__name__)


def _default(value: Any) -> str:
    if value in (None, ""):
        return ""
    return f" (default: {' '.join(map(str, value)) if isinstance(value, tuple) else value})"
