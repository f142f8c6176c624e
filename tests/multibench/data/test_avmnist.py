from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.multibench import sound, sounds, write_idx, write_sounds

from vlalign.errors import VlalignError
from vlalign.multibench import Prepared, open_prepared
from vlalign.multibench.data.avmnist import prepare_avmnist, read_mnist
from vlalign.multibench.data.speech import find_speech, read_sound, read_speech


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_idx(tmp_path_factory.mktemp("mnist"), 70, 20)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("speech"))


def prepare(images: Path, speech: Path, out: Path, **values: Any) -> Prepared:
    return prepare_avmnist(images, speech, out, **({"valid": 20} | values))


def recordings(prepared: Prepared, split: str) -> list[str]:
    return [one.partition("+")[2] for one in prepared.splits[split].ids]


@pytest.fixture(scope="module")
def prepared(images: Path, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(images, speech, tmp_path_factory.mktemp("out"))


def test_splits_shapes_and_classes(prepared: Prepared, images: Path) -> None:
    assert (prepared.name, prepared.task, prepared.classes, prepared.pool) == ("avmnist", "classification", 10, "cls")
    assert prepared.modalities == ("image", "audio")
    pixels, digits = read_mnist(images, "train")
    for split, start, count in (("train", 0, 50), ("valid", 50, 20), ("test", 0, 20)):
        part = prepared.splits[split]
        assert part.inputs["image"].shape == (count, 49, 16)
        assert part.inputs["audio"].shape == (count, 20, 36)
        assert not part.lengths
        if split != "test":
            assert part.labels.tolist() == digits[start : start + count].tolist()
            wanted = pixels[start, 4:8, 8:12].reshape(16) / 255
            assert np.allclose(part.inputs["image"][0, 9], wanted, atol=1e-6)
        assert part.ids[0].startswith(f"mnist-{'test' if split == 'test' else 'train'}-{start:05d}+")
    open_prepared(prepared.folder, verify=True)


def test_each_image_has_a_recording_of_its_digit_from_its_split(prepared: Prepared) -> None:
    found = {split: set(recordings(prepared, split)) for split in prepared.splits}
    assert sum(map(len, found.values())) == len(set().union(*found.values()))
    for split, takes in (("train", {"10", "11"}), ("valid", {"5", "9"}), ("test", {"0", "4"})):
        names = [one.split("_") for one in recordings(prepared, split)]
        assert {take for _, _, take in names} == takes
        assert [int(digit) for digit, _, _ in names] == prepared.splits[split].labels.tolist()


def test_audio_is_standardised_by_train_as_paired(prepared: Prepared, speech: Path) -> None:
    raw = read_speech(speech)
    train = np.stack([raw[name][1] for name in recordings(prepared, "train")]).astype(np.float64)
    mean, std = train.mean((0, 1)), train.std((0, 1))
    for split, part in prepared.splits.items():
        values = np.stack([raw[name][1] for name in recordings(prepared, split)])
        assert np.allclose(part.inputs["audio"].numpy(), (values - mean) / std, atol=1e-4)


def test_mfcc_are_librosas(speech: Path) -> None:
    import librosa

    values, rate = read_sound("it", (speech / "3_ann_10.wav").read_bytes())
    assert (len(values), rate) == (900, 8000)
    wanted = librosa.feature.mfcc(
        y=values, sr=8000, n_mfcc=36, n_fft=512, win_length=256, hop_length=45, n_mels=40
    )[:, :20]  # fmt: skip
    assert np.allclose(read_speech(speech)["3_ann_10"][1], wanted.T, atol=1e-3)


@pytest.mark.parametrize("samples", [400, 401, 420, 799, 1000, 18262])
def test_every_length_gives_20_frames(tmp_path: Path, samples: int) -> None:
    found = read_speech(write_sounds(tmp_path, {"1_a_1.wav": sound(1, 1, samples=samples)}))
    assert found["1_a_1"][1].shape == (20, 36)


def test_the_pairing_depends_on_seed_and_image_alone(
    images: Path, speech: Path, prepared: Prepared, tmp_path: Path
) -> None:
    again = prepare(images, speech, tmp_path / "again")
    assert again.fingerprint == prepared.fingerprint
    few = prepare(images, speech, tmp_path / "few", samples=30)
    assert few.splits["train"].ids == prepared.splits["train"].ids[:30]
    other = prepare(images, speech, tmp_path / "other", seed=1)
    assert recordings(other, "train") != recordings(prepared, "train")
    assert torch.equal(other.splits["train"].labels, prepared.splits["train"].labels)


def archive(path: Path, entries: dict[str, bytes], odd: Callable[[tarfile.TarFile], None] | None = None) -> Path:
    with tarfile.open(path, "w") as file:
        for name, data in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
        if odd:
            odd(file)
    return path


def test_an_archive_is_read_in_memory_and_hostile_entries_are_left_alone(
    images: Path, prepared: Prepared, tmp_path: Path
) -> None:
    def odd(file: tarfile.TarFile) -> None:
        for name, kind, link in (
            ("recordings/7_eve_1.wav", tarfile.SYMTYPE, "/etc/passwd"), ("7_eve_2.wav", tarfile.LNKTYPE, "../../x"),
            ("recordings/7_eve_3.wav", tarfile.FIFOTYPE, ""), ("recordings/7_eve_4.wav", tarfile.CHRTYPE, ""),
        ):  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            file.addfile(entry)

    folder = tmp_path / "speech"
    folder.mkdir()
    entries = {f"recordings/{name}": data for name, data in sounds().items()}
    entries |= {"../../evil.txt": b"x", "/abs/evil.wav": b"x", "recordings/._1_ann_0.wav": b"x", "README.md": b"x"}
    place = archive(folder / "recordings.tar", entries, odd)
    before = sorted(tmp_path.rglob("*"))
    found = prepare(images, folder, tmp_path / "out")
    assert sorted(set(tmp_path.rglob("*")) - set((tmp_path / "out").rglob("*")) - {tmp_path / "out"}) == before
    for split, part in prepared.splits.items():
        assert found.splits[split].ids == part.ids
        assert torch.equal(found.splits[split].inputs["audio"], part.inputs["audio"])
    assert find_speech(place) == place
    archive(place, entries | {"b/3_ann_4.wav": sound(3, 4)})
    with pytest.raises(VlalignError, match=r"has 3_ann_4.wav twice"):
        read_speech(place)
    place.write_bytes(place.read_bytes()[:3000])
    with pytest.raises(VlalignError, match=r"is not a whole .tar archive"):
        read_speech(place)


def test_places_of_recordings(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match=r"holds no recordings: expected files such as 3_jackson_7\.wav"):
        find_speech(tmp_path)
    write_sounds(tmp_path / "recordings", {"1_a_1.wav": b""})
    assert find_speech(tmp_path) == tmp_path / "recordings"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (sound(1, 1, samples=300), r"1_a_1.wav is too short: 300 samples at 8 kHz"),
        (sound(1, 1, samples=0), r"1_a_1.wav is too short"),
        (b"RIFF nothing", r"1_a_1.wav cannot be read as sound"),
        (b"", r"1_a_1.wav cannot be read as sound"),
    ],
)
def test_bad_recordings_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        read_speech(write_sounds(tmp_path, {"1_a_1.wav": data}))
    assert "\n" not in str(caught.value)


