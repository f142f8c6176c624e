"""Values of settings files, checked by the text of their annotations; replaced by :mod:`vlalign.config`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError
from vlalign.yaml_files import read_yaml, shown, yaml_text

__all__ = ["check_value", "check_values", "is_a", "known_keys", "read_yaml", "shown", "wrong", "yaml_text"]

#: what the types of fields are called, and what is one
_KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "str": ("a text", str),
    "int": ("a whole number", int),
    "float": ("a number", (int, float)),
    "bool": ("true or false", bool),
}
_LISTS = {"str": "texts", "int": "whole numbers", "float": "numbers"}


def known_keys(values: Mapping[Any, Any], known: Mapping[str, str], path: Path, inside: str = "") -> None:
    """Raise VlalignError for a key that is not known; ``inside`` stands before it."""
    for key in values:
        if key not in known:
            matches = difflib.get_close_matches(str(key).lower(), list(known), n=3, cutoff=0.6)
            hint = f" (did you mean {' or '.join(matches)}?)" if matches else f": there is {', '.join(known)}"
            raise VlalignError(f"{path}: unknown key {inside}{key}{hint}")


def check_values(values: Mapping[Any, Any], kinds: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The values, if all their keys are those of ``kinds`` and of the types that stand there; lists become tuples.

    Args:
        values: of a file.
        kinds: annotation of each field: str, int, float or bool, a ``tuple[…, ...]`` of them, or either ``| None``.
        path: of the file, for errors.
    """
    known_keys(values, kinds, path)
    return {key: check_value(key, value, kinds[key], path) for key, value in values.items()}


def check_value(key: str, value: Any, kind: str, path: Path) -> Any:
    """``value``, if it is of the type of a field as in :func:`check_values`; a lone value does for a list of one."""
    name, _, optional = kind.partition(" | ")
    if "float" in name:
        value = [_number(entry) for entry in value] if isinstance(value, list) else _number(value)
    if value is None and optional:
        return None
    ending = " or nothing (null)" if optional else ""
    if name.startswith("tuple["):
        inner = name.removeprefix("tuple[").partition(",")[0]
        entries = value if isinstance(value, list) else [value]
        if not all(is_a(entry, _KINDS[inner][1]) for entry in entries):
            raise wrong(path, key, f"a list of {_LISTS[inner]}{ending}", value)
        return tuple(entries)
    told, python = _KINDS[name]
    if is_a(value, python):
        return value
    quoted = " in quotes" if name == "str" and isinstance(value, int | float) else ""
    raise wrong(path, key, told + quoted + ending, value)


def _number(value: Any) -> Any:
    """A number that PyYAML takes for a text: 1e-3 without a point."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value) else value


def is_a(value: Any, kind: type | tuple[type, ...]) -> bool:
    """isinstance, but true and false are no numbers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def wrong(path: Path, key: str, expected: str, value: Any) -> VlalignError:
    """The error for a value that is not what was expected."""
    return VlalignError(f"{path}: {key} is {expected}, not {shown(value)}")
