"""Captions edited by another program, per sample and rate: the released JSON format, or a table of id, rate, text.

The JSON format is that of arXiv 2502.16282: a list of objects
``{"Index - i": {"sentences": {"Caption j - p%": text}}}``, one a sample, where 0 % is the caption before editing, and
beside the sentences ``"similarities"``, cosines of the edited captions to it by rising p. Its samples have row numbers
instead of ids; they get the ids ``row-00000i`` of data sets without an id column.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.tables import KINDS, read_columns, read_text
from vlalign.errors import VlalignError, short_line
from vlalign.files import parse_json
from vlalign.paths import user_path

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("id", "rate", "text")
_INDEX, _CAPTION = re.compile(r"Index - (\d{1,15})"), re.compile(r"Caption \d+ - (\d+(?:\.\d+)?)%")


@dataclass(frozen=True)
class EditedCaptions:
    """Captions by rate (percent) and sample id.

    Attributes:
        name: of the file.
        texts: ``texts[rate][id]``.
        similarities: ``similarities[rate][id]``, cosines of the edited to the unedited captions as the released file
            states them; empty where it does not.
    """

    name: str
    texts: dict[float, dict[str, str]]
    similarities: dict[float, dict[str, float]] = field(default_factory=dict)

    @property
    def rates(self) -> list[float]:
        """Rates in percent, ascending."""
        return sorted(self.texts)


def is_edits(value: Any) -> bool:
    """Return whether a JSON value looks like the released format."""
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], dict)
        and len(value[0]) == 1
        and all(_INDEX.fullmatch(str(key)) and isinstance(v, dict) and "sentences" in v for key, v in value[0].items())
    )


def row_id(row: int) -> str:
    """Return the id of a sample that has only its row number.

    >>> row_id(7)
    'row-000007'
    """
    return f"row-{row:06d}"


def read_edits(path: str | Path) -> EditedCaptions:
    """Read edited captions: .json in the released format, or .parquet, .csv, .tsv, .jsonl with id, rate, text.

    Raises:
        VlalignError: the file is missing or cannot be read, a column or value is missing, or an id has two texts at
            one rate.
    """
    path = user_path(path)
    try:
        stamp = path.stat()
    except OSError as error:
        raise VlalignError(f"cannot read the captions file {path}: {error.strerror or error}") from error
    return _read(path, stamp.st_mtime_ns, stamp.st_size)


def unedited(path: Path) -> Dataset | None:
    """Return the captions at 0 % of a file in the released format, with id and text; None for other files.

    Raises:
        VlalignError: a file in that format that is damaged, or has no captions at 0 %.
    """
    from datasets import Dataset

    with path.open("rb") as file:
        start = file.read(200).lstrip()
    if not re.match(rb'\[\s*\{\s*"Index - \d+"', start):
        return None
    edits = read_edits(path)
    if 0.0 not in edits.texts:
        raise VlalignError(f"{path} has no captions at 0 %: without the unedited captions it is no data set")
    return Dataset.from_dict({"id": list(edits.texts[0.0]), "text": list(edits.texts[0.0].values())})


@functools.lru_cache(maxsize=2)  # a sweep reads the same file once for every rate
def _read(path: Path, _modified: int, _size: int) -> EditedCaptions:
    if path.suffix.lower() == ".json":
        try:
            value = parse_json(read_text(path, str(path)))
        except ValueError as error:
            raise VlalignError(f"cannot read the captions file {path}: {short_line(error)}") from error
        if not is_edits(value):
            raise VlalignError(
                f'{path} is no file of edited captions: expected [{{"Index - i": {{"sentences": {{"Caption j - p%": '
                "text}}}}, …], or a .parquet, .csv, .tsv or .jsonl file with columns id, rate, text"
            )
        return _released(path, value)
    return _table(path)


def _released(path: Path, value: list[Any]) -> EditedCaptions:
    texts: dict[float, dict[str, str]] = {}
    cosines: dict[float, dict[str, float]] = {}
    for position, entry in enumerate(value):
        for key, content in entry.items() if isinstance(entry, dict) else [("", None)]:
            index = _INDEX.fullmatch(key)
            content = content if isinstance(content, dict) else {}
            sentences = content.get("sentences")
            if index is None or not isinstance(sentences, dict):
                raise VlalignError(f'{path}: entry {position} is not {{"Index - i": {{"sentences": …}}}}')
            name, rates = row_id(int(index[1])), []
            for label, text in sentences.items():
                match = _CAPTION.fullmatch(label)
                if match is None or not isinstance(text, str):
                    raise VlalignError(f'{path}: entry {position}: {label!r} is not "Caption j - p%": text')
                rates.append(float(match[1]))
                _add(path, texts, rates[-1], name, text)
            edited = sorted(rate for rate in rates if rate > 0)
            stated = _cosines(path, position, content.get("similarities"), len(edited))
            for rate, cosine in zip(edited, stated, strict=False):
                cosines.setdefault(rate, {})[name] = cosine
    return EditedCaptions(path.name, texts, cosines)


def _cosines(path: Path, position: int, values: Any, count: int) -> list[float]:
    """Return the similarities of an entry, one for each edited caption; none where it has none."""
    if values is None:
        return []
    fits = isinstance(values, list) and len(values) == count
    if not fits or not all(isinstance(value, int | float) and -1.001 <= value <= 1.001 for value in values):
        raise VlalignError(
            f"{path}: entry {position}: similarities are not {count} cosines, one for each edited caption"
        )
    return [float(value) for value in values]


def _table(path: Path) -> EditedCaptions:
    kinds = [".parquet", *(kind for kind in KINDS if kind != ".json")]
    if path.suffix.lower() not in kinds:
        raise VlalignError(f"{path}: edited captions are read from {', '.join(['.json', *kinds])}")
    try:
        table = read_columns(path, str(path))
    except VlalignError:
        raise
    except Exception as error:  # pyarrow raises dozens of kinds
        raise VlalignError(f"cannot read the captions file {path}: {short_line(error)}") from error
    if not table:
        raise VlalignError(f"cannot read the captions file {path}: it holds no samples")
    if missing := [name for name in COLUMNS if name not in table]:
        raise VlalignError(
            f"{path} lacks the column {', '.join(missing)}: id, rate and text are needed, "
            f"it has {', '.join(map(str, table))}"
        )
    texts: dict[float, dict[str, str]] = {}
    for row, (name, rate, text) in enumerate(zip(*(table[column] for column in COLUMNS), strict=True)):
        if name is None or name != name or not str(name).strip():
            raise VlalignError(f"{path}: row {row} has no id")
        try:
            number = float(rate)
        except (TypeError, ValueError):
            number = -1.0
        if not 0 <= number <= 100:
            raise VlalignError(f"{path}: row {row}: the rate is in percent, 0 to 100, not {rate!r}")
        if not isinstance(text, str):
            raise VlalignError(f"{path}: row {row} (id {name!r}, {number:g} %) has no text")
        _add(path, texts, number, str(name), text)
    if not texts:
        raise VlalignError(f"{path} holds no captions")
    return EditedCaptions(path.name, texts)


def _add(path: Path, texts: dict[float, dict[str, str]], rate: float, name: str, text: str) -> None:
    known = texts.setdefault(rate, {})
    if known.setdefault(name, text) != text:
        raise VlalignError(f"{path} has two texts of {name!r} at {rate:g} %: keep one")
