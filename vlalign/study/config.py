"""Settings of a study: from a YAML file and the command line, and in the folder of the study."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from vlalign.data import DataSpec
from vlalign.data.spec import close
from vlalign.errors import VlalignError
from vlalign.study.files import write_whole
from vlalign.study.settings import UniquenessConfig

__all__ = ["UniquenessConfig", "check_folder", "make_config", "merge", "read_config", "resolved", "write_config"]

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
#: settings that say how to compute, not what: a study may go on with others
RUNNING = ("batch_tokens", "batch_images", "workers", "shard_rows", "cpu", "parallel", "store")
#: settings that a folder may hold records of several of
GROWING = ("x", "y", "rates", "out", "allow_empty", *RUNNING)

#: what the types of fields are called, and what is one
_KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "str": ("a text", str),
    "int": ("a whole number", int),
    "bool": ("true or false", bool),
}
_OF_SOURCE = ("source", "revision", "config", "split", "image_column", "text_column", "id_column", "caption")


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings that a YAML file gives, under the names of :class:`UniquenessConfig`; a part of them is enough.

    ``x`` and ``y`` are a name or a list of names, ``rates`` a list of numbers, ``data`` a source or a mapping of the
    fields of :class:`vlalign.data.DataSpec`. Relative paths in it stay relative to the working directory, not to the
    file, as they would on the command line.

    Raises:
        VlalignError: the file is missing or no valid YAML, or a key is unknown or has a value of the wrong type.
    """
    path = Path(path)
    values = _load(path)
    known = {entry.name: str(entry.type) for entry in fields(UniquenessConfig)}
    found: dict[str, Any] = {}
    for key, value in _known(values, known, path, ""):
        if key in ("x", "y"):
            names = [value] if isinstance(value, str) else value
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise _wrong(path, key, "a name or a list of names", value)
            found[key] = tuple(names)
        elif key == "rates":
            if not isinstance(value, list) or not all(_is(rate, (int, float)) for rate in value):
                raise _wrong(path, key, "a list of numbers", value)
            found[key] = tuple(map(float, value))
        elif key == "data":
            if not isinstance(value, str | dict):
                raise _wrong(path, key, "a source or a mapping such as {source: minhuh/prh, max_samples: 256}", value)
            found[key] = {"source": value} if isinstance(value, str) else _data(value, path)
        else:
            found[key] = _plain(key, value, known[key], path)
    return found


def make_config(values: Mapping[str, Any]) -> UniquenessConfig:
    """The settings of :func:`merge` or :func:`read_config`; ``data`` may be a mapping or a source.

    Raises:
        VlalignError: a setting without default is missing, or what :class:`UniquenessConfig` refuses.
    """
    values = dict(values)
    for entry in fields(UniquenessConfig):
        if entry.default is MISSING and entry.default_factory is MISSING and entry.name not in values:
            raise VlalignError(
                f"nothing says {entry.name}: give --{entry.name}, or {entry.name}: in a file of --config"
            )
    data = values.get("data", {})
    if not isinstance(data, DataSpec):
        values["data"] = DataSpec(**({"source": data} if isinstance(data, str) else data))
    return UniquenessConfig(**values)