def test_stereo_is_averaged_and_other_rates_are_resampled(tmp_path: Path) -> None:
    files = {
        "1_a_1.wav": sound(1, 1, samples=1800), "1_a_2.wav": sound(1, 1, channels=2, samples=1800),
        "1_a_3.wav": sound(1, 1, rate=16000, samples=3600),
    }  # fmt: skip
    found = {name: values for name, (_, values) in read_speech(write_sounds(tmp_path, files)).items()}
    assert np.allclose(found["1_a_1"], found["1_a_2"], atol=1e-3)
    far = np.abs(found["1_a_3"] - found["1_a_1"]).mean()
    other = read_speech(write_sounds(tmp_path / "other", {"6_a_1.wav": sound(6, 1, samples=1800)}))["6_a_1"][1]
    assert far < np.abs(other - found["1_a_1"]).mean() / 2  # the noise is another one, the tone is not


def test_digits_without_recordings_are_named(images: Path, tmp_path: Path) -> None:
    files = {name: data for name, data in sounds().items() if name not in ("3_ann_5.wav", "3_ann_9.wav")}
    files = {name: data for name, data in files.items() if not name.startswith("8_ann_1")}
    write_sounds(tmp_path / "speech", files)
    message = r"lacks recordings of these digits: train \(takes from 10 on\): 8; valid \(takes 5 to 9\): 3"
    with pytest.raises(VlalignError, match=message):
        prepare(images, tmp_path / "speech", tmp_path / "out")


def test_missing_libraries_name_the_install_line(
    images: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(VlalignError, match=r"needs librosa and soundfile: pip install 'vlalign\[audio\]'"):
        prepare(images, speech, tmp_path / "out")


def edit_file(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(edit((folder / name).read_bytes()))


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
BAD_IDX: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda folder: os.remove(folder / LABELS), f"holds no {LABELS} or {LABELS}.gz"),
    "magic": (edit_file(IMAGES, lambda d: b"\0\0\x0c\x03" + d[4:]), "it starts with 3075, not 2051"),
    "swapped": (edit_file(IMAGES, lambda d: (2049).to_bytes(4, "big") + d[4:]), "it starts with 2049, not 2051"),
    "short": (edit_file(IMAGES, lambda d: d[:-5]), r"has 54891 bytes, its sizes \[70, 28, 28\] need 54896"),
    "empty": (edit_file(IMAGES, lambda d: b""), "it starts with nothing"),
    "size": (edit_file(IMAGES, lambda d: d[:8] + (32).to_bytes(4, "big") + d[12:]), "need"),
    "label": (edit_file(LABELS, lambda d: d[:-1] + b"\x0b"), "has the label 11: expected 0 to 9"),
    "labels": (edit_file(LABELS, lambda d: d[:4] + (69).to_bytes(4, "big") + d[8:-1]), "has 69 labels for 70 images"),
    "gz": (
        lambda folder: [
            (folder / f"{IMAGES}.gz").write_bytes(gzip.compress((folder / IMAGES).read_bytes())[:-9]),
            os.remove(folder / IMAGES),
        ],
        r"cannot read .*ubyte.gz",
    ),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_bad_files_of_mnist(tmp_path: Path, speech: Path, case: str) -> None:
    edit, message = BAD_IDX[case]
    edit(write_idx(tmp_path / "mnist", 70, 20, gz=False))
    with pytest.raises(VlalignError, match=message) as caught:
        prepare(tmp_path / "mnist", speech, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_numbers_of_images(images: Path, speech: Path, tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="70 training images, of which 5000 are for validation"):
        prepare(images, speech, tmp_path, valid=5000)
    with pytest.raises(VlalignError, match="samples is 51: give 1 to 50"):
        prepare(images, speech, tmp_path, samples=51)
