"""Kinds of files by their first bytes, for helpful errors."""

from __future__ import annotations

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "HDF5: read it with h5py and save the arrays with numpy.savez"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first with gunzip"),
    (b"BZh", "compressed with bzip2: unpack it first with bunzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz: unpack it first with unxz"),
    (b"x\x01", "compressed with zlib, as joblib does: load it with joblib and save the arrays with numpy.savez"),
    (b"x\x9c", "compressed with zlib, as joblib does: load it with joblib and save the arrays with numpy.savez"),
    (b"x\xda", "compressed with zlib, as joblib does: load it with joblib and save the arrays with numpy.savez"),
    (b"7z\xbc\xaf", "a 7-zip archive: unpack it first"),
    (b"Rar!", "a rar archive: unpack it first"),
    (b"\x93NUMPY", "one numpy array (.npy): give a folder of such files, or --array NAME=FILE of custom"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"),
    (b"PAR1", "parquet: read it with pandas and save the arrays with numpy.savez"),
    (b"MATLAB 5.0", "a MATLAB file: read it with scipy.io.loadmat and save the arrays with numpy.savez"),
)


def what_it_is(head: bytes) -> str | None:
    """Return the kind of a file by its first few hundred bytes; None if it may be a pickle.

    >>> what_it_is(b"<!DOCTYPE html><html>")
    'a web page: the download went wrong, download the file itself'
    """
    if not head:
        return "empty"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"PK\x03\x04"):
        if b"data.pkl" in head or b"/version" in head or b".format_version" in head:
            return "a file of torch.save: load it with torch and save the arrays with numpy.savez"
        return "a zip archive: unpack it first (arrays of numpy.savez end in .npz)"
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it first"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page: the download went wrong, download the file itself"
    return None


def is_text(head: bytes) -> bool:
    """Return whether the first bytes of a file are text."""
    text = head.decode("utf-8", "ignore")
    return len(text.encode()) > len(head) - 4 and all(letter.isprintable() or letter.isspace() for letter in text)
