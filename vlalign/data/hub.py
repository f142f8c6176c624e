"""Data sets from the Hugging Face Hub, pinned to a commit."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data.reading import Source, reading, undecoded
from vlalign.data.spec import DEFAULT_REVISIONS, DataSpec
from vlalign.remote import hub_errors, resolve_revision

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)


def open_hub(spec: DataSpec) -> Source:
    """Open a Hub data set at one commit; without network, at the commit the cache knows for the revision.

    Raises VlalignError: no such set, revision, configuration or split; gated or private without token; no network and
    not in the cache.
    """
    revision = spec.revision or DEFAULT_REVISIONS.get(spec.source, "main")
    commit = resolve_revision(spec.source, kind="dataset", revision=revision)
    log.info("data set %s, revision %s: commit %s", spec.source, revision, commit)
    dataset = _load(spec, revision, commit)
    return Source(undecoded(dataset), spec.source, f"data set {spec.source}", revision=commit)


def _load(spec: DataSpec, revision: str, commit: str) -> Dataset:
    """Load one split at a commit.

    A commit does not change, so what was prepared from it once is taken from the cache, without network. Where the Hub
    does not answer, `datasets` would take whatever version of the set it cached last; here only this commit will do.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetBuildError, DatasetNotFoundError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    with reading(f"data set {spec.source}"):
        builder = _cached(spec, commit)
        if builder is not None:
            return builder.as_dataset(split=spec.split)
        try:
            dataset = load_dataset(spec.source, spec.config, revision=commit, split=spec.split)
            if all(commit in Path(file["filename"]).parts for file in dataset.cache_files):
                return dataset
            failure: Exception = OfflineModeIsEnabled(f"{spec.source} was cached at another commit than {commit}")
        except (ValueError, DatasetBuildError):
            raise  # a wrong split or configuration, or broken files: the Hub is not at fault
        except Exception as error:
            if type(error).__name__ in ("EmptyDatasetError", "DataFilesNotFoundError"):
                raise
            failure = error
        with hub_errors(spec.source, kind="dataset", revision=revision):
            if isinstance(failure, DatasetNotFoundError):  # does not say whether for want of a token: ask for a file
                HfApi().hf_hub_download(spec.source, "README.md", repo_type="dataset", revision=commit)
            raise failure


def _cached(spec: DataSpec, commit: str) -> Any:
    """The `datasets` builder of what was prepared in the cache at this very commit and configuration, or None."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.cache.cache import Cache

    *owner, name = spec.source.split("/")
    cache = Path(config.HF_DATASETS_CACHE).expanduser() / "___".join([*owner, camelcase_to_snakecase(name)])
    configuration = spec.config or "default"
    found = sorted(folder for folder in cache.glob(f"{configuration}/*/{commit}") if folder.is_dir())
    if not found:
        return None
    version = found[-1].parts[-2]
    return Cache(dataset_name=name, repo_id=spec.source, config_name=configuration, version=version, hash=commit)
