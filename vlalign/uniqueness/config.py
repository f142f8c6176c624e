"""Settings of a study: from a YAML file and the command line, and in the folder of the study."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.files import write_whole
from vlalign.settings import check_value, is_a, known_keys, read_yaml, shown, wrong, yaml_text
from vlalign.uniqueness.settings import UniquenessConfig

__all__ = ["UniquenessConfig", "check_folder", "make_config", "merge", "read_config", "resolved", "write_config"]

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
#: settings that say how to compute, not what: a study may go on with others
RUNNING = ("batch_tokens", "batch_images", "workers", "shard_rows", "cpu", "parallel", "store")
#: settings that a folder may hold records of several of
GROWING = ("x", "y", "rates", "out", "allow_empty", *RUNNING)

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
    values = read_yaml(path)
    known = {entry.name: str(entry.type) for entry in fields(UniquenessConfig)}
    found: dict[str, Any] = {}
    known_keys(values, known, path)
    for key, value in values.items():
        if key in ("x", "y"):
            names = [value] if isinstance(value, str) else value
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise wrong(path, key, "a name or a list of names", value)
            found[key] = tuple(names)
        elif key == "rates":
            if not isinstance(value, list) or not all(is_a(rate, (int, float)) for rate in value):
                raise wrong(path, key, "a list of numbers", value)
            found[key] = tuple(map(float, value))
        elif key == "data":
            if not isinstance(value, str | dict):
                raise wrong(path, key, "a source or a mapping such as {source: minhuh/prh, max_samples: 256}", value)
            found[key] = {"source": value} if isinstance(value, str) else _data(value, path)
        else:
            found[key] = check_value(key, value, known[key], path)
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
    text = yaml_text(resolved(config))
    return write_whole(Path(folder) / CONFIG, text)


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
        told = "; ".join(f"{name} is {shown(old)} there, {shown(new)} here" for name, (old, new) in found.items())
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


def _data(values: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    known = {entry.name: str(entry.type) for entry in fields(DataSpec)}
    known_keys(values, known, path, "data.")
    return {key: check_value(f"data.{key}", value, known[key], path) for key, value in values.items()}
