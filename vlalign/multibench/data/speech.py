"""Spoken digits as MFCC sequences: 20 frames of 36 coefficients per recording.

A recording is converted to mono and resampled to 8 kHz. Windows of 32 ms (256 samples, in transforms of 512 points)
are ``ceil(n / 20)`` samples apart, so that 20 of them span a recording of any length; the spectra are converted to 40
mel bands, to decibels (at most 80 below the loudest) and by a cosine transform, of which 36 coefficients are kept.
"""

from __future__ import annotations

import io
import re
import tarfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vlalign.errors import VlalignError
from vlalign.files import one_line
from vlalign.paths import user_path

RATE, FRAMES, COEFFICIENTS = 8000, 20, 36
_WINDOW, _POINTS, _BANDS = 256, 512, 40
_LEAST = 400  # samples at 8 kHz, 50 ms
_MOST = 10 * 2**20  # bytes of a recording
_NAME = re.compile(r"(\d)_([A-Za-z0-9-]+)_(\d{1,4})\.wav")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Recording:
    """A recording by its name, ``{digit}_{speaker}_{take}.wav``.

    Attributes:
        name: without the ending.
        digit, take: numbers of its name.
    """

    name: str
    digit: int
    take: int

    @property
    def split(self) -> str:
        """Takes 0–4 are for testing (the convention of the Free Spoken Digit Dataset), 5–9 for validation."""
        return "test" if self.take < 5 else "valid" if self.take < 10 else "train"


def need_audio() -> None:
    """Raise VlalignError unless the libraries for audio are installed."""
    from importlib.util import find_spec

    if lacking := [name for name in ("librosa", "soundfile") if find_spec(name) is None]:
        raise VlalignError(f"preparing recordings needs {' and '.join(lacking)}: pip install 'vlalign[audio]'")


def find_speech(folder: str | Path) -> Path:
    """Return the place of the recordings: the folder, its recordings/ or recordings.tar, or a .tar given directly.

    Raises:
        VlalignError: no recordings.
    """
    folder = user_path(folder)
    if folder.is_file() and folder.suffix == ".tar":
        return folder
    for place in (folder, folder / "recordings"):
        if place.is_dir() and any(_NAME.fullmatch(path.name) for path in place.iterdir()):
            return place
    if (folder / "recordings.tar").is_file():
        return folder / "recordings.tar"
    raise VlalignError(
        f"{folder} holds no recordings: expected files such as 3_jackson_7.wav (digit, speaker, take) in it, in "
        "recordings/ or in recordings.tar"
    )


def read_speech(place: Path) -> dict[str, tuple[Recording, Array]]:
    """Compute MFCCs float32 [20, 36] of all recordings, by name, in the order of the names.

    Args:
        place: as :func:`find_speech` returns it. A .tar is read in memory and not unpacked; only plain files with names
            of recordings are read.

    Raises:
        VlalignError: a recording cannot be read, is too short, or is repeated.
    """
    need_audio()
    results: dict[str, tuple[Recording, Array]] = {}
    for where, name, data in _files(place):
        parts = _NAME.fullmatch(name)
        assert parts is not None
        recording = Recording(name.removesuffix(".wav"), int(parts[1]), int(parts[3]))
        if recording.name in results:
            raise VlalignError(f"{place} has {name} twice")
        results[recording.name] = (recording, mfcc(where, *read_sound(where, data)))
    return dict(sorted(results.items()))


def check_cover(place: Path, recordings: Iterable[Recording]) -> dict[str, dict[int, list[Recording]]]:
    """Group recordings by split and digit.

    Raises:
        VlalignError: digits lack recordings in a split; all are named.
    """
    takes = {"train": "takes from 10 on", "valid": "takes 5 to 9", "test": "takes 0 to 4"}
    groups: dict[str, dict[int, list[Recording]]] = {split: {digit: [] for digit in range(10)} for split in takes}
    for recording in recordings:
        groups[recording.split][recording.digit].append(recording)
    if lacking := [
        f"{split} ({takes[split]}): {' '.join(str(digit) for digit, group in digits.items() if not group)}"
        for split, digits in groups.items()
        if not all(digits.values())
    ]:
        raise VlalignError(f"{place} lacks recordings of these digits: {'; '.join(lacking)}")
    return groups


def read_sound(where: str, data: bytes) -> tuple[Array, int]:
    """Decode a file's bytes to sound, float32 [n], and its rate; several channels are averaged.

    Raises:
        VlalignError: it is no sound, or has values that are not finite.
    """
    import soundfile

    try:
        values, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OSError) as error:
        raise VlalignError(f"{where} cannot be read as sound ({one_line(error)}): correct or remove it") from error
    if not np.isfinite(values).all():
        raise VlalignError(f"{where} has values that are not finite: correct or remove it")
    return values.mean(1), int(rate)


def mfcc(where: str, values: Array, rate: int) -> Array:
    """Compute MFCCs float32 [20, 36] of a sound [n].

    Raises:
        VlalignError: it is shorter than 50 ms.
    """
    import librosa

    if rate != RATE and len(values):
        values = librosa.resample(values, orig_sr=rate, target_sr=RATE, res_type="polyphase")
    if len(values) < _LEAST:
        raise VlalignError(
            f"{where} is too short: {len(values)} samples at 8 kHz, expected at least {_LEAST}: correct or remove it"
        )
    hop = -(-len(values) // FRAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of sounds shorter than a transform
        spectra = librosa.stft(values, n_fft=_POINTS, win_length=_WINDOW, hop_length=hop, center=True)
    bands = _mel() @ np.abs(spectra[:, :FRAMES]) ** 2
    coefficients = librosa.feature.mfcc(S=librosa.power_to_db(bands), n_mfcc=COEFFICIENTS)
    return np.ascontiguousarray(coefficients.T, dtype=np.float32)


@cache
def _mel() -> Array:
    """Return the mel filters, float32 [40, 257]."""
    from librosa.filters import mel

    bands: Array = mel(sr=RATE, n_fft=_POINTS, n_mels=_BANDS)
    return bands


def _files(place: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield the name in errors, file name and bytes of every recording."""
    if place.is_dir():
        for path in sorted(place.iterdir()):
            if _NAME.fullmatch(path.name) and path.is_file():
                try:
                    _check_size(str(path), path.stat().st_size)
                    data = path.read_bytes()
                except OSError as error:
                    raise VlalignError(f"cannot read {path}: {one_line(error)}") from error
                yield str(path), path.name, data
        return
    try:
        with tarfile.open(place, "r:") as archive:
            for entry in archive:
                name = entry.name.rpartition("/")[2]
                if not entry.isreg() or entry.issparse() or not _NAME.fullmatch(name):
                    continue
                _check_size(f"{place}: {name}", entry.size)
                file = archive.extractfile(entry)
                assert file is not None
                yield f"{place}: {name}", name, file.read()
            archive.fileobj.seek(archive.offset)
            if archive.fileobj.read(512) != bytes(512):  # tarfile ignores a truncated header
                raise tarfile.ReadError("it has no end")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise VlalignError(f"{place} is not a whole .tar archive ({one_line(error)})") from error


def _check_size(where: str, size: int) -> None:
    if size > _MOST:
        raise VlalignError(f"{where} has {size} bytes, more than a spoken digit: remove it")
