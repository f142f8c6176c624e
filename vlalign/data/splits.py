"""Splits of a data set: which files belong to each by the Hub's naming conventions, and the rows of one split."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from vlalign.display import quoted
from vlalign.errors import VlalignError, did_you_mean

if TYPE_CHECKING:
    from datasets import Dataset

WORDS = {
    "train": "train|training",
    "validation": "validation|valid|dev|val",
    "test": "test|testing|eval|evaluation",
}
_SHARD = re.compile(r"data/(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*")


def splits_of(files: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each split, as `datasets` assigns them by name: data/{split}-00000-of-00001.*, else folders
    named after splits, else files named after splits; if no name holds a split, all are "train".

    files: names relative to the data set's folder, with "/".

    >>> splits_of(["test.csv", "my-train-1.csv"])
    {'train': ['my-train-1.csv'], 'test': ['test.csv']}
    """
    shards: dict[str, list[str]] = {}
    for name in files:
        if match := _SHARD.fullmatch(name):
            shards.setdefault(match["split"], []).append(name)
    if shards:
        return {name: shards[name] for name in sorted(shards, key=lambda name: ([*WORDS, name].index(name), name))}
    return by_folder(files) or _by(files, r"{words}[-._ 0-9].*", lambda name: [PurePosixPath(name).name]) or {
        "train": list(files)
    }  # fmt: skip


def by_folder(files: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each split by names of folders; empty if no folder is named after a split."""
    return _by(files, r"{words}(?:[-._ 0-9].*)?", lambda name: PurePosixPath(name).parts[:-1])


def _by(files: Sequence[str], pattern: str, parts: Callable[[str], Iterable[str]]) -> dict[str, list[str]]:
    splits = {}
    for split, words in WORDS.items():
        matcher = re.compile(r"(?:.*[-._ 0-9])?" + pattern.format(words=f"(?:{words})"), re.DOTALL)
        if named := [name for name in files if any(matcher.fullmatch(part) for part in parts(name))]:
            splits[split] = named
    return splits


def select_split(known: Mapping[str, Callable[[], Dataset]], wanted: str, where: str) -> Dataset:
    """Return the rows of a split, such as "test", "train[:100]", "train+test" or "all".

    known: function that reads each split, by name; only wanted splits are read.

    Raises:
        VlalignError: no such split.
    """
    from datasets import ReadInstruction, concatenate_datasets

    if wanted in known:
        return known[wanted]()
    wanted = "+".join(known) if wanted == "all" else wanted
    names = {part.split("[")[0].strip() for part in wanted.split("+")}
    if missing := sorted(names - set(known)):
        has = f"its one split is {next(iter(known))}" if len(known) == 1 else f"it has {', '.join(known)}"
        hint = did_you_mean(missing[0], list(known))
        raise VlalignError(f"{where} has no split {quoted(missing[0])}{hint}: {has}; choose with --split")
    held = {name: known[name]() for name in sorted(names)}
    try:
        parts = ReadInstruction.from_spec(wanted).to_absolute({name: len(rows) for name, rows in held.items()})
    except (ValueError, AssertionError) as error:
        raise VlalignError(f"{where}: the split {quoted(wanted)} cannot be read: {error}") from error
    rows = [
        held[part.splitname].select(range(*slice(part.from_, part.to).indices(len(held[part.splitname]))))
        for part in parts
    ]
    return concatenate_datasets(rows) if len(rows) > 1 else rows[0]
