"""Opening of a data set (built-in, file, folder, Hub), with all of it checked before any model is loaded."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.checks import check_images, examples, read_captions, read_ids, refuse_bad
from vlalign.data.columns import Columns, choose
from vlalign.data.edits import unedited
from vlalign.data.folders import BUILDERS, open_folder, readable
from vlalign.data.hub import open_hub
from vlalign.data.images import ImageFiles
from vlalign.data.paired import PairedData, sha256_of
from vlalign.data.source import Source, load_files, reading, undecoded
from vlalign.data.spec import BUILTIN, MODALITIES, DataSpec
from vlalign.data.splits import select_split
from vlalign.data.tables import KINDS, as_dataset, kind_of, read_columns
from vlalign.display import quoted
from vlalign.errors import VlalignError
from vlalign.files import sha256_file
from vlalign.paths import user_path

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

_WITHOUT_METADATA = {"image", "label"}  # columns of a folder of images alone


def open_data(spec: DataSpec, modalities: Collection[str]) -> PairedData:
    """Open a data set and check every sample: ids, captions, and that every image decodes.

    modalities: those that will be read, "text", "vision" or both. A bad sample (caption empty or missing, no caption of
    that index, an image that does not decode) is an error, or with on_bad_sample="skip" is left out for all modalities
    and recorded in `skipped`. Each image is read once, by a few threads, and not kept in memory.
    Raises VlalignError: the source or a column does not exist, no samples, ids missing or repeated, bad samples.

    >>> data = open_data(DataSpec("builtin:emoji", text_column="text_es", max_samples=2), {"text"})
    >>> data.ids, data.captions
    (['1f466', '1f611'], ['niño: joven', 'cara sin expresión: inexpresiva, inexpresivo, inexpresión'])
    """
    wanted = sorted(set(modalities))
    if not wanted or not set(wanted) <= set(MODALITIES):
        raise VlalignError(f"modalities are {wanted}: ask for text, vision or both")
    source = open_source(spec)
    dataset = source.dataset
    if len(dataset) == 0:
        raise VlalignError(f"{source.where} (split {spec.split}) holds no samples")
    if spec.max_samples is not None:
        dataset = dataset.select(range(min(spec.max_samples, len(dataset))))
    images_alone = source.files_are_ids and set(dataset.features) <= _WITHOUT_METADATA
    if "text" in wanted and images_alone and not spec.text_column:
        raise VlalignError(
            f"{source.where} is a folder of images without captions: write metadata.csv in it, with the columns "
            "file_name,text"
        )
    columns = choose(dataset, spec, wanted, source.where)
    ids, id_source = read_ids(dataset, columns, source)

    bad: dict[int, str] = {}
    captions: list[str] = []
    if "text" in wanted:
        captions = read_captions(dataset, columns.text, spec.caption, source, bad)
        refuse_bad(bad, ids, spec, source)
    without_caption = len(bad)
    images, digests = None, {}
    files = ImageFiles(source.base, source.anywhere)
    if "vision" in wanted:
        images = dataset.select_columns([columns.image])
        rows = [row for row in range(len(ids)) if row not in bad]
        digests = check_images(images, str(columns.image), rows, files, spec.alpha, bad)
        refuse_bad(bad, ids, spec, source)

    rows = [row for row in range(len(ids)) if row not in bad]
    if not rows:
        raise VlalignError(f"no sample of {source.where} is left: all {len(ids)} are bad, {examples(bad, ids)}")
    skipped = [{"id": ids[row], "reason": bad[row]} for row in sorted(bad)]
    if skipped:
        log.warning("%s: left out %d of %d samples: %s", source.where, len(bad), len(ids), examples(bad, ids))
    kept = [ids[row] for row in rows]
    texts = [captions[row] for row in rows] if captions else None
    return PairedData(
        ids=kept,
        id_source=id_source,
        name=source.name,
        revision=source.revision,
        captions=texts,
        skipped=skipped,
        has_images=images is not None,
        identities=_identities(
            spec, source, columns, kept, id_source, texts, [digests[row] for row in rows if digests]
        ),
        images=images,
        rows=rows,
        image_column=columns.image or "",
        files=files,
        alpha=spec.alpha,
        without_caption=source.unnamed + without_caption,
        without_image=len(bad) - without_caption if captions else 0,
    )


def available_modalities(spec: DataSpec) -> set[str]:
    """Return which of "text" and "vision" a data set has a column for; nothing is checked or decoded.

    >>> sorted(available_modalities(DataSpec("builtin:emoji")))
    ['text', 'vision']
    """
    source = open_source(spec)
    columns = choose(source.dataset, spec, (), source.where)
    return {name for name, column in (("text", columns.text), ("vision", columns.image)) if column is not None}


def _identities(
    spec: DataSpec,
    source: Source,
    columns: Columns,
    ids: list[str],
    id_source: str,
    captions: list[str] | None,
    digests: list[bytes],
) -> dict[str, dict[str, Any]]:
    """Return the data's part of the run key, by modality."""
    names = [name.encode() for name in ids]
    common = {
        "name": source.name,
        "revision": source.revision,
        "config": spec.config,
        "split": spec.split,
        "n": len(ids),
        "id_source": id_source,
        "ids": sha256_of(names),
    }
    if id_source == "row" and source.file is not None:  # row numbers pair samples of the very same file only
        common["file"] = sha256_file(source.file)
    identities: dict[str, dict[str, Any]] = {}
    if captions is not None:
        content = sha256_of(part for name, text in zip(names, captions, strict=True) for part in (name, text.encode()))
        identities["text"] = common | {"content": content, "text_column": columns.text, "caption": spec.caption}
    if digests:
        content = sha256_of(part for name, digest in zip(names, digests, strict=True) for part in (name, digest))
        identities["vision"] = common | {"content": content, "image_column": columns.image, "alpha": spec.alpha}
    return identities


