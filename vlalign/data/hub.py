"""Data sets from the Hugging Face Hub, pinned to a commit."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.card import card_configs, refuse_outside
from vlalign.data.folders import METADATA, is_image_file
from vlalign.data.source import Source, reading, undecoded
from vlalign.data.spec import DEFAULT_REVISIONS, DataSpec
from vlalign.data.splits import select_split
from vlalign.data.tables import append, as_dataset, read_columns
from vlalign.display import quoted, some
from vlalign.errors import VlalignError
from vlalign.files import work_folder
from vlalign.remote import hub_errors, resolve_revision

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)


def open_hub(spec: DataSpec) -> Source:
    """Open a Hub data set at one commit; without network, at the commit the cache knows for the revision.

    Raises VlalignError: no such set, revision, configuration or split; gated or private without token; no network and
    not in the cache; data outside the set.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    revision = spec.revision or DEFAULT_REVISIONS.get(spec.source, "main")
    commit = resolve_revision(spec.source, kind="dataset", revision=revision)
    log.info("data set %s, revision %s: commit %s", spec.source, revision, commit)
    where = f"data set {spec.source}"
    with reading(where):
        tables = _kept_tables(spec, commit)
        dataset = tables if tables is not None else _load(spec, revision, commit)
    base = None
    if dataset.builder_name == "imagefolder":  # its images are files in the cache, named by their whole paths
        base = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=spec.source, repo_type="dataset")
    return Source(undecoded(dataset), spec.source, where, revision=commit, base=base)


def _load(spec: DataSpec, revision: str, commit: str) -> Dataset:
    """Load one split at a commit.

    A commit does not change, so a version prepared from it is read from the cache, without network. If the Hub does not
    answer, `datasets` would take the version of the set that it cached last, whatever its commit; this does not.
    """
    from datasets import config, load_dataset_builder
    from datasets.exceptions import DatasetBuildError, DatasetNotFoundError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    text_cache = _text_cache()
    prepared = _cached(spec, commit, text_cache)
    earlier = _cached(spec, commit, Path(config.HF_DATASETS_CACHE).expanduser())
    if prepared is None and earlier is not None and not _reads_text(earlier):
        prepared = earlier
    if prepared is not None:
        return prepared.as_dataset(split=spec.split)
    try:
        _check_card(spec, commit)
        builder = load_dataset_builder(spec.source, spec.config, revision=commit)
        files = _files_inside(builder, spec, commit)
        if files and _reads_text(builder):
            if builder.info.builder_name != "imagefolder":
                return _read_tables(spec, commit, builder, files)
            builder = load_dataset_builder(spec.source, spec.config, revision=commit, cache_dir=str(text_cache))
            builder._read_metadata = _metadata_table
        builder.download_and_prepare()
        dataset = builder.as_dataset(split=spec.split)
        if all(commit in Path(file["filename"]).parts for file in dataset.cache_files):
            _warn_of_lone_images(files, dataset, spec, commit)
            return dataset
        failure: Exception = OfflineModeIsEnabled(f"{spec.source} was cached at another commit than {commit}")
    except (VlalignError, ValueError, DatasetBuildError):
        raise  # a wrong split or configuration, or broken files: not a failure of the Hub
    except Exception as error:
        if type(error).__name__ in ("EmptyDatasetError", "DataFilesNotFoundError"):
            raise
        failure = error
    if earlier is not None:  # without network: as an earlier version prepared it
        return earlier.as_dataset(split=spec.split)
    with hub_errors(spec.source, kind="dataset", revision=revision):
        if isinstance(failure, DatasetNotFoundError):  # perhaps for lack of a token: a request for a file shows it
            HfApi().hf_hub_download(spec.source, "README.md", repo_type="dataset", revision=commit)
        raise failure


