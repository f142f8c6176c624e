"""Pull of features: runs of a feature store, rebuilt from a data set that :func:`vlalign.hub.push` made."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlalign.environment import environment
from vlalign.errors import VlalignError, did_you_mean
from vlalign.files import check_space, sha256_file
from vlalign.hub.metadata import FOLDER, STORED, About, read_all_abouts
from vlalign.hub.parquet import digest_of, read_shards
from vlalign.remote import hub_errors, resolve_revision
from vlalign.store import FeatureStore, Run, RunWriter, Shard, TokenNorms
from vlalign.store.shard import ShardError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pulled:
    """A run in the store, and whether it was written now."""

    about: About
    run: Run
    fresh: bool


def pull(repo: str, store: str | Path, *, revision: str | None = None, configs: Sequence[str] = ()) -> list[Pulled]:
    """Rebuild runs of a feature store from a data set of the Hub, and verify every checksum.

    Values that differ from those that were pushed are refused. Runs that were pushed as float32 (or as a float16 that
    lost nothing) have their original key, byte for byte. Rounded ones have the key with ``stored: float16`` added, so
    that they are not mistaken for the original.

    Args:
        repo: ``owner/name``.
        store: folder of the store; existing complete runs stay.
        revision: branch, tag or commit.
        configs: these only.

    Raises:
        VlalignError: no such data set, revision or configuration; not made by vlalign; damaged or altered; no space.
    """
    commit = resolve_revision(repo, kind="dataset", revision=revision)
    abouts = _choose(read_all(repo, commit, revision), repo, configs)
    target = FeatureStore(store)
    need = sum(4 * about.n * sum(layer.width for layer in about.layers) for about in abouts)
    check_space(target.root, need)
    pulled = []
    for about in abouts:
        run = target.open(about.pulled_key) if target.root.is_dir() else None
        if run is not None and not run.verify():
            if _other_shards(about, run):
                log.warning("%s was not made from the pushed files and differs in bytes; it stays", run.path)
            target.writer(run.key, run.ids, run.shard_rows)  # removes files that a killed process left
            fresh = False
        else:
            files = [_download(repo, commit, part.path, part.sha256) for part in about.parts]
            origin = {"from": repo, "commit": commit, "config": about.config}
            run, fresh = _rebuild(about, files, target, origin), True
        if about.norms is not None and (fresh or run.token_norms() is None):
            _write_norms(run, about, _download(repo, commit, about.norms.path, about.norms.sha256))
            run = Run(run.path)
        pulled.append(Pulled(about, run, fresh))
    return pulled


def read_all(repo: str, commit: str, revision: str | None = None) -> list[About]:
    """Read the descriptions of all configurations of a data set.

    Raises:
        VlalignError: vlalign pushed no configuration, or a description cannot be read.
    """
    from huggingface_hub import snapshot_download

    with hub_errors(repo, kind="dataset", revision=revision):
        folder = snapshot_download(repo, repo_type="dataset", revision=commit, allow_patterns=[f"{FOLDER}/*.json"])
    files = {f"{FOLDER}/{path.name}": path.read_bytes() for path in (Path(folder) / FOLDER).glob("*.json")}
    if not (abouts := read_all_abouts(files, repo)):
        raise VlalignError(
            f"data set {repo!r} holds no features that vlalign pushed: check the name and the --revision"
        )
    return abouts


def runs_on_hub(repo: str, revision: str | None = None) -> dict[str, str]:
    """Return the configurations of a data set of features by the hashes of their runs' keys.

    Rounded features have two: that of the original, and that of the run which pulling makes.

    Args:
        repo: ``owner/name``.
        revision: branch, tag or commit.

    Raises:
        VlalignError: no such data set or revision, or not made by vlalign.
    """
    abouts = read_all(repo, resolve_revision(repo, kind="dataset", revision=revision), revision)
    return {key.hash: about.config for about in abouts for key in (about.key, about.pulled_key)}


def _choose(abouts: list[About], repo: str, configs: Sequence[str]) -> list[About]:
    names = [about.config for about in abouts]
    for wanted in configs:
        if wanted not in names:
            hint = did_you_mean(wanted, names) or f": it has {', '.join(names[:10])}"
            raise VlalignError(f"data set {repo!r} has no configuration {wanted!r}{hint}")
    return [about for about in abouts if not configs or about.config in configs]


def _download(repo: str, commit: str, path: str, sha256: str) -> Path:
    """Download a file of the data set, again if the cached one is damaged.

    Raises:
        VlalignError: it differs from the pushed one.
    """
    from huggingface_hub import hf_hub_download

    with hub_errors(repo, kind="dataset", revision=commit):
        for force in (False, True):
            file = Path(hf_hub_download(repo, path, repo_type="dataset", revision=commit, force_download=force))
            digest = sha256_file(file)
            if digest == sha256:
                return file
    raise VlalignError(
        f"{path} of data set {repo!r} is damaged or was altered: its SHA-256 is {digest[:16]}…, and {sha256[:16]}… was "
        "pushed; ask its owner to push it again with --force"
    )


def _rebuild(about: About, files: Sequence[Path], store: FeatureStore, origin: dict[str, Any]) -> Run:
    """Write a run through the store's own writer, and compare with the checksums of the original's shards."""
    writer = store.writer(about.pulled_key, _ids(files), about.shard_rows)
    _check_plan(about, writer)
    missing = set(writer.missing(require=[extra.name for extra in about.extras]))
    if not about.precision.exact:  # existing shards may not come from these files
        missing = set(writer.shards)
    for index, ids, layers, extras in read_shards(files, about.shards, about.layers, about.extras):
        shard = writer.shards[index]
        if about.digests and digest_of(ids, layers, extras) != about.digests[index]:
            raise _altered(about, index)
        if shard in missing or sha256_file(writer.path / about.shards[index].file) != about.shards[index].sha256:
            features = {layer.name: values.float() for layer, values in zip(about.layers, layers, strict=True)}
            known = about.shards[index].sha256 if about.precision.exact and not about.digests else None
            try:
                writer.write(shard, features, about.layers, extras, sha256=known)
            except ShardError as error:
                raise _altered(about, index) from error
            except ValueError as error:
                raise VlalignError(f"{files[0]} does not fit its description: {error}") from error
    facts = dict(about.facts)
    if not about.precision.exact:
        facts[STORED] = {"dtype": about.dtype, "original": about.key.hash, **asdict(about.precision), **origin}
    writer.log({"event": "pulled", **origin, "environment": environment()})
    run = writer.finish(facts)
    if other := _other_shards(about, run):
        log.warning(
            "%s: %d files differ in bytes from the original's, first %s (another version of safetensors may have "
            "written them); their values are those that were pushed", run.path, len(other), other[0]
        )  # fmt: skip
    return run


def _write_norms(run: Run, about: About, file: Path) -> None:
    """Write the pushed token norms beside the shards of a run.

    Raises:
        VlalignError: they are damaged, or not of these samples and layers.
    """
    norms = TokenNorms.read(file, about.key.hash, Shard(0, 0, about.n))
    if norms.ratio.shape[1:] != (len(about.layers),):
        raise VlalignError(f"{file} does not hold the token norms of {len(about.layers)} layers, as its push states")
    for index, entry in enumerate(run.shards):
        shard = Shard(index, entry.start, entry.stop)
        norms.rows(entry.start, entry.stop).write(run.layout.norms(shard, len(run.shards)), run.key.hash, shard)


def _altered(about: About, index: int) -> VlalignError:
    return VlalignError(
        f"shard {index} of {about.config} does not hold the values that were pushed, which its run key promises: they "
        "were altered, or the push is damaged; ask the owner of the data set to remove it and push it again"
    )


def _other_shards(about: About, run: Run) -> list[str]:
    """List the files of a run that differ in bytes from the pushed ones, where they should not."""
    if not about.precision.exact or len(run.shards) != len(about.shards):
        return []
    return [new.file for new, old in zip(run.shards, about.shards, strict=True) if new.sha256 != old.sha256]


def _ids(files: Sequence[Path]) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return [str(name) for file in files for name in pq.read_table(file, columns=["id"])["id"].to_pylist()]
    except (OSError, pa.ArrowException) as error:
        raise VlalignError(f"cannot read the ids of {files[0]}: {error}") from error


def _check_plan(about: About, writer: RunWriter) -> None:
    """Check that ids and shards are those that were pushed."""
    rows, pushed = ([(one.start, one.stop) for one in shards] for shards in (writer.shards, about.shards))
    if rows != pushed or sha256_file(writer.layout.ids) != about.ids_sha256:
        raise VlalignError(
            f"the ids or rows of {about.config} are not those that were pushed: remove {writer.path} and ask the "
            "owner of the data set to push it again"
        )
