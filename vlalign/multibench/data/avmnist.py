"""AVMNIST: images of digits, each with a recording of the same digit."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.files import one_line
from vlalign.multibench.data.arrays import Array, as_float32, count_values, draw, measure, row_blocks
from vlalign.multibench.data.source import source_file
from vlalign.multibench.data.speech import (
    COEFFICIENTS,
    FRAMES,
    Recording,
    check_cover,
    find_speech,
    need_audio,
    read_speech,
)
from vlalign.store.checksums import sha256_bytes

if TYPE_CHECKING:
    from vlalign.multibench.data.prepared import Prepared

POOL = "cls"
VALID = 5000
_SIDE, _PATCH = 28, 4
_IMAGES, _LABELS = 2051, 2049  # first numbers of IDX files
_FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def prepare_avmnist(
    images: str | Path,
    speech: str | Path,
    folder: str | Path,
    *,
    seed: int = 0,
    samples: int | None = None,
    valid: int = VALID,
    pool: str | None = None,
    force: bool = False,
) -> Prepared:
    """Pair MNIST with spoken digits in ``folder``: image [N, 49, 16] (4×4 patches) and audio [N, 20, 36] (MFCCs).

    The last ``valid`` training images are for validation. Each image gets a recording of its digit from its split, by a
    draw that depends only on the seed and the image. Pixels are divided by 255; audio is standardised by
    mean and population standard deviation of each coefficient over the training samples as paired.

    Args:
        images: folder of the IDX files of MNIST, plain or ``.gz``.
        speech: folder of recordings as in the Free Spoken Digit Dataset (:mod:`vlalign.multibench.data.speech`).
        folder: output folder.
        seed: of the pairing.
        samples: number of first training images to use; None for all.
        valid: number of validation images.
        pool: how encoders pool; None for the convention, "cls".
        force: replace another data set in the folder.

    Raises:
        VlalignError: a file is missing or not as expected, a digit has no recordings in a split, or writing failed.
    """
    import torch

    from vlalign.multibench.data.prepared import PreparedSplit, write_prepared

    need_audio()
    images, place = Path(images), find_speech(speech)
    (pixels, digits), (test_pixels, test_digits) = (read_mnist(images, part) for part in ("train", "t10k"))
    end = len(pixels) - valid
    if end < 1:
        raise VlalignError(f"{images}: {len(pixels)} training images, of which {valid} are for validation: too few")
    if samples is not None and not 1 <= samples <= end:
        raise VlalignError(f"samples is {samples}: give 1 to {end}, the number of training images")
    recordings = read_speech(place)
    pools = check_cover(place, [recording for recording, _ in recordings.values()])
    sounds = np.stack([values for _, values in recordings.values()])
    order = {name: i for i, name in enumerate(recordings)}
    scale, splits = None, {}
    for split, part, first, last in (
        ("train", "train", 0, samples or end), ("valid", "train", end, len(pixels)),
        ("test", "test", 0, len(test_pixels)),
    ):  # fmt: skip
        chosen, labels = (pixels, digits) if part == "train" else (test_pixels, test_digits)
        labels = labels[first:last].astype(np.int64)
        ids, picked = _pair(part, first, labels, pools[split], seed, order)
        if scale is None:
            scale = measure("audio", row_blocks(sounds, picked, lambda _, rows: rows))
            sounds_scaled = as_float32("audio", scale.apply(sounds))
        image, audio = torch.from_numpy(patches(chosen[first:last])), torch.from_numpy(sounds_scaled[picked])
        splits[split] = PreparedSplit({"image": image, "audio": audio}, {}, torch.from_numpy(labels), ids)
    assert scale is not None
    about = {
        "source": [*(source_file(_idx_path(images, name)) for name in _FILES), *_speech_files(place, recordings)],
        "processing": {
            "seed": seed, "patch": _PATCH, "pixels_divided_by": 255, "mfcc": [FRAMES, COEFFICIENTS],
            "recordings": {split: sum(map(len, by_digit.values())) for split, by_digit in pools.items()},
            "standardised": {"audio": scale.to_json()},
        },
        "statistics": {split: {"labels": count_values(part.labels.numpy())} for split, part in splits.items()},
        "notes": [
            f"not the release that the paper used: {len(recordings):,} recordings in the layout of the Free Spoken "
            "Digit Dataset, without added noise, each paired with many images"
        ],
    }  # fmt: skip
    return write_prepared(
        folder, name="avmnist", task="classification", classes=10, pool=pool or POOL, splits=splits, about=about,
        force=force,
    )  # fmt: skip


def patches(pixels: Array) -> Array:
    """Return float32 [N, 49, 16] in 0 to 1 of uint8 [N, 28, 28]: patches row by row, their pixels row by row.

    >>> patches(np.arange(784).reshape(1, 28, 28).astype(np.uint8))[0, 1, :5] * 255
    array([ 4.,  5.,  6.,  7., 32.], dtype=float32)
    """
    side = _SIDE // _PATCH
    split = pixels.reshape(-1, side, _PATCH, side, _PATCH).swapaxes(2, 3)
    return (split.reshape(-1, side * side, _PATCH * _PATCH) / np.float32(255)).astype(np.float32)


def read_mnist(folder: Path, part: str) -> tuple[Array, Array]:
    """Read images uint8 [N, 28, 28] and digits uint8 [N] of MNIST's ``train`` or ``t10k``.

    Raises:
        VlalignError: a file is missing or not as expected.
    """
    path, images = _read_idx(folder, f"{part}-images-idx3-ubyte", _IMAGES, 3)
    high, wide = images.shape[1:]
    if (high, wide) != (_SIDE, _SIDE):
        raise VlalignError(f"{path} has images of {high}×{wide}: expected {_SIDE}×{_SIDE}")
    path, digits = _read_idx(folder, f"{part}-labels-idx1-ubyte", _LABELS, 1)
    if len(digits) != len(images):
        raise VlalignError(f"{path} has {len(digits)} labels for {len(images)} images")
    if digits.max(initial=0) > 9:
        raise VlalignError(f"{path} has the label {digits.max()}: expected 0 to 9")
    return images, digits


def _idx_path(folder: Path, name: str) -> Path:
    """Return the file of this name, plain or compressed, with the dot that some copies have before idx."""
    names = [name, f"{name}.gz", name.replace("-idx", ".idx"), f"{name.replace('-idx', '.idx')}.gz"]
    for path in (folder / variant for variant in names):
        if path.is_file():
            return path
    raise VlalignError(f"{folder} holds no {name} or {name}.gz: expected the four files of MNIST")


def _read_idx(folder: Path, name: str, magic: int, dimensions: int) -> tuple[Path, Array]:
    """Return the path and the uint8 array of an IDX file, whose header must fit its bytes."""
    path, most = _idx_path(folder, name), 2**30
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise VlalignError(f"cannot read {path} ({one_line(error)}): copy or download it again") from error
    if len(data) > most:
        raise VlalignError(f"{path} unpacks to more than {most} bytes: it is no file of MNIST")
    head = 4 * (1 + dimensions)
    numbers = [int.from_bytes(data[at : at + 4], "big") for at in range(0, min(len(data), head), 4)]
    if len(numbers) < 1 + dimensions or numbers[0] != magic:
        start = numbers[0] if numbers else "nothing"
        raise VlalignError(f"{path} is not an IDX file of {dimensions} dimensions: it starts with {start}, not {magic}")
    size = head + math.prod(numbers[1:])
    if len(data) != size or not numbers[1]:
        raise VlalignError(f"{path} has {len(data)} bytes, its sizes {numbers[1:]} need {size}: download it again")
    return path, np.frombuffer(data, np.uint8, offset=head).reshape(numbers[1:])


def _pair(
    part: str, first: int, labels: Array, pool: dict[int, list[Recording]], seed: int, order: dict[str, int]
) -> tuple[list[str], Array]:
    """Return the ids of the samples from the image ``first`` on, and the row of each one's recording, int64 [N]."""
    ids, picked = [], np.empty(len(labels), np.int64)
    for i, digit in enumerate(labels.tolist()):
        image = f"mnist-{part}-{first + i:05d}"
        recording = pool[digit][draw(seed, "avmnist", image) % len(pool[digit])]
        ids.append(f"{image}+{recording.name}")
        picked[i] = order[recording.name]
    return ids, picked


def _speech_files(place: Path, recordings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the archive, or one entry for all recordings of the folder."""
    if place.is_file():
        return [source_file(place)]
    files = [source_file(place / f"{name}.wav") for name in recordings]
    digest = sha256_bytes("".join(f"{file['sha256']}  {file['file']}\n" for file in files).encode())
    return [{"file": f"{len(files)} recordings", "bytes": sum(file["bytes"] for file in files), "sha256": digest}]
