"""Verification of cached model files against the checksums recorded when they were fetched."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vlalign.errors import VlalignError
from vlalign.files import read_json, sha256_file, write_whole
from vlalign.paths import cache_folder

#: endings of the files that loading a model may read
READ_SUFFIXES = {".json", ".safetensors", ".bin", ".model", ".txt", ".gguf", ".py", ".jinja"}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_cached(repo: str, revision: str, gguf_file: str | None = None) -> None:
    """Refuse a Hub model whose cached files were changed or damaged after they were fetched.

    The cache names large files, such as weights, by the sha256 of their content; the names of small ones differ between
    the Hub and its mirrors and are not checked.

    Args:
        repo: ``owner/name``.
        revision: the commit.
        gguf_file: the only file that is read, for GGUF; else every file of the snapshot that loading may read.

    Raises:
        VlalignError: a file does not match its name.
    """
    from huggingface_hub import try_to_load_from_cache

    first = try_to_load_from_cache(repo, gguf_file or "config.json", revision=revision)
    if not isinstance(first, str):
        return
    files = (
        [Path(first)] if gguf_file else sorted(p for p in Path(first).parent.rglob("*") if p.suffix in READ_SUFFIXES)
    )
    if any(path.suffix == ".safetensors" for path in files):
        files = [path for path in files if path.suffix != ".bin"]
    blobs = {path.resolve(): path.name for path in files}
    expected = {blob: blob.name for blob in blobs if _SHA256.fullmatch(blob.name) and blob.is_file()}
    for blob in _changed(expected):
        raise _damaged(repo, blobs[blob], blob)


def check_converted(name: str, folder: Path) -> None:
    """Refuse a converted model whose files do not match the checksums in its ``source.json``.

    Args:
        name: of the model, for messages.
        folder: of the model, as :mod:`vlalign.demo.wheels` writes it.

    Raises:
        VlalignError: a file was changed or damaged.
    """
    checksums = read_json(folder / "source.json").get("checksums", {})
    for path in _changed({folder / file: checksum for file, checksum in checksums.items()}):
        raise _damaged(name, path.name, folder)


def _damaged(model: str, file: str, delete: Path) -> VlalignError:
    return VlalignError(
        f"{model}: {file} was changed or damaged in the local cache, for its checksum no longer matches: "
        f"delete {delete} and run the same command again, which fetches it anew"
    )


def _changed(expected: Mapping[Path, str]) -> Iterator[Path]:
    """Yield files that do not have the sha256 expected of them.

    Hashing takes one to three seconds per gigabyte, once for each file: ``verified.json`` in vlalign's cache lists
    those that passed by size, time and inode.
    """
    record = cache_folder() / "verified.json"
    try:
        known = read_json(record)
    except (OSError, ValueError):
        known = {}
    known, fresh = known if isinstance(known, dict) else {}, {}
    for path, checksum in expected.items():
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        if known.get(checksum) == mark:
            continue
        if sha256_file(path) != checksum:
            yield path
        fresh[checksum] = mark
    if fresh:
        with contextlib.suppress(VlalignError):  # a cache that cannot be written costs time only
            write_whole(record, json.dumps(known | fresh))
