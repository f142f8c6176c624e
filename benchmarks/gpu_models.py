"""Models of published shapes with random weights, built on a device without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from vlalign.data import DataSpec, open_data

_TINY_VISION = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": 42}


def save_text_model(kind: str, folder: Path, data: DataSpec, tiny: bool) -> tuple[Path, DataSpec]:
    """Write config and tokenizer of a text model, and a table of texts of at least 128 tokens.

    Args:
        kind: ``llama-7b`` or ``bloomz-560m``.
        folder: gets a folder of the model, named ``kind``, and ``long.jsonl``.
        data: its captions train the tokenizer.
        tiny: a few layers of width 64.
    """
    from transformers import BloomConfig, LlamaConfig, PreTrainedTokenizerFast

    captions = open_data(data, {"text"}).captions
    assert captions is not None
    model = folder / kind
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_tokenizer(captions), bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(model)
    config: Any
    if kind == "llama-7b":
        sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
        config = LlamaConfig(
            vocab_size=8000 if tiny else 32000, architectures=["LlamaForCausalLM"], **(sizes if tiny else {})
        )
    else:
        shape = (64, 3, 4) if tiny else (1024, 24, 16)
        sizes = dict(zip(("hidden_size", "n_layer", "n_head"), shape, strict=True))
        config = BloomConfig(vocab_size=32000 if tiny else 250880, architectures=["BloomForCausalLM"], **sizes)
    config.save_pretrained(model)
    save_weights(None, model)
    long = folder / "long.jsonl"
    texts = [" ".join(captions[(i + j) % len(captions)] for j in range(128)) for i in range(len(captions))]
    lines = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    long.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return model, DataSpec(str(long))


def _tokenizer(captions: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=8000, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def save_weights(module: torch.nn.Module | None, folder: Path) -> None:
    """Write the weights of a timm model; of None, a file that is only hashed (see :func:`random_weights`)."""
    from safetensors.torch import save_file

    save_file({"none": torch.zeros(1)} if module is None else module.state_dict(), folder / "model.safetensors")


def build_text_model(folder: Path, device: torch.device) -> Any:
    """Build the language model of a folder in bfloat16, with random weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.bfloat16)
    return model.eval().requires_grad_(False)


def save_vision_model(size: str, folder: Path, tiny: bool) -> Path:
    """Write the config of a DINOv2 in timm's format and return its folder."""
    from timm.models import get_pretrained_cfg

    architecture = f"vit_{size}_patch14_dinov2.lvd142m"
    arguments = {"num_classes": 0} | (_TINY_VISION if tiny else {})
    pretrained = get_pretrained_cfg(architecture)
    assert pretrained is not None
    side = 42 if tiny else 518
    settings = pretrained.to_dict() | {"input_size": (3, side, side)}
    model = folder / f"dinov2-{size}"
    model.mkdir()
    name = architecture.partition(".")[0]
    content = {"architecture": name, "num_classes": 0, "model_args": arguments, "pretrained_cfg": settings}
    (model / "config.json").write_text(json.dumps(content), encoding="utf-8")
    save_weights(None, model)
    return model


def build_vision_model(folder: Path, device: torch.device) -> Any:
    """Build the timm model of a folder in float32, with random weights."""
    import timm

    torch.manual_seed(0)
    with torch.device(device):
        model = timm.create_model(f"local-dir:{folder}", pretrained=False, num_classes=0)
    return model.eval().requires_grad_(False)


@contextmanager
def random_weights(model: Any | None) -> Iterator[None]:
    """Let vlalign load this model instead of weights from a file; None leaves everything as it is."""
    if model is None:
        yield
        return
    import timm
    import transformers

    create = timm.create_model

    def load(loaded: Any, location: str, *, dtype: torch.dtype, **options: Any) -> Any:
        loaded = loaded.to(device=options.get("device_map", {}).get("", "cpu"), dtype=dtype)
        report: dict[str, Any] = {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set()}
        report["error_msgs"] = []
        return (loaded, report) if options.get("output_loading_info") else loaded

    def create_model(name: str, pretrained: bool = False, **options: Any) -> Any:
        return model if pretrained else create(name, pretrained=False, **options)

    parts = {transformers.AutoModelForCausalLM: model, transformers.AutoModel: getattr(model, "base_model", None)}
    with ExitStack() as stack:
        for factory, part in parts.items():
            read = partial(load, part)
            stack.enter_context(mock.patch.object(factory, "from_pretrained", read))
        stack.enter_context(mock.patch.object(timm, "create_model", create_model))
        yield
