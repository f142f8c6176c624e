"""Data files declared in the YAML head of a data set's README.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from vlalign.data.source import reading
from vlalign.data.splits import splits_of
from vlalign.data.tables import read_text
from vlalign.display import quoted, some
from vlalign.errors import VlalignError

CARD_ENTRIES = 100_000  # values that the configurations may have, aliases counted each time
_ABOUT = {"config_name", "default", "description", "version", "drop_labels", "drop_metadata"}


def card_configs(source: str, folder: Path) -> Any:
    """Return the configurations that README.md or .huggingface.yaml of a folder declare; None without any.

    Raises:
        VlalignError: a file cannot be read, is no YAML, or expands by aliases to more than CARD_ENTRIES values.
    """
    import yaml
    from huggingface_hub import DatasetCard

    values: dict[str, Any] = {}
    for name in ("README.md", ".huggingface.yaml"):
        file = folder / name
        if file.is_file():
            with reading(f"{source}/{name}"):
                text = read_text(file, f"{source}/{name}")
                values |= (DatasetCard(text).data.to_dict() if name == "README.md" else yaml.safe_load(text)) or {}
    configs = values.get("configs")
    if _larger(configs, [CARD_ENTRIES]):
        raise VlalignError(f"{source}: its README.md declares more than {CARD_ENTRIES:,} values")
    return configs


def declared_files(
    source: str, folder: Path, files: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, Any]] | None:
    """Return the data files by split of the default configuration that a folder's README.md declares, and options of
    the `datasets` builder that reads them; None without any.

    files: those of the folder, relative to it.

    Raises:
        VlalignError: it names files outside the folder or that do not exist, or has several configurations.
    """
    from datasets.data_files import sanitize_patterns
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    declared = card_configs(source, folder)
    if not declared:
        return None
    refuse_outside(source, declared)
    with reading(f"{source}/README.md"):
        configs = MetadataConfigs.from_dataset_card_data(DatasetCardData(configs=declared))
        default = configs.get_default_config_name()
        if default is None:
            names = some(list(configs))
            raise VlalignError(f"{source} has several configurations ({names}): name the folder or file of one")
        options = {name: value for name, value in configs[default].items() if name not in _ABOUT and value is not None}
        start = str(options.pop("data_dir", "") or "").rstrip("/")
        patterns = options.pop("data_files", None)
        splits = sanitize_patterns(patterns) if patterns else {}
        inside = [name.removeprefix(f"{start}/") for name in files if not start or name.startswith(f"{start}/")]
        named = {split: _matching(source, map(str, entries), inside) for split, entries in splits.items()}
        named = named or splits_of(inside)
    return {split: [f"{start}/{name}".lstrip("/") for name in names] for split, names in named.items()}, options


def refuse_outside(source: str, configs: Any, own: str = "") -> None:
    """Raise VlalignError if configurations name data outside their folder. own: how its own URLs start, if it has any.

    To be called before `datasets` sees them, which would list the files of this machine below an absolute ``data_dir``.
    """
    for config in configs if isinstance(configs, list) else ():
        for key in ("data_dir", "data_files"):
            for name in _texts(config.get(key)) if isinstance(config, dict) else ():
                if own and name.startswith(own) and ".." not in name:
                    continue
                path = PurePosixPath(name)
                if path.is_absolute() or ".." in path.parts or "://" in name or "::" in name or name[:1] == "~":
                    raise VlalignError(
                        f"{source}: its README.md names {quoted(name)} as data: only files inside the folder are read"
                    )


def _texts(value: Any) -> Iterator[str]:
    """Yield the strings in nested lists and mappings."""
    if isinstance(value, str):
        yield value
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(entry)


def _matching(source: str, patterns: Iterable[str], files: Sequence[str]) -> list[str]:
    """Return the files that patterns name, in the order of the patterns."""
    from fsspec.utils import glob_translate

    named: dict[str, None] = {}
    for pattern in patterns:
        plain = str(PurePosixPath(pattern))
        matcher = re.compile(glob_translate(plain))
        matching = [name for name in files if name == plain or matcher.match(name)]
        if not matching:
            raise VlalignError(f"{source}: its README.md names {quoted(pattern)} as data: no data file matches")
        named |= dict.fromkeys(matching)
    return list(named)


def _larger(value: Any, left: list[int]) -> bool:
    """Return whether a value of YAML has more entries than ``left[0]``, counting repetitions by aliases."""
    left[0] -= 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left[0] < 0 or any(_larger(entry, left) for entry in inner)
