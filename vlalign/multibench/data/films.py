"""MM-IMDb as an image–text data set: posters, plots and genres of films, as a folder that ``vlalign extract`` reads.

The archive of MM-IMDb (Arevalo et al. 2017, arXiv 1702.01992) holds ``split.json`` (ids of train, dev and test) and, in
``dataset/``, ``<id>.jpeg`` and ``<id>.json`` of each film, with ``genres`` and ``plot``: several texts, of which the
longest is used, as by its authors. Genres are the 23 most frequent ones of the films with poster, plot and genre. The
other file of the release, ``multimodal_imdb.hdf5``, has no texts: ``make_dataset.py`` of johnarevalo/gmu-mmimdb
(GitHub) writes numbers of words, word2vec means and VGG features into it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlalign.display import quoted
from vlalign.errors import VlalignError
from vlalign.files import one_line, read_json, write_error, write_whole
from vlalign.multibench.data.arrays import draw
from vlalign.paths import user_path

GENRES = 23
METADATA = "metadata.jsonl"
_SPLITS = {"train": "train", "dev": "validation", "test": "test"}


@dataclass(frozen=True)
class Films:
    """A data set of films that was written.

    Attributes:
        folder: images in train/, validation/ and test/, and metadata.jsonl with file_name, id, split, text and genres.
        counts: films of each split.
        genres: of all films, most frequent first.
        left_out: films without a poster, a plot or one of the genres.
    """

    folder: Path
    counts: dict[str, int]
    genres: list[str]
    left_out: int


def prepare_films(
    archive: str | Path, folder: str | Path, samples: int | None = 1024, seed: int = 0, force: bool = False
) -> Films:
    """Write films of the archive as a folder of images with metadata; metadata.jsonl is written last.

    Args:
        archive: folder with split.json and dataset/ (or images/ and labels/).
        folder: to write.
        samples: films of each split, drawn by a hash of seed and id; None for all.
        seed: of the draw.
        force: replace the metadata of another draw in that folder.

    Raises:
        VlalignError: the archive is not as expected, or the folder cannot be written or holds other films.
    """
    archive, folder = user_path(archive), user_path(folder)
    if archive.suffix.lower() in (".hdf5", ".h5"):
        raise VlalignError(
            f"{archive} holds plots as numbers of words, not as texts that a model reads: name the unpacked archive, "
            "with split.json and dataset/"
        )
    splits = _read_splits(archive)
    images, labels = _folders(archive)
    films: dict[str, list[dict[str, Any]]] = {split: [] for split in _SPLITS.values()}
    for split, ids in splits.items():
        for name in ids:
            film = _read_film(labels / f"{name}.json", images / f"{name}.jpeg", name)
            films[split] += [film] if film else []
    counts = Counter(genre for part in films.values() for film in part for genre in film["genres"])
    genres = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][:GENRES]
    if len(genres) < 2:
        raise VlalignError(f"{archive} has {len(genres)} genres in films with poster and plot: expected two or more")
    rows = []
    for split, part in films.items():
        for film in part:
            film["genres"] = [genre for genre in film["genres"] if genre in genres]
        kept = [film for film in part if film["genres"]]
        if not kept:
            raise VlalignError(f"{archive}: no film of {split} has poster, plot and genre")
        films[split] = kept
        drawn = sorted(kept, key=lambda film: (draw(seed, "film", film["id"]), film["id"]))[:samples]
        for film in sorted(drawn, key=lambda film: film["id"]):
            rows.append({"file_name": f"{split}/{film['id']}.jpeg", "split": split, **film})
    _write(folder, images, rows, force)
    written = Counter(row["split"] for row in rows)
    left_out = sum(map(len, splits.values())) - sum(map(len, films.values()))
    return Films(folder, {split: written[split] for split in films}, genres, left_out)


def _read_splits(archive: Path) -> dict[str, list[str]]:
    path = archive / "split.json"
    content = _read(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(split), list) for split in _SPLITS):
        raise VlalignError(f"{path} is not of MM-IMDb: expected lists of ids named train, dev and test")
    splits = {name: [str(one) for one in content[split]] for split, name in _SPLITS.items()}
    ids = [one for part in splits.values() for one in part]
    if len(set(ids)) < len(ids):
        raise VlalignError(f"{path} has {quoted(Counter(ids).most_common(1)[0][0])} twice: expected each film once")
    if strange := [one for one in ids if Path(one).name != one or not one.strip(".")]:
        raise VlalignError(f"{path} has {quoted(strange[0])}, which is no id of a film")
    return splits


def _folders(archive: Path) -> tuple[Path, Path]:
    """Return the folders of posters and of descriptions."""
    for images, labels in (("dataset", "dataset"), ("images", "labels")):
        if (archive / images).is_dir() and (archive / labels).is_dir():
            return archive / images, archive / labels
    raise VlalignError(f"{archive} has no folder dataset/ with posters and descriptions: name the unpacked archive")


def _read_film(path: Path, poster: Path, name: str) -> dict[str, Any] | None:
    """Return id, text and genres of a film; None for one without poster, plot or genres."""
    if not path.is_file() or not poster.is_file():
        return None
    content = _read(path)
    plots, genres = (content.get(key) if isinstance(content, dict) else None for key in ("plot", "genres"))
    plots = [plots] if isinstance(plots, str) else plots
    if not _are_texts(plots) or not _are_texts(genres):
        return None
    text = max((" ".join(one.split()) for one in plots or ()), key=len, default="")
    return {"id": name, "text": text, "genres": sorted(set(genres or ()))} if text and genres else None


def _are_texts(values: Any) -> bool:
    return isinstance(values, Sequence) and all(isinstance(one, str) for one in values)


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise VlalignError(f"cannot read {path}: {one_line(error)}: name the unpacked archive of MM-IMDb") from error


def _write(folder: Path, images: Path, rows: list[dict[str, Any]], force: bool) -> None:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    metadata = folder / METADATA
    if metadata.exists() and metadata.read_text(encoding="utf-8") != content and not force:
        raise VlalignError(f"{folder} holds other films: choose another folder with --out, or replace it with --force")
    try:
        metadata.unlink(missing_ok=True)  # the folder is incomplete until the new one exists
    except OSError as error:
        raise write_error(metadata, error) from error
    for row in rows:
        source = images / f"{row['id']}.jpeg"
        write_whole(folder / row["file_name"], source.read_bytes())
    write_whole(metadata, content)