def open_source(spec: DataSpec) -> Source:
    """Open the data set that spec.source names: built-in, else on disk, else on the Hub. Raises VlalignError."""
    if spec.source in BUILTIN:
        return _builtin(spec)
    path = user_path(spec.source)
    if path.exists():
        if spec.revision is not None:
            raise VlalignError(f"{spec.source} is on disk and has no revisions: leave --data-revision out")
        if spec.config is not None:
            raise VlalignError(f"{spec.source} is on disk: name the folder or file of configuration {spec.config!r}")
        return _folder(spec, path) if path.is_dir() else _file(spec, path)
    looks_local = spec.source.startswith((".", "/", "~")) or spec.source.count("/") > 1 or "\\" in spec.source
    if looks_local or kind_of(spec.source) in BUILDERS:
        raise VlalignError(f"no such file or folder: {spec.source}")
    return open_hub(spec)


def _builtin(spec: DataSpec) -> Source:
    import pyarrow.parquet as pq
    from datasets import Dataset

    if spec.revision is not None:
        raise VlalignError(f"{spec.source} has no revisions: leave --data-revision out")
    # small enough for memory, so that nothing is written to the cache
    rows = undecoded(Dataset(pq.read_table(BUILTIN[spec.source])))
    return Source(select_split({"train": lambda: rows}, spec.split, spec.source), spec.source, spec.source)


def _file(spec: DataSpec, path: Path) -> Source:
    kind = kind_of(path.name)
    if kind not in BUILDERS:
        raise VlalignError(f"{spec.source}: files ending in {path.suffix or 'nothing'} are not read; {readable()}")
    if not path.is_file():
        raise VlalignError(f"{spec.source} is no ordinary file")
    if path.stat().st_size == 0:
        raise VlalignError(f"{spec.source} holds no samples: the file has 0 bytes")

    def rows() -> Dataset:
        if kind == ".json" and (edits := unedited(path)) is not None:
            return edits
        if kind in KINDS:
            return as_dataset(read_columns(path, spec.source), spec.source)
        return undecoded(load_files(BUILDERS[kind], [path]))

    with reading(spec.source):
        dataset = select_split({"train": rows}, spec.split, spec.source)
    resolved = path.resolve()
    return Source(dataset, resolved.name, spec.source, base=resolved.parent, anywhere=kind in KINDS, file=path)


def _folder(spec: DataSpec, path: Path) -> Source:
    from datasets import DatasetDict, load_from_disk

    folder = path.resolve()
    if not ((folder / "state.json").exists() or (folder / "dataset_dict.json").exists()):
        return open_folder(spec, folder)
    if "::" in str(folder):  # `datasets` takes it for a chained URL
        raise VlalignError(f"{spec.source}: a saved data set cannot be read from a path with '::': rename the folder")
    with reading(spec.source):  # written by save_to_disk
        for state in [folder / "state.json", *folder.glob("*/state.json")]:
            names = (
                [file["filename"] for file in json.loads(state.read_bytes())["_data_files"]] if state.is_file() else []
            )
            if outside := [name for name in names if Path(name).name != name]:
                raise VlalignError(f"{spec.source}: {state.name} names {quoted(outside[0])}, a file outside the folder")
        saved = load_from_disk(str(folder))
        splits = saved if isinstance(saved, DatasetDict) else {str(saved.split or "train"): saved, "train": saved}
        known = {name: partial(undecoded, rows) for name, rows in splits.items()}
        return Source(select_split(known, spec.split, spec.source), folder.name, spec.source, base=folder)
