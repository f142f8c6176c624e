"""Settings from YAML files: strict about keys and types, errors in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlalign.display import visible
from vlalign.errors import VlalignError
from vlalign.paths import user_path

_LARGEST = 200_000  # bytes of a file of settings
_DEEPEST = 20  # lists and mappings inside each other
_BITS = 300  # of a whole number
_MOST = 100_000  # values, references written out
#: what the types of fields are called, and what is one
_KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "str": ("a text", str),
    "int": ("a whole number", int),
    "float": ("a number", (int, float)),
    "bool": ("true or false", bool),
}
_LISTS = {"str": "texts", "int": "whole numbers", "float": "numbers"}


def read_yaml(path: str | Path) -> dict[Any, Any]:
    """Return the mapping that a YAML file holds; {} for an empty file.

    Raises:
        VlalignError: the file is missing, too large, no valid YAML or no mapping, has a key twice, references that
            multiply, or a value that cannot be read.
    """
    import yaml

    path = user_path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise VlalignError(f"cannot read the settings {path}: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise VlalignError(f"{path} is not a file of settings: it has more than {_LARGEST // 1000} kB")
    try:
        values = yaml.load(data.decode("utf-8-sig"), Loader=_loader())
    except UnicodeDecodeError as error:
        raise VlalignError(f"{path} is not a file of settings: it is not text in UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the escape code of no character
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(error, "problem", None) or error).split())
        raise VlalignError(f"{path}{where}: not valid YAML: {what}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise VlalignError(f"{path} is not a file of settings: write lines such as `name: value`")
    return values


def _loader() -> Any:
    """Return a loader of plain YAML whose every refusal names a line."""
    import yaml

    def error(problem: str, mark: Any) -> yaml.YAMLError:
        return yaml.constructor.ConstructorError(None, None, problem, mark)

    class Loader(yaml.SafeLoader):
        """Plain values, lists and mappings: no key twice, no deep nesting, no references that multiply."""

        def __init__(self, text: str) -> None:
            super().__init__(text)
            self.depth = 0
            self.counts: dict[int, int] = {}  # values in each node, references written out

        def compose_node(self, parent: Any, index: Any) -> Any:
            event, mark = self.peek_event(), self.peek_event().start_mark
            self.depth += 1
            if self.depth > _DEEPEST:
                raise error("nested too deeply", mark)
            node = super().compose_node(parent, index)
            self.depth -= 1
            if id(node) not in self.counts:
                if isinstance(event, yaml.AliasEvent):
                    raise error(f"{event.anchor} refers to itself", mark)
                inside = node.value if isinstance(node, yaml.CollectionNode) else []
                parts = [part for one in inside for part in (one if isinstance(one, tuple) else (one,))]
                self.counts[id(node)] = 1 + sum(self.counts[id(part)] for part in parts)
                if self.counts[id(node)] > _MOST:
                    raise error(f"more than {_MOST:,} values", mark)
            return node

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                value = super().construct_object(node, deep)
                if isinstance(value, int) and value.bit_length() > _BITS:
                    raise error(f"a number of more than {_BITS} bits", node.start_mark)
                return value
            except (ValueError, TypeError, OverflowError, KeyError, IndexError, AttributeError) as problem:
                value = visible(getattr(node, "value", node.tag), most=40)
                raise error(f"{value!r} cannot be read as {node.tag.rpartition(':')[2]}", node.start_mark) from problem

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            if not isinstance(node, yaml.MappingNode):
                raise error("no mapping", node.start_mark)
            seen = set()
            for key, _ in node.value:
                if not isinstance(key.value, str):
                    raise error("a key that is no text", key.start_mark)
                if key.value in seen:
                    raise error(f"{key.value} is there twice", key.start_mark)
                seen.add(key.value)
            return dict(super().construct_mapping(node, deep))

    return Loader


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
    if value is None or is_a(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int) and value.bit_length() > 300:
        return "a number of more than 80 digits"
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
