"""Features equal a plain forward of the library, layer by layer, for each family and whatever the batches are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny import TinyModels

from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError
from vlalign.extraction import extract
from vlalign.extraction.readers import VisionReader
from vlalign.models.registry import resolve
from vlalign.models.source import locate
from vlalign.models.tokenizer import load_tokenizer
from vlalign.models.vision import build_vision_model, load_preprocessing
from vlalign.store import FeatureStore

CAUSAL = ["llama", "open_llama", "bloom", "gpt2", "gemma", "mistral", "mixtral", "olmo", "gguf"]
VISION = ["dinov2", "vit", "clip", "timm_dinov2_small", "timm_vit"]


def name_of(tiny: TinyModels, model: str) -> str:
    folder = tiny.path(model)
    return str(folder / "model-f32.gguf") if model == "gguf" else str(folder)


def features(tiny: TinyModels, model: str, store: Path, **settings: Any) -> Any:
    (run,) = extract(name_of(tiny, model), data=str(tiny.path("prh")), store=str(store), workers=0, **settings)
    return run


def plain_text(tiny: TinyModels, model: str, captions: list[str]) -> tuple[list[torch.Tensor], list[float]]:
    """Every hidden state averaged over tokens, and bits, one caption at a time without padding."""
    from transformers import AutoModel, AutoModelForCausalLM

    source = locate(resolve(name_of(tiny, model)))
    tokenizer = load_tokenizer(source)
    factory = AutoModel if model == "bert" else AutoModelForCausalLM
    module = factory.from_pretrained(source.location, gguf_file=source.gguf_file).eval()
    states, bits = [], []
    with torch.no_grad():
        for ids in tokenizer.encode(captions):
            output = module(torch.tensor([ids]), output_hidden_states=True)
            states.append(torch.stack([state[0].mean(0) for state in output.hidden_states]))
            if model != "bert":
                nats = torch.nn.functional.cross_entropy(output.logits[0, :-1], torch.tensor(ids[1:]), reduction="sum")
                bits.append(float(nats) / math.log(2))
    return list(torch.stack(states, 1)), bits


@pytest.mark.parametrize("model", [*CAUSAL, "bert"])
def test_text_features_equal_hidden_states(tiny: TinyModels, tmp_path: Path, model: str) -> None:
    captions = open_data(DataSpec(str(tiny.path("prh"))), {"text"}).captions
    assert captions is not None
    states, bits = plain_text(tiny, model, captions)
    for batch_tokens in (1, 10_000):
        store = tmp_path / str(batch_tokens)
        run = features(tiny, model, store, batch_tokens=batch_tokens, shard_rows=10)
        assert [layer.name for layer in run.layers] == ["embeddings", "block_0", "block_1", "block_2"]
        for ours, theirs in zip(run.features(), states, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        if model == "bert":
            assert run.extra("bits") is None
            assert run.bits_per_byte() is None
        else:
            torch.testing.assert_close(run.extra("bits"), torch.tensor(bits, dtype=torch.float64), rtol=1e-5, atol=1e-4)
            byte_counts = [len(text.encode()) for text in captions]
            expected = sum(b / n for b, n in zip(bits, byte_counts, strict=True)) / len(bits)
            assert run.bits_per_byte() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("model", VISION)
def test_vision_features_equal_block_outputs(tiny: TinyModels, tmp_path: Path, model: str) -> None:
    runs, averages = (
        [
            features(tiny, model, tmp_path / str(batch), batch_images=batch, shard_rows=10, vision_pool=pool)
            for batch in (1, 7)
        ]
        for pool in (None, "avg")
    )
    data = open_data(DataSpec(str(tiny.path("prh"))), {"vision"})
    source = locate(resolve(name_of(tiny, model)))
    transform = load_preprocessing(source).transform
    module, _ = build_vision_model(source, None, pretrained=True)
    module.eval()
    for i in (0, 9, 10, len(data) - 1):
        pixels = transform(data.image(i))[None]
        with torch.no_grad():
            if source.backend == "timm":
                outputs = module.forward_intermediates(  # type: ignore[operator]
                    pixels, intermediates_only=True, norm=False, return_prefix_tokens=True, output_fmt="NLC"
                )
                cls = [prefix[0, 0] for _, prefix in outputs]
                mean = [patches[0].mean(0) for patches, _ in outputs]
            else:
                outputs = module(pixels, output_hidden_states=True).hidden_states[1:]
                cls = [state[0, 0] for state in outputs]
                mean = [state[0, 1:].mean(0) for state in outputs]
        for layer, (class_token, average) in enumerate(zip(cls, mean, strict=True)):
            for run, averaged in zip(runs, averages, strict=True):
                torch.testing.assert_close(run.load(layer)[i], class_token, rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(averaged.load(layer)[i], average, rtol=1e-4, atol=1e-5)


def test_convolutional_net_is_averaged_over_space(tiny: TinyModels, tmp_path: Path) -> None:
    run = features(tiny, "timm_resnet", tmp_path, max_length=None)
    data = open_data(DataSpec(str(tiny.path("prh"))), {"vision"})
    source = locate(resolve(name_of(tiny, "timm_resnet")))
    module, _ = build_vision_model(source, None, pretrained=True)
    pixels = load_preprocessing(source).transform(data.image(3))[None]
    with torch.no_grad():
        maps = module.eval().forward_intermediates(pixels, intermediates_only=True)  # type: ignore[operator]
    assert [layer.width for layer in run.layers] == [m.shape[1] for m in maps]
    assert run.key.data["pooling"] == "avg"
    for layer, values in enumerate(maps):
        torch.testing.assert_close(run.load(layer)[3], values[0].mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_last_token(tiny: TinyModels, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    run = features(tiny, "llama", tmp_path, text_pool="last")
    captions = open_data(DataSpec(str(tiny.path("prh"))), {"text"}).captions
    assert captions is not None
    source = locate(resolve(name_of(tiny, "llama")))
    module = AutoModelForCausalLM.from_pretrained(source.location).eval()
    ids = load_tokenizer(source).encode(captions[:5])
    for i, sequence in enumerate(ids):
        with torch.no_grad():
            states = module(torch.tensor([sequence]), output_hidden_states=True).hidden_states
        for layer, state in enumerate(states):
            torch.testing.assert_close(run.load(layer)[i], state[0, -1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_stays_close(tiny: TinyModels, tmp_path: Path, dtype: str) -> None:
    exact = features(tiny, "llama", tmp_path)
    half = features(tiny, "llama", tmp_path, dtype=dtype)
    assert half.path != exact.path
    for a, b in zip(half.features(), exact.features(), strict=True):
        assert a.dtype == torch.float32
        assert 0 < float((a - b).norm() / b.norm()) < 0.02


@pytest.mark.parametrize(("quantization", "tolerance"), [("int8", 0.05), ("nf4", 0.3), ("fp4", 0.4)])
@pytest.mark.parametrize("model", ["llama", "bloom"])
def test_quantized_models_load_and_stay_close(
    tiny: TinyModels, tmp_path: Path, model: str, quantization: str, tolerance: float
) -> None:
    from support.tiny import save_bloom, save_llama

    # 4-bit blocks hold 64 weights: real widths are multiples of that
    wide = {"llama": {"hidden_size": 64, "intermediate_size": 128}, "bloom": {"hidden_size": 64}}[model]
    folder = {"llama": save_llama, "bloom": save_bloom}[model](tmp_path / model, **wide)
    runs = [
        extract(str(folder), data=str(tiny.path("prh")), store=str(tmp_path / "store"), quantization=kind)[0]
        for kind in ("none", quantization)
    ]
    assert runs[1].key.data["quantization"] == quantization
    assert runs[1].path != runs[0].path
    for exact, quantized in list(zip(runs[0].features(), runs[1].features(), strict=True))[1:]:
        assert 0 < float((quantized - exact).norm() / exact.norm()) < tolerance


def test_image_size(tiny: TinyModels, tmp_path: Path) -> None:
    own = features(tiny, "timm_dinov2_small", tmp_path)
    larger = features(tiny, "timm_dinov2_small", tmp_path, image_size=56)
    assert larger.key.data["image"]["input_size"] == [3, 56, 56]
    assert not torch.allclose(own.load(-1), larger.load(-1))
    processor = features(tiny, "dinov2", tmp_path, image_size=56)
    assert processor.key.data["image"]["crop_size"] == {"height": 56, "width": 56}


def test_truncation_is_counted(tiny: TinyModels, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "vlalign"):
        run = features(tiny, "llama", tmp_path, max_length=4)
    assert run.facts["truncated"] == len(run.ids) > 0
    assert run.facts["truncated_ids"][0] == run.ids[0]
    assert "longer than 4 tokens" in caplog.text
    assert int(run.extra("tokens").max()) == 4


def test_bits_per_byte_of_truncated_captions(tiny: TinyModels, tmp_path: Path) -> None:
    """They are those of the same bytes given as whole captions; runs of whole captions have no count of bytes read."""
    from transformers import AutoTokenizer

    texts = ["the old mill by the river is far away", "a red bicycle é😀 leans on the wall of a house", "short"]
    model = str(tiny.path("gpt2"))
    tokenizer = AutoTokenizer.from_pretrained(model)
    cut = [tokenizer.decode(tokenizer(text)["input_ids"][:8]) for text in texts]
    assert [text.startswith(part) for text, part in zip(texts, cut, strict=True)] == [True] * 3
    assert [text == part for text, part in zip(texts, cut, strict=True)] == [False, False, True]
    runs = []
    for name, captions, limit in (("long", texts, 8), ("short", cut, None)):
        lines = [json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(captions)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
        data = str(tmp_path / f"{name}.jsonl")
        (run,) = extract(model, data=data, store=str(tmp_path / name), max_length=limit)
        runs.append(run)
    long, short = runs
    assert (long.truncated, short.truncated) == (2, 0)
    assert long.extra("bytes_read").tolist() == [len(part.encode()) for part in cut]
    assert short.extra("bytes_read") is None
    assert long.bits_per_byte() == pytest.approx(short.bits_per_byte(), rel=1e-6)


def test_truncated_runs_that_do_not_know_the_bytes_read_are_made_again(tiny: TinyModels, tmp_path: Path) -> None:
    run = features(tiny, "gpt2", tmp_path, max_length=4)
    writer = FeatureStore(tmp_path).writer(run.key, run.ids, run.shard_rows)
    tensors, extras = run.load_shard(0)
    del extras["bytes_read"]  # as an earlier version wrote it
    names = {layer.name: tensor for layer, tensor in zip(run.layers, tensors, strict=True)}
    writer.write(writer.shards[0], names, run.layers, extras)
    old = writer.finish(run.facts)
    assert old.bits_per_byte() is None
    new = features(tiny, "gpt2", tmp_path, max_length=4)
    assert new.path == run.path
    assert new.bits_per_byte() == run.bits_per_byte() is not None


def test_a_head_that_gives_nan_is_refused(tiny: TinyModels, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for path in tiny.path("llama").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights["lm_head.weight"][5] = float("nan")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    arguments: dict[str, Any] = {"data": str(tiny.path("prh")), "store": str(tmp_path / "s")}
    with pytest.raises(VlalignError, match=r"bits of sample '.+' are not finite.*--no-loss"):
        extract(str(tmp_path), **arguments)
    (run,) = extract(str(tmp_path), loss=False, **arguments)
    assert run.bits_per_byte() is None


def test_truncated_encoder_texts_keep_their_last_special_token(tiny: TinyModels) -> None:
    tokenizer = load_tokenizer(locate(resolve(str(tiny.path("bert")))), 4)
    (whole,), (cut,) = tokenizer.encode(["a red circle on a wall"]), tokenizer.encode(["a red circle on a wall"], 4)
    assert len(cut) == 4 < len(whole)
    assert cut[0] == whole[0]
    assert cut[-1] == whole[-1]


def test_logits_that_are_more_than_the_heads_product(tiny: TinyModels, tmp_path: Path) -> None:
    """Gemma-2 caps its logits: the loss must see that, by running through the whole model."""
    from support.tiny import randomise
    from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

    folder = tmp_path / "gemma2"
    tokenizer = AutoTokenizer.from_pretrained(tiny.path("gemma"))
    config = Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=128, final_logit_softcapping=2.0,
        attn_logit_softcapping=50.0, sliding_window=64,
    )  # fmt: skip
    model = randomise(Gemma2ForCausalLM(config))
    model.tie_weights()  # type: ignore[operator]
    model.save_pretrained(folder)  # type: ignore[operator]
    tokenizer.save_pretrained(folder)
    (run,) = extract(str(folder), data=str(tiny.path("prh")), store=str(tmp_path / "store"))
    captions = open_data(DataSpec(str(tiny.path("prh"))), {"text"}).captions
    assert captions is not None
    module = Gemma2ForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    for i, ids in enumerate(load_tokenizer(locate(resolve(str(folder)))).encode(captions[:4])):
        with torch.no_grad():
            output = module(torch.tensor([ids]), output_hidden_states=True)
        nats = torch.nn.functional.cross_entropy(output.logits[0, :-1], torch.tensor(ids[1:]), reduction="sum")
        assert float(run.extra("bits")[i]) == pytest.approx(float(nats) / math.log(2), rel=1e-3)
        for layer, state in enumerate(output.hidden_states):
            torch.testing.assert_close(run.load(layer)[i], state[0].mean(0), rtol=1e-3, atol=1e-4)


def test_float32_convolutions_are_not_rounded_to_tf32(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting, seen = torch.backends.cudnn.conv, []
    before, forward = setting.fp32_precision, VisionReader._forward

    def watched(self: VisionReader, rows: list[int]) -> list[torch.Tensor]:
        seen.append(setting.fp32_precision)
        return forward(self, rows)

    monkeypatch.setattr(VisionReader, "_forward", watched)
    features(tiny, "timm_resnet", tmp_path)
    assert set(seen) == {"ieee"}
    assert setting.fp32_precision == before
