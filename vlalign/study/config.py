"""Settings of a study: stored in its folder, and compared with those of the next run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vlalign.config import Options, plain, read_options, shown, yaml_text
from vlalign.errors import VlalignError
from vlalign.files import write_whole

log = logging.getLogger(__name__)

CONFIG = "config.yaml"


class StudyConfig(Options):
    """Base of the settings of a study: options with at least ``out``, its folder, and ``cpu``.

    Class attributes:
        RUNNING: names of settings of how to compute, not what.
        GRID: names of settings with the values of the grid; a folder may hold cells of more values than a run has.
        ANALYSIS: names of settings that change no cell: how finished cells are analysed.
    """

    RUNNING: ClassVar[tuple[str, ...]] = ("out", "cpu")
    GRID: ClassVar[tuple[str, ...]] = ()
    ANALYSIS: ClassVar[tuple[str, ...]] = ()
    if TYPE_CHECKING:
        out: str
        cpu: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.out.strip():
            raise VlalignError("out: expected the name of a folder, got an empty text")

    @classmethod
    def read(cls, path: str | Path) -> dict[str, Any]:
        """Return the settings in a YAML file, by the names of the fields; see :func:`vlalign.config.read_options`."""
        return read_options(cls, path)

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Self:
        """Return the config with these settings, those of a file or of :meth:`resolved`."""
        return cls(**values)

    def resolved(self) -> dict[str, Any]:
        """Return all settings as JSON values, in the order of the fields."""
        values: dict[str, Any] = plain(self)
        return values

    def identity(self) -> dict[str, Any]:
        """Return the settings in which two runs of one study agree."""
        free = (*self.RUNNING, *self.GRID, *self.ANALYSIS)
        return {name: value for name, value in self.resolved().items() if name not in free}

    def check_metrics(self, samples: int | None = None, widths: Sequence[int] = ()) -> None:
        """Check the field ``metrics``; with a number of samples and widths of layers, whether these suffice.

        Raises:
            VlalignError: a metric is unknown, given twice, or needs more samples.
        """
        from vlalign.metrics.registry import parse_metric  # slow: PyTorch

        names: tuple[str, ...] = vars(self)["metrics"]
        if len(set(names)) < len(names):
            raise VlalignError(f"metrics: expected each once, got {', '.join(names)}")
        for metric in map(parse_metric, names):
            if samples is not None:
                metric.check(samples, list(widths))


def write_config(config: StudyConfig, fingerprint: str = "") -> Path:
    """Write all settings as config.yaml of the study's folder, whole or not at all.

    Args:
        config: the settings.
        fingerprint: hash of the data that the settings name, if any.

    Raises:
        VlalignError: the file cannot be written.
    """
    return write_whole(Path(config.out) / CONFIG, _first_line(fingerprint) + yaml_text(config.resolved()))


def check_folder(config: StudyConfig, fingerprint: str = "") -> None:
    """Refuse a folder that holds another study, and warn of values of the grid that it holds but a run leaves out.

    Args:
        config: the settings of the run.
        fingerprint: as for :func:`write_config`.

    Raises:
        VlalignError: the folder's config.yaml differs in :meth:`StudyConfig.identity` or cannot be read, or it holds
            tables without one.
    """
    folder, path = Path(config.out), Path(config.out) / CONFIG
    if not path.exists():
        if (folder / "study.json").exists() or any(folder.glob("*.parquet")):
            raise VlalignError(
                f"{folder} holds tables but no {CONFIG} with their settings: name another folder with --out"
            )
        return
    old = config.make(config.read(path))
    before, now = old.identity(), config.identity()
    changes = [
        f"{name} was {shown(before[name])}, is now {shown(now[name])}"
        for name in now
        if name in before and before[name] != now[name]
    ]
    if not changes and not path.read_text(encoding="utf-8").startswith(_first_line(fingerprint)):
        changes = [f"the data are not those of the first run, {shown(getattr(old, 'data', None))}"]
    if changes:
        raise VlalignError(f"{folder} holds another study ({'; '.join(changes)}): name another folder with --out")
    for name in config.GRID:
        current = _values(getattr(config, name))
        if dropped := [value for value in _values(getattr(old, name)) if value not in current]:
            log.warning(
                "%s also holds %s %s: these results are kept, but tables and figures are now without them",
                folder, name, ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in dropped),
            )  # fmt: skip


def _values(value: Any) -> tuple[Any, ...]:
    """Return the values of a setting of the grid: none of None or False, and True as one."""
    return (value,) if value is True else value or ()


def _first_line(fingerprint: str) -> str:
    return f"# data: {fingerprint}\n" if fingerprint else ""
