"""Repositories of the stand-in Hub, kept in memory: blobs, commits, branches and tags."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LFS_SUFFIXES = {".safetensors", ".bin", ".parquet", ".arrow", ".gguf", ".model", ".png", ".jpg", ".jpeg", ".npz", ".pt"}
LFS_BYTES = 10 * 1024 * 1024


def wants_lfs(path: str, size: int) -> bool:
    """Whether the Hub would keep this file in LFS: by suffix, or because it is large."""
    return Path(path).suffix.lower() in LFS_SUFFIXES or size > LFS_BYTES


@dataclass(frozen=True)
class Blob:
    """One file's content: a path on disk, or bytes that came by a commit."""

    source: Path | bytes
    size: int
    sha256: str
    git_oid: str  # sha1 as git computes it
    lfs: bool

    @classmethod
    def make(cls, source: Path | bytes, path: str, *, lfs: bool | None = None) -> Blob:
        """Hash ``source``; ``lfs=None`` decides by suffix and size."""
        data = source if isinstance(source, bytes) else source.read_bytes()
        return cls(
            source=source,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            git_oid=hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
            lfs=wants_lfs(path, len(data)) if lfs is None else lfs,
        )

    @property
    def etag(self) -> str:
        """What the Hub sends: sha256 of LFS files, git's sha1 of the others."""
        return self.sha256 if self.lfs else self.git_oid

    def read(self) -> bytes:
        """The content."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    def info(self, path: str) -> dict[str, Any]:
        """The entry of ``/tree`` and ``/paths-info``."""
        entry: dict[str, Any] = {"type": "file", "path": path, "size": self.size, "oid": self.git_oid}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return entry


@dataclass(frozen=True)
class Commit:
    """A state of a repository; ``oid`` is derived from the content, the parent and the title."""

    oid: str
    parent: str | None
    title: str
    files: dict[str, Blob]

    @classmethod
    def make(cls, repo: str, files: dict[str, Blob], parent: str | None, title: str) -> Commit:
        """The same content on the same parent always has the same id."""
        digest = hashlib.sha1(f"{repo}\n{parent or ''}\n{title}\n".encode())
        for path in sorted(files):
            digest.update(f"{path} {files[path].sha256}\n".encode())
        return cls(digest.hexdigest(), parent, title, dict(sorted(files.items())))

    def folders(self) -> set[str]:
        """Every folder that holds a file, as repository paths."""
        return {str(parent) for path in self.files for parent in Path(path).parents if str(parent) != "."}

    def entry(self, path: str) -> dict[str, Any] | None:
        """The listing entry of a file or folder, or None."""
        path = path.strip("/")
        if path in self.files:
            return self.files[path].info(path)
        if path in self.folders():
            return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}
        return None

    def tree(self, path: str = "", *, recursive: bool = False) -> list[dict[str, Any]]:
        """Entries under a folder ("" for the root), sorted by path."""
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        names = [name for name in (*self.files, *self.folders()) if name.startswith(prefix) and name != prefix]
        if not recursive:
            names = [name for name in names if "/" not in name[len(prefix) :]]
        return [entry for name in sorted(names) if (entry := self.entry(name)) is not None]


@dataclass
class Repo:
    """A model, data set or Space repository."""

    kind: str  # "model" | "dataset" | "space"
    id: str
    gated: bool = False
    private: bool = False
    sdk: str | None = None  # of a Space, which starts with a page of the Hub
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pull_requests: list[str] = field(default_factory=list)  # commit of each, the first one has the number 1
    merged: set[int] = field(default_factory=set)  # numbers of pull requests
    comments: list[tuple[int, str]] = field(default_factory=list)  # number of the pull request, text
    commits: dict[str, Commit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.branches:
            files = {".gitattributes": Blob.make(b"*.safetensors filter=lfs -text\n", "")}
            if self.kind == "space":
                files |= {name: Blob.make(b"---\nsdk: static\n---\n", name) for name in ("README.md", "index.html")}
            self.commit("main", files, "initial commit")

    def open_pull_request(self, parent: Commit, files: dict[str, Blob], title: str) -> Commit:
        """Put ``files`` (the whole state) on a new ``refs/pr/N``."""
        commit = Commit.make(f"{self.kind}s/{self.id}", files, parent.oid, title)
        self.commits[commit.oid] = commit
        self.pull_requests.append(commit.oid)
        return commit

    def merge(self, number: int) -> Commit:
        """Put what a pull request adds to its parent, or changes there, on the branch ``main``."""
        commit = self.commits[self.pull_requests[number - 1]]
        before = self.commits[commit.parent or ""].files
        changed = {path: blob for path, blob in commit.files.items() if before.get(path) != blob}
        main = self.commits[self.branches["main"]]
        if any(main.files.get(path) != before.get(path) for path in changed):
            raise ValueError(f"pull request {number} conflicts with main")
        self.merged.add(number)
        return self.commit("main", main.files | changed, f"Merge pull request {number}")

    def commit(self, branch: str, files: dict[str, Blob], title: str) -> Commit:
        """Put ``files`` (the whole state) on a branch, which is made when it does not exist."""
        commit = Commit.make(f"{self.kind}s/{self.id}", files, self.branches.get(branch), title)
        self.commits[commit.oid] = commit
        self.branches[branch] = commit.oid
        return commit

    def resolve(self, revision: str) -> Commit | None:
        """The commit of a branch, tag, ``refs/...`` name, or (shortened) commit id."""
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        pulls = {f"refs/pr/{number}": oid for number, oid in enumerate(self.pull_requests, 1)}
        oid = self.branches.get(name) or self.tags.get(name) or pulls.get(name)
        if oid is None and len(name) >= 7:
            oid = next((known for known in self.commits if known.startswith(name)), None)
        return None if oid is None else self.commits[oid]

    def history(self, commit: Commit) -> list[Commit]:
        """The commit and its ancestors, newest first."""
        chain = [commit]
        while (parent := chain[-1].parent) is not None:
            chain.append(self.commits[parent])
        return chain

    def discussions(self) -> list[dict[str, Any]]:
        """The open pull requests, as ``/discussions`` lists them."""
        return [
            {
                "title": self.commits[oid].title,
                "num": number,
                "author": {"name": "stranger"},
                "createdAt": "2024-01-01T00:00:00.000Z",
                "status": "open",
                "repo": {"name": self.id, "type": self.kind},
                "isPullRequest": True,
            }
            for number, oid in enumerate(self.pull_requests, 1)
            if number not in self.merged
        ]

    def info(self, commit: Commit, *, blobs: bool = False) -> dict[str, Any]:
        """The answer of ``/api/models/{id}`` and ``/api/datasets/{id}``."""
        siblings: list[dict[str, Any]] = []
        for path, blob in commit.files.items():
            sibling: dict[str, Any] = {"rfilename": path}
            if blobs:
                entry = blob.info(path)
                sibling |= {"size": entry["size"], "blobId": entry["oid"]}
                if blob.lfs:
                    sibling["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": 134}
            siblings.append(sibling)
        return {
            "_id": hashlib.sha1(self.id.encode()).hexdigest()[:24],
            "id": self.id,
            **({"modelId": self.id} if self.kind == "model" else {}),
            "author": self.id.split("/")[0] if "/" in self.id else None,
            "sha": commit.oid,
            "lastModified": "2024-01-01T00:00:00.000Z",
            "createdAt": "2024-01-01T00:00:00.000Z",
            "private": self.private,
            **({"sdk": self.sdk} if self.kind == "space" else {}),
            "gated": "manual" if self.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": siblings,
        }


def folder_files(folder: Path) -> dict[str, Blob]:
    """Every file under ``folder`` as blobs that stay on disk, keyed by repository path."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no such folder to serve: {folder}")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {name: Blob.make(path, name) for path in paths for name in [path.relative_to(folder).as_posix()]}
