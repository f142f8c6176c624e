"""Which side a study edits, and what cannot be a side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.tiny import TinyModels

from vlalign.errors import VlalignError
from vlalign.models.registry import resolve
from vlalign.uniqueness.config import UniquenessConfig
from vlalign.uniqueness.sides import Sides, find_sides

VISION, OTHER_VISION = "dinov2-small", "dinov2-giant"
TEXT, OTHER_TEXT = "llama-7b", "bloomz-560m"


def sides(x: Any, y: Any, op: str = "char_delete", **values: Any) -> Sides:
    return find_sides(UniquenessConfig(x=x, y=y, op=op, rates=(10,), **values))


@pytest.mark.parametrize(
    ("x", "y", "op", "edited", "language"),
    [
        (VISION, TEXT, "char_delete", "y", "y"),
        (VISION, TEXT, "pixel_noise", "x", "y"),
        (TEXT, VISION, "char_delete", "x", "x"),
        (TEXT, VISION, "patch_delete:grid=4", "y", "x"),
        (TEXT, OTHER_TEXT, "char_delete", "y", "y"),
        (VISION, OTHER_VISION, "pixel_noise", "y", "y"),
    ],
)
def test_the_side_of_the_operations_modality(x: str, y: str, op: str, edited: str, language: str) -> None:
    found = sides(x, y, op)
    assert found.edited == edited
    assert found.language == language
    assert [spec.alias for spec in found.moving] == [x if edited == "x" else y]
    assert sides(x, y, op, side=edited) == found


def test_both_sides_can_be_chosen_where_both_read_the_modality() -> None:
    assert sides(TEXT, OTHER_TEXT, side="x").edited == "x"
    assert sides(TEXT, OTHER_TEXT, side="x").language == "y"
    assert sides(TEXT, TEXT).edited == "y"  # a model against itself with edited texts


@pytest.mark.parametrize(
    ("x", "y", "op", "values", "message"),
    [
        (VISION, OTHER_VISION, "char_delete", {}, "char_delete edits texts, but the models of both sides read images"),
        (TEXT, OTHER_TEXT, "pixel_noise", {}, "pixel_noise edits images, but the models of both sides read texts"),
        (VISION, TEXT, "char_delete", {"side": "x"}, "--side x: char_delete edits texts, .* of that side read images"),
        (VISION, TEXT, "patch_delete", {"side": "y"}, "--side y: patch_delete edits images, .* read texts"),
        (VISION, OTHER_VISION, "char_delete", {"side": "y"}, "--side y: .* read images"),
        ((VISION, TEXT), OTHER_TEXT, "char_delete", {}, r"--x mixes a text model \(llama-7b\) and a vision model"),
        (VISION, (TEXT, OTHER_VISION), "char_delete", {}, r"--y mixes .*vision model \(dinov2-giant\)"),
        ("dinov2-smal", TEXT, "char_delete", {}, "dinov2-small"),
    ],
)
def test_what_cannot_be_a_side(x: Any, y: Any, op: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        sides(x, y, op, **values)
    assert "\n" not in str(caught.value)


def test_pairs_follow_the_edited_models() -> None:
    found = sides((VISION, OTHER_VISION), (TEXT, OTHER_TEXT))
    assert [(x.alias, y.alias) for x, y in found.pairs()] == [
        (VISION, TEXT), (OTHER_VISION, TEXT), (VISION, OTHER_TEXT), (OTHER_VISION, OTHER_TEXT),
    ]  # fmt: skip
    found = sides((VISION, OTHER_VISION), (TEXT, OTHER_TEXT), "pixel_noise")
    assert [(x.alias, y.alias) for x, y in found.pairs()] == [
        (VISION, TEXT), (VISION, OTHER_TEXT), (OTHER_VISION, TEXT), (OTHER_VISION, OTHER_TEXT),
    ]  # fmt: skip


def test_folders_say_what_they_are(tiny: TinyModels) -> None:
    found = sides(str(tiny.path("timm_dinov2_small")), str(tiny.path("llama")))
    assert found.modalities == ("vision", "text")
    with pytest.raises(VlalignError, match="--x mixes"):
        sides((str(tiny.path("timm_dinov2_small")), str(tiny.path("llama"))), TEXT)


def test_folders_of_one_name_have_names_apart(tmp_path: Path) -> None:
    """Else their points would be those of one model in fits, curves and tables."""
    folders = [
        tmp_path / part
        for part in ("a/step100/hf", "b/step100/hf", "step900/hf", "sub/llama-7b", "other", "own/dinov2-base")
    ]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    x, y = (tuple(resolve(str(name)) for name in names) for names in (folders, (TEXT, folders[2])))
    names = Sides(x, y, ("text", "text"), "y").names
    assert [names[one] for one in x] == [
        str(folders[0]),
        str(folders[1]),
        "step900/hf",
        "sub/llama-7b",
        "other",
        "own/dinov2-base",
    ]
    assert [names[one] for one in y] == [TEXT, "step900/hf"]


def test_one_side_mixes_modalities_under_one_name(tiny: TinyModels, tmp_path: Path) -> None:
    folders = [tmp_path / part / "hf" for part in ("vision", "text")]
    for folder, model in zip(folders, ("dinov2", "llama"), strict=True):
        shutil.copytree(tiny.path(model), folder)
    with pytest.raises(VlalignError, match=r"--x mixes a text model \(hf\) and a vision model \(hf\)"):
        sides([str(folder) for folder in folders], TEXT)
