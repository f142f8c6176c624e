"""Tiny random models of the real architectures, saved as their repositories are: config, weights, tokenizer.

Every builder takes a folder and returns it. Weights depend on the parameter's name and the seed only, so that two
builds are the same; norms, biases and layer scales are random too, so that no two layers of a model give the same
features and a wrong choice (before or after the final norm, another layer) shows::

    folder = build("llama", tmp_path / "llama")
    model = AutoModelForCausalLM.from_pretrained(folder)

``TinyModels(root).path("llama")`` builds once and hands out the folder afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import tokens
from support.data import make_prh

if TYPE_CHECKING:
    from torch import nn

    from vlalign.store import Run

WIDTH, DEPTH, HEADS = 32, 3, 4
PRH_ROWS = 24
NORMALISE = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Fill parameters and running statistics with seeded values of a sensible size, in place."""
    import torch

    state = dict(model.named_parameters()) | {
        name: buffer for name, buffer in model.named_buffers() if name.endswith(("running_mean", "running_var"))
    }
    with torch.no_grad():
        for name, value in state.items():
            digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
            draw = torch.randn(value.shape, generator=torch.Generator().manual_seed(int.from_bytes(digest[:7], "big")))
            if name.endswith("running_var"):
                value.copy_(0.5 + draw.abs())
            elif value.ndim == 2 and ("embed" in name or name.endswith(("wte.weight", "wpe.weight"))):
                value.copy_(0.5 * draw)
            elif value.ndim >= 2:
                value.copy_(draw / value[0].numel() ** 0.5)
            elif name.endswith("weight") or "gamma" in name or "lambda" in name:
                value.copy_(1 + 0.2 * draw)
            else:
                value.copy_(0.1 * draw)
    return model


def _save(model: Any, folder: str | Path, seed: int, dtype: str) -> Path:
    """Randomise, cast, and save a transformers model as safetensors."""
    import torch

    folder = Path(folder)
    randomise(model, seed)
    if getattr(model.config, "tie_word_embeddings", False):
        model.tie_weights()
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def _folder(path: str | Path) -> Path:
    Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


# -- causal text models ------------------------------------------------------------------------------------------------
def _llama_like(vocab: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS}
    ids = {"bos_token_id": 1, "eos_token_id": 2}
    return {"vocab_size": vocab, "max_position_embeddings": 128, "tie_word_embeddings": False} | sizes | ids | more


