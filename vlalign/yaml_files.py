"""YAML files, read strictly: plain values, no key twice, bounded size and depth, errors in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlalign.display import visible
from vlalign.errors import VlalignError
from vlalign.paths import user_path

_LARGEST = 200_000  # bytes of a file
_DEEPEST = 20  # nested lists and mappings
_BITS = 300  # of a whole number
_MOST = 100_000  # values, aliases expanded


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
        raise VlalignError(f"cannot read the settings file {path}: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise VlalignError(f"{path} is not a settings file: it has more than {_LARGEST // 1000} kB")
    try:
        values = yaml.load(data.decode("utf-8-sig"), Loader=_loader())
    except UnicodeDecodeError as error:
        raise VlalignError(f"{path} is not a settings file: it is not text in UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the escape code of no character
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = " ".join(str(getattr(error, "problem", None) or error).split())
        raise VlalignError(f"{path}{where}: not valid YAML: {what}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise VlalignError(f"{path} is not a settings file: write lines such as `name: value`")
    return values


def _loader() -> Any:
    """Return a loader of plain YAML whose every error names a line."""
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
                parts = [part for entry in inside for part in (entry if isinstance(entry, tuple) else (entry,))]
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
                raise error("not a mapping", node.start_mark)
            seen = set()
            for key, _ in node.value:
                if not isinstance(key.value, str):
                    raise error("a key that is not a text", key.start_mark)
                if key.value in seen:
                    raise error(f"{key.value} occurs twice", key.start_mark)
                seen.add(key.value)
            return dict(super().construct_mapping(node, deep))

    return Loader


def yaml_text(values: Mapping[str, Any]) -> str:
    """Return settings as YAML, lists on one line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Lists on one line."""

    Dumper.add_representer(
        list, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
    )
    return yaml.dump(dict(values), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def shown(value: Any) -> str:
    """Return a value as YAML writes it, cut where it is long."""
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int) and value.bit_length() > _BITS:
        return "a number of more than 80 digits"
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