def merge(file_values: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file under those of the command line, which go first; None and empty lists are not given.

    ``data`` (a mapping of DataSpec fields, a source or a DataSpec) is merged field by field. With another source, what
    the file says of columns, split and revision is dropped: it was said of the file's source.
    """
    given = {name: value for name, value in flags.items() if value is not None and value not in ((), [], {})}
    merged = {**file_values, **given}
    if "data" in file_values and "data" in given:
        merged["data"] = _merged_data(_data_fields(file_values["data"]), _data_fields(given["data"]))
    return merged


def resolved(config: UniquenessConfig) -> dict[str, Any]:
    """All settings as JSON values, in the order of the fields; :func:`make_config` gives the same config."""
    values = asdict(config)
    values["rates"] = [int(rate) if rate == int(rate) else rate for rate in config.rates]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def write_config(config: UniquenessConfig, folder: str | Path) -> Path:
    """Write all settings as config.yaml of ``folder``, whole or not at all; :func:`read_config` reads them back.

    Raises:
        VlalignError: if the file cannot be written.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Lists on one line."""

    Dumper.add_representer(
        list, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
    )
    text = yaml.dump(resolved(config), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return write_whole(Path(folder) / CONFIG, lambda part: part.write_text(text, encoding="utf-8"))


def check_folder(folder: str | Path, config: UniquenessConfig) -> None:
    """Refuse a folder that holds another study. Models, rates, ``out`` and :data:`RUNNING` may differ.

    Raises:
        VlalignError: its config.yaml differs in anything else, or cannot be read.
    """
    path = Path(folder) / CONFIG
    if not path.exists():
        return
    there = make_config(read_config(path))
    found = differences(there, config)
    if found:
        told = "; ".join(f"{name} is {_shown(old)} there, {_shown(new)} here" for name, (old, new) in found.items())
        raise VlalignError(f"{folder} holds another study ({told}): name another folder with --out")
    for name in ("x", "y", "rates"):
        if missing := [one for one in getattr(there, name) if one not in getattr(config, name)]:
            log.warning(
                "%s also holds %s %s: its records are kept, but tables, figures and settings are now without it",
                folder, name, ", ".join(f"{one:g}" if name == "rates" else str(one) for one in missing),
            )  # fmt: skip


def differences(there: UniquenessConfig, here: UniquenessConfig) -> dict[str, tuple[Any, Any]]:
    """Settings that make two studies different ones, with both values; fields of ``data`` as ``data.field``."""
    old, new = (_flat(config) for config in (there, here))
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def _flat(config: UniquenessConfig) -> dict[str, Any]:
    values = {name: value for name, value in resolved(config).items() if name not in GROWING}
    data = values.pop("data")
    values["op"] = _plain_op(config)
    return values | {f"data.{name}": value for name, value in data.items()}


def _plain_op(config: UniquenessConfig) -> str:
    """The operation as it is understood, so that spelling out a default is no difference."""
    name, _, more = str(config.perturbation(0)).partition(":")
    given = [part for part in more.split(",")[1:] if not part.startswith("seed=")]
    return ":".join([name, *([",".join(given)] if given else [])])


def _data_fields(data: Any) -> dict[str, Any]:
    if isinstance(data, DataSpec):
        return asdict(data)
    return {"source": data} if isinstance(data, str) else dict(data)


def _merged_data(old: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in given.items() if value is not None}
    if given.get("source", old.get("source")) != old.get("source"):
        old = {name: value for name, value in old.items() if name not in _OF_SOURCE}
    return {**old, **given}


def _load(path: Path) -> dict[Any, Any]:
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
        raise VlalignError(f"{path} is not a file of settings: write lines such as `op: char_delete`")
    return values


def _known(values: Mapping[Any, Any], known: Mapping[str, str], path: Path, inside: str) -> list[tuple[str, Any]]:
    """The entries, if all their keys are known."""
    for key in values:
        if key not in known:
            hint = close(str(key), list(known)) or f": there is {', '.join(known)}"
            raise VlalignError(f"{path}: unknown key {inside}{key}{hint}")
    return list(values.items())


def _data(values: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    known = {entry.name: str(entry.type) for entry in fields(DataSpec)}
    return {key: _plain(f"data.{key}", value, known[key], path) for key, value in _known(values, known, path, "data.")}


def _plain(key: str, value: Any, kind: str, path: Path) -> Any:
    """``value``, if it is of the type of a field: str, int or bool, and None where the field says so."""
    name, _, optional = kind.partition(" | ")
    told, python = _KINDS[name]
    if (value is None and optional) or _is(value, python):
        return value
    quoted = " in quotes" if name == "str" and isinstance(value, int | float) else ""
    raise _wrong(path, key, told + quoted + (" or nothing (null)" if optional else ""), value)


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
    """isinstance, but true and false are no numbers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _wrong(path: Path, key: str, expected: str, value: Any) -> VlalignError:
    return VlalignError(f"{path}: {key} is {expected}, not {_shown(value)}")


def _shown(value: Any) -> str:
    text = {True: "true", False: "false", None: "null"}[value] if value is None or _is(value, bool) else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