def save_llama(folder: str | Path, seed: int = 0, dtype: str = "float32", **config: Any) -> Path:
    """LLaMA as huggyllama's: no pad token (config ``pad_token_id`` 0 as theirs), sentencepiece-style tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    vocab = tokens.save_llama(_folder(folder))
    return _save(LlamaForCausalLM(LlamaConfig(**_llama_like(vocab, pad_token_id=0) | config)), folder, seed, dtype)


def save_open_llama(folder: str | Path, seed: int = 1, dtype: str = "float32", **config: Any) -> Path:
    """OpenLLaMA: tokenizer.model without tokenizer.json."""
    from transformers import LlamaConfig, LlamaForCausalLM

    vocab = tokens.save_open_llama(_folder(folder))
    return _save(LlamaForCausalLM(LlamaConfig(**_llama_like(vocab) | config)), folder, seed, dtype)


def save_bloom(folder: str | Path, seed: int = 2, dtype: str = "float32", **config: Any) -> Path:
    """BLOOM: byte-level BPE with ``<pad>`` (id 3), tied embeddings, ALiBi."""
    from transformers import BloomConfig, BloomForCausalLM

    vocab = tokens.save_bloom(_folder(folder))
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    sizes = {"vocab_size": vocab, "hidden_size": WIDTH, "n_layer": DEPTH, "n_head": HEADS}
    return _save(BloomForCausalLM(BloomConfig(**sizes | ids | config)), folder, seed, dtype)


def save_gpt2(folder: str | Path, seed: int = 3, dtype: str = "float32", **config: Any) -> Path:
    """GPT-2: learned positions (64), no pad token."""
    from transformers import GPT2Config, GPT2LMHeadModel

    vocab = tokens.save_gpt2(_folder(folder))
    sizes = {"vocab_size": vocab, "n_positions": 64, "n_embd": WIDTH, "n_layer": DEPTH, "n_head": HEADS}
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    return _save(GPT2LMHeadModel(GPT2Config(**sizes | ids | config)), folder, seed, dtype)


def save_gemma(folder: str | Path, seed: int = 4, dtype: str = "float32", **config: Any) -> Path:
    """Gemma: tied and scaled embeddings, ``head_dim`` of its own, one key-value head."""
    from transformers import GemmaConfig, GemmaForCausalLM

    vocab = tokens.save_gemma(_folder(folder))
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "tie_word_embeddings": True}
    sizes = _llama_like(vocab, head_dim=16, num_key_value_heads=1)
    return _save(GemmaForCausalLM(GemmaConfig(**sizes | ids | config)), folder, seed, dtype)


def save_mistral(folder: str | Path, seed: int = 5, dtype: str = "float32", **config: Any) -> Path:
    """Mistral: grouped keys and values, a sliding window."""
    from transformers import MistralConfig, MistralForCausalLM

    vocab = tokens.save_llama(_folder(folder))
    sizes = _llama_like(vocab, num_key_value_heads=2, head_dim=8, sliding_window=64)
    return _save(MistralForCausalLM(MistralConfig(**sizes | config)), folder, seed, dtype)


def save_mixtral(folder: str | Path, seed: int = 6, dtype: str = "float32", **config: Any) -> Path:
    """Mixtral: four experts, two used."""
    from transformers import MixtralConfig, MixtralForCausalLM

    vocab = tokens.save_llama(_folder(folder))
    sizes = _llama_like(vocab, num_key_value_heads=2, head_dim=8, num_local_experts=4, num_experts_per_tok=2)
    return _save(MixtralForCausalLM(MixtralConfig(**sizes | config)), folder, seed, dtype)


def save_olmo(folder: str | Path, seed: int = 7, dtype: str = "float32", **config: Any) -> Path:
    """OLMo: norms without parameters, GPT-NeoX tokenizer with ``<|padding|>`` (id 1)."""
    from transformers import OlmoConfig, OlmoForCausalLM

    vocab = tokens.save_olmo(_folder(folder))
    ids = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 1}
    return _save(OlmoForCausalLM(OlmoConfig(**_llama_like(vocab) | ids | config)), folder, seed, dtype)


def save_bert(folder: str | Path, seed: int = 8, dtype: str = "float32", **config: Any) -> Path:
    """BERT encoder (no head), 64 positions."""
    from transformers import BertConfig, BertModel

    vocab = tokens.save_bert(_folder(folder))
    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS}
    limits = {"vocab_size": vocab, "max_position_embeddings": 64, "pad_token_id": 0}
    return _save(BertModel(BertConfig(**sizes | limits | config)), folder, seed, dtype)


def save_gguf(folder: str | Path, seed: int = 9) -> Path:
    """LLaMA as a single GGUF file ``model-f32.gguf`` (F32, tokenizer inside) and the same weights under ``hf/``."""
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    folder = _folder(folder)
    weights = load_file(save_llama(folder / "hf", seed) / "model.safetensors")
    pieces, _ = tokens.sentencepiece_parts()
    kinds = {"unknown": gguf.TokenType.UNKNOWN, "control": gguf.TokenType.CONTROL, "byte": gguf.TokenType.BYTE}
    writer = gguf.GGUFWriter(folder / "model-f32.gguf", "llama")
    writer.add_name("tiny llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(DEPTH)
    writer.add_feed_forward_length(48)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(pieces))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece for piece, _, _ in pieces])
    writer.add_token_scores([score for _, score, _ in pieces])
    writer.add_token_types([kinds.get(kind, gguf.TokenType.NORMAL) for _, _, kind in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, DEPTH)
    for name, value in weights.items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):  # llama.cpp's order of the rotary halves
            rotary = value.reshape(HEADS, 2, WIDTH // HEADS // 2, WIDTH)
            value = rotary.swapaxes(1, 2).reshape(value.shape)
        target = names.get_name(name, try_suffixes=(".weight",))
        if target is None:
            raise ValueError(f"gguf has no name for {name}")
        writer.add_tensor(target, np.ascontiguousarray(value, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


# -- vision models of transformers -------------------------------------------------------------------------------------
def save_dinov2(folder: str | Path, seed: int = 10, dtype: str = "float32", **config: Any) -> Path:
    """Dinov2Model, patch 14, 42 px, with the processor of facebook/dinov2-*."""
    from transformers import Dinov2Config, Dinov2Model

    sizes = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS, "mlp_ratio": 2}
    processor = {
        "image_processor_type": "BitImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 48},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 42, "width": 42},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "do_convert_rgb": True,
    }
    tokens.write_json(_folder(folder) / "preprocessor_config.json", processor | NORMALISE)
    model = Dinov2Model(Dinov2Config(**sizes | {"patch_size": 14, "image_size": 42} | config))
    return _save(model, folder, seed, dtype)


def save_vit(folder: str | Path, seed: int = 11, dtype: str = "float32", **config: Any) -> Path:
    """ViTModel, patch 16, 32 px, with the processor of google/vit-*."""
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS, "intermediate_size": 64}
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": 32, "width": 32},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    tokens.write_json(_folder(folder) / "preprocessor_config.json", processor)
    return _save(ViTModel(ViTConfig(**sizes | {"patch_size": 16, "image_size": 32} | config)), folder, seed, dtype)


def save_clip(folder: str | Path, seed: int = 12, dtype: str = "float32", **config: Any) -> Path:
    """CLIPModel (text and vision towers), vision patch 16, 32 px, with its image processor; no tokenizer."""
    from transformers import CLIPConfig, CLIPModel

    sizes = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS, "intermediate_size": 64}
    vision = sizes | {"patch_size": 16, "image_size": 32, "projection_dim": 16}
    text = sizes | {"vocab_size": 128, "max_position_embeddings": 16, "projection_dim": 16}
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": 32},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 32, "width": 32},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "do_convert_rgb": True,
    }
    tokens.write_json(_folder(folder) / "preprocessor_config.json", processor | NORMALISE)
    settings = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16, **config)
    return _save(CLIPModel(settings), folder, seed, dtype)


# -- timm --------------------------------------------------------------------------------------------------------------
def save_timm(folder: str | Path, architecture: str, seed: int = 13, **model_args: Any) -> Path:
    """Any timm architecture in timm's own Hub format: config.json and model.safetensors.

    ``model_args`` go to the model and into config.json, so that ``hf-hub:`` and ``local-dir:`` names rebuild it.
    A tag (``vit_small_patch14_dinov2.lvd142m``) takes that checkpoint's preprocessing. Pickled weights are not written.
    """
    import timm
    from timm.models import save_for_hf

    model = timm.create_model(architecture, pretrained=False, **model_args)
    save_for_hf(randomise(model, seed), str(folder), model_args=model_args, safe_serialization=True)
    return Path(folder)


def _timm(architecture: str, **model_args: Any) -> Callable[[Path], Path]:
    return lambda folder: save_timm(folder, architecture, **model_args)


_DINOV2 = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": 2, "img_size": 42, "num_classes": 0}
BUILDERS: Mapping[str, Callable[[Path], Path]] = {
    "llama": save_llama,
    "open_llama": save_open_llama,
    "bloom": save_bloom,
    "gpt2": save_gpt2,
    "gemma": save_gemma,
    "mistral": save_mistral,
    "mixtral": save_mixtral,
    "olmo": save_olmo,
    "bert": save_bert,
    "gguf": save_gguf,
    "dinov2": save_dinov2,
    "vit": save_vit,
    "clip": save_clip,
    "timm_dinov2_small": _timm("vit_small_patch14_dinov2.lvd142m", **_DINOV2),
    "timm_dinov2_giant": _timm("vit_giant_patch14_dinov2.lvd142m", **_DINOV2 | {"depth": 4}),
    "timm_vit": _timm("test_vit"),
    "timm_resnet": _timm("test_resnet"),
    "prh": lambda folder: make_prh(folder, PRH_ROWS),
}
TEXT = ("llama", "open_llama", "bloom", "gpt2", "gemma", "mistral", "mixtral", "olmo", "bert")
VISION = ("dinov2", "vit", "clip")
TIMM = tuple(name for name in BUILDERS if name.startswith("timm_"))


def build(name: str, folder: str | Path) -> Path:
    """Build ``name`` (a key of ``BUILDERS``) in ``folder``."""
    return BUILDERS[name](_folder(folder))


class TinyModels:
    """Folders of tiny models under one root, each built when first asked for."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._built: dict[str, Path] = {}
        self._runs: dict[tuple[Any, ...], Run] = {}

    def path(self, name: str) -> Path:
        """The folder of ``name``, a key of ``BUILDERS``; do not write in it, other tests use it."""
        if name not in self._built:
            self._built[name] = build(name, self.root / name)
        return self._built[name]

    def run(self, name: str, **settings: Any) -> Run:
        """The features of ``name`` for the pairs of ``prh``, extracted once with each settings; read only, too."""
        from vlalign.extraction import extract

        which = (name, *sorted(settings.items()))
        if which not in self._runs:
            data, store = str(self.path("prh")), str(self.root / "store")
            (self._runs[which],) = extract(str(self.path(name)), data=data, store=store, workers=0, **settings)
        return self._runs[which]
