"""Edited captions and images: run keys of their own, features of the edited data, one load of the weights a model."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.counts import counted_loads
from support.edits import CAPTIONS, extracted, table_of
from support.tiny import TinyModels

from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError
from vlalign.extraction import Engine, ExtractOptions, extract, make_plan
from vlalign.models.registry import resolve
from vlalign.perturb import parse_perturbation
from vlalign.store import FeatureStore, Run

CPU = torch.device("cpu")


@pytest.fixture
def table(tmp_path: Path) -> DataSpec:
    return table_of(tmp_path / "table.jsonl", CAPTIONS)


def config_of(models: list[Path], data: DataSpec, store: str | Path = "nowhere", **settings: Any) -> ExtractOptions:
    return ExtractOptions(tuple(map(str, models)), data=data, store=str(store), workers=0, **settings)


def keys(tiny: TinyModels, *perturb: str) -> dict[str, str]:
    """Hash of the run key by modality, of a text and a vision model on the pairs of the toy data set."""
    models = [tiny.path("llama"), tiny.path("timm_dinov2_small")]
    plan = make_plan(config_of(models, DataSpec(str(tiny.path("prh"))), perturb=perturb), CPU)
    return {model.source.modality: model.key.hash for model in plan.models}


# -- run keys ----------------------------------------------------------------------------------------------------------
def test_an_edit_changes_the_key_of_its_modality_only(tiny: TinyModels) -> None:
    plain = keys(tiny)
    text, image, both = (
        keys(tiny, *edits) for edits in (["char_delete:30"], ["patch_delete:30"], ["patch_delete:30", "char_delete:30"])
    )
    assert text["text"] != plain["text"]
    assert text["vision"] == plain["vision"]
    assert image["text"] == plain["text"]
    assert image["vision"] != plain["vision"]
    assert both == {"text": text["text"], "vision": image["vision"]}  # those of the other modality are not in it
    assert keys(tiny, "char_delete:0", "patch_delete:0") == plain


def test_whatever_decides_an_edit_is_in_the_key(tiny: TinyModels) -> None:
    texts = [
        ["char_delete:30"], ["char_delete:31"], ["char_delete:30,seed=1"], ["char_replace:30"],
        ["char_delete:30", "word_delete:30"], ["word_delete:30", "char_delete:30"],
    ]  # fmt: skip
    images = [
        ["patch_delete:30"], ["patch_delete:30.5"], ["patch_delete:30,seed=1"], ["patch_delete:30,grid=4"],
        ["patch_delete:30", "pixel_noise:30"], ["pixel_noise:30", "patch_delete:30"],
    ]  # fmt: skip
    models = [tiny.path("llama"), tiny.path("timm_dinov2_small")]
    sweep = {
        resolve(str(model)): [[parse_perturbation(edit) for edit in edits] for edits in lists]
        for model, lists in zip(models, (texts, images), strict=True)
    }
    plan = make_plan(config_of(models, DataSpec(str(tiny.path("prh")))), CPU, sweep=sweep)
    assert len({model.key.hash for model in plan.models}) == len(texts) + len(images)
    again = keys(tiny, "char_delete:30,seed=0", "patch_delete:30,grid=14")  # defaults, spelt out
    assert again == {"text": plan.models[0].key.hash, "vision": plan.models[len(texts)].key.hash}


def test_a_captions_file_is_known_by_its_texts(tiny: TinyModels, table: DataSpec, tmp_path: Path) -> None:
    def key(path: Path, text: str) -> str:
        path.parent.mkdir(exist_ok=True)
        rows = [f"s{i},{rate},{text} {i}\n" for i in range(5) for rate in (10, 50)]
        path.write_text("id,rate,text\n" + "".join(rows))
        config = config_of([tiny.path("llama")], table, perturb=(f"captions_file:50,file={path}",))
        return make_plan(config, CPU).models[0].key.hash

    here = key(tmp_path / "edits.csv", "a ship")
    assert key(tmp_path / "elsewhere" / "others.csv", "a ship") == here
    assert key(tmp_path / "edits.csv", "a boat") != here


# -- features ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["llama", "bloom"])
def test_edited_texts_give_the_features_of_a_set_that_holds_them(
    tiny: TinyModels, table: DataSpec, tmp_path: Path, model: str
) -> None:
    captions = CAPTIONS
    edits = ["word_shuffle:60,seed=2", "char_delete:40"]
    for edit in edits:  # in this order
        captions = parse_perturbation(edit).texts([f"s{i}" for i in range(5)], captions)
    assert captions != CAPTIONS
    other = table_of(tmp_path / "edited.jsonl", captions)
    found = extracted(tiny.path(model), table, tmp_path / "store", perturb=tuple(edits), shard_rows=2)
    expected = extracted(tiny.path(model), other, tmp_path / "store", shard_rows=2)
    assert found.path != expected.path
    for ours, theirs in zip(found.features(), expected.features(), strict=True):
        assert torch.equal(ours, theirs)
    for name in ("bits", "bytes", "tokens"):
        assert torch.equal(found.extra(name), expected.extra(name))
    assert found.bits_per_byte() == expected.bits_per_byte()
    assert found.ids == expected.ids


def test_captions_of_a_file_by_hand(tiny: TinyModels, table: DataSpec, tmp_path: Path) -> None:
    captions = ["red circle", "ships in storm", "old", "map of towns", "goats"]
    rows = [f"s{i},50,{text}\n" for i, text in reversed(list(enumerate(captions)))]  # order does not matter
    (tmp_path / "edits.csv").write_text("id,rate,text\n" + "".join(rows))
    edit = f"captions_file:50,file={tmp_path / 'edits.csv'}"
    found = extracted(tiny.path("llama"), table, tmp_path / "store", perturb=(edit,))
    expected = extracted(tiny.path("llama"), table_of(tmp_path / "by-hand.jsonl", captions), tmp_path / "store")
    assert torch.equal(found.load(-1), expected.load(-1))


@pytest.mark.parametrize("edit", ["patch_delete:50,grid=4", "pixel_noise:60,seed=3"])
def test_edited_images_give_the_features_of_a_set_that_holds_them(tiny: TinyModels, tmp_path: Path, edit: str) -> None:
    from datasets import Dataset, Features
    from datasets import Image as ImageFeature

    spec = DataSpec(str(tiny.path("prh")), max_samples=7)
    data, perturbation = open_data(spec, {"vision"}), parse_perturbation(edit)
    files = []
    for i, name in enumerate(data.ids):
        buffer = io.BytesIO()
        perturbation.image(name, data.image(i)).save(buffer, "PNG")
        files.append({"bytes": buffer.getvalue(), "path": f"{i}.png"})
    path = tmp_path / "edited.parquet"
    Dataset.from_dict({"image": files}, features=Features({"image": ImageFeature()})).to_parquet(path)
    model = tiny.path("timm_dinov2_small")
    found = extracted(model, spec, tmp_path / "store", perturb=(edit,), workers=1, batch_images=3)
    expected = extracted(model, DataSpec(str(path)), tmp_path / "store", batch_images=3)
    plain = extracted(model, spec, tmp_path / "store", batch_images=3)
    assert found.ids == expected.ids
    for ours, theirs, unedited in zip(found.features(), expected.features(), plain.features(), strict=True):
        assert torch.equal(ours, theirs)
        assert not torch.allclose(ours, unedited)


# -- sweeps ------------------------------------------------------------------------------------------------------------
def test_a_sweep_loads_the_weights_once(tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = counted_loads(monkeypatch)
    data = DataSpec(str(tiny.path("prh")), max_samples=6)
    models = [tiny.path("llama"), tiny.path("timm_dinov2_small"), tiny.path("bloom")]
    llama, dino, bloom = (resolve(str(path)) for path in models)
    engine = Engine(config_of(models, data, tmp_path / "store"))

    def swept(*rates: int) -> list[Run]:
        text, image = (
            [[parse_perturbation(f"{name}:{rate}")] for rate in rates] for name in ("char_delete", "pixel_delete")
        )
        plan = engine.make_plan({llama: text, dino: image})
        titles = [f"{m} {name}:{rate}" if rate else m for m, name in NAMES for rate in rates]
        # without a sweep: the config's edits, none
        assert [model.key.title for model in plan.models] == [*titles, "bloom"]
        return [extraction.run for extraction in engine.run(plan)]

    runs = swept(0, 20, 60)
    assert [alias for alias, _ in loads] == [llama.alias, dino.alias, bloom.alias]
    assert len({run.path for run in runs}) == 7
    del loads[:]
    again = swept(0, 20, 60)
    assert loads == []
    assert [run.path for run in again] == [run.path for run in runs]
    more = swept(0, 20, 40, 60)
    assert [alias for alias, _ in loads] == [llama.alias, dino.alias]
    assert {run.path for run in runs} < {run.path for run in more}
    assert len(FeatureStore(tmp_path / "store").runs()) == 9
    alone = extracted(models[0], data, tmp_path / "alone", perturb=("char_delete:40",))
    assert alone.key == more[2].key
    assert torch.equal(alone.load(-1), more[2].load(-1))  # the weights were not changed by the runs before
    assert engine._loaded is None


NAMES = (("llama", "char_delete"), ("timm_dinov2_small", "pixel_delete"))


# -- what is refused, what is planned ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "edit", "message"),
    [
        ("llama", "patch_delete:20", "patch_delete edits images, but llama reads texts only"),
        ("timm_dinov2_small", "char_delete:20", "char_delete edits texts, but timm_dinov2_small reads images only"),
    ],
)
def test_an_edit_that_no_model_reads(tiny: TinyModels, tmp_path: Path, model: str, edit: str, message: str) -> None:
    data = DataSpec(str(tiny.path("prh")))
    with pytest.raises(VlalignError, match=message):
        make_plan(config_of([tiny.path(model)], data, perturb=(edit,)), CPU)
    both = config_of([tiny.path("llama"), tiny.path("timm_dinov2_small")], data, perturb=(edit,))
    assert len(make_plan(both, CPU).models) == 2


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (("char_delete:20", "char_delete:30"), "char_delete is given 2 times"),
        (("char_delete",), "no rate"),
        (("char_delete:120",), "0 to 100"),
        (("char_delet:20",), "did you mean char_delete"),
    ],
)
def test_edits_that_cannot_be(edits: tuple[str, ...], message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        ExtractOptions(("llama-7b",), perturb=edits)


def test_settings_of_text_models_in_a_mixed_set(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataSpec(str(tiny.path("prh")))
    text, vision = tiny.path("llama"), tiny.path("timm_dinov2_small")
    for settings, message in (
        ({"quantization": "nf4"}, "quantization"),
        ({"parallel": "split"}, "--parallel split is for text models"),
    ):
        with pytest.raises(VlalignError, match=message):
            make_plan(config_of([vision], data, **settings), CPU)
    plan = make_plan(config_of([vision, text], data, quantization="nf4"), CPU)
    assert [model.key.data["quantization"] for model in plan.models] == ["none", "nf4"]
    plain = make_plan(config_of([vision], data), CPU)
    assert plan.models[0].key == plain.models[0].key

    engine: Any = sys.modules["vlalign.extraction.engine"]
    asked: dict[str, Any] = {}

    def refuse(source: Any, **options: Any) -> None:
        asked.update(options)
        raise VlalignError("enough")

    monkeypatch.setattr(engine, "load_text_model", refuse)
    with pytest.raises(VlalignError, match="enough"):
        Engine(config_of([vision, text], data, tmp_path / "s", parallel="split", max_length=9)).run()
    assert asked["split"] is True
    assert len(FeatureStore(tmp_path / "s").runs()) == 1  # the vision model, as ever


def test_amounts_of_what_is_left(tiny: TinyModels, tmp_path: Path) -> None:
    data = DataSpec(str(tiny.path("prh")))
    models = [tiny.path("llama"), tiny.path("timm_dinov2_small")]
    edits = ("word_delete:60", "pixel_delete:10")
    config = config_of(models, data, tmp_path / "store", perturb=edits, shard_rows=10)
    text, vision = make_plan(config, CPU).models
    plain = make_plan(config_of(models, data), CPU).models[0]
    assert text.texts is not None
    assert (text.to_do, vision.to_do, vision.amount) == (24, 24, 24)
    assert text.amount == sum(map(len, text.texts.ids)) == text.facts["tokens"]["edited"] < plain.amount
    assert text.facts["tokens"]["unedited"] == plain.amount
    assert min(text.seconds(CPU) or 0, vision.seconds(CPU) or 0) > 0

    runs = extract([str(model) for model in models], data=data, store=tmp_path / "store", perturb=edits, shard_rows=10)
    for run in runs:  # the second shard, rows 10 to 19, is lost
        sorted(run.path.glob("shard-*.safetensors"))[1].unlink()
    text, vision = make_plan(config, CPU).models
    assert text.texts is not None
    assert (text.to_do, vision.to_do, vision.amount) == (10, 10, 10)
    assert text.amount == sum(map(len, text.texts.ids[10:20]))
