"""A small stand-in for the Hugging Face Hub, on the loopback interface only.

It speaks enough of the Hub's API for huggingface_hub, transformers, timm and datasets to read models and data sets, and
to create repositories and commit to them::

    with HubServer() as server:
        server.add_model("huggyllama/llama-7b", folder)
        server.add_dataset("minhuh/prh", other, revision="wit_1024")
        subprocess.run(command, env=server.env(tmp_path / "home"))
        assert "model.safetensors" in server.downloads("huggyllama/llama-7b")

Or by hand: ``python -m support.hub models/huggyllama/llama-7b=FOLDER datasets/minhuh/prh@wit_1024=FOLDER``.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from support.hub_api import Handler
from support.repos import Blob, Commit, Repo, folder_files

TOKEN = "hf_stand_in_owner"  # reads and writes everything
STRANGER = "hf_stand_in_stranger"  # a valid account without access to gated or private repositories

# Dropped from the environment of subprocesses: settings of the machine that would change what the test sees.
_SETTINGS = ("HF_", "HUGGING", "TRANSFORMERS_", "DATASETS_", "TORCH_HOME")


@dataclass(frozen=True)
class Request:
    """One answered request; ``repo`` is like ``models/huggyllama/llama-7b``, ``file`` only for ``resolve``."""

    method: str
    path: str
    status: int
    repo: str | None = None
    revision: str | None = None
    file: str | None = None
    token: str | None = None
    sent: int = 0  # bytes of the answer's body


class HubServer:
    """The server; start it with ``with`` or ``start()``/``stop()``. Repositories may be added at any time."""

    def __init__(self, *, token: str = TOKEN, stranger: str = STRANGER) -> None:
        self.token = token
        self.stranger = stranger
        self.orgs: tuple[str, ...] = ("somebody",)
        """Organizations that the owner of ``token`` may make repositories in, besides ``owner``."""
        self.repos: dict[str, Repo] = {}
        self.uploads: dict[str, bytes] = {}  # LFS objects by sha256
        self.requests: list[Request] = []
        self.fault: Callable[[str, str], int | tuple[int, bytes, dict[str, str]] | None] | None = None
        """Called with (method, path) before each answer: a status, or status, body and headers, are sent instead."""
        self.lock = threading.RLock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    # -- life ----------------------------------------------------------------------------------------------------
    def start(self) -> HubServer:
        """Listen on a free port of 127.0.0.1."""
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; open connections die with their threads."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5)
        self._server = self._thread = None

    def __enter__(self) -> HubServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        if self._server is None:
            raise RuntimeError("the stand-in Hub is not running: use it as a context manager")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    # -- content -------------------------------------------------------------------------------------------------
    def add_model(self, repo_id: str, folder: str | Path, *, revision: str = "main", gated: bool = False) -> Commit:
        """Serve a folder as a model repository; a second call commits the folder's new state."""
        return self._add("model", repo_id, Path(folder), revision, gated)

    def add_dataset(self, repo_id: str, folder: str | Path, *, revision: str = "main", gated: bool = False) -> Commit:
        """Serve a folder as a data set repository on the branch ``revision``; ``main`` exists (empty) besides."""
        return self._add("dataset", repo_id, Path(folder), revision, gated)

    def _add(self, kind: str, repo_id: str, folder: Path, revision: str, gated: bool) -> Commit:
        files = folder_files(folder)
        with self.lock:
            repo = self.repos.setdefault(f"{kind}s/{repo_id}", Repo(kind, repo_id))
            repo.gated = gated
            return repo.commit(revision, files, f"folder on {revision}")

    def add_tag(self, repo: str, tag: str, revision: str = "main") -> str:
        """Tag a revision of ``models/{id}`` or ``datasets/{id}``; returns the commit id."""
        commit = self.repos[repo].resolve(revision)
        if commit is None:
            raise KeyError(f"{repo} has no revision {revision}")
        self.repos[repo].tags[tag] = commit.oid
        return commit.oid

    def files(self, repo: str, revision: str = "main") -> dict[str, Blob]:
        """What ``models/{id}`` or ``datasets/{id}`` holds, for tests of uploads (``files(...)["a"].read()``)."""
        commit = self.repos[repo].resolve(revision)
        if commit is None:
            raise KeyError(f"{repo} has no revision {revision}")
        return commit.files

    # -- use -----------------------------------------------------------------------------------------------------
    def settings(self, home: str | Path, token: str | None = None) -> dict[str, str]:
        """Only the variables that point the libraries here, with every cache under ``home``."""
        home = Path(home)
        settings = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "huggingface"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
            "TORCH_HOME": str(home / "torch"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        return settings | ({"HF_TOKEN": token} if token else {})

    def env(self, home: str | Path, token: str | None = None) -> dict[str, str]:
        """The environment for a subprocess: this process's own, less its Hub settings, plus ``settings(home)``."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_SETTINGS)}
        kept.setdefault("OMP_NUM_THREADS", "2")
        return kept | self.settings(home, token)

    def downloads(self, repo_id: str) -> list[str]:
        """Files of which the content was sent (GET, not HEAD), in order, for a bare or prefixed repository id."""
        names = {repo_id, f"models/{repo_id}", f"datasets/{repo_id}"}
        with self.lock:
            return [
                r.file for r in self.requests if r.method == "GET" and r.file and r.repo in names and r.status < 300
            ]

    def clear(self) -> None:
        """Forget the requests so far."""
        with self.lock:
            self.requests.clear()


def main(arguments: list[str]) -> None:
    """Serve ``models/ID[@REV]=FOLDER`` and ``datasets/ID[@REV]=FOLDER`` until interrupted."""
    with HubServer() as server:
        for argument in arguments:
            name, folder = argument.split("=", 1)
            kind, _, repo = name.partition("/")
            repo_id, _, revision = repo.partition("@")
            add = {"models": server.add_model, "datasets": server.add_dataset}[kind]
            add(repo_id, folder, revision=revision or "main")
        sys.stdout.write(f"export HF_ENDPOINT={server.url} HF_HUB_DISABLE_XET=1 HF_TOKEN={server.token}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
