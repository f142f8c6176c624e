"""What to read: the data set, its columns, and what to do with bad samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vlalign.errors import VlalignError

MODALITIES = ("text", "vision")
BUILTIN = {"builtin:emoji": Path(__file__).parent / "builtin" / "emoji.parquet"}
DEFAULT_REVISIONS = {"minhuh/prh": "wit_1024"}


@dataclass(frozen=True)
class DataSpec:
    """A data set and how to read it. Wrong values raise VlalignError at construction.

    source: Hub id, folder, file (.parquet .arrow .jsonl .json .csv .tsv) or "builtin:emoji"; what exists on disk is
        taken before the Hub.
    revision: Hub only; a branch, tag or commit. None: "wit_1024" for minhuh/prh, else "main".
    split: name of the split; a lone file has the one split "train".
    image_column, text_column, id_column: None finds them by feature type and usual names.
    caption: which caption, where the text column holds lists.
    max_samples: read only the first rows.
    on_bad_sample: "error", or "skip" to leave bad samples out and record them.
    alpha: what lies behind transparent pixels: "white", or "drop" for the colours stored under them.
    config: Hub only; the configuration ("subset") where a data set has several.

    >>> DataSpec("builtin:emoji", caption=-1)
    Traceback (most recent call last):
    ...
    vlalign.errors.VlalignError: caption is -1: give the index of a caption, counted from 0
    """

    source: str = "minhuh/prh"
    revision: str | None = None
    split: str = "train"
    image_column: str | None = None
    text_column: str | None = None
    id_column: str | None = None
    caption: int = 0
    max_samples: int | None = None
    on_bad_sample: str = "error"
    alpha: str = "white"
    config: str | None = None

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise VlalignError("the data source is empty: give a Hub id, a folder, a file or builtin:emoji")
        if self.source.startswith("builtin:") and self.source not in BUILTIN:
            raise VlalignError(f"unknown built-in data set {self.source!r}: there is {', '.join(BUILTIN)}")
        if not self.split.strip():
            raise VlalignError("the split is empty: give its name, such as train")
        if self.caption < 0:
            raise VlalignError(f"caption is {self.caption}: give the index of a caption, counted from 0")
        if self.max_samples is not None and self.max_samples < 1:
            raise VlalignError(f"max_samples is {self.max_samples}: give a number of at least 1, or leave it out")
        one_of("on_bad_sample", self.on_bad_sample, ("error", "skip"))
        one_of("alpha", self.alpha, ("white", "drop"))


def one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    """Raise VlalignError unless value is one of known."""
    if value not in known:
        raise VlalignError(f"{what} is {value!r}: choose {' or '.join(known)}")
