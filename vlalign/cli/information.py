"""Estimate what modalities share about a label, what each has alone, and what only both together have.

Of three modalities or more, every pair is decomposed, and what each adds to the others together is estimated. Rows are
paired by id where all files have ids, and else by their order; labels are one a row, or a column of a table with ids.
Of a run, and of a file with several layers, the last layer is used.

  vlalign information mine.npz --labels labels.npy
  vlalign information image.npy text.npy --labels labels.csv:class --ids ids.txt
  vlalign information clip.parquet:image clip.parquet:text --labels clip.parquet:category --groups clip.parquet:product
  vlalign information features dinov2-small llama-7b --labels labels.csv:class
  vlalign information image.npy text.npy audio.npy --labels labels.csv:label --ids ids.txt
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from vlalign.cli.app import Flags
from vlalign.config import File, Folder
from vlalign.decomposition.options import InformationOptions
from vlalign.errors import VlalignError
from vlalign.store.key import is_baseline

if TYPE_CHECKING:
    from torch import Tensor

    from vlalign.scoring.inputs import Side


def run(
    store: str,
    /,
    *runs: str,
    labels: File,
    groups: File | None = None,
    ids: Annotated[tuple[str, ...], Parameter(metavar="FILE")] = (),
    id_column: str | None = None,
    out: Folder = "information",
    figure: Annotated[bool, Parameter(negative="--no-figure")] = True,
    json: bool = False,
    options: Annotated[InformationOptions, Flags] = InformationOptions(),
) -> None:
    """Estimate the decomposition, show it, and write a record and a figure, named after what they are of.

    Args:
        store: folder of the feature store, a file of embeddings, or an .npz file with the arrays of two modalities
        runs: runs of the store, two or more, or the files of the other modalities
        labels: class of each sample: one a line or a row, or a column as FILE:COLUMN
        groups: group of each sample, such as the image of a caption, in the same forms: folds, intervals and nulls keep
            groups whole
        ids: ids of the rows, one a line or a column as FILE:COLUMN: one file for all sides, or one for each side
        id_column: column of ids in tables (default: id, if there is one)
        out: folder of records and figures, which are named after models, labels and estimator
        figure: write the figure
        json: print the record, and nothing else
    """
    from json import dumps
    from pathlib import Path

    from vlalign.decomposition import information
    from vlalign.display.figures import save
    from vlalign.report.console import console
    from vlalign.report.information import show_information

    sides = _sides([store, *runs], ids, id_column)
    values = _values(labels, "labels", id_column, sides[0])
    grouped = None if groups is None else _values(groups, "groups of samples", id_column, sides[0])
    result = information(*map(_last_layer, sides), y=values, groups=grouped, **vars(options))
    name = _record_name(sides, labels, values, grouped, options)
    files = [result.save(Path(out) / f"{name}.json")]
    if figure:
        files.append(save(result.figure(), Path(out) / f"{name}.png"))
    if json:
        print(dumps(result.as_dict(), indent=1, ensure_ascii=False))
    else:
        show_information(result, [side.model for side in sides], files, console())


def _sides(names: list[str], ids: tuple[str, ...], id_column: str | None) -> list[Side]:
    """Return the modalities with their rows in the same order."""
    from vlalign.cli.score import choose_pairs, file_pairs
    from vlalign.data.embeddings import is_embeddings
    from vlalign.scoring.inputs import Side, check_pairing
    from vlalign.store import FeatureStore

    if is_embeddings(names[0]):
        names = _two_arrays(names[0]) if len(names) == 1 else names
        if len(ids) not in (0, 1, len(names)):
            raise VlalignError(f"--ids takes one file for all {len(names)} sides or one for each; {len(ids)} given")
        pairs = [
            file_pairs([names[0], name], (), ids if len(ids) < 2 else (ids[0], ids[i]), id_column)[0]
            for i, name in enumerate(names[1:], 1)
        ]
        features: list[Any] = [pairs[0][0], *(pair[1] for pair in pairs)]
    elif ids:
        raise VlalignError(f"--ids is for files of embeddings, not for the store {names[0]}")
    elif len(names) > 3:
        store = FeatureStore(names[0])
        features = [store.find(name) for name in names[1:]]
    else:
        features = list(_one_pair(choose_pairs(FeatureStore(names[0]), names[1:]), names[0]))
    sides = [Side(side, f"x{i}") for i, side in enumerate(features, 1)]
    for side in sides[1:]:
        if check_pairing(sides[0], side) == "id" and sides[0].ids is not None:
            side.put_in_order(sides[0].ids)
    return sides


def _one_pair(pairs: Any, store: str) -> Any:
    pairs = [pair for pair in pairs if not any(is_baseline(run.key.data) for run in pair)] or pairs
    if len(pairs) != 1:
        raise VlalignError(f"{store} has {len(pairs)} pairs of runs: name the two runs (see `vlalign runs`)")
    return pairs[0]


def _two_arrays(name: str) -> list[str]:
    """Return the names of the two arrays of an archive as files with keys."""
    import numpy as np

    from vlalign.data.array_files import IDS, decode, listed
    from vlalign.data.embeddings import split_key

    path, key = split_key(name)
    if path.suffix.lower() != ".npz" or key:
        raise VlalignError(f"{name} is one modality: name the file of the other one after it")
    if not path.is_file():
        raise VlalignError(f"{path} does not exist")
    with decode(path, lambda: np.load(path, allow_pickle=False)) as archive:
        keys = [name for name in archive.files if name not in IDS]
    if len(keys) != 2:
        raise VlalignError(f"{path} holds {listed(keys)}: name the two modalities as {path.name}:KEY {path.name}:KEY")
    return [f"{path}:{key}" for key in keys]


def _values(name: str, what: str, id_column: str | None, x: Side) -> list[Any]:
    """Return the label or group of each row of x."""
    from vlalign.data.sample_values import read_groups, read_values
    from vlalign.row_ids import by_row
    from vlalign.scoring.inputs import has_ids

    values = read_groups(name, id_column, what=what, has_ids=has_ids(x))
    if not isinstance(values, dict):
        return read_values(name, what, x.n)
    return by_row(values, x.ids, x.n, f"{what} of {name}")


def _record_name(
    sides: list[Side], labels: str, values: list[Any], groups: list[Any] | None, options: InformationOptions
) -> str:
    """Return a file name that differs between features, labels, groups and options."""
    import hashlib

    from vlalign.config import plain
    from vlalign.data.embeddings import split_key
    from vlalign.scoring.record import slug

    path, column = split_key(labels)
    about = [side.describe() for side in sides]
    features = [side["run"]["hash"] if side["run"] else side["tensor"]["sha256"] for side in about]
    content = (features, sides[0].ids, values, plain(options), *([] if groups is None else [groups]))
    digest = hashlib.sha256(repr(content).encode()).hexdigest()
    models = [slug(side.model) for side in sides]
    what = "__".join([*models, slug(f"{path.stem}-{column}" if column else path.stem), options.estimator])
    return f"{what[:180]}-{digest[:8]}"


def _last_layer(side: Side) -> Tensor:
    return side.load(len(side.axis) - 1)[:]


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("information"))
