"""Edited images that several models read are decoded and edited once, and give the same features."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from support.tiny import TinyModels

from vlalign.data import PairedData
from vlalign.extraction import edited, extract
from vlalign.extraction.edited import EditedImages, edited_once


def test_images_of_several_models_are_edited_once(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    count, image = Counter[int](), PairedData.image

    def counted(self: PairedData, i: int) -> Image.Image:
        count[i] += 1
        return image(self, i)

    monkeypatch.setattr(PairedData, "image", counted)
    shards = []
    for most, times in ((edited._MOST, 1), (0, 2)):
        count.clear()
        monkeypatch.setattr(edited, "_MOST", most)
        runs = extract(
            [str(tiny.path(name)) for name in ("vit", "dinov2")], data=str(tiny.path("prh")), workers=0,
            store=str(tmp_path / str(times)), perturb=["patch_delete:30"],
        )  # fmt: skip
        assert dict(count) == dict.fromkeys(range(runs[0].n), times)
        shards.append([(run.path / entry.file).read_bytes() for run in runs for entry in run.shards])
        assert not list((tmp_path / "tmp").glob(".vlalign-*"))
    assert shards[0] == shards[1]


class Pictures(list[Image.Image]):
    """Data set of pictures."""

    def image(self, i: int) -> Image.Image:
        return self[i]


def test_damaged_and_large_images_are_edited_again(tmp_path: Path) -> None:
    data = Pictures([Image.new("RGB", size, "red") for size in ((3, 2), (9, 9))])
    images = EditedImages(data, tmp_path, most=100)  # type: ignore[arg-type]
    for _ in range(2):
        assert [list(images.image(i).getdata()) for i in range(2)] == [list(one.getdata()) for one in data]
        assert [path.name for path in tmp_path.iterdir()] == ["0.npy"]
    (tmp_path / "0.npy").write_bytes((tmp_path / "0.npy").read_bytes()[:-4])
    assert list(images.image(0).getdata()) == list(data[0].getdata())
    with edited_once([data, Pictures(data), data]) as kept:  # type: ignore[list-item]
        assert list(kept) == [id(data)]
