"""Options of a data set: its source, columns and samples; helpers for messages about data."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from cyclopts import Group, Parameter

from vlalign.config import Options
from vlalign.errors import VlalignError

MODALITIES = ("text", "vision")
BUILTIN = {"builtin:emoji": Path(__file__).parent / "builtin" / "emoji.parquet"}
DEFAULT_REVISIONS = {"minhuh/prh": "wit_1024"}
#: options that hold for one source only
OF_SOURCE = ("source", "revision", "config", "split", "image_column", "text_column", "id_column", "caption")


class DataSpec(Options, group=Group("Data", sort_key=1)):
    """A data set and how to read it.

    >>> DataSpec("builtin:emoji", caption=-1)
    Traceback (most recent call last):
    ...
    vlalign.errors.VlalignError: caption: expected a whole number of at least 0, got -1
    """

    source: Annotated[str, Parameter(name="--data")] = field(default="minhuh/prh", kw_only=False)
    """Hub data set, folder of images, .parquet/.arrow/.jsonl/.json/.csv/.tsv file, or builtin:emoji; files and folders
    are preferred to a data set of the Hub with the same name"""

    revision: Annotated[str | None, Parameter(name="--data-revision")] = None
    """branch, tag or commit of a Hub data set (default: wit_1024 for minhuh/prh, else main)"""

    split: str = "train"
    """split of the data set; a single file has the split train"""

    image_column: str | None = None
    """column of the images (default: by type and usual names)"""

    text_column: str | None = None
    """column of the captions (default: by usual names)"""

    id_column: str | None = None
    """column of the sample ids (default: `id`, file names of image folders, or row numbers)"""

    caption: Annotated[int, Ge(0)] = 0
    """index of the caption, from 0, where a sample has a list of them"""

    max_samples: Annotated[int, Ge(1)] | None = None
    """use the first N samples only"""

    on_bad_sample: Literal["error", "skip"] = "error"
    """on a broken image or empty caption: stop, or leave the sample out and record that"""

    alpha: Literal["white", "drop"] = "white"
    """colour behind transparent pixels: white, or drop for the colours stored under them"""

    config: Annotated[str | None, Parameter(name="--data-config")] = None
    """configuration of a Hub data set that has several"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.source.strip():
            raise VlalignError("the data source is empty: give a Hub id, a folder, a file or builtin:emoji")
        if self.source.startswith("builtin:") and self.source not in BUILTIN:
            raise VlalignError(f"unknown built-in data set {self.source!r}: available is {', '.join(BUILTIN)}")
        if not self.split.strip():
            raise VlalignError("the split is empty: give its name, such as train")


def replace_keywords(options: Any) -> None:
    """Replace the models, data and store that keywords take, which may be paths and names, by those of options."""
    models, data = options.models, options.data
    names = models if isinstance(models, list | tuple) else (models,)
    object.__setattr__(options, "models", tuple(map(str, names)))
    object.__setattr__(options, "data", data if isinstance(data, DataSpec) else DataSpec(str(data)))
    object.__setattr__(options, "store", str(options.store))
