"""The record of one score in plain JSON, with everything needed to read it later."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vlalign.display.result import Card, Result, Texts
from vlalign.errors import VlalignError
from vlalign.files import read_json, write_whole
from vlalign.store.checksums import encode

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 2
_LONGEST = 200  # file systems take 255 bytes, suffixes of figures and copies included


@dataclass(frozen=True, repr=False)
class ScoreRecord(Result):
    """Alignment of two models over all layer pairs. All fields are JSON values; ``save`` writes them as they are."""

    # model, modality, run {"hash", "key", "facts"} or null, tensor {"n", "widths", "dtype", "sha256"} or null, and for
    # runs with token norms: norms, what `vlalign.store.LayerNorms` holds of each layer
    x: dict[str, Any]
    y: dict[str, Any]
    metric: dict[str, Any]  # name, params
    preprocessing: dict[str, Any]  # preset, clip_quantile, ties: how broken, x and y: {"clip_threshold", "zero_rows"}
    pairing: dict[
        str, Any
    ]  # by "id" or "row", whether y was put in the order of x, groups: {"source", …} or null, positives
    n: int  # paired samples, or items of several
    axes: dict[str, list[dict[str, Any]]]  # x (rows) and y (columns): index, name, width, convention of each layer
    matrix: list[list[float]]  # score of every layer pair [len(axes.x)][len(axes.y)]
    best: dict[str, Any]  # x and y: position in the matrix, index and name of the layer; score
    chance: float | None  # mean score of the best pair under a random pairing: exact, or over the permutations
    moments: dict[str, Any] | None  # exact mean and sd of the best pair under a random pairing, z, p_value, p_selected
    null: dict[str, Any] | None  # permutation null of the maximum over layer pairs; null if not requested
    interval: dict[str, Any] | None  # of the score of the best pair by half-sampling; "maximum": with layer selection
    curves: dict[str, Any] | None  # for a full report: score against N ("n", "n_proportional"), against k ("k")
    checks: dict[str, Any]  # of the best pair's layers x and y: duplicates, hubs, effective dimension; notes: warnings
    # x and y: scores of probes by name, {"bits_per_byte", "truncated" (captions, where any)} of text models, or null
    performance: dict[str, Any]
    environment: dict[str, Any]  # versions, platform, commit
    seconds: dict[str, float]  # wall-clock time of each stage
    format: int = FORMAT
    # not in the file: ids and scores of the samples of a new record, and the file of a loaded one
    _samples: ClassVar[tuple[Any, Any] | None] = None
    _path: ClassVar[Path | None] = None

    @property
    def score(self) -> float:
        """The largest value of the matrix."""
        return float(self.best["score"])

    @property
    def p_value(self) -> float | None:
        """Permutation p-value of the largest value, layer selection included; None if no null was computed."""
        return None if self.null is None else float(self.null["p_value"])

    @property
    def calibrated(self) -> float | None:
        """Calibrated score: 0 up to the null's 95 % point, 1 at most; None without enough permutations."""
        value = None if self.null is None else self.null["calibrated"]
        return None if value is None else float(value)

    @property
    def times_chance(self) -> float | None:
        """The score in multiples of the chance level."""
        return self.score / self.chance if self.chance is not None and abs(self.chance) > 1e-9 else None

    def measured(self, side: str) -> dict[str, Any]:
        """Return the performance of a side, ``x`` or ``y``, by name; empty where it is not comparable or not known.

        Earlier versions divided the bits of truncated captions by the bytes of the whole captions; these are left out.
        """
        values = self.performance.get(side) or {}
        run = getattr(self, side).get("run")
        facts = run.get("facts") if isinstance(run, dict) else None
        if isinstance(facts, dict) and facts.get("truncated") and "truncated" not in values:
            return {name: value for name, value in values.items() if name != "bits_per_byte"}
        return dict(values)

    @property
    def title(self) -> str:
        """``x model × y model``."""
        return f"{self.x['model']} × {self.y['model']}"

    @property
    def filename(self) -> str:
        """A file name unique to the pair of runs or arrays, metric, preset, concatenation and source of groups.

        It is never parsed. A very long one is cut and ends in a hash of the whole.
        """
        sides = []
        for side in (self.x, self.y):
            digest = side["run"]["hash"] if side["run"] else (side.get("tensor") or {}).get("sha256", "")
            name = slug(side["model"])
            if not side["run"] and name != side["model"]:  # other names may have the same slug
                digest = hashlib.sha256(encode(f"{digest} {side['model']}")).hexdigest()
            sides.append(name + (f"-{digest[:8]}" if digest else ""))
        params = "".join(f"-{name}{value}" for name, value in sorted(self.metric["params"].items()))
        variant = "-concat" * (self.axes["x"][-1]["index"] == -1)
        if groups := self.pairing.get("groups"):
            variant += f"-groups-{groups.get('source')}"
        if search := self.preprocessing.get("neighbours"):
            variant += f"-{search.get('method')}"
        if positives := self.pairing.get("positives"):
            variant += f"-positives-{positives.get('source')}"
        what = slug(f"{self.metric['name']}{params}-{self.preprocessing['preset']}{variant}")
        name = "__".join([*sides, what])
        if len(name) > _LONGEST:
            name = f"{name[: _LONGEST - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        return f"{name}.json"

    def lines(self) -> list[str]:
        """Return title, verdict, score, layers, and what was measured."""
        from vlalign.scoring.summary import measured, score_facts

        facts = score_facts(self)
        return [self.title, *(facts[name] for name in ("verdict", "score", "layers") if name in facts), measured(self)]

    def card(self) -> Card:
        """Return the card: verdict, facts, figure, and notes of the checks."""
        from vlalign.scoring.summary import has_layers, measured, score_facts

        layers = f"heat map of {len(self.axes['x'])} × {len(self.axes['y'])} layer pairs"
        facts = score_facts(self) | {"measured": measured(self)}
        return Card(
            self.title,
            [facts.pop("verdict")],
            Texts([], list(facts.items())),
            self.plot().figure,
            layers if has_layers(self) else "score with interval, chance and null",
            [f"note: {note}" for note in self.checks.get("notes", [])],
        )

    def texts(self) -> Texts:
        """Return the table of the best pair, which LaTeX and Markdown show."""
        from vlalign.scoring.tables import texts

        return texts([self])

    def to_frame(self) -> pd.DataFrame:
        """Return the scores of all layer pairs: layers of x as rows, layers of y as columns."""
        import pandas as pd

        rows, columns = (
            pd.Index([layer["name"] for layer in self.axes[side]], name=getattr(self, side)["model"]) for side in "xy"
        )
        return pd.DataFrame(self.matrix, index=rows, columns=columns)

    def explained(self) -> pd.DataFrame:
        """Return which share of the score above chance is explained by what: one row for each check, none without.

        Columns: ``name`` of a column of categories, a trivial feature, or near-duplicates; ``groups`` of samples that
        are alike in it; ``score`` of pairs that are alike in it alone; ``share`` of the score above chance, and its
        interval from ``low`` to ``high`` (see :mod:`vlalign.stats.explained`).
        """
        import pandas as pd

        from vlalign.scoring.confounds import parts_of

        return pd.DataFrame(parts_of(self), columns=["name", "groups", "score", "share", "low", "high"])

    def samples(self) -> pd.DataFrame:
        """Return the score of each sample at the best layer pair, of a metric that is a mean over samples.

        Columns: ``id`` (row number where the samples have no ids) and ``score``, of which the mean is :attr:`score`.
        Those of a loaded record are read from the file that `vlalign score` wrote beside it.

        Raises:
            VlalignError: another metric, or the file is missing, cannot be read, or is that of another record.
        """
        from vlalign.scoring.samples import frame_of

        return frame_of(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw the heat map of all layer pairs; the best pair is framed, chance is marked on the colour bar.

        The score of a single layer pair is drawn with its interval, chance and the null's 95 % point.

        Args:
            ax: Matplotlib axes (default: those of a new figure).

        Returns:
            The axes.
        """
        from vlalign.scoring.record_figures import draw_record

        return draw_record(self, ax)

    def save(self, path: str | Path) -> Path:
        """Write the record as JSON, whole or not at all, and return the path; folders are made.

        Raises:
            VlalignError: if the file cannot be written or a value is not finite.
        """
        return write_json(path, asdict(self), "record")

    @classmethod
    def load(cls, path: str | Path) -> ScoreRecord:
        """Read a record.

        Raises:
            VlalignError: if the file is missing, is not JSON, or is not a record of this format.
        """
        path = Path(path)
        try:
            data = read_json(path)
        except OSError as error:
            raise VlalignError(f"cannot read the record {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise VlalignError(f"{path} is not a score record: it is not valid JSON ({error})") from error
        record = cls.from_dict(data, str(path))
        object.__setattr__(record, "_path", path)
        return record

    @classmethod
    def from_dict(cls, data: Any, where: str = "record") -> ScoreRecord:
        """Make the record of a JSON object; ``where`` names it in errors."""
        if not isinstance(data, Mapping) or "matrix" not in data:
            raise VlalignError(f"{where} is not a score record: write one with `vlalign score`")
        if data.get("format") != FORMAT:
            raise VlalignError(f"{where} has record format {data.get('format')!r}, this vlalign reads {FORMAT}")
        names = {field.name for field in fields(cls)}
        if missing := sorted(names - set(data)):
            raise VlalignError(f"{where} is not a whole score record: it lacks {', '.join(missing)}")
        return cls(**{name: data[name] for name in names})


def write_json(path: str | Path, data: dict[str, Any], what: str) -> Path:
    """Write ``data`` as JSON, whole or not at all; folders are made. ``what`` names the file in errors.

    Returns the path.

    Raises:
        VlalignError: if the file cannot be written or a value is not finite.
    """
    path = Path(path)
    try:
        text = _dump(data)
    except ValueError as error:
        raise VlalignError(f"the {what} for {path} holds a value that is not finite: {error}") from error
    return write_whole(path, encode(text))


def _dump(data: dict[str, Any]) -> str:
    """Format as indented JSON with lists of numbers and the entries of the axes on one line, for people to read."""

    def write(value: Any, depth: int) -> str:
        flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
        plain = depth > 1 and not any(bracket in flat[1:] for bracket in "[{")
        if plain or not value or not isinstance(value, dict | list):
            return flat
        pad, end = "\n" + " " * (depth + 1), "\n" + " " * depth
        if isinstance(value, dict):
            parts = [f"{json.dumps(str(name))}: {write(part, depth + 1)}" for name, part in value.items()]
            return "{" + pad + f",{pad}".join(parts) + end + "}"
        return "[" + pad + f",{pad}".join(write(part, depth + 1) for part in value) + end + "]"

    return write(data, 0) + "\n"


def slug(text: str) -> str:
    """Return a text as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.replace("/", "--")).strip("-.") or "model"
