"""Cached weights against the checksums that were noted when they were fetched."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vlalign.demo.wheels import DONE, cache_folder, model_folder, sha256_file
from vlalign.errors import VlalignError
from vlalign.files import write_whole

_SHA256 = re.compile(r"[0-9a-f]{64}")
_READ = {".json", ".safetensors", ".bin", ".model", ".txt", ".gguf", ".py", ".jinja"}


def check_cached(repo: str, revision: str, gguf_file: str | None = None) -> None:
    """Refuse a Hub model whose files in the cache were changed or damaged since they were fetched.

    The cache names large files, such as weights, by the sha256 of their content; the names of small ones differ between
    the Hub and its mirrors and are not checked.

    Args:
        repo: ``owner/name``.
        revision: the commit.
        gguf_file: the one file that is read, for GGUF; else every file of the snapshot that loading may read.

    Raises:
        VlalignError: a file does not match its name.
    """
    from huggingface_hub import try_to_load_from_cache

    first = try_to_load_from_cache(repo, gguf_file or "config.json", revision=revision)
    if not isinstance(first, str):
        return
    files = [Path(first)] if gguf_file else sorted(p for p in Path(first).parent.rglob("*") if p.suffix in _READ)
    if any(path.suffix == ".safetensors" for path in files):
        files = [path for path in files if path.suffix != ".bin"]
    blobs = {path.resolve(): path.name for path in files}
    expected = {blob: blob.name for blob in blobs if _SHA256.fullmatch(blob.name) and blob.is_file()}
    for blob in _changed(expected):
        raise VlalignError(
            f"{repo}: {blobs[blob]} was changed or damaged in the local cache, for its checksum no longer matches: "
            f"delete {blob} and run the same command again, which fetches it anew"
        )


def check_wheel(name: str) -> None:
    """Refuse a model from a wheel whose converted files were changed or damaged; see :mod:`vlalign.demo.wheels`.

    Raises:
        VlalignError: a file does not match the checksum that was noted when it was written.
    """
    folder = model_folder(name)
    checksums = json.loads((folder / DONE).read_text(encoding="utf-8")).get("checksums", {})
    for path in _changed({folder / file: checksum for file, checksum in checksums.items()}):
        raise VlalignError(
            f"{name}: {path.name} was changed or damaged in the local cache, for its checksum no longer matches: "
            f"delete {folder} and run the same command again, which fetches it anew"
        )


def _changed(expected: Mapping[Path, str]) -> Iterator[Path]:
    """Yield files that do not have the sha256 expected of them.

    Hashing takes one to three seconds per gigabyte, once for each file: ``verified.json`` in vlalign's cache lists
    those that passed by size, time and inode.
    """
    known, fresh = _verified(), {}
    for path, checksum in expected.items():
        stamp = path.stat()
        mark = [stamp.st_size, stamp.st_mtime_ns, stamp.st_ino]
        if known.get(checksum) == mark:
            continue
        if sha256_file(path) != checksum:
            yield path
        fresh[checksum] = mark
    if fresh:
        text = json.dumps(known | fresh)
        with contextlib.suppress(VlalignError):  # a cache that cannot be written costs time only
            write_whole(cache_folder() / "verified.json", lambda part: part.write_text(text, encoding="utf-8"))


def _verified() -> dict[str, list[int]]:
    """Return size, time and inode of the files that passed before, by checksum."""
    try:
        known = json.loads((cache_folder() / "verified.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
