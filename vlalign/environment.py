"""Environment in which a result was produced: versions, hardware, commit."""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("vlalign", "torch", "transformers", "timm", "datasets", "accelerate", "bitsandbytes", "numpy")


@cache
def _commit() -> str | None:
    """Return the git commit of the source tree that the package runs from, marked if files differ; None without one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None


@cache
def _versions() -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    versions = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def environment() -> dict[str, Any]:
    """Return versions of Python and of the packages used, the platform, the accelerators and the commit.

    Example:
        >>> sorted(environment())
        ['accelerators', 'git', 'packages', 'platform', 'python']
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": _versions() | {"torch": str(torch.__version__)},  # with the build, such as +cu132 or +cpu
        "accelerators": [torch.cuda.get_device_name(i) for i in range(count)],
        "git": _commit(),
    }
