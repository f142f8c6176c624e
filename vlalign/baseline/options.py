"""Options of baselines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from cyclopts import Group, Parameter

from vlalign.config import Folder, Many, Options
from vlalign.data.spec import DataSpec, replace_keywords


class BaselineOptions(Options, group=Group("Baselines", sort_key=2)):
    """Options of baselines: the data, the store, and the models whose architectures get random weights."""

    data: Annotated[DataSpec, Parameter(name="*")] = dataclasses.field(default=DataSpec(), kw_only=False)
    """data set and its columns"""

    store: Folder = "features"
    """folder of the feature store"""

    models: Annotated[Many[str], Parameter(name="--model")] = ()
    """models whose architectures are also run with random weights, by the names that `vlalign extract` takes"""

    image_size: Annotated[int, Ge(1)] | None = None
    """side in pixels of the input of vision models of random weights, instead of the checkpoint's own"""

    seed: Annotated[int, Ge(0)] = 0
    """random seed for weights"""


class BaselineKeywords(BaselineOptions):
    """Keywords of :func:`vlalign.baselines`: a data set by its name, and paths where the options have texts."""

    data: str | Path | DataSpec = dataclasses.field(default=DataSpec(), kw_only=False)  # type: ignore[assignment]
    store: str | Path = "features"  # type: ignore[assignment]
    models: str | Path | list[str | Path] | tuple[str | Path, ...] = ()  # type: ignore[assignment]

    progress: bool = False
    """show a progress bar for models of random weights"""

    def __post_init__(self) -> None:
        replace_keywords(self)
        super().__post_init__()
