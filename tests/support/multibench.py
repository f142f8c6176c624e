"""Small MultiBench data: prepared data sets, and files in exactly the layouts that are released."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from vlalign.multibench import Prepared, PreparedSplit, write_prepared

SIZES = {"train": 12, "valid": 5, "test": 6}


def made_up_split(title: str, count: int, classes: int | None = 3, seed: int = 0) -> PreparedSplit:
    """vision [N, 4, 3] without padding, audio [N, 6, 2] of 1 to 6 frames, labels."""
    draw = torch.Generator().manual_seed(seed + len(title))
    lengths = torch.randint(1, 7, (count,), generator=draw)
    audio = torch.randn(count, 6, 2, generator=draw) * (torch.arange(6) < lengths[:, None])[:, :, None]
    labels = torch.randn(count, generator=draw) if classes is None else torch.arange(count) % classes
    return PreparedSplit(
        {"vision": torch.randn(count, 4, 3, generator=draw), "audio": audio},
        {"audio": lengths},
        labels,
        [f"{title}-{row}" for row in range(count)],
    )


def made_up(folder: Path, classes: int | None = 3, **values: Any) -> Prepared:
    """A small prepared data set of noise."""
    splits = {title: made_up_split(title, count, classes) for title, count in SIZES.items()}
    task = "sentiment" if classes is None else "classification"
    given: dict[str, Any] = {
        "name": "made-up", "task": task, "classes": classes, "pool": "mean", "splits": splits, "about": {"seed": 0}
    }  # fmt: skip
    return write_prepared(folder, **(given | values))


def numpy_1(data: bytes) -> bytes:
    """A pickle with the module names that numpy 1 wrote."""
    for code in (b"c", b""):  # protocols 0 to 3 name modules on a line, later ones with their length before
        data = data.replace(code + b"numpy._core.", code + b"numpy.core.") if code else data
    out, at = b"", 0
    while (found := data.find(b"\x8c", at)) >= 0:
        size = data[found + 1] if found + 1 < len(data) else 0
        name = data[found + 2 : found + 2 + size]
        if name.startswith(b"numpy._core."):
            name = name.replace(b"numpy._core.", b"numpy.core.")
            out += data[at:found] + b"\x8c" + bytes([len(name)]) + name
            at = found + 2 + size
        else:
            out += data[at : found + 1]
            at = found + 1
    return _reframed(out + data[at:])


def _reframed(data: bytes) -> bytes:
    """Without the frames of protocol 4, whose sizes changed."""
    import pickletools

    if data[:1] != b"\x80" or data[1] < 4:
        return data
    out, at = b"", 0
    while (found := data.find(b"\x95", at)) >= 0:
        size = int.from_bytes(data[found + 1 : found + 9], "little")
        if 0 < size <= len(data) + 64:
            out, at = out + data[at:found], found + 9
        else:
            out, at = out + data[at : found + 1], found + 1
    data = out + data[at:]
    list(pickletools.genops(data))  # it is still a pickle
    return data


def python_2(value: Any, protocol: int = 2) -> bytes:
    """A pickle as Python 2 with numpy 1 wrote it: texts and the bytes of arrays are its plain strings."""
    import pickle

    class Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
        dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

        def string(self, data: bytes | str) -> None:
            data = data.encode("latin1") if isinstance(data, str) else data
            if self.proto == 0:
                text = repr(data)[1:]
                self.write(b"S" + text.encode() + b"\n")
            elif len(data) < 256:
                self.write(b"U" + bytes([len(data)]) + data)
            else:
                self.write(b"T" + len(data).to_bytes(4, "little") + data)
            if id(data) not in self.memo:
                self.memoize(data)

        dispatch[str] = dispatch[bytes] = string

    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return numpy_1(file.getvalue()).replace(b"cbuiltins\n", b"c__builtin__\n")


WIDTHS = {"mosi": (20, 5, 300), "mosei": (35, 74, 300), "urfunny": (371, 81, 300), "mustard": (371, 81, 300)}


def affect_data(name: str, sizes: dict[str, int] | None = None, frames: int = 50, seed: int = 0) -> dict[str, Any]:
    """Arrays as MultiBench's processed pickles have them.

    float64; labels [N, 1, 1]; texts fill the end of the frames, so that leading ones are zero; the second sample of
    each split has no text; audio has −inf in the first frames of the third.
    """
    draw = np.random.default_rng(seed)
    data: dict[str, Any] = {}
    for split, count in (sizes or {"train": 14, "valid": 6, "test": 8}).items():
        vision, audio, text = (draw.normal(size=(count, frames, width)) * 3 + 1 for width in WIDTHS[name])
        for row, start in enumerate(draw.integers(0, frames, count)):
            for values in (vision, audio, text):
                values[row, :start] = 0
        text[1], text[0] = 0, np.abs(text[0]) + 1
        audio[2, :3, 1] = -np.inf
        if name in ("mosi", "mosei"):
            labels = np.round(draw.uniform(-3, 3, count), 4)
            labels[0], labels[2], labels[3] = 0, 2.2, -1.4
        else:
            labels = (np.arange(count) % 2).astype(np.float64) * (2 if name == "mustard" else 1)
            labels -= name == "mustard"
        names = np.array([[f"video{row}".encode(), b"1.5", b"2.5"] for row in range(count)])
        data[split] = {"vision": vision, "audio": audio, "text": text, "labels": labels.reshape(-1, 1, 1), "id": names}
    return data


def write_pickle(path: Path, value: Any, protocol: int = 4) -> Path:
    """Write a pickle; returns its path."""
    import pickle

    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def write_idx(folder: Path, train: int, test: int, gz: bool = True, seed: int = 0) -> Path:
    """The four files of MNIST with so many images; digits in turn."""
    import gzip

    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        pixels = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        sizes = b"".join(n.to_bytes(4, "big") for n in (2051, count, 28, 28))
        labels = (np.arange(count) % 10).astype(np.uint8)
        files = {
            f"{part}-images-idx3-ubyte": sizes + pixels.tobytes(),
            f"{part}-labels-idx1-ubyte": sizes[:0] + (2049).to_bytes(4, "big") + sizes[4:8] + labels.tobytes(),
        }
        for name, data in files.items():
            path = folder / (f"{name}.gz" if gz else name)
            path.write_bytes(gzip.compress(data, 1) if gz else data)
    return folder


def sound(digit: int, take: int, rate: int = 8000, channels: int = 1, samples: int = 900) -> bytes:
    """The bytes of a wav: a tone whose height is the digit's, with noise."""
    import wave

    time = np.arange(samples) / rate
    draw = np.random.default_rng(100 * digit + take)
    tone = 0.5 * np.sin(2 * np.pi * (300 + 250 * digit) * time) + 0.05 * draw.normal(size=samples)
    data = np.repeat((tone * 20000).astype("<i2")[:, None], channels, 1)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(data.tobytes())
    return file.getvalue()


def sounds(takes: tuple[int, ...] = (0, 4, 5, 9, 10, 11)) -> dict[str, bytes]:
    """Recordings of every digit, by file name."""
    return {f"{digit}_ann_{take}.wav": sound(digit, take) for digit in range(10) for take in takes}


def write_sounds(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    """Recordings as files of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (sounds() if files is None else files).items():
        (folder / name).write_bytes(data)
    return folder
