"""Settings from YAML files: strict about keys and types, errors in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError

#: what the types of fields are called, and what is one
_KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "str": ("a text", str),
    "int": ("a whole number", int),
    "float": ("a number", (int, float)),
    "bool": ("true or false", bool),
}
_LISTS = {"str": "texts", "int": "whole numbers", "float": "numbers"}


def read_yaml(path: str | Path) -> dict[Any, Any]:
    """The mapping that a YAML file holds; {} for an empty file.

    Raises:
        VlalignError: the file is missing, no valid YAML or no mapping, or has a key twice.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that is there twice, which YAML forbids and PyYAML lets pass."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if not isinstance(key.value, str):
                    raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key.start_mark)
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
                seen.add(key.value)
            return dict(super().construct_mapping(node, deep))

    path = Path(path)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)
    except OSError as error:
        raise VlalignError(f"cannot read the settings {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise VlalignError(f"{path} is not a file of settings: it is not text in UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(error, "problem", None) or error).split())
        raise VlalignError(f"{path}{where}: not valid YAML: {what}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise VlalignError(f"{path} is not a file of settings: write lines such as `name: value`")
    return values


def yaml_text(values: Mapping[str, Any]) -> str:
    """Settings as YAML, lists on one line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Lists on one line."""

    Dumper.add_representer(
        list, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
    )
    return yaml.dump(dict(values), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


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


def shown(value: Any) -> str:
    """A value as YAML has it, cut where it is long."""
    text = {True: "true", False: "false", None: "null"}[value] if value is None or is_a(value, bool) else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
