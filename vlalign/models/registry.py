"""Registered models: those of the reference, and the small ones of the package index, by short names.

Parameter counts are those of the published configurations, counted on torch's meta device; licences are those stated by
the authors' repositories (transformers) and by timm, ``None`` where neither states one for these very weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vlalign.models.spec import ModelSpec

_BLOOM = "bigscience-bloom-rail-1.0"
_APACHE = "apache-2.0"
_MAE = "cc-by-nc-4.0"


def _text(
    alias: str,
    repo: str,
    family: str,
    params: int,
    layers: int,
    width: int,
    licence: str | None,
    *,
    gated: bool = False,
    tokenizer: str | None = None,
    note: str = "",
) -> ModelSpec:
    known = (family, params, layers, width, licence, gated, tokenizer)
    return ModelSpec(alias, f"hub:{repo}", "text", *known, note=note)


def _bloom(size: str, params: int, layers: int, width: int) -> tuple[ModelSpec, ModelSpec]:
    return (
        _text(f"bloomz-{size}", f"bigscience/bloomz-{size}", "bloomz", params, layers, width, _BLOOM),
        _text(f"bloom-{size}", f"bigscience/bloom-{size}", "bloom", params, layers, width, _BLOOM),
    )


def _open_llama(size: str, params: int, layers: int, width: int) -> ModelSpec:
    repo = f"openlm-research/open_llama_{size}"
    note = "its fast tokenizer splits words wrongly (transformers issue 24233): the SentencePiece one is used"
    return _text(
        f"open-llama-{size}", repo, "open-llama", params, layers, width, _APACHE, tokenizer="sentencepiece", note=note
    )


def _llama(size: str, params: int, layers: int, width: int) -> ModelSpec:
    note = "for non-commercial research"
    return _text(f"llama-{size}", f"huggyllama/llama-{size}", "llama", params, layers, width, "other", note=note)


def _vision(
    alias: str, name: str, family: str, params: int, layers: int, width: int, licence: str | None, note: str = ""
) -> ModelSpec:
    return ModelSpec(alias, f"timm:{name}", "vision", family, params, layers, width, licence, note=note)


def _dinov2(size: str, params: int, registers_params: int, layers: int, width: int) -> tuple[ModelSpec, ModelSpec]:
    plain, registers = f"vit_{size}_patch14_dinov2.lvd142m", f"vit_{size}_patch14_reg4_dinov2.lvd142m"
    note = "518 pixels by default"
    return (
        _vision(f"dinov2-{size}", plain, "dinov2", params, layers, width, _APACHE, note),
        _vision(f"dinov2-{size}-reg4", registers, "dinov2-reg4", registers_params, layers, width, _APACHE, note),
    )


def _clip(size: str, shape: str, params: int, layers: int, width: int) -> tuple[ModelSpec, ModelSpec]:
    name = f"vit_{size}_{shape}_clip_224"
    known, note = (params, layers, width), "image tower only"
    return (
        _vision(f"clip-{size}", f"{name}.laion2b", "clip", *known, None, note),
        _vision(f"clip-{size}-ft-in12k", f"{name}.laion2b_ft_in12k", "clip-ft-in12k", *known, None, note),
    )


MODELS: tuple[ModelSpec, ...] = (
    *_bloom("560m", 559_214_592, 24, 1024),
    *_bloom("1b1", 1_065_314_304, 24, 1536),
    *_bloom("1b7", 1_722_408_960, 24, 2048),
    *_bloom("3b", 3_002_557_440, 30, 2560),
    *_bloom("7b1", 7_069_016_064, 30, 4096),
    _open_llama("3b", 3_426_473_600, 26, 3200),
    _open_llama("7b", 6_738_415_616, 32, 4096),
    _open_llama("13b", 13_015_864_320, 40, 5120),
    _llama("7b", 6_738_415_616, 32, 4096),
    _llama("13b", 13_015_864_320, 40, 5120),
    _llama("30b", 32_528_943_616, 60, 6656),
    _llama("65b", 65_285_660_672, 80, 8192),
    _text("olmo-1b", "allenai/OLMo-1B-hf", "olmo", 1_176_764_416, 16, 2048, _APACHE),
    _text("olmo-7b", "allenai/OLMo-7B-hf", "olmo", 6_888_095_744, 32, 4096, _APACHE),
    _text("gemma-2b", "google/gemma-2b", "gemma", 2_506_172_416, 18, 2048, "gemma", gated=True),
    _text("gemma-7b", "google/gemma-7b", "gemma", 8_537_680_896, 28, 3072, "gemma", gated=True),
    _text("mistral-7b", "mistralai/Mistral-7B-v0.1", "mistral", 7_241_732_096, 32, 4096, _APACHE),
    _text("mixtral-8x7b", "mistralai/Mixtral-8x7B-v0.1", "mixtral", 46_702_792_704, 32, 4096, _APACHE),
    _text("llama-3-8b", "NousResearch/Meta-Llama-3-8B", "llama-3", 8_030_261_248, 32, 4096, "llama3"),
    _text("llama-3-70b", "NousResearch/Meta-Llama-3-70B", "llama-3", 70_553_706_496, 80, 8192, "llama3"),
    _vision("vit-tiny-augreg", "vit_tiny_patch16_224.augreg_in21k", "augreg", 5_524_416, 12, 192, _APACHE),
    _vision("vit-small-augreg", "vit_small_patch16_224.augreg_in21k", "augreg", 21_665_664, 12, 384, _APACHE),
    _vision("vit-base-augreg", "vit_base_patch16_224.augreg_in21k", "augreg", 85_798_656, 12, 768, _APACHE),
    _vision("vit-large-augreg", "vit_large_patch16_224.augreg_in21k", "augreg", 303_301_632, 24, 1024, _APACHE),
    _vision("vit-base-mae", "vit_base_patch16_224.mae", "mae", 85_798_656, 12, 768, _MAE),
    _vision("vit-large-mae", "vit_large_patch16_224.mae", "mae", 303_301_632, 24, 1024, _MAE),
    _vision("vit-huge-mae", "vit_huge_patch14_224.mae", "mae", 630_764_800, 32, 1280, _MAE),
    *_dinov2("small", 22_056_192, 22_057_344, 12, 384),
    *_dinov2("base", 86_579_712, 86_582_016, 12, 768),
    *_dinov2("large", 304_367_616, 304_370_688, 24, 1024),
    *_dinov2("giant", 1_136_479_232, 1_136_483_840, 40, 1536),
    *_clip("base", "patch16", 85_799_424, 12, 768),
    *_clip("large", "patch14", 303_179_776, 24, 1024),
    *_clip("huge", "patch14", 630_766_080, 32, 1280),
    ModelSpec(
        "demo-smollm2-135m", "wheel:smollm2-135m", "text", "smollm2", 134_515_008, 30, 576, _APACHE,
        note="SmolLM2-135M-Instruct of the LLaMA architecture, from the package index",
    ),
    ModelSpec(
        "demo-dinov2-small", "wheel:dinov2-small-saliency", "vision", "dinov2", 22_056_192, 12, 384, "mit",
        note="DINOv2 ViT-S/14 fine-tuned for saliency, from the package index",
    ),
    ModelSpec(
        "demo-minilm-l6", "wheel:minilm-l6", "text", "minilm", 22_713_216, 6, 384, _APACHE,
        note="all-MiniLM-L6-v2, a sentence encoder, from the package index",
    ),
    ModelSpec(
        "demo-efficientnet-lite0", "wheel:efficientnet-lite0", "vision", "efficientnet", 3_371_008, None, 1280, _APACHE,
        note="a convolutional net trained on ImageNet-1k, from the package index",
    ),
)  # fmt: skip
"""All registered models, in the order in which they are listed."""

ALIASES: Mapping[str, ModelSpec] = MappingProxyType({spec.alias: spec for spec in MODELS})
SOURCES: Mapping[str, ModelSpec] = MappingProxyType({spec.source: spec for spec in MODELS})


def _aliases(*families: str) -> tuple[str, ...]:
    return tuple(m.alias for family in families for m in MODELS if m.family == family and m.scheme != "wheel")


_PRH_TEXT = _aliases("bloomz", "open-llama", "llama")
_PRH_VISION = _aliases("augreg", "mae", "dinov2", "clip", "clip-ft-in12k")

MODEL_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prh": _PRH_TEXT + _PRH_VISION,
        "prh-text": _PRH_TEXT,
        "prh-vision": _PRH_VISION,
        "prh-2": _aliases("olmo", "gemma", "mistral", "mixtral", "llama-3"),
    }
)
"""Published sets: the grid of 12 language and 17 vision models, its two halves, and the second text set."""
