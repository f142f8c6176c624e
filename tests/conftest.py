"""Fixtures of the whole suite, and the guard that keeps it off the network.

The guard needs no fixture: before any library is imported, this process is pointed at a stand-in Hub on the loopback
interface (``HF_ENDPOINT``) with its caches in a temporary folder, and connections to any other host are refused. The
stand-in is empty until a test asks for ``hub``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.forks import unsynced
from support.frozen import freeze
from support.hub import HubServer
from support.runs import FakeRun, made_up_pair
from support.shown import figures_sketched
from support.tiny import TinyModels
from torch import Tensor

THREADS = "2"
# examples are the same in every run, and a busy machine is no failure
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")
_SERVER = pytest.StashKey[HubServer]()
_HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the stand-in Hub and point this process at it; let interrupts reach child processes."""
    if "huggingface_hub" in sys.modules:
        raise pytest.UsageError("huggingface_hub was imported before tests/conftest.py could redirect it")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits that it is ignored
    os.fsync = unsynced
    server = config.stash[_SERVER] = HubServer().start()
    home = config.stash[_HOME] = Path(tempfile.mkdtemp(prefix="vlalign-tests-"))
    kept = server.env(home)
    kept |= {name: os.environ.get(name, THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    kept |= {"MPLBACKEND": "Agg", "MPLCONFIGDIR": str(home / "matplotlib"), "TOKENIZERS_PARALLELISM": "false"}
    kept["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(kept)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the stand-in Hub and remove its caches."""
    if _SERVER in config.stash:
        config.stash[_SERVER].stop()
        shutil.rmtree(config.stash[_HOME], ignore_errors=True)


def _is_local(host: Any) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    return name in (None, "", "localhost", "::1", "0.0.0.0", "::", socket.gethostname()) or name.startswith("127.")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse connections and name look-ups beyond this machine, with a message that names the host."""
    patch = pytest.MonkeyPatch()

    def guarded(name: str) -> None:
        original = getattr(socket.socket, name)

        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
                raise OSError(f"a test tried to reach {address[0]}: tests must not use the network")
            return original(self, address)

        patch.setattr(socket.socket, name, connect)

    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        if not _is_local(host):
            raise socket.gaierror(f"a test tried to look up {host}: tests must not use the network")
        return look_up(host, *rest, **options)

    guarded("connect")
    guarded("connect_ex")
    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    """Tiny models, each built once when first asked for: ``tiny.path("llama")`` is a folder (read only, please)."""
    return TinyModels(tmp_path_factory.mktemp("tiny"))


MODELS = {
    "huggyllama/llama-7b": "llama",
    "bigscience/bloomz-560m": "bloom",
    "openlm-research/open_llama_3b": "open_llama",
    "timm/vit_small_patch14_dinov2.lvd142m": "timm_dinov2_small",
    "timm/vit_giant_patch14_dinov2.lvd142m": "timm_dinov2_giant",
}


@pytest.fixture(scope="session")
def hub(pytestconfig: pytest.Config, tiny: TinyModels) -> HubServer:
    """The stand-in Hub that this process already points at, with tiny models under the names of real ones.

    ``google/gemma-2b`` is gated: only ``hub.token`` opens it. ``minhuh/prh`` has its rows on branch ``wit_1024``.
    Subprocesses get ``env=hub.env(tmp_path / "home")``; add further repositories under names of your own.
    """
    server = pytestconfig.stash[_SERVER]
    for repo_id, name in MODELS.items():
        server.add_model(repo_id, tiny.path(name))
    server.add_model("google/gemma-2b", tiny.path("gemma"), gated=True)
    server.add_dataset("minhuh/prh", tiny.path("prh"), revision="wit_1024")
    return server


@pytest.fixture
def make_run() -> Callable[..., FakeRun]:
    """A stand-in for a run of the store."""
    return FakeRun


@pytest.fixture
def pair() -> tuple[list[Tensor], list[Tensor]]:
    """Two made-up models of 60 samples that share a signal; layers of different widths."""
    return made_up_pair()


@pytest.fixture(scope="module", autouse=True)
def frozen_objects() -> None:
    """Keep what libraries made out of later collections, which follow every model."""
    freeze()


@pytest.fixture
def sketched_figures() -> Iterator[None]:
    """Write figures without drawing them: for tests of pages, in which other tests look at the figures."""
    with figures_sketched():
        yield