def _check_card(spec: DataSpec, commit: str) -> None:
    """Raise VlalignError for a README that `datasets` must not read.

    Its YAML expands by aliases to a huge size, or names data outside the data set.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    folder = None
    for name in ("README.md", ".huggingface.yaml"):
        try:
            folder = Path(hf_hub_download(spec.source, name, repo_type="dataset", revision=commit)).parent
        except EntryNotFoundError:
            continue
    if folder is not None:
        where = f"data set {spec.source}"
        refuse_outside(where, card_configs(where, folder), f"hf://datasets/{spec.source}")


def _files_inside(builder: Any, spec: DataSpec, commit: str) -> dict[str, list[str]]:
    """Return the data files of each split, relative to the repository; empty if the builder reads from the cache.

    Raises:
        VlalignError: the README of the data set names a file of another place, such as one of this machine.
    """
    start = f"hf://datasets/{spec.source}@{commit}/"
    files = {str(split): [str(file) for file in named] for split, named in (builder.config.data_files or {}).items()}
    for name in (name for named in files.values() for name in named):
        inner, _, place = name.rpartition("::")
        if not place.startswith(start) or ".." in Path(place).parts or inner.startswith(("file:", "local:")):
            raise VlalignError(f"data set {spec.source} names {quoted(name)} as data: only its own files are read")
    return {split: [name.removeprefix(start) for name in named] for split, named in files.items()}


def _reads_text(builder: Any) -> bool:
    """Return whether a `datasets` builder reads CSV or JSON, or images with such metadata, by its usual options.

    These are read by `vlalign.data.tables` instead: `datasets` takes "007" for a number and "NA" for a missing value.
    """
    usual = type(builder.config)()
    about = {"name", "version", "data_dir", "data_files", "description", "sep", "delimiter"}
    names = {field.name for field in dataclasses.fields(usual)} - about
    if any(getattr(builder.config, name) != getattr(usual, name) for name in names):
        return False
    if builder.info.builder_name != "imagefolder":
        return builder.info.builder_name in ("csv", "json")
    if builder.config.data_files:
        return any(Path(str(file)).name in METADATA for named in builder.config.data_files.values() for file in named)
    return not set(builder.info.features or ()) <= {"image", "label"}


def _metadata_table(metadata_file: str, metadata_ext: str = "") -> Iterator[Any]:
    """Yield the rows of an image folder's metadata file, as `datasets` requests them, with every text unchanged."""
    import pyarrow.parquet as pq

    if metadata_ext == ".parquet":
        yield pq.ParquetFile(metadata_file).read()
    else:
        where = Path(metadata_file).name
        yield as_dataset(read_columns(Path(metadata_file), where, kind=metadata_ext), where).data.table


def _warn_of_lone_images(files: dict[str, list[str]], dataset: Dataset, spec: DataSpec, commit: str) -> None:
    """Warn of images of an image folder that have no row in its metadata, or that no name assigns to a split."""
    from huggingface_hub import HfApi

    if dataset.builder_name != "imagefolder":
        return
    images = sum(map(is_image_file, files.get(spec.split, [])))
    if images > len(dataset):
        lone = images - len(dataset)
        log.warning("data set %s: %d of %d images have no row in its metadata, left out", spec.source, lone, images)
    inside = {name for named in files.values() for name in named}
    every = HfApi().list_repo_files(spec.source, repo_type="dataset", revision=commit) if files else []
    if inside and (apart := [name for name in every if is_image_file(name) and name not in inside]):
        log.warning(
            "data set %s: %d images lie outside its splits (%s) and are left out: %s",
            spec.source, len(apart), ", ".join(files), some(apart),
        )  # fmt: skip


def _text_cache() -> Path:
    """Return the cache of tables read as text, separate from that of `datasets`, which reads "007" as 7."""
    from datasets import config

    return Path(config.HF_DATASETS_CACHE).expanduser() / "vlalign_text"


def _tables_folder(spec: DataSpec, commit: str) -> Path:
    return _text_cache() / "tables" / "___".join(spec.source.split("/")) / (spec.config or "default") / commit


def _kept_tables(spec: DataSpec, commit: str) -> Dataset | None:
    """Return a split that `_read_tables` cached for this commit and configuration, or None."""
    from datasets import load_from_disk

    folder = _tables_folder(spec, commit)
    if not folder.is_dir():
        return None
    splits = load_from_disk(str(folder))
    return select_split({name: partial(splits.get, name) for name in splits}, spec.split, f"data set {spec.source}")


def _read_tables(spec: DataSpec, commit: str, builder: Any, files: dict[str, list[str]]) -> Dataset:
    """Read the CSV or JSON files of all splits and cache the result; return the requested split."""
    from datasets import DatasetDict
    from filelock import FileLock
    from huggingface_hub import hf_hub_download

    usual = type(builder.config)()
    separator = getattr(builder.config, "sep", None)
    if separator in (getattr(usual, "sep", None), "\t"):
        separator = None
    splits = {}
    for split, names in files.items():
        columns: dict[str, list[Any]] = {}
        for name in names:
            path = hf_hub_download(spec.source, name, repo_type="dataset", revision=commit)
            append(columns, read_columns(Path(path), f"data set {spec.source}, {name}", separator))
        splits[split] = as_dataset(columns, f"data set {spec.source}")
    folder = _tables_folder(spec, commit)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{commit}.lock")), work_folder(folder.parent) as work:
        if not folder.is_dir():  # else another process cached it meanwhile
            DatasetDict(splits).save_to_disk(work / commit)
            os.rename(work / commit, folder)
    kept = _kept_tables(spec, commit)
    assert kept is not None
    return kept


def _cached(spec: DataSpec, commit: str, cache: Path) -> Any:
    """Return the `datasets` builder of a set prepared in a cache at exactly this commit and configuration, or None."""
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.cache.cache import Cache

    *owner, name = spec.source.split("/")
    folder = cache / "___".join([*owner, camelcase_to_snakecase(name)])
    configuration = spec.config or "default"
    folders = sorted(entry for entry in folder.glob(f"{configuration}/*/{commit}") if entry.is_dir())
    if not folders:
        return None
    return Cache(
        cache_dir=str(cache), dataset_name=name, repo_id=spec.source, config_name=configuration,
        version=folders[-1].parts[-2], hash=commit,
    )  # fmt: skip
